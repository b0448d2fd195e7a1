package webjob

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// OrderFormat is the value of [Order.Format] that this version reads and writes.
const OrderFormat = "webjob-order/1"

// Bounds of an order.
const (
	MaxOrderBytes    = 256 << 10 // canonical JSON
	MaxOrderLifetime = 10 * 366 * 24 * time.Hour
	MaxPriority      = 1000
	MaxOrderRuns     = 1_000_000  // runs of all orders that are not finished
	MaxRate          = 36_000_000 // starts an hour
)

// Order says that clients run one version of a job in a window of time. Operators
// sign it; its canonical JSON (RFC 8785) travels in an envelope like a manifest's.
// Every client that it is for runs it once, or once at each time of its schedule.
type Order struct {
	Format    string    `json:"format"` // OrderFormat
	ID        string    `json:"id"`
	Job       string    `json:"job"`
	Version   int64     `json:"version"`
	Manifest  Digest    `json:"manifest"`
	Arguments []string  `json:"arguments,omitempty"`
	On        string    `json:"on"` // selector
	Created   time.Time `json:"created"`
	NotBefore time.Time `json:"not_before"`
	Expires   time.Time `json:"expires"`
	Schedule  *Schedule `json:"schedule,omitempty"`

	Priority int64  `json:"priority,omitempty"` // -MaxPriority to MaxPriority; higher first
	Serial   bool   `json:"serial,omitempty"`   // on a client, one after another within the group
	Group    string `json:"group,omitempty"`    // of serial orders; "" is a group too
	Tag      string `json:"tag,omitempty"`      // one line for people
	Canary   int64  `json:"canary,omitempty"`   // so many clients must succeed before the rest start
	Rate     int64  `json:"rate,omitempty"`     // starts an hour, all clients together; 0 is no limit
	StopAt   int64  `json:"stop_at,omitempty"`  // percent of the runs that may fail; 0 is no limit
	Late     bool   `json:"late,omitempty"`     // clients that match later are included
}

// Schedule repeats an order.
type Schedule struct {
	At       string `json:"at"`                  // cron expression of five fields, or "@every 15m"
	Zone     string `json:"zone,omitempty"`      // of the expression, such as "Europe/Berlin"; UTC when empty
	JitterMS int64  `json:"jitter_ms,omitempty"` // each client starts up to so much later
	Missed   Missed `json:"missed"`
	Agent    bool   `json:"agent,omitempty"` // agents keep the time themselves, also while the server is away
}

// Missed says what happens to a time that passed while nobody could keep it.
type Missed string

// A missed time is left out, or the latest one is made up for.
const (
	MissedSkip Missed = "skip"
	MissedRun  Missed = "run"
)

var orderIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$`)

// CheckOrderID accepts 1 to 40 letters, digits, underscores and hyphens.
func CheckOrderID(s string) error {
	return checkName("order id", s, orderIDForm, "1 to 40 letters, digits, '_' or '-'")
}

// Check reports the first field that is malformed or out of range. The schedule's
// expression is judged by package schedule.
func (o *Order) Check() error {
	if o.Format != OrderFormat {
		return Errorf(Invalid, "order format %.40q is unknown; this version reads %q", o.Format, OrderFormat)
	}
	if err := CheckOrderID(o.ID); err != nil {
		return err
	}
	if err := CheckJobName(o.Job); err != nil {
		return err
	}
	if o.Version < 1 || o.Version > MaxVersion {
		return Errorf(Invalid, "version is %d; it must be 1 to %d", o.Version, int64(MaxVersion))
	}
	if _, err := ParseDigest(string(o.Manifest)); err != nil {
		return err
	}
	if len(o.Arguments) > MaxArguments || len(strings.Join(o.Arguments, "")) > MaxCommandBytes {
		return Errorf(Invalid, "the order has %d arguments; at most %d, of %d bytes together", len(o.Arguments), MaxArguments, MaxCommandBytes)
	}
	for _, argument := range o.Arguments {
		if err := checkArgument("argument", argument); err != nil {
			return err
		}
	}
	if _, err := ParseSelector(o.On); err != nil {
		return err
	}
	if err := o.checkWindow(); err != nil {
		return err
	}
	return o.checkConduct()
}

func (o *Order) checkWindow() error {
	switch {
	case o.Created.IsZero() || o.NotBefore.IsZero():
		return Errorf(Invalid, "the order has no time of creation, or no beginning")
	case !o.Expires.After(o.NotBefore):
		return Errorf(Invalid, "the order expires at %s, before it begins at %s", stamp(o.Expires), stamp(o.NotBefore))
	case o.Expires.Sub(o.Created) > MaxOrderLifetime:
		return Errorf(Invalid, "the order expires at %s; at most ten years ahead", stamp(o.Expires))
	}
	return nil
}

// checkConduct judges how the order is carried out.
func (o *Order) checkConduct() error {
	within := func(name string, value, low, high int64) error {
		if value < low || value > high {
			return Errorf(Invalid, "%s is %d; it must be %d to %d", name, value, low, high)
		}
		return nil
	}
	for _, err := range []error{
		within("priority", o.Priority, -MaxPriority, MaxPriority),
		within("canary", o.Canary, 0, MaxOrderRuns),
		within("rate", o.Rate, 0, MaxRate),
		within("stop_at", o.StopAt, 0, 100),
		CheckLine("tag", o.Tag, 100),
		CheckLine("group", o.Group, 64),
	} {
		if err != nil {
			return err
		}
	}
	s := o.Schedule
	if s == nil {
		return nil
	}
	switch {
	case s.Missed != MissedSkip && s.Missed != MissedRun:
		return Errorf(Invalid, "missed is %.40q; it must be \"skip\" or \"run\"", string(s.Missed))
	case s.Agent && (o.Canary > 0 || o.Rate > 0 || o.StopAt > 0 || o.Serial):
		return Errorf(Invalid, "agents that keep the time themselves know no canary, rate, share of failures or serial order; leave them out, or let the server keep the time")
	case o.Canary > 0:
		return Errorf(Invalid, "a scheduled order has no canary; order the canary by itself first")
	}
	return within("jitter", s.JitterMS, 0, (24 * time.Hour).Milliseconds())
}

// RunID returns the id of the order's run on a client: made of both, so that it is
// the same whoever makes it. At is the time of the schedule, zero without one.
func (o *Order) RunID(client string, at time.Time) string {
	if at.IsZero() {
		return o.ID + "." + client
	}
	return o.ID + "." + at.UTC().Format("20060102T150405") + "." + client
}

// ParseRunID is the way back. Other run ids are not found.
func ParseRunID(run string) (order, client string, at time.Time, found bool) {
	order, rest, found := strings.Cut(run, ".")
	if !found || CheckOrderID(order) != nil {
		return "", "", time.Time{}, false
	}
	if text, after, found := strings.Cut(rest, "."); found {
		if at, err := time.Parse("20060102T150405", text); err == nil {
			return order, after, at, CheckClientID(after) == nil
		}
	}
	return order, rest, time.Time{}, CheckClientID(rest) == nil
}

// CheckRunOwner refuses a run of an order that is another client's, by its name.
func CheckRunOwner(run, client string) error {
	if _, owner, _, found := ParseRunID(run); found && owner != client {
		return Errorf(Refused, "run %s is of client %s, not of %s", run, owner, client)
	}
	return nil
}

// RunState says how far a run of an order is.
type RunState string

// The states. The first three are those of runs that are not finished.
const (
	RunQueued     RunState = "queued"    // the client was not told yet
	RunOffered    RunState = "offered"   // it was told
	RunRunning    RunState = "running"   // it said that it has begun
	RunDone       RunState = "done"      // succeeded
	RunFailed     RunState = "failed"    // ended otherwise
	RunTimedOut   RunState = "timed_out" // its RUN limit ended it
	RunRefusedOne RunState = "refused"   // the client's verification or policy said no
	RunExpired    RunState = "expired"   // the window closed before a result came
	RunStopped    RunState = "stopped"   // the order was stopped before it began
	RunLost       RunState = "lost"      // the client says that it ran, and its result is not here
)

// RunStates lists the states in the order in which people read them.
func RunStates() []RunState {
	return []RunState{RunQueued, RunOffered, RunRunning, RunDone, RunFailed, RunTimedOut, RunRefusedOne, RunExpired, RunStopped, RunLost}
}

// Check accepts the states that there are.
func (s RunState) Check() error {
	if !slices.Contains(RunStates(), s) {
		return Errorf(Invalid, "state %.40q is unknown; use one of %s", string(s), strings.Trim(fmt.Sprint(RunStates()), "[]"))
	}
	return nil
}

// Open reports whether the run is not finished.
func (s RunState) Open() bool { return s == RunQueued || s == RunOffered || s == RunRunning }

// StateOf returns the state of a run whose result has the outcome.
func StateOf(o Outcome) RunState {
	switch o {
	case Succeeded:
		return RunDone
	case TimedOut:
		return RunTimedOut
	case RunRefused:
		return RunRefusedOne
	default:
		return RunFailed
	}
}

// OrderState says whether an order still gives work.
type OrderState string

// The states of an order.
const (
	OrderPending OrderState = "pending" // waits for signatures
	OrderOpen    OrderState = "open"
	OrderStopped OrderState = "stopped" // by an operator, a canary, or too many failures; can be resumed
	OrderDone    OrderState = "done"    // every run has ended
	OrderExpired OrderState = "expired" // the window closed; some runs did not happen
)

// OrderStates lists the states of orders.
func OrderStates() []OrderState {
	return []OrderState{OrderPending, OrderOpen, OrderStopped, OrderDone, OrderExpired}
}

// Check accepts the states that there are.
func (s OrderState) Check() error {
	if !slices.Contains(OrderStates(), s) {
		return Errorf(Invalid, "state %.40q is unknown; use one of %s", string(s), strings.Trim(fmt.Sprint(OrderStates()), "[]"))
	}
	return nil
}

// Counts is how many runs of an order are in each state.
type Counts map[RunState]int64

// Total returns the number of runs.
func (c Counts) Total() int64 {
	total := int64(0)
	for _, n := range c {
		total += n
	}
	return total
}

// Failures returns the number of runs that count as failed.
func (c Counts) Failures() int64 {
	return c[RunFailed] + c[RunTimedOut] + c[RunRefusedOne] + c[RunLost]
}

// OrderStatus is an order as the server keeps it.
type OrderStatus struct {
	Order
	Sequence  int64      `json:"sequence"` // rises with every order; the order of lists
	State     OrderState `json:"state"`
	Reason    string     `json:"reason,omitempty"` // of a stop
	CreatedBy string     `json:"created_by"`       // operator
	SignedBy  []string   `json:"signed_by,omitempty"`
	Forgiven  int64      `json:"forgiven,omitempty"`  // failures before the last resume
	Waived    bool       `json:"waived,omitempty"`    // the canary was waived by a resume
	Cancelled bool       `json:"cancelled,omitempty"` // runs under way are to end
	Within    string     `json:"within,omitempty"`    // selector that narrowed who created it; "" for all clients
	NextAt    time.Time  `json:"next_at,omitzero"`    // next time of the schedule, kept by the server
	EndedAt   time.Time  `json:"ended_at,omitzero"`   // when it was done or expired
	Counts    Counts     `json:"counts,omitempty"`    // runs by state
	Revision  int64      `json:"-"`                   // rises with every change of the order itself
	NextStart time.Time  `json:"-"`                   // of the rate: before it no run starts
	Envelope  []byte     `json:"-"`                   // exact
}

// OrderRun is one run of an order.
type OrderRun struct {
	Run     string    `json:"run"`
	Order   string    `json:"order"`
	Client  string    `json:"client"`
	At      time.Time `json:"at,omitzero"` // time of the schedule
	Rank    int64     `json:"rank"`        // position in the order; the first ones are the canary
	State   RunState  `json:"state"`
	Updated time.Time `json:"updated"`
	Until   time.Time `json:"until,omitzero"` // of an offered run: when the offer ends
}
