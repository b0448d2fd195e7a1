package results

import (
	"context"
	"log/slog"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/rules"
)

// Neighbours are what the room knows of the others.
type Neighbours struct {
	Store  Store
	Blobs  webjob.Blobs
	Rules  Rules
	Orders Orders
	// Wake tells that there is something to be delivered to triggers; Received counts.
	Wake     func()
	Received func(outcome webjob.Outcome, bytes int64, added bool)
	Log      *slog.Logger
}

// Store is what the room needs of the metadata.
type Store interface {
	webjob.Results
	webjob.Holds
	Client(ctx context.Context, id string) (webjob.Client, error)
}

// Rules is what the configuration says.
type Rules interface {
	// None reports whether there are neither hooks nor triggers.
	None() bool
	// Ask asks the hooks of a put. An error refuses the result.
	Ask(ctx context.Context, event webjob.Event, client webjob.Client) (rules.Said, error)
	Deliveries(event webjob.Event, subject webjob.Subject) []webjob.Delivery
	// Follows reports whether a trigger wants to hear of changed output of the job.
	Follows(job string, subject webjob.Subject) bool
	// Retention returns how long results are kept; 0 for good. RetentionRules changes with
	// anything that it depends on but labels; "" when everything is kept.
	Retention(client webjob.Client, job string) time.Duration
	RetentionRules() string
	// MaxStored returns how many bytes of results a client may have here.
	MaxStored(client webjob.Client) int64
}

// Orders is what the room tells the orders.
type Orders interface {
	// Keeps reports whether the client keeps the times of the order itself, and may have run
	// at this one.
	Keeps(order string, client webjob.Client, at time.Time) bool
	// Ended tells that a run has a result.
	Ended(ctx context.Context, run webjob.OrderRun)
}

// MaxUploads bounds the uploads of one client that wait for their results.
const MaxUploads = 256

// uploadLife is how long an upload is kept to which nothing is added.
const uploadLife = 7 * 24 * time.Hour

// Keeper receives results and keeps them.
type Keeper struct {
	Neighbours

	maxResult int64 // bytes of one result with all its parts
	clock     func() time.Time
	swept     time.Time // last
}

// New returns the keeper of results of at most maxResult bytes.
func New(n Neighbours, maxResult int64) *Keeper {
	return &Keeper{Neighbours: n, maxResult: maxResult, clock: time.Now}
}

// now is the time that is stored: UTC, to the microsecond.
func (k *Keeper) now() time.Time { return k.clock().UTC().Truncate(time.Microsecond) }
