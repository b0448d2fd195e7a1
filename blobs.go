package webjob

import (
	"context"
	"io"
	"time"
)

// Blobs keeps bytes by their digest. blob/blobtest is the contract. Whoever names a blob
// holds it before, see [Holds].
type Blobs interface {
	// Put stores exactly size bytes from r. It returns nil only when they are
	// durable and have the digest; otherwise nothing is stored. A blob that is there
	// already is as new from then on.
	Put(ctx context.Context, d Digest, size int64, r io.Reader) error
	// Open returns the bytes and their number, or NotFound.
	Open(ctx context.Context, d Digest) (io.ReadSeekCloser, int64, error)
	// Has reports whether the blob is there.
	Has(ctx context.Context, d Digest) (bool, error)
	// List calls visit with the blobs that were put or adopted before the time, in any
	// order. It keeps no more than some hundreds of them in memory.
	List(ctx context.Context, before time.Time, visit func(Digest) error) error
	// Remove deletes a condemned blob that was put or adopted before the time: it looks
	// right before. One that is newer stays; one that is not there is no error.
	Remove(ctx context.Context, d Digest, before time.Time) error
	// Uploaded returns how many bytes of an owner's upload are here, 0 of one that was
	// not begun.
	Uploaded(ctx context.Context, owner string, d Digest) (int64, error)
	// Upload adds what r brings to an upload and returns how many bytes are here then.
	// What arrived stays when r fails. With the last byte the digest is checked: bytes
	// that have another one are Invalid, and the upload begins anew. While one piece
	// arrives, another one is Conflict.
	Upload(ctx context.Context, u Upload, r io.Reader) (int64, error)
	// Adopt makes a complete upload a blob, as durable as Put does; NotFound when it is
	// not complete. It can be adopted again until it is forgotten.
	Adopt(ctx context.Context, owner string, d Digest, size int64) error
	// ForgetUpload removes an upload; one that is not there is no error.
	ForgetUpload(ctx context.Context, owner string, d Digest) error
	// GiveUpUploads removes the uploads to which nothing was added since the time.
	GiveUpUploads(ctx context.Context, since time.Time) error
	// Ping reports whether the store answers and can be written.
	Ping(ctx context.Context) error
	// Recover removes what interrupted Puts left. Call it before the first Put, and
	// only in the process that owns the blobs.
	Recover(ctx context.Context) error
}

// Upload is a blob that arrives in pieces, so that a connection that breaks costs only
// what was under way. How much an owner may upload is for [Holds] to say.
type Upload struct {
	Owner  string // client that sends it; uploads of different owners know nothing of each other
	Digest Digest
	Size   int64 // of the whole
	Offset int64 // of the first byte to come; must be the bytes that are here, else Conflict
}

// Holds says which blobs are about to be named, so that none of them is removed meanwhile,
// and counts what owners store, so that none fills the disk. A blob is held or condemned or
// neither, never both: docs/design.md tells what follows from that. A hold is no act: the
// one of its context is written with the change that follows.
type Holds interface {
	// HoldBlobs holds blobs, from before anybody looks whether they are there until something
	// names them, and returns the number of each hold. What the same owner and use hold
	// already goes on under the same number. A blob that is being removed is Unavailable; more
	// than the bounds is TooLarge, and then nothing is held.
	HoldBlobs(ctx context.Context, h Hold) ([]int64, error)
	// ReleaseBlobs ends holds of blobs that nobody will name.
	ReleaseBlobs(ctx context.Context, owner, use string, digests ...Digest) error
	// Storage returns what a client takes.
	Storage(ctx context.Context, client string) (Storage, error)
	// UnnamedBlobs returns those of the digests that nothing names and nobody holds at the
	// time.
	UnnamedBlobs(ctx context.Context, digests []Digest, at time.Time) ([]Digest, error)
	// CondemnBlobs is UnnamedBlobs, and from then on nobody can hold what it returns, until
	// BlobsRemoved.
	CondemnBlobs(ctx context.Context, digests []Digest, at time.Time) ([]Digest, error)
	// CondemnedBlobs returns at most limit blobs that were condemned before the time: a
	// sweeper was killed before it said that they are removed.
	CondemnedBlobs(ctx context.Context, before time.Time, limit int) ([]Digest, error)
	// BlobsRemoved ends condemnations, once the blobs are gone.
	BlobsRemoved(ctx context.Context, digests []Digest) error
	// ForgetHolds removes at most limit holds that ended before the time. Until then they
	// count in the storage of their owner: what they held may still be there.
	ForgetHolds(ctx context.Context, before time.Time, limit int) (int, error)
}

// Hold is what somebody wants to hold.
type Hold struct {
	Owner string // client; "" for the server itself
	// Use is a run, HoldUpload, HoldPayload, or the name of a file of the job repository: the
	// last one's holds go on until the file is removed.
	Use   string
	Blobs []HeldBlob
	Until time.Time
	// MaxBytes bounds what the owner has stored and holds together; MaxBlobs what it holds
	// for this use. 0 does not bound.
	MaxBytes int64
	MaxBlobs int64
}

// Uses of holds that are not named after something.
const (
	HoldUpload  = "upload:"  // bytes that arrive in pieces
	HoldPayload = "payload:" // uploaded for a version that is to be published
)

// GraceTime is how long a blob stays that nothing names, and how long a hold lasts at least.
const GraceTime = time.Hour

// MaxHolds bounds the blobs that one client holds for all uses.
const MaxHolds = 10_000

// HeldBlob is a blob that is held.
type HeldBlob struct {
	Digest Digest
	Size   int64
}

// Storage is what a client takes on the server.
type Storage struct {
	Results  int64 `json:"results"`
	Stored   int64 `json:"stored"`   // bytes of their records and parts
	Reserved int64 `json:"reserved"` // bytes on their way, or refused not long ago
	Uploads  int64 `json:"uploads"`  // open ones
	// Most is what Stored and Reserved may be together; set where a client is shown.
	Most int64 `json:"most,omitempty"`
}
