package wire

import (
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// Paths of the endpoint listener that agents use.
const (
	PathPoll  = "/v1/poll"
	PathFacts = "/v1/facts"
	PathRuns  = "/v1/runs" // a run begins
)

// MaxPollWait bounds how long a poll is held open.
const MaxPollWait = 10 * time.Minute

// MaxKnownRuns bounds the runs that an agent holds at once.
const MaxKnownRuns = 1000

// Bounds of the answer to a poll. An agent uses no answer that goes beyond them.
const (
	MaxOffers   = 500
	MaxStanding = 1000 // orders
	MaxTicket   = 256  // bytes
)

// PollRequest asks for work and tells what the agent has.
type PollRequest struct {
	WaitMS int64 `json:"wait_ms"` // how long the server may hold the answer back
	Free   int64 `json:"free"`    // how many more runs may begin now
	// Known are the runs of orders that the agent holds: offered (about to begin),
	// running (also when only its result waits), or lost (it ran before, and nothing of
	// it is left here). The server gives out no run that is known.
	Known map[string]webjob.RunState `json:"known,omitempty"`
	// Standing is the digest of the standing orders that the agent has; see
	// StandingDigest.
	Standing webjob.Digest `json:"standing,omitempty"`
	Paused   bool          `json:"paused,omitempty"` // as the server said last
	Ticket   string        `json:"ticket,omitempty"` // a step from the ticket of the poll before
}

// PollResponse is the work. All of it empty means: ask again.
type PollResponse struct {
	Offers []Offer  `json:"offers,omitempty"`
	Cancel []string `json:"cancel,omitempty"` // runs to end
	// Repository is the version of the job repository's timestamp; the client gets the
	// repository anew when it holds an older one.
	Repository int64 `json:"repository"`
	// Ticket is to be shown with the next poll.
	Ticket string `json:"ticket,omitempty"`
	// Standing replaces the standing orders when Change is set.
	Change   bool     `json:"change,omitempty"`
	Standing [][]byte `json:"standing,omitempty"` // envelopes of orders whose time the agent keeps
	// Paused tells agents to start nothing of their standing orders.
	Paused bool      `json:"paused,omitempty"`
	Time   time.Time `json:"time"` // by the server's clock
}

// Offer is one run to do.
type Offer struct {
	Run   string    `json:"run"`
	At    time.Time `json:"at,omitzero"` // time of the schedule
	Order []byte    `json:"order"`       // envelope
}

// StandingDigest names a set of standing orders by their envelopes, in any order.
func StandingDigest(envelopes [][]byte) webjob.Digest {
	var names []string
	for _, envelope := range envelopes {
		names = append(names, string(webjob.DigestOf(envelope)))
	}
	slices.Sort(names)
	return webjob.DigestOf([]byte(strings.Join(names, "")))
}

// BeginRequest tells that a run is about to begin.
type BeginRequest struct {
	Run       string   `json:"run"`
	Job       string   `json:"job"`
	Version   int64    `json:"version"`
	Order     string   `json:"order,omitempty"`
	Arguments []string `json:"arguments,omitempty"`
}

// BeginResponse is what the server's hooks hand to the run.
type BeginResponse struct {
	Data map[string]any `json:"data,omitempty"` // by hook
}
