package webjob

import (
	"io/fs"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// JobFormat is the value of [Manifest.Format] that this version reads and writes.
const JobFormat = "webjob-job/1"

// Bounds of a manifest.
const (
	MaxManifestBytes = 256 << 10 // canonical JSON
	MaxPayloads      = 32
	MaxPayloadBytes  = 1 << 40
	MaxArguments     = 256      // arguments of a run, and patterns of a manifest
	MaxArgumentBytes = 8 << 10  // one argument or pattern
	MaxCommandBytes  = 96 << 10 // all arguments of a run together
	MaxSignature     = 16 << 10 // detached signature of a payload
	MaxVersion       = 1 << 53  // the largest integer that every JSON reader keeps exact
)

// Manifest is the signed description of one version of a job. Its canonical
// JSON (RFC 8785) travels inside a signed envelope; see docs/formats.md.
type Manifest struct {
	Format      string    `json:"format"` // JobFormat
	Name        string    `json:"name"`
	Version     int64     `json:"version"` // 1 and up; one sequence a name, whatever the scope
	Scope       Scope     `json:"scope"`
	Description string    `json:"description,omitempty"` // one line, at most 500 characters
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires"`
	Interpreter []string  `json:"interpreter,omitempty"` // program and options put before the payload
	Arguments   []string  `json:"arguments,omitempty"`   // patterns; every argument of a run must match one
	Leftovers   Leftovers `json:"leftovers"`
	Limits      Limits    `json:"limits"`
	Collect     *Collect  `json:"collect,omitempty"` // files to gather after the run
	Payloads    []Payload `json:"payloads"`
}

// Payload is the program for one platform.
type Payload struct {
	Platform Platform `json:"platform"`
	Digest   Digest   `json:"digest"`
	Size     int64    `json:"size"` // bytes
	// Signature is a detached signature in a form of the publisher's choice, such as
	// GnuPG's, for hooks on endpoints. WebJob itself does not look at it.
	Signature []byte `json:"signature,omitempty"`
	// Bundle says that the payload is a folder, packed; nil for a program or script.
	Bundle *Bundle `json:"bundle,omitempty"`
}

// Bundle is how to run a payload that is a packed folder; see package bundle.
type Bundle struct {
	Run   string `json:"run"`   // file in the folder to run, or to hand to the interpreter, with forward slashes
	Bytes int64  `json:"bytes"` // of all files together, unpacked; more is refused
}

// Check accepts a plain relative path and at most MaxPayloadBytes.
func (b *Bundle) Check() error {
	if !fs.ValidPath(b.Run) || b.Run == "." || strings.ContainsAny(b.Run, "\x00\\:") {
		return Errorf(Invalid, "%.80q is not a file in a bundle; name it with a relative path and forward slashes", b.Run)
	}
	if b.Bytes < 0 || b.Bytes > MaxPayloadBytes {
		return Errorf(Invalid, "a bundle unpacks to %d bytes; it must be 0 to %d", b.Bytes, int64(MaxPayloadBytes))
	}
	return nil
}

// Leftovers says what happens to processes that outlive the job's own process.
type Leftovers string

// Leftover processes are ended when the job exits, or left alone (a job that
// restarts a daemon needs that). At the RUN limit they are always ended.
const (
	LeftoversStop  Leftovers = "stop"
	LeftoversLeave Leftovers = "leave"
)

// Scope says which clients a job version is for: "common", "group:KEY=VALUE"
// or "client:ID". A client's own version wins over its groups', which wins over
// the common one; among groups the first in sorted order wins.
type Scope string

// ScopeCommon is the scope of a version for every client.
const ScopeCommon Scope = "common"

// GroupScope returns the scope of the clients that have the label "key=value".
func GroupScope(group string) Scope { return Scope("group:" + group) }

// ClientScope returns the scope of one client.
func ClientScope(id string) Scope { return Scope("client:" + id) }

// Check accepts the three forms.
func (s Scope) Check() error {
	if group, found := strings.CutPrefix(string(s), "group:"); found {
		_, err := ParseLabels([]string{group})
		return err
	}
	if id, found := strings.CutPrefix(string(s), "client:"); found {
		return CheckClientID(id)
	}
	if s != ScopeCommon {
		return Errorf(Invalid, "scope %.80q is malformed; write \"common\", \"group:KEY=VALUE\" or \"client:ID\"", string(s))
	}
	return nil
}

// ScopesFor returns the scopes that a client looks jobs up in, in order.
func ScopesFor(id string, labels Labels) []Scope {
	scopes := []Scope{ClientScope(id)}
	for _, group := range labels.Groups() {
		scopes = append(scopes, GroupScope(group))
	}
	return append(scopes, ScopeCommon)
}

// Check reports the first field that is malformed or out of range.
func (m *Manifest) Check() error {
	if m.Format != JobFormat {
		return Errorf(Invalid, "manifest format %.40q is unknown; this version reads %q", m.Format, JobFormat)
	}
	if err := CheckJobName(m.Name); err != nil {
		return err
	}
	if m.Version < 1 || m.Version > MaxVersion {
		return Errorf(Invalid, "version is %d; it must be 1 to %d", m.Version, int64(MaxVersion))
	}
	if err := m.Scope.Check(); err != nil {
		return err
	}
	if err := CheckLine("description", m.Description, 500); err != nil {
		return err
	}
	if m.Created.IsZero() || !m.Expires.After(m.Created) {
		return Errorf(Invalid, "expires (%s) must be after created (%s)", stamp(m.Expires), stamp(m.Created))
	}
	if len(m.Interpreter) > MaxArguments {
		return Errorf(Invalid, "interpreter has %d words; at most %d", len(m.Interpreter), MaxArguments)
	}
	for i, word := range m.Interpreter {
		if word == "" && i == 0 {
			return Errorf(Invalid, "interpreter is an empty word; name a program")
		}
		if err := checkArgument("interpreter word", word); err != nil {
			return err
		}
	}
	if _, err := m.argumentPatterns(); err != nil {
		return err
	}
	if m.Leftovers != LeftoversStop && m.Leftovers != LeftoversLeave {
		return Errorf(Invalid, "leftovers is %.40q; it must be \"stop\" or \"leave\"", string(m.Leftovers))
	}
	if err := m.Limits.Check(); err != nil {
		return err
	}
	if m.Collect != nil {
		if err := m.Collect.Check(); err != nil {
			return err
		}
		if m.Limits.CollectBytes == 0 {
			return Errorf(Invalid, "the job collects files and its limit collect_bytes is 0; it must be at least 1")
		}
	}
	return m.checkPayloads()
}

func (m *Manifest) checkPayloads() error {
	if len(m.Payloads) == 0 || len(m.Payloads) > MaxPayloads {
		return Errorf(Invalid, "%d payloads; a job has 1 to %d", len(m.Payloads), MaxPayloads)
	}
	seen := map[Platform]bool{}
	for _, p := range m.Payloads {
		if err := p.Platform.Check(); err != nil {
			return err
		}
		if seen[p.Platform] {
			return Errorf(Invalid, "two payloads for platform %s; give each platform one", p.Platform)
		}
		seen[p.Platform] = true
		if _, err := ParseDigest(string(p.Digest)); err != nil {
			return err
		}
		if len(p.Signature) > MaxSignature {
			return Errorf(Invalid, "the detached signature for %s has %d bytes; at most %d", p.Platform, len(p.Signature), MaxSignature)
		}
		if p.Size < 1 || p.Size > MaxPayloadBytes {
			return Errorf(Invalid, "payload for %s has %d bytes; it must have 1 to %d", p.Platform, p.Size, int64(MaxPayloadBytes))
		}
		if p.Bundle != nil {
			if err := p.Bundle.Check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// argumentPatterns compiles the patterns, each anchored at both ends. RE2 has no
// exponential cases, so a hostile pattern costs at most linear time.
func (m *Manifest) argumentPatterns() ([]*regexp.Regexp, error) {
	if len(m.Arguments) > MaxArguments {
		return nil, Errorf(Invalid, "%d argument patterns; at most %d", len(m.Arguments), MaxArguments)
	}
	var patterns []*regexp.Regexp
	for _, text := range m.Arguments {
		if err := checkArgument("argument pattern", text); err != nil {
			return nil, err
		}
		if _, err := regexp.Compile(text); err != nil {
			return nil, Errorf(Invalid, "argument pattern %.80q does not compile: %w", text, err)
		}
		patterns = append(patterns, regexp.MustCompile(`\A(?s:`+text+`)\z`))
	}
	return patterns, nil
}

// CheckArguments reports the first argument of a run that the manifest does not
// allow. The error is Refused.
func (m *Manifest) CheckArguments(args []string) error {
	if len(args) > MaxArguments {
		return Errorf(Refused, "%d arguments are too many; at most %d", len(args), MaxArguments)
	}
	if n := len(strings.Join(args, "")); n > MaxCommandBytes {
		return Errorf(Refused, "the arguments have %d bytes together; at most %d", n, MaxCommandBytes)
	}
	patterns, err := m.argumentPatterns()
	if err != nil {
		return err
	}
	for _, arg := range args {
		if err := checkArgument("argument", arg); err != nil {
			return Errorf(Refused, "%w", err)
		}
		allowed := false
		for _, pattern := range patterns {
			allowed = allowed || pattern.MatchString(arg)
		}
		switch {
		case len(patterns) == 0:
			return Errorf(Refused, "argument %.80q: job %s version %d takes no arguments; publish it with argument patterns to allow them", arg, m.Name, m.Version)
		case !allowed:
			return Errorf(Refused, "argument %.80q: job %s version %d allows only arguments that match %q", arg, m.Name, m.Version, m.Arguments)
		}
	}
	return nil
}

func checkArgument(what, s string) error {
	switch {
	case len(s) > MaxArgumentBytes:
		return Errorf(Invalid, "%s %.40q… has %d bytes; at most %d", what, s, len(s), MaxArgumentBytes)
	case strings.ContainsRune(s, 0):
		return Errorf(Invalid, "%s %.80q holds a NUL byte; no program can receive it", what, s)
	case !utf8.ValidString(s):
		return Errorf(Invalid, "%s %.80q is not UTF-8", what, s)
	}
	return nil
}

// CheckLine accepts one line of printable UTF-8 of at most limit characters.
func CheckLine(what, s string, limit int) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Errorf(Invalid, "%s %.80q must be one line of printable text", what, s)
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return Errorf(Invalid, "%s has %d characters; at most %d", what, n, limit)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
