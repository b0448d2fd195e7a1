package webjob

import (
	"context"
	"time"
)

// Store keeps metadata. internal/store/storetest is the contract that every
// implementation passes: a call that returns nil is durable, a call that returns
// an error changed nothing, also when its context ended meanwhile. A change in whose
// context an act is under way (see [WithAct]) puts it into the audit log in the same
// transaction. Changes that name what they expect are Conflict when it is not so. Unknown names are
// NotFound; errors of the backend that may pass (busy, disk full) are Unavailable.
type Store interface {
	Tokens
	Clients
	Operators
	Jobs
	Results
	Holds
	Orders
	Deliveries
	RepositoryFiles
	Audit
	Leases
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
	// NewestTime returns the highest time of the newest acts and of all results; zero when
	// there are none.
	NewestTime(ctx context.Context) (time.Time, error)
	Close() error
}

// Tokens keeps one-time tokens by the digest of their secret.
type Tokens interface {
	// AddToken adds a token; one whose id is taken is Conflict. One with which a client or
	// operator comes back ends what that one had: it is revoked until then, and tokens of
	// before for the same name do not count any more.
	AddToken(ctx context.Context, t Token) error
	// Token returns a token that has uses and was not revoked, expired or not.
	Token(ctx context.Context, secret Digest) (Token, error)
	// ListTokens returns tokens by sequence, descending; Page.After is a sequence.
	ListTokens(ctx context.Context, p Page) ([]Token, error)
	// RevokeToken is idempotent; the first time stays. It returns the token as it is then.
	RevokeToken(ctx context.Context, id string, at time.Time) (Token, error)
}

// Clients keeps enrolled endpoints.
type Clients interface {
	// Enroll takes one use from the token and adds the client with its certificate and the
	// deliveries, all or nothing. An unknown, used-up or revoked token is Refused, a taken
	// id Conflict. A token with which it comes back gives it the new key and platform
	// instead, and forgets its revocation, suspension, clone and tickets; its labels stay,
	// and its certificates of before stay revoked.
	Enroll(ctx context.Context, secret Digest, c Client, certificate Certificate, deliveries []Delivery) error
	Client(ctx context.Context, id string) (Client, error)
	// ListClients returns clients by id, ascending; Page.After is an id.
	ListClients(ctx context.Context, p Page) ([]Client, error)
	// RevokeClient revokes a client, its certificates and tokens that name it. It is
	// idempotent; the first time and reason stay.
	RevokeClient(ctx context.Context, id, reason string, at time.Time) error
	// SuspendClient shuts a client out; the zero time lets it in again.
	SuspendClient(ctx context.Context, id, reason string, at time.Time) error
	// SetLateRenewal sets when a client asked for a new certificate, and until when it may
	// have one; zero times clear them.
	SetLateRenewal(ctx context.Context, id string, asked, approvedUntil time.Time) error
	// SaveChains keeps how far the tickets of clients are, and never takes one back: of
	// two versions of a chain the one with the higher generation counts, then the one with
	// the higher number. Chains visits all.
	SaveChains(ctx context.Context, chains []Chain) error
	Chains(ctx context.Context, visit func(Chain) error) error
	// AddClone keeps the sign of a second holder with its client, with the deliveries;
	// ForgetClone clears it.
	AddClone(ctx context.Context, clone Clone, deliveries []Delivery) error
	ForgetClone(ctx context.Context, client string) error
	// RenewClient notes a new certificate of a client that has the key, and forgets that
	// it asked for one. With another key, or a client that is shut out, it is Conflict.
	RenewClient(ctx context.Context, id string, key Digest, certificate Certificate) error
	// RevokedCertificates returns the certificates of clients and operators that were
	// revoked and have not expired; PruneCertificates forgets the expired ones.
	RevokedCertificates(ctx context.Context, now time.Time) ([]RevokedCertificate, error)
	PruneCertificates(ctx context.Context, now time.Time) error
	// SetFacts replaces what was there.
	SetFacts(ctx context.Context, id string, facts Facts) error
	// SawClients sets the last-seen times of known clients, which are then no longer
	// overdue.
	SawClients(ctx context.Context, seen map[string]time.Time) error
	// MarkOverdue marks the clients that were last seen before the time, are not shut
	// out and are not marked yet, and adds a delivery for each that notify returns.
	MarkOverdue(ctx context.Context, before, at time.Time, notify func(Client) []Delivery) (int, error)
}

