// Package rules is what the configuration says for a client and a job: overrides and
// access lists, hooks that are asked, triggers that are told, and when a client is
// overdue. It is replaced as a whole while the server runs, or not at all. The rooms of the
// server ask it; it changes nothing itself. Who may sign and run what is not said here but
// by the signed policy (package trust).
package rules

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hook"
	"webjob.dev/webjob/internal/override"
	"webjob.dev/webjob/internal/transport"
)

// Set is one configuration.
type Set struct {
	Hooks     []hook.Settings
	Triggers  []hook.Settings
	Overrides *override.Set
	Overdue   time.Duration // after so long without a word a client is told; 0 never
}

// Read makes a set of hooks and triggers with the overrides below a folder.
func Read(hooks, triggers []hook.Settings, folder string, overdue time.Duration) (*Set, error) {
	var names []string
	for _, h := range hooks {
		names = append(names, h.Name)
	}
	overrides, err := override.Read(folder, names)
	if err != nil {
		return nil, err
	}
	return &Set{Hooks: hooks, Triggers: triggers, Overrides: overrides, Overdue: overdue}, nil
}

// Rules holds the set that is in use.
type Rules struct {
	// Places bounds the hooks that are asked at once; Asked counts what they said:
	// allowed, refused, failed_open, failed_closed.
	Places *transport.Places
	Asked  func(hook, answer string)
	Log    *slog.Logger

	current atomic.Pointer[Set]
	failed  atomic.Pointer[error] // why what is on disk is not in use; nil when it is
}

// Use takes a set into use.
func (r *Rules) Use(set *Set) {
	r.failed.Store(nil)
	r.current.Store(set)
}

// Keep notes why what is on disk is not taken into use; what held before goes on holding.
func (r *Rules) Keep(why error) { r.failed.Store(&why) }

// NotInUse returns why what is on disk is not in use, nil when it is.
func (r *Rules) NotInUse() error {
	if failed := r.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// Current returns the set in use, which must not be changed.
func (r *Rules) Current() *Set { return r.current.Load() }

// For returns what holds for a client and a job; an empty job leaves the job's layers out.
func (r *Rules) For(client webjob.Client, job string) *override.Effective {
	return r.Current().Overrides.For(client.ID, client.Labels, job)
}

// Retention returns how long results of a client and job are kept; 0 for good.
func (r *Rules) Retention(client webjob.Client, job string) time.Duration {
	return r.For(client, job).Retention
}

// RetentionRules changes with every change of what Retention says, but for that of a
// client's labels; it is "" when everything is kept for good.
func (r *Rules) RetentionRules() string {
	if rules := r.Current().Overrides.RetentionRules(); rules != webjob.EmptyDigest {
		return string(rules)
	}
	return ""
}

// MaxStored returns how many bytes of results a client may have here.
func (r *Rules) MaxStored(client webjob.Client) int64 { return r.For(client, "").MaxStored }

// CheckAccess refuses what the access lists do not let through from an address.
func (r *Rules) CheckAccess(client webjob.Client, job, remote string) error {
	return checkAccess(r.For(client, job), "client "+client.ID, job, remote)
}

// CheckLogin refuses the login of an operator that the lists for all do not let through
// from an address.
func (r *Rules) CheckLogin(name, remote string) error {
	return checkAccess(r.For(webjob.Client{}, ""), "operator "+name, "", remote)
}

func checkAccess(lists *override.Effective, who, job, remote string) error {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return webjob.Errorf(webjob.Internal, "address %q: %w", remote, err)
	}
	return lists.CheckAccess(who, job, address.Addr())
}

// NewEvent makes an event about a client.
func NewEvent(kind webjob.EventKind, client webjob.Client) webjob.Event {
	at := time.Now().UTC().Truncate(time.Microsecond)
	return webjob.Event{ID: uuid.Must(uuid.NewV7()).String(), Kind: kind, Time: at, Client: client.ID, Labels: client.Labels}
}

// Deliveries returns what triggers are to be told of an event.
func (r *Rules) Deliveries(event webjob.Event, subject webjob.Subject) []webjob.Delivery {
	var list []webjob.Delivery
	for _, t := range r.Current().Triggers {
		if t.Concerns(event.Kind, event.Job, subject) {
			list = append(list, webjob.Delivery{Trigger: t.Name, Event: event, NextAt: event.Time})
		}
	}
	return list
}

// Follows reports whether a trigger wants to hear of changed output of the job.
func (r *Rules) Follows(job string, subject webjob.Subject) bool {
	return slices.ContainsFunc(r.Current().Triggers, func(t hook.Settings) bool {
		return t.Concerns(webjob.OnDiff, job, subject)
	})
}

// Trigger returns the trigger of a name, nil when there is none.
func (r *Rules) Trigger(name string) *hook.Settings {
	for _, t := range r.Current().Triggers {
		if t.Name == name {
			return &t
		}
	}
	return nil
}

// None reports whether there are neither hooks nor triggers, as in most installations.
func (r *Rules) None() bool {
	set := r.Current()
	return len(set.Hooks)+len(set.Triggers) == 0
}
