package webjob

import (
	"slices"
	"time"
)

// EventKind says what happened, or is about to.
type EventKind string

// The events. Hooks are asked before OnGet, OnRun and OnPut; triggers fire after
// every one of them but OnRun.
const (
	OnGet     EventKind = "get"        // a client got a job
	OnRun     EventKind = "run"        // a client is about to run it
	OnPut     EventKind = "put"        // a result arrived
	OnEnroll  EventKind = "enroll"     // a client enrolled
	OnFailure EventKind = "failure"    // a result arrived whose outcome is not "succeeded"
	OnDiff    EventKind = "diff"       // stdout of a job on a client is new or changed
	OnOrder   EventKind = "order_done" // every run of an order has ended
	OnOverdue EventKind = "overdue"    // a client was not seen for too long
	OnClone   EventKind = "clone"      // two hold the identity of a client, or its state was restored
)

// HookKinds and TriggerKinds list the events of each.
func HookKinds() []EventKind { return []EventKind{OnGet, OnRun, OnPut} }

// TriggerKinds lists the events that triggers fire after.
func TriggerKinds() []EventKind {
	return []EventKind{OnGet, OnPut, OnEnroll, OnFailure, OnDiff, OnOrder, OnOverdue, OnClone}
}

// CheckEventKind accepts the kinds of the list.
func CheckEventKind(k EventKind, list []EventKind) error {
	if !slices.Contains(list, k) {
		return Errorf(Invalid, "event %.40q is unknown; use one of %v", string(k), list)
	}
	return nil
}

// Event is what hooks and triggers are told, as JSON. Fields that do not apply are
// left out.
type Event struct {
	ID         string     `json:"id"` // stays the same when it is told again
	Kind       EventKind  `json:"kind"`
	Time       time.Time  `json:"time"`
	Client     string     `json:"client,omitempty"`
	Labels     Labels     `json:"labels,omitempty"` // of the client
	Job        string     `json:"job,omitempty"`
	Version    int64      `json:"version,omitempty"`
	Run        string     `json:"run,omitempty"`
	Order      string     `json:"order,omitempty"`
	Arguments  []string   `json:"arguments,omitempty"`
	Outcome    Outcome    `json:"outcome,omitempty"`
	ExitStatus *int       `json:"exit_status,omitempty"`
	Reason     string     `json:"reason,omitempty"`
	Stdout     Digest     `json:"stdout,omitempty"`
	Before     Digest     `json:"before,omitempty"`   // OnDiff: of the output before; empty when there was none
	State      OrderState `json:"state,omitempty"`    // OnOrder
	Counts     Counts     `json:"counts,omitempty"`   // OnOrder
	LastSeen   time.Time  `json:"last_seen,omitzero"` // OnOverdue; OnClone: of the other address
	// Address and OtherAddress are those of the two holders, OnClone.
	Address      string `json:"address,omitempty"`
	OtherAddress string `json:"other_address,omitempty"`
}

// Delivery is an event on its way to one trigger.
type Delivery struct {
	Sequence int64     `json:"sequence"`
	Trigger  string    `json:"trigger"` // name
	Event    Event     `json:"event"`
	Attempts int64     `json:"attempts"`
	NextAt   time.Time `json:"next_at"` // of the next attempt
	Dead     bool      `json:"dead"`    // given up; webjobctl hook retry tries again
	Error    string    `json:"error,omitempty"`
}

// Bounds of deliveries: that wait by requests of one client, and that are dead of one trigger.
const (
	MaxDeliveries = 10_000
	MaxDead       = 10_000
)

// MaxOutputs bounds the jobs of a client of which the last output is remembered.
const MaxOutputs = 1000

// Bounds of notes: of one run, and of those of a client's runs that have no result.
const (
	MaxNotes        = 500
	MaxWaitingNotes = 4000
)

// Note is what a hook added to a run.
type Note struct {
	Hook   string    `json:"hook"`
	Event  EventKind `json:"event"`
	Time   time.Time `json:"time"`
	Notes  []string  `json:"notes,omitempty"`
	Labels Labels    `json:"labels,omitempty"`
	Error  string    `json:"error,omitempty"` // the hook failed and was passed over
}
