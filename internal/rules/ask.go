package rules

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hook"
)

// Said is what the hooks of a request said.
type Said struct {
	Notes []webjob.Note
	Data  map[string]any // for the run, by hook
}

// Wants reports whether any hook is to be asked.
func (r *Rules) Wants(kind webjob.EventKind, client webjob.Client, job string) bool {
	hooks := r.Current().Hooks
	if len(hooks) == 0 {
		return false
	}
	effective := r.For(client, job)
	return slices.ContainsFunc(hooks, func(h hook.Settings) bool {
		return effective.HasHook(h.Name) && h.Concerns(kind, job, client.Subject())
	})
}

// Ask asks every hook that the event concerns, in the order of the configuration. The
// first refusal ends it. A hook that fails refuses, or is passed over with a note.
func (r *Rules) Ask(ctx context.Context, event webjob.Event, client webjob.Client) (Said, error) {
	set := r.Current()
	var said Said
	if len(set.Hooks) == 0 {
		return said, nil
	}
	effective := r.For(client, event.Job)
	for _, h := range set.Hooks {
		if !effective.HasHook(h.Name) || !h.Concerns(event.Kind, event.Job, client.Subject()) {
			continue
		}
		leave, err := r.Places.Take(ctx, client.ID)
		if err != nil {
			return said, err
		}
		answer, err := h.Ask(ctx, event)
		leave()
		log := r.Log.With(slog.String("hook", h.Name), slog.String("event", string(event.Kind)), slog.String("client", client.ID), slog.String("job", event.Job), slog.String("run", event.Run))
		note := webjob.Note{Hook: h.Name, Event: event.Kind, Time: event.Time, Notes: answer.Notes, Labels: answer.Labels}
		switch {
		case err != nil && h.OnFailure == hook.FailOpen:
			log.Warn("a hook failed and was passed over", "error", err)
			r.Asked(h.Name, "failed_open")
			note.Error = err.Error()
		case err != nil:
			log.Warn("a hook failed, which refuses", "error", err)
			r.Asked(h.Name, "failed_closed")
			return said, webjob.Errorf(webjob.Refused, "hook %s failed, which refuses: %w", h.Name, err)
		case answer.Decision == "refuse":
			log.Info("a hook refused", "reason", answer.Reason)
			r.Asked(h.Name, "refused")
			return said, webjob.Errorf(webjob.Refused, "hook %s refused%s", h.Name, because(answer.Reason))
		default:
			r.Asked(h.Name, "allowed")
		}
		if answer.Data != nil && event.Kind == webjob.OnRun {
			if said.Data == nil {
				said.Data = map[string]any{}
			}
			said.Data[h.Name] = answer.Data
		}
		if note.Error != "" || len(note.Notes) > 0 || len(note.Labels) > 0 {
			said.Notes = append(said.Notes, note)
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

// Test tells one hook or trigger an event that did not happen, and returns what
// it said.
func (r *Rules) Test(ctx context.Context, name string) (hook.Answer, error) {
	set := r.Current()
	for _, h := range set.Hooks {
		if h.Name == name {
			return h.Ask(ctx, testEvent(h.On[0]))
		}
	}
	if t := r.Trigger(name); t != nil {
		return hook.Answer{Decision: "allow"}, t.Tell(ctx, testEvent(t.On[0]))
	}
	var names []string
	for _, h := range append(slices.Clone(set.Hooks), set.Triggers...) {
		names = append(names, h.Name)
	}
	if len(names) == 0 {
		return hook.Answer{}, webjob.Errorf(webjob.NotFound, "there is no hook or trigger %.40q, nor any other; [[hook]] and [[trigger]] in webjobd.toml make them", name)
	}
	return hook.Answer{}, webjob.Errorf(webjob.NotFound, "there is no hook or trigger %.40q; there are: %s", name, strings.Join(names, ", "))
}

func testEvent(kind webjob.EventKind) webjob.Event {
	e := NewEvent(kind, webjob.Client{ID: "test-client", Labels: webjob.Labels{"test": "true"}})
	e.ID, e.Job, e.Version, e.Run, e.Outcome, e.Reason = "test-"+e.ID, "test-job", 1, "test-run", webjob.Failed, "this is a test"
	return e
}