// Operators keeps people and programs that may use the operator interface. There is
// always one that is not revoked, whose certificate holds, and that administers all
// clients: a change that would take away the last one is Refused. Only the server itself
// may make a token with which that one comes back.
type Operators interface {
	// AddOperator takes one use from the token and adds the operator with its certificate,
	// all or nothing. The token says which grants it has and who added it. A token
	// with which it comes back gives it the new key instead, and forgets its revocation.
	AddOperator(ctx context.Context, secret Digest, o Operator, certificate Certificate) (Operator, error)
	Operator(ctx context.Context, name string) (Operator, error)
	// ListOperators returns operators by name, ascending; Page.After is a name.
	ListOperators(ctx context.Context, p Page) ([]Operator, error)
	// ChangeOperator gives an operator other grants; when it has not those of before, or is
	// revoked, it is Conflict. Who loses a role of admin loses the tokens that it made.
	ChangeOperator(ctx context.Context, name string, before, after []Grant, at time.Time) error
	// RevokeOperator revokes an operator, its certificates, tokens that name it, and those
	// that it made. It is idempotent; the first time and reason stay.
	RevokeOperator(ctx context.Context, name, reason string, at time.Time) error
	// RenewOperator notes a new certificate of an operator that has the key. With another
	// key, or a revoked operator, it is Conflict.
	RenewOperator(ctx context.Context, name string, key Digest, certificate Certificate) error
}

// Jobs keeps published versions; they come and go with the job repository.
type Jobs interface {
	// LatestVersion returns the highest version of the name, 0 when there is none.
	LatestVersion(ctx context.Context, name string) (int64, error)
	// FindJob returns the highest version, not withdrawn, of the first scope that has
	// one, with its payloads.
	FindJob(ctx context.Context, name string, scopes []Scope) (JobVersion, error)
	// FindVersion returns that version, with its payloads, when it is not withdrawn and
	// its scope is one of them.
	FindVersion(ctx context.Context, name string, version int64, scopes []Scope) (JobVersion, error)
	JobVersion(ctx context.Context, name string, version int64) (JobVersion, error)
	// ListJobs returns all versions by name, then version, ascending, when name is
	// "", else those of the name, without payloads; Page.After is "name@version".
	ListJobs(ctx context.Context, name string, p Page) ([]JobVersion, error)
	// HasPayload reports whether a version that is not withdrawn, in one of the
	// scopes, has the payload.
	HasPayload(ctx context.Context, d Digest, scopes []Scope) (bool, error)
	// IsPayload reports whether any version, withdrawn or not, has the payload.
	IsPayload(ctx context.Context, d Digest) (bool, error)
}

// Results keeps runs.
type Results interface {
	// ExpectResult says that a small result was received in full or nearly so and comes to
	// AddResult, until done is called: a store may wait a moment, so that results that
	// come together become durable together.
	ExpectResult() (done func())
	// AddResult adds a result whose large parts are already durable blobs that are held, and
	// what goes with it. When the run is there already with the same client and the same
	// record it does nothing and returns false; with another one it is Conflict. When a hold
	// is not there any more it is Unavailable, since the blob may be gone, too; past
	// effects.MaxStored it is TooLarge.
	AddResult(ctx context.Context, r Result, blobs []Stream, effects ResultEffects) (added bool, err error)
	// AddNotes adds what hooks say about a run of a client that has no result yet; of one
	// that has, and of another client, it is Conflict. A run has at most MaxNotes, and a
	// client at most MaxWaitingNotes of runs without results: the oldest go.
	AddNotes(ctx context.Context, client, run string, notes []Note) error
	Notes(ctx context.Context, run string) ([]Note, error)
	// DueResults returns at most limit results whose KeepUntil has come, earliest first.
	DueResults(ctx context.Context, at time.Time, limit int) ([]Result, error)
	// WalkResults returns at most limit results after a sequence, ascending, without
	// records or parts.
	WalkResults(ctx context.Context, after int64, limit int) ([]Result, error)
	// KeepResults sets KeepUntil, by sequence; the zero time is for good.
	KeepResults(ctx context.Context, until map[int64]time.Time) error
	// DatedBy returns the rules by which every result has its KeepUntil, "" when that is not
	// so; SetDatedBy notes them.
	DatedBy(ctx context.Context) (string, error)
	SetDatedBy(ctx context.Context, rules string) error
	// PruneResults removes results, by sequence, and returns how many were there. Blobs stay.
	PruneResults(ctx context.Context, sequences []int64) (removed int, err error)
	// Result returns a result with its record and inline parts.
	Result(ctx context.Context, run string) (Result, error)
	// ListResults returns results by sequence, descending, without records or parts;
	// Page.After is a sequence.
	ListResults(ctx context.Context, f ResultFilter) ([]Result, error)
	// BlobDigests calls visit with every digest that must be among the blobs:
	// payloads and large parts.
	BlobDigests(ctx context.Context, visit func(d Digest, size int64) error) error
}

