package server

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hook"
	"webjob.dev/webjob/internal/override"
)

// overridesFolder holds the layers of package override.
const overridesFolder = "overrides"

// policy is the part of the configuration that can be replaced while the server
// runs: as a whole, or not at all.
type policy struct {
	hooks     []hook.Settings
	triggers  []hook.Settings
	overrides *override.Set
	overdue   time.Duration
}

func loadPolicy(settings *Settings) (*policy, error) {
	var names []string
	for _, h := range settings.Hooks {
		names = append(names, h.Name)
	}
	overrides, err := override.Read(filepath.Join(settings.dir, overridesFolder), names)
	if err != nil {
		return nil, err
	}
	return &policy{hooks: settings.Hooks, triggers: settings.Triggers, overrides: overrides, overdue: time.Duration(settings.Clients.Overdue)}, nil
}

// Reload reads the configuration again and takes what can change into use: hooks,
// triggers, overrides, and when a client is overdue. When anything is wrong, what
// held before goes on holding.
func (s *Server) Reload(ctx context.Context) error {
	p, err := s.reread()
	if err != nil {
		s.policyError.Store(&err)
		s.log.Error("the configuration was not taken into use; the one before holds", "error", err)
		return err
	}
	s.policyError.Store(nil)
	s.policy.Store(p)
	s.log.Info("configuration taken into use", "hooks", len(p.hooks), "triggers", len(p.triggers), "overrides", p.overrides.Files)
	s.outbox.Wake()
	s.dispatcher.restart("")
	return ctx.Err()
}

func (s *Server) reread() (*policy, error) {
	settings, err := LoadSettings(s.settings.dir)
	if err != nil {
		return nil, err
	}
	for name, pair := range map[string][2]any{
		"url": {s.settings.URL, settings.URL}, "names": {s.settings.Names, settings.Names}, "endpoint": {s.settings.Endpoint, settings.Endpoint},
		"operator": {s.settings.Operator, settings.Operator}, "telemetry": {s.settings.Telemetry, settings.Telemetry},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			s.log.Warn("a changed setting waits for a restart", "key", name)
		}
	}
	return loadPolicy(settings)
}

// effective returns what holds for a client and a job.
func (s *Server) effective(client webjob.Client, job string) *override.Effective {
	return s.policy.Load().overrides.For(client.ID, client.Labels, job)
}

// checkAccess refuses what the access lists do not let through.
func (s *Server) checkAccess(client webjob.Client, job, remote string) error {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return webjob.Errorf(webjob.Internal, "address %q: %w", remote, err)
	}
	return s.effective(client, job).CheckAccess(client.ID, job, address.Addr())
}

// newEvent makes an event about a client.
func newEvent(kind webjob.EventKind, client webjob.Client) webjob.Event {
	return webjob.Event{ID: uuid.Must(uuid.NewV7()).String(), Kind: kind, Time: now(), Client: client.ID, Labels: client.Labels}
}

// deliveries returns what triggers are to be told of an event.
func (s *Server) deliveries(event webjob.Event, subject webjob.Subject) []webjob.Delivery {
	var list []webjob.Delivery
	for _, t := range s.policy.Load().triggers {
		if t.Concerns(event.Kind, event.Job, subject) {
			list = append(list, webjob.Delivery{Trigger: t.Name, Event: event, NextAt: event.Time})
		}
	}
	return list
}

// follows reports whether a trigger wants to hear of changed output of the job.
func (s *Server) follows(job string, subject webjob.Subject) bool {
	return slices.ContainsFunc(s.policy.Load().triggers, func(t hook.Settings) bool {
		return t.Concerns(webjob.OnDiff, job, subject)
	})
}

func (s *Server) trigger(name string) *hook.Settings {
	for _, t := range s.policy.Load().triggers {
		if t.Name == name {
			return &t
		}
	}
	return nil
}

// asked is what the hooks of a request said.
type asked struct {
	notes []webjob.Note
	data  map[string]any
}

// wants reports whether any hook is to be asked.
func (s *Server) wants(kind webjob.EventKind, client webjob.Client, job string) bool {
	p := s.policy.Load()
	if len(p.hooks) == 0 {
		return false
	}
	effective := p.overrides.For(client.ID, client.Labels, job)
	return slices.ContainsFunc(p.hooks, func(h hook.Settings) bool {
		return effective.HasHook(h.Name) && h.Concerns(kind, job, client.Subject())
	})
}

