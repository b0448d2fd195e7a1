package webjob

import (
	"context"
	"io"
	"time"
)

// Store keeps metadata. store/storetest is the contract that every
// implementation passes: a call that returns nil is durable, a call that returns
// an error changed nothing. Unknown names are NotFound; errors of the backend
// that may pass (busy, disk full) are Unavailable.
type Store interface {
	Tokens
	Clients
	Operators
	Jobs
	Results
	Trust
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
	Close() error
}

// Tokens keeps one-time tokens by the digest of their secret.
type Tokens interface {
	AddToken(ctx context.Context, t Token) error
	// Token returns a token that still has uses, expired or not.
	Token(ctx context.Context, secret Digest) (Token, error)
}

// Clients keeps enrolled endpoints.
type Clients interface {
	// Enroll takes one use from the token and adds the client, both or neither.
	// An unknown or used-up token is Refused, a taken id Conflict.
	Enroll(ctx context.Context, secret Digest, c Client) error
	Client(ctx context.Context, id string) (Client, error)
	// ListClients returns clients by id, ascending; Page.After is an id.
	ListClients(ctx context.Context, p Page) ([]Client, error)
	// RevokeClient is idempotent; the first time and reason stay.
	RevokeClient(ctx context.Context, id, reason string, at time.Time) error
	// SawClients sets the last-seen times of known clients.
	SawClients(ctx context.Context, seen map[string]time.Time) error
}

// Operators keeps people and programs that may use the operator interface.
type Operators interface {
	// AddOperator takes one use from the token and adds the operator, both or neither.
	AddOperator(ctx context.Context, secret Digest, o Operator) error
	Operator(ctx context.Context, name string) (Operator, error)
}

// Jobs keeps published versions.
type Jobs interface {
	// Publish adds a version. A version not above every earlier one of the name,
	// withdrawn ones included, is Conflict.
	Publish(ctx context.Context, v JobVersion) error
	// LatestVersion returns the highest version of the name, 0 when there is none.
	LatestVersion(ctx context.Context, name string) (int64, error)
	// FindJob returns the highest version, not withdrawn, of the first scope that has
	// one, with its payloads.
	FindJob(ctx context.Context, name string, scopes []Scope) (JobVersion, error)
	JobVersion(ctx context.Context, name string, version int64) (JobVersion, error)
	// ListJobs returns all versions by name, then version, ascending, when name is
	// "", else those of the name, without payloads; Page.After is "name@version".
	ListJobs(ctx context.Context, name string, p Page) ([]JobVersion, error)
	// Withdraw marks one version, or all when version is 0. It is idempotent.
	Withdraw(ctx context.Context, name string, version int64, at time.Time) error
	// HasPayload reports whether a version that is not withdrawn, in one of the
	// scopes, has the payload.
	HasPayload(ctx context.Context, d Digest, scopes []Scope) (bool, error)
}

// Results keeps runs.
type Results interface {
	// AddResult adds a result whose large parts are already durable blobs. When the
	// run is there already with the same client and the same record it does nothing
	// and returns false; with another one it is Conflict.
	AddResult(ctx context.Context, r Result, blobs []Stream) (added bool, err error)
	// Result returns a result with its record and inline parts.
	Result(ctx context.Context, run string) (Result, error)
	// ListResults returns results by sequence, descending, without records or parts;
	// Page.After is a sequence.
	ListResults(ctx context.Context, f ResultFilter) ([]Result, error)
	// BlobDigests calls visit with every digest that must be among the blobs:
	// payloads and large parts.
	BlobDigests(ctx context.Context, visit func(d Digest, size int64) error) error
}

// Trust keeps the current trust root, as the operator wrote it.
type Trust interface {
	SetTrustRoot(ctx context.Context, root []byte) error
	// TrustRoot returns NotFound before the first SetTrustRoot.
	TrustRoot(ctx context.Context) ([]byte, error)
}

// Blobs keeps bytes by their digest. blob/blobtest is the contract.
type Blobs interface {
	// Put stores exactly size bytes from r. It returns nil only when they are
	// durable and have the digest; otherwise nothing is stored. A blob that is
	// there already is left as it is.
	Put(ctx context.Context, d Digest, size int64, r io.Reader) error
	// Open returns the bytes and their number, or NotFound.
	Open(ctx context.Context, d Digest) (io.ReadSeekCloser, int64, error)
	// Has reports whether the blob is there.
	Has(ctx context.Context, d Digest) (bool, error)
	// Ping reports whether the store answers and can be written.
	Ping(ctx context.Context) error
	// Recover removes what interrupted Puts left. Call it before the first Put, and
	// only in the process that owns the blobs.
	Recover(ctx context.Context) error
}