// ResultEffects go with a new result, in the same commit.
type ResultEffects struct {
	// OrderRun is the run of an order that the result ends; nil for none. It is added
	// when AddRun is set and it is not there.
	OrderRun *OrderRun
	AddRun   bool
	// Held are the numbers of the holds of the large parts, in their order; the holds end
	// with the commit.
	Held []int64
	// MaxStored bounds what the client has stored and reserved, with this result; 0 does not.
	MaxStored int64
	// Output is the digest of stdout when changes of it are followed, else "".
	Output Digest
	Notes  []Note
	// Deliveries returns what to tell triggers; before is the output of the same job
	// on the same client before this one, "" for none.
	Deliveries func(before Digest) []Delivery
}

// Orders keeps orders and their runs. Which changes there are is for package dispatch to
// say; the store makes each as a whole, and only when what it expects is so.
type Orders interface {
	// AddOrder adds an order with its runs, as revision 1. The same envelope again is not
	// added and not an error; another order of that id is Conflict.
	AddOrder(ctx context.Context, o OrderStatus, runs []OrderRun) (added bool, err error)
	Order(ctx context.Context, id string) (OrderStatus, error)
	// ListOrders returns orders by sequence, descending; Page.After is a sequence.
	ListOrders(ctx context.Context, f OrderFilter) ([]OrderStatus, error)
	// ListOrderRuns returns runs in the order in which they were added; Page.After is
	// the number that comes with the last one. No states means all.
	ListOrderRuns(ctx context.Context, order string, states []RunState, p Page) (runs []OrderRun, last string, err error)
	// OpenOrder returns an order and calls visit with each of its runs that is queued or
	// offered, all as they are at one moment.
	OpenOrder(ctx context.Context, id string, visit func(OrderRun) error) (OrderStatus, error)
	// OpenRuns calls visit with every run that is queued or offered, of all orders.
	OpenRuns(ctx context.Context, visit func(OrderRun) error) error
	// ChangeOrder makes the change and returns the order as it is then.
	ChangeOrder(ctx context.Context, c OrderChange) (OrderStatus, error)
	// JoinOrder adds runs to an order that has not ended; those that are there already are
	// left alone. It returns those that were added; of an order that has ended, none.
	JoinOrder(ctx context.Context, order string, runs []OrderRun) (added []OrderRun, err error)
	// OfferRuns gives runs of open orders that are queued, or offered and not taken, to
	// their clients, who may take them until a time. It returns those that it gave; others
	// have changed meanwhile.
	OfferRuns(ctx context.Context, offers []Offer, until time.Time) (given []string, err error)
	// HoldRuns notes that clients say that they hold queued or offered runs: they are
	// offered, until a time. Others are left alone.
	HoldRuns(ctx context.Context, runs []string, until time.Time) error
	// MoveRuns moves runs of an order and returns how many it moved.
	MoveRuns(ctx context.Context, order string, move RunMove, at time.Time) (int64, error)
	// SwapRanks exchanges the places of two queued runs of an order; when one of them is
	// not queued it is Conflict.
	SwapRanks(ctx context.Context, order, run, other string) error
}

