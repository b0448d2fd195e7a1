package trust

import (
	"cmp"
	"slices"

	"webjob.dev/webjob"
)

// IndexFormat is the value of [JobIndex.Format] that this version reads and writes.
const IndexFormat = "webjob-index/1"

// versionsKept is how many versions of each scope an index keeps: orders may ask for
// an earlier one.
const versionsKept = 10

// JobIndex lists the versions of a job that may run. It is a target of the job
// repository; who may sign it decides about the job.
type JobIndex struct {
	Format   string         `json:"format"`             // IndexFormat
	Job      string         `json:"job"`                // name
	Latest   int64          `json:"latest"`             // highest version ever, withdrawn ones included
	Versions []IndexVersion `json:"versions,omitempty"` // ascending
}

// IndexVersion is one version of a job.
type IndexVersion struct {
	Version  int64         `json:"version"`
	Scope    webjob.Scope  `json:"scope"`
	Manifest webjob.Digest `json:"manifest"` // of its canonical JSON
}

// ParseJobIndex reads canonical JSON.
func ParseJobIndex(content []byte) (*JobIndex, error) {
	var x JobIndex
	if err := decodeCanonical("job index", content, &x); err != nil {
		return nil, err
	}
	return &x, x.check()
}

// NewJobIndex returns the index of a job without versions.
func NewJobIndex(job string) *JobIndex { return &JobIndex{Format: IndexFormat, Job: job} }

func (x *JobIndex) check() error {
	if x.Format != IndexFormat {
		return webjob.Errorf(webjob.Invalid, "job index format %.40q is unknown; this version reads %q", x.Format, IndexFormat)
	}
	if err := webjob.CheckJobName(x.Job); err != nil {
		return err
	}
	last := int64(0)
	for _, v := range x.Versions {
		if _, err := webjob.ParseDigest(string(v.Manifest)); err != nil {
			return err
		}
		if err := v.Scope.Check(); err != nil {
			return err
		}
		if v.Version <= last || v.Version > webjob.MaxVersion {
			return webjob.Errorf(webjob.Invalid, "the index of job %s has version %d after %d", x.Job, v.Version, last)
		}
		last = v.Version
	}
	if x.Latest < last || x.Latest > webjob.MaxVersion {
		return webjob.Errorf(webjob.Invalid, "the index of job %s has version %d and says that %d is the latest", x.Job, last, x.Latest)
	}
	return nil
}

// Add adds a version; what is too old falls off.
func (x *JobIndex) Add(m *webjob.Manifest, digest webjob.Digest) error {
	if m.Version <= x.Latest {
		return webjob.Errorf(webjob.Conflict, "job %s has version %d already, and versions only go up; publish %d or above", x.Job, x.Latest, x.Latest+1)
	}
	x.Latest = m.Version
	x.Versions = append(x.Versions, IndexVersion{Version: m.Version, Scope: m.Scope, Manifest: digest})
	x.trim()
	return nil
}

// trim takes out what is too old.
func (x *JobIndex) trim() {
	left := map[webjob.Scope]int{}
	for i := len(x.Versions) - 1; i >= 0; i-- {
		if scope := x.Versions[i].Scope; left[scope] == versionsKept {
			x.Versions = slices.Delete(x.Versions, i, i+1)
		} else {
			left[scope]++
		}
	}
}

// Withdraw takes out one version, or all when version is 0, and reports whether there
// was anything to take out. A version that never was is NotFound.
func (x *JobIndex) Withdraw(version int64) (changed bool, err error) {
	if version > x.Latest {
		return false, webjob.Errorf(webjob.NotFound, "job %s has no version %d; the latest is %d", x.Job, version, x.Latest)
	}
	before := len(x.Versions)
	x.Versions = slices.DeleteFunc(x.Versions, func(v IndexVersion) bool { return version == 0 || v.Version == version })
	return len(x.Versions) < before, nil
}

// Restore lists a version again that was withdrawn.
func (x *JobIndex) Restore(v IndexVersion) error {
	if v.Version > x.Latest {
		return webjob.Errorf(webjob.NotFound, "job %s has no version %d; the latest is %d", x.Job, v.Version, x.Latest)
	}
	at, listed := slices.BinarySearchFunc(x.Versions, v.Version, func(l IndexVersion, version int64) int { return cmp.Compare(l.Version, version) })
	if listed {
		return webjob.Errorf(webjob.Conflict, "job %s version %d is not withdrawn", x.Job, v.Version)
	}
	x.Versions = slices.Insert(x.Versions, at, v)
	if x.trim(); !slices.Contains(x.Versions, v) {
		return webjob.Errorf(webjob.Conflict, "job %s version %d is too old: an index keeps the newest %d versions for %s; publish it anew", x.Job, v.Version, versionsKept, v.Scope)
	}
	return nil
}

// follows refuses an index that forgets what the one before it said for good: which
// manifest a version is, and which numbers were used.
func (x *JobIndex) follows(before *JobIndex) error {
	if x.Latest < before.Latest {
		return webjob.Errorf(webjob.Refused, "the draft would have the index of job %s forget that there was a version %d; do not sign it", x.Job, before.Latest)
	}
	for _, v := range x.Versions {
		if was, err := before.Version(v.Version); err == nil && was != v {
			return webjob.Errorf(webjob.Refused, "the draft would make job %s version %d another one than was signed; do not sign it", x.Job, v.Version)
		}
	}
	return nil
}

// For returns the version that a client with these scopes gets: the newest of the
// first scope that has one. NotFound says that there is none.
func (x *JobIndex) For(scopes []webjob.Scope) (IndexVersion, error) {
	for _, scope := range scopes {
		for _, v := range slices.Backward(x.Versions) {
			if v.Scope == scope {
				return v, nil
			}
		}
	}
	return IndexVersion{}, webjob.Errorf(webjob.NotFound, "job %s has no version for this client", x.Job)
}

// Version returns one version when it is for one of the scopes; without scopes,
// whomever it is for.
func (x *JobIndex) Version(version int64, scopes ...webjob.Scope) (IndexVersion, error) {
	for _, v := range x.Versions {
		if v.Version == version && (len(scopes) == 0 || slices.Contains(scopes, v.Scope)) {
			return v, nil
		}
	}
	return IndexVersion{}, webjob.Errorf(webjob.NotFound, "version %d of job %s was withdrawn or is not for this client", version, x.Job)
}

// Encode returns the canonical JSON.
func (x *JobIndex) Encode() ([]byte, error) { return Canonical(x) }

// clientLabels is the content of a client's target.
type clientLabels struct {
	Labels webjob.Labels `json:"labels"`
}

// EncodeLabels returns the content of the target of a client.
func EncodeLabels(labels webjob.Labels) ([]byte, error) {
	if labels == nil {
		labels = webjob.Labels{}
	}
	return Canonical(clientLabels{Labels: labels})
}

// ParseLabels reads what [EncodeLabels] wrote.
func ParseLabels(content []byte) (webjob.Labels, error) {
	var c clientLabels
	if err := decodeCanonical("labels of a client", content, &c); err != nil {
		return nil, err
	}
	return c.Labels, c.Labels.Check()
}
