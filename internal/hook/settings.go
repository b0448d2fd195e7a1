// Package hook asks commands and HTTP endpoints what they think of a request
// (hooks), and tells them what happened (triggers, by a courier). What they
// are told is a [webjob.Event]; where the answer leads is the server's business.
package hook

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
)

// Settings is one hook or trigger of the configuration.
type Settings struct {
	Name       string             `toml:"name"`
	On         []webjob.EventKind `toml:"on"`
	Jobs       []string           `toml:"jobs"`        // globs; none means every job
	Clients    string             `toml:"clients"`     // selector; "" means every client
	Command    []string           `toml:"command"`     // program and arguments; no shell
	URL        string             `toml:"url"`         // or where to POST
	SecretFile string             `toml:"secret_file"` // of the HMAC of what is posted
	CAFile     string             `toml:"ca_file"`     // PEM; instead of the system's
	Timeout    config.Duration    `toml:"timeout"`
	MaxOutput  config.Size        `toml:"max_output"`
	User       string             `toml:"user"`       // that the command runs as; needs root
	OnFailure  string             `toml:"on_failure"` // hooks: refuse, allow
	Attempts   int64              `toml:"attempts"`   // triggers: before it is given up
}

// Bounds of the settings.
const (
	defaultTimeout   = 10 * time.Second
	defaultMaxOutput = 64 << 10
	defaultAttempts  = 10
	maxHooks         = 100
)

// What a hook's failure means.
const (
	FailClosed = "refuse"
	FailOpen   = "allow"
)

// CheckHooks checks and completes the [[hook]] tables.
func CheckHooks(list []Settings) error { return check("hook", list, webjob.HookKinds()) }

// CheckTriggers checks and completes the [[trigger]] tables.
func CheckTriggers(list []Settings) error { return check("trigger", list, webjob.TriggerKinds()) }

func check(table string, list []Settings, kinds []webjob.EventKind) error {
	if len(list) > maxHooks {
		return config.Keyf(table, "%d of them; at most %d", len(list), maxHooks)
	}
	seen := map[string]bool{}
	for i := range list {
		s := &list[i]
		if err := s.check(kinds, table == "hook"); err != nil {
			return config.Keyf(table, "%s %.40q: %w", table, s.Name, err)
		}
		if seen[s.Name] {
			return config.Keyf(table, "two are named %s; name each once", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}

func (s *Settings) check(kinds []webjob.EventKind, asks bool) error {
	if err := webjob.CheckJobName(s.Name); err != nil {
		return webjob.Errorf(webjob.Invalid, "its name is not allowed; use letters, digits, '.', '_' or '-'")
	}
	if len(s.On) == 0 {
		return webjob.Errorf(webjob.Invalid, "no event; write on = [...] with some of %v", kinds)
	}
	for _, kind := range s.On {
		if err := webjob.CheckEventKind(kind, kinds); err != nil {
			return err
		}
	}
	for _, glob := range s.Jobs {
		if _, err := path.Match(glob, ""); err != nil {
			return webjob.Errorf(webjob.Invalid, "jobs: %.60q is no pattern", glob)
		}
	}
	if s.Clients != "" {
		if _, err := webjob.ParseSelector(s.Clients); err != nil {
			return err
		}
	}
	s.complete()
	switch {
	case asks && s.OnFailure != FailClosed && s.OnFailure != FailOpen:
		return webjob.Errorf(webjob.Invalid, "on_failure is %.40q; use %q or %q", s.OnFailure, FailClosed, FailOpen)
	case s.Attempts < 1 || s.Attempts > 1000:
		return webjob.Errorf(webjob.Invalid, "attempts is %d; it must be 1 to 1000", s.Attempts)
	}
	if err := s.Timeout.Within("timeout", 10*time.Millisecond, 10*time.Minute); err != nil {
		return err
	}
	if err := s.MaxOutput.Within("max_output", 1, 16<<20); err != nil {
		return err
	}
	if (len(s.Command) > 0) == (s.URL != "") {
		return webjob.Errorf(webjob.Invalid, "give it a command or a url, one of them")
	}
	if s.URL != "" {
		return s.checkURL()
	}
	return CheckProgram(s.Command[0])
}

func (s *Settings) complete() {
	if s.Timeout == 0 {
		s.Timeout = config.Duration(defaultTimeout)
	}
	if s.MaxOutput == 0 {
		s.MaxOutput = defaultMaxOutput
	}
	if s.OnFailure == "" {
		s.OnFailure = FailClosed
	}
	if s.Attempts == 0 {
		s.Attempts = defaultAttempts
	}
}

func (s *Settings) checkURL() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return webjob.Errorf(webjob.Invalid, "url %.80q is not allowed; write https://HOST/PATH (http only to this machine), without a user", s.URL)
	}
	if s.User != "" {
		return webjob.Errorf(webjob.Invalid, "user is for commands")
	}
	for _, file := range []string{s.SecretFile, s.CAFile} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return webjob.Errorf(webjob.Invalid, "%w", err)
		}
	}
	if s.SecretFile == "" {
		return webjob.Errorf(webjob.Invalid, "a url needs a secret_file, with which the receiver knows that it is this server; make one of 32 random bytes")
	}
	return nil
}

func isLoopback(host string) bool {
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, host)
}

// CheckProgram refuses a program that someone else could replace: what it answers
// decides what runs.
func CheckProgram(program string) error {
	if !filepath.IsAbs(program) {
		return webjob.Errorf(webjob.Invalid, "command %.80q is not a whole path; write such as /usr/local/lib/webjob/hook", program)
	}
	resolved, err := filepath.EvalSymlinks(program)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "command: %w", err)
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "command: %w", err)
	}
	if !info.Mode().IsRegular() || os.PathSeparator == '/' && info.Mode().Perm()&0o111 == 0 {
		return webjob.Errorf(webjob.Invalid, "command %s is not a program; make it executable", resolved)
	}
	return checkNotWritable(resolved)
}

// Concerns reports whether the event is one that the hook or trigger is for.
func (s *Settings) Concerns(kind webjob.EventKind, job string, client webjob.Subject) bool {
	if !slices.Contains(s.On, kind) {
		return false
	}
	if len(s.Jobs) > 0 && !slices.ContainsFunc(s.Jobs, func(glob string) bool {
		found, err := path.Match(glob, job)
		return found && err == nil
	}) {
		return false
	}
	if s.Clients == "" {
		return true
	}
	selector, err := webjob.ParseSelector(s.Clients)
	return err == nil && selector.Matches(client)
}