// OrderChange is one step of an order, all of it or nothing. Order is as it is to be:
// Revision is the one that it must have now, else the change is Conflict; State, Reason,
// Forgiven, Waived, Cancelled, NextAt, EndedAt, Envelope and SignedBy are set.
type OrderChange struct {
	Order OrderStatus
	Moves []RunMove  // in this order
	Add   []OrderRun // runs that are new; those that are there already are left alone
	// NoneOpen makes it Conflict when a run is queued or offered after the moves.
	NoneOpen   bool
	Deliveries []Delivery
	At         time.Time
}

// RunMove moves runs that are in one of the states From to the state To, and no others.
type RunMove struct {
	From []RunState
	To   RunState
	Runs []string // nil: all of the order
	// While is the state that the order must have, else nothing is moved; "" for any.
	While OrderState
	// OfferedBefore leaves out offered runs whose offer ends later; the zero time does not.
	OfferedBefore time.Time
}

// Offer is a run that its client may take.
type Offer struct {
	Order string
	Run   string
	// Start and NextStart are for orders with a rate: when the order may start a run now,
	// and when it may start the one after this. When Start is not so, the run is not given.
	Start, NextStart time.Time
}

// OrderFilter selects orders. Zero fields do not filter.
type OrderFilter struct {
	Job   string
	State OrderState
	Tag   string
	Page  Page
}

// Deliveries keeps events on their way to triggers, until they are delivered.
type Deliveries interface {
	// AddDeliveries adds what a request of a client, the one of the first event, is to tell.
	// When MaxDeliveries of that client wait already it is Unavailable, as a result that has
	// more to tell is.
	AddDeliveries(ctx context.Context, deliveries []Delivery) error
	// DueTriggers returns the triggers that deliveries which are not dead wait for, and when
	// the next one of each is due.
	DueTriggers(ctx context.Context) (map[string]time.Time, error)
	// DueDeliveries returns at most limit deliveries of a trigger that are not dead and whose
	// time has come, oldest first.
	DueDeliveries(ctx context.Context, trigger string, now time.Time, limit int) ([]Delivery, error)
	// Delivered removes deliveries, by sequence.
	Delivered(ctx context.Context, sequences []int64) error
	// Postpone keeps the attempts, next time, death and error of a delivery. Of a trigger's
	// dead ones about MaxDead stay, and the oldest go.
	Postpone(ctx context.Context, d Delivery) error
	// ListDeliveries returns deliveries by sequence; Page.After is a sequence.
	ListDeliveries(ctx context.Context, dead bool, p Page) ([]Delivery, error)
	// RetryDeliveries makes dead deliveries due again: one, or all when sequence is 0.
	RetryDeliveries(ctx context.Context, sequence int64, now time.Time) (int64, error)
}

// RepositoryFiles keeps the files of the job repository: metadata, contents, drafts.
type RepositoryFiles interface {
	// RepositoryFiles calls visit with every file, by name.
	RepositoryFiles(ctx context.Context, visit func(name string, content []byte) error) error
	// ChangeRepository makes the change. A version of a job that is not above every
	// earlier one of the name is Conflict.
	ChangeRepository(ctx context.Context, change RepositoryChange, at time.Time) error
}

// Audit keeps what actors did, each entry chained to the one before. Nothing removes one.
type Audit interface {
	// RecordActs adds acts that change nothing else.
	RecordActs(ctx context.Context, acts ...Act) error
	// ListActs returns entries by sequence, ascending; Page.After is a sequence.
	ListActs(ctx context.Context, f ActFilter) ([]AuditEntry, error)
	// AuditHead returns the newest entry, the zero entry when there is none.
	AuditHead(ctx context.Context) (AuditEntry, error)
}

// ActFilter selects entries of the audit log. Zero fields do not filter.
type ActFilter struct {
	Actor  string
	Action string // whole, or up to a dot: "client" selects "client.revoke"
	Target string
	Since  time.Time
	Until  time.Time
	Newest bool // descending; Page.After then goes down
	Page   Page
}

// Leases says who may do what only one server does at a time. A lease is a courtesy that
// spares work, not a lock: whatever is done under one must be right, too, when another
// server does it at the same moment.
type Leases interface {
	// Lease gives the holder the lease of that name for a time, by the store's clock, or
	// more of it to who holds it. It reports false when another one holds it.
	Lease(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error)
	// EndLease gives a lease back; one that another one holds is left alone.
	EndLease(ctx context.Context, name, holder string) error
}