// ask asks every hook that the event concerns, in the order of the configuration. The
// first refusal ends it. A hook that fails refuses, or is passed over with a note.
func (s *Server) ask(ctx context.Context, event webjob.Event, client webjob.Client) (asked, error) {
	p := s.policy.Load()
	var said asked
	if len(p.hooks) == 0 {
		return said, nil
	}
	effective := p.overrides.For(client.ID, client.Labels, event.Job)
	for _, h := range p.hooks {
		if !effective.HasHook(h.Name) || !h.Concerns(event.Kind, event.Job, client.Subject()) {
			continue
		}
		leave, err := s.asking.take(ctx, client.ID)
		if err != nil {
			return said, err
		}
		answer, err := h.Ask(ctx, event)
		leave()
		log := s.log.With(slog.String("hook", h.Name), slog.String("event", string(event.Kind)), slog.String("client", client.ID), slog.String("job", event.Job), slog.String("run", event.Run))
		note := webjob.Note{Hook: h.Name, Event: event.Kind, Time: now(), Notes: answer.Notes, Labels: answer.Labels}
		switch {
		case err != nil && h.OnFailure == hook.FailOpen:
			log.Warn("a hook failed and was passed over", "error", err)
			s.metrics.hooks.WithLabelValues(h.Name, "failed_open").Inc()
			note.Error = err.Error()
		case err != nil:
			log.Warn("a hook failed, which refuses", "error", err)
			s.metrics.hooks.WithLabelValues(h.Name, "failed_closed").Inc()
			return said, webjob.Errorf(webjob.Refused, "hook %s failed, which refuses: %w", h.Name, err)
		case answer.Decision == "refuse":
			log.Info("a hook refused", "reason", answer.Reason)
			s.metrics.hooks.WithLabelValues(h.Name, "refused").Inc()
			return said, webjob.Errorf(webjob.Refused, "hook %s refused%s", h.Name, because(answer.Reason))
		default:
			s.metrics.hooks.WithLabelValues(h.Name, "allowed").Inc()
		}
		if answer.Data != nil && event.Kind == webjob.OnRun {
			if said.data == nil {
				said.data = map[string]any{}
			}
			said.data[h.Name] = answer.Data
		}
		if note.Error != "" || len(note.Notes) > 0 || len(note.Labels) > 0 {
			said.notes = append(said.notes, note)
		}
	}
	return said, nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// TestHook tells one hook or trigger an event that did not happen, and returns what
// it said.
func (s *Server) TestHook(ctx context.Context, name string) (hook.Answer, error) {
	p := s.policy.Load()
	for _, h := range p.hooks {
		if h.Name == name {
			return h.Ask(ctx, testEvent(h.On[0]))
		}
	}
	if t := s.trigger(name); t != nil {
		return hook.Answer{Decision: "allow"}, t.Tell(ctx, testEvent(t.On[0]))
	}
	var names []string
	for _, h := range append(slices.Clone(p.hooks), p.triggers...) {
		names = append(names, h.Name)
	}
	return hook.Answer{}, webjob.Errorf(webjob.NotFound, "there is no hook or trigger %.40q; there are: %s", name, strings.Join(names, ", "))
}

func testEvent(kind webjob.EventKind) webjob.Event {
	e := newEvent(kind, webjob.Client{ID: "test-client", Labels: webjob.Labels{"test": "true"}})
	e.ID, e.Job, e.Version, e.Run, e.Outcome, e.Reason = "test-"+e.ID, "test-job", 1, "test-run", webjob.Failed, "this is a test"
	return e
}

// overdueEvery is how often overdue clients and old results are looked for.
const overdueEvery = time.Minute

// housekeep marks overdue clients and removes old results until ctx ends.
func (s *Server) housekeep(ctx context.Context) {
	ticker := time.NewTicker(overdueEvery)
	defer ticker.Stop()
	for {
		if err := s.tidy(ctx, now()); err != nil && ctx.Err() == nil {
			s.log.Error("housekeeping failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Server) tidy(ctx context.Context, at time.Time) error {
	p := s.policy.Load()
	if err := errors.Join(s.sightings.flush(ctx), s.chains.flush(ctx), s.refreshRevocations(ctx, at)); err != nil {
		return err
	}
	if p.overdue > 0 {
		_, err := s.store.MarkOverdue(ctx, at.Add(-p.overdue), at, func(c webjob.Client) []webjob.Delivery {
			event := newEvent(webjob.OnOverdue, c)
			event.LastSeen = c.LastSeen
			return s.deliveries(event, c.Subject())
		})
		if err != nil {
			return err
		}
		s.outbox.Wake()
	}
	if p.overrides.Files == 0 {
		return nil
	}
	return s.prune(ctx, p.overrides, at)
}

// pruneBatch bounds the results that one round removes, so that it holds nobody up.
const pruneBatch = 1000

// prune removes results that are older than their retention.
func (s *Server) prune(ctx context.Context, overrides *override.Set, at time.Time) error {
	labels := map[string]webjob.Labels{}
	clients, err := s.allClients(ctx)
	if err != nil {
		return err
	}
	for _, c := range clients {
		labels[c.ID] = c.Labels
	}
	// No upload may make use of a blob between the moment in which nothing names it and
	// its removal.
	s.blobUse.Lock()
	defer s.blobUse.Unlock()
	removed, blobs, err := s.store.PruneResults(ctx, func(client, job string) time.Time {
		if keep := overrides.For(client, labels[client], job).Retention; keep > 0 {
			return at.Add(-keep)
		}
		return time.Time{}
	}, pruneBatch)
	for _, d := range blobs {
		if err := s.blobs.Remove(ctx, d); err != nil {
			return err
		}
	}
	if removed > 0 {
		s.log.Info("results were removed after their retention", "results", removed, "blobs", len(blobs))
	}
	return err
}
