package webjob

import "time"

// Result is one run as the server keeps it.
type Result struct {
	Sequence   int64     `json:"sequence"` // rises with every result received; the order of lists
	Run        string    `json:"run"`
	Client     string    `json:"client"`
	Job        string    `json:"job"`
	Version    int64     `json:"version"`
	Outcome    Outcome   `json:"outcome"`
	ExitStatus *int      `json:"exit_status,omitempty"`
	Started    time.Time `json:"started"`     // start of RUN by the endpoint's clock; of GET when nothing ran
	DurationMS float64   `json:"duration_ms"` // of RUN
	Received   time.Time `json:"received"`    // by the server's clock
	Bytes      int64     `json:"bytes"`       // of all parts
	KeepUntil  time.Time `json:"-"`           // when it may be removed; zero for never
	Record     []byte    `json:"-"`           // the exact JSON that the client sent
	Inline     []byte    `json:"-"`           // the small parts, one after another
}

// InlinePartBytes is the size up to which a part is kept beside its record in the
// metadata, so that a small result becomes durable in one commit. Larger parts
// are blobs.
const InlinePartBytes = 16 << 10

// Inline reports whether the part is kept beside the record.
func (s Stream) Inline() bool { return s.Size <= InlinePartBytes }

// InlinePart cuts the content of an inline part out of inline, which holds the
// inline parts of the record one after another.
func (r *Record) InlinePart(name string, inline []byte) ([]byte, error) {
	offset := int64(0)
	for _, part := range r.Parts {
		if !part.Inline() {
			continue
		}
		end := offset + part.Size
		if end > int64(len(inline)) {
			return nil, Errorf(Internal, "run %s: the inline parts are cut short", r.Run)
		}
		if part.Name == name {
			return inline[offset:end], nil
		}
		offset = end
	}
	return nil, Errorf(NotFound, "run %s has no inline part %s", r.Run, name)
}

// Stored returns the bytes that the result takes.
func (r *Result) Stored() int64 { return r.Bytes + int64(len(r.Record)) }

// NewResult makes the server's row from a checked record and its exact bytes.
func NewResult(record *Record, exact []byte, received time.Time) Result {
	r := Result{
		Run: record.Run, Client: record.Client, Job: record.Job, Version: record.Version,
		Outcome: record.Outcome, ExitStatus: record.ExitStatus,
		Started: record.Times.Run.Start, DurationMS: record.Times.Run.DurationMS,
		Received: received, Record: exact,
	}
	if r.Started.IsZero() {
		r.Started = record.Times.Get.Start
	}
	for _, part := range record.Parts {
		r.Bytes += part.Size
	}
	return r
}

// ResultFilter selects results. Zero fields do not filter.
type ResultFilter struct {
	Client  string
	Job     string
	Outcome Outcome
	Since   time.Time // received at or after
	Until   time.Time // received before
	Page    Page
}

// JobVersion is one published version as the server keeps it.
type JobVersion struct {
	Name        string    `json:"name"`
	Version     int64     `json:"version"`
	Scope       Scope     `json:"scope"`
	Description string    `json:"description,omitempty"`
	Manifest    Digest    `json:"manifest"`
	PublishedAt time.Time `json:"published_at"`
	PublishedBy string    `json:"published_by"` // operator
	Expires     time.Time `json:"expires"`
	WithdrawnAt time.Time `json:"withdrawn_at,omitzero"`
	Payloads    []Payload `json:"payloads,omitempty"`
	Text        []byte    `json:"-"` // the manifest's canonical JSON, exact
}

// Page asks for part of a list. Lists are ordered by a key that rises or falls
// steadily; After is that key of the last row seen.
type Page struct {
	After string // continue after this key; empty starts at the beginning
	Limit int    // rows, 1 to MaxPage
}

// Page sizes.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

// Setting is one value of the configuration that holds, and where it was set.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	SettingSource
}

// SettingSource is where a value was set.
type SettingSource struct {
	Layer string `json:"layer"` // "default" when no file sets it
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
}
