package publish

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
)

// drafts are the changes that people propose and sign.
type drafts struct{ payloadStore }

// Outcome is what came of a draft that was handed in.
type Outcome struct {
	Draft    *trust.Draft
	Needs    []trust.Need
	Accepted bool // it has all signatures, and is in effect
	Labels   map[string]webjob.Labels
}

// Propose takes a new draft in; when nobody else has to sign, it is in effect.
func (r drafts) Propose(ctx context.Context, d *trust.Draft, operator string) (result Outcome, err error) {
	if len(d.Roles) == 0 {
		return Outcome{}, webjob.Errorf(webjob.Invalid, "the draft changes nothing")
	}
	if err := webjob.CheckLine("summary", d.Summary, 500); err != nil {
		return Outcome{}, err
	}
	d.ID, d.By, d.Created = draftID(), operator, now().Truncate(time.Second)
	held, err := r.holdPayloads(ctx, d)
	if err != nil {
		return Outcome{}, err
	}
	err = r.changing(ctx, func() error {
		if err := r.checkRoom(d); err != nil {
			return err
		}
		result, err = r.settle(ctx, d, held)
		return err
	})
	return result, err
}

// checkRoom refuses a draft that another one is in the way of.
func (r drafts) checkRoom(d *trust.Draft) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.waiting) >= maxDrafts {
		return webjob.Errorf(webjob.Conflict, "%d drafts wait for signatures; sign or drop some first (webjobctl repo status)", len(r.waiting))
	}
	for name := range d.Roles {
		for _, other := range r.waiting {
			if _, taken := other.Roles[name]; taken {
				return webjob.Errorf(webjob.Conflict, "draft %s (%s, by %s) waits for signatures and changes the same part, role %s; sign it with webjobctl repo sign, or drop it with webjobctl repo drop %s", other.ID, other.Summary, other.By, name, other.ID)
			}
		}
	}
	return nil
}

// draftID is short: people type it.
func draftID() string { return uuid.NewString()[:8] }

// Sign adds the signatures of another copy of a draft.
func (r drafts) Sign(ctx context.Context, id string, signed *trust.Draft) (result Outcome, err error) {
	err = r.changing(ctx, func() error {
		d, err := r.Draft(id)
		if err != nil {
			return err
		}
		held, err := r.holdPayloads(ctx, d)
		if err != nil {
			return err
		}
		copied := *d
		copied.Roles = maps.Clone(d.Roles)
		if err := copied.Merge(signed); err != nil {
			return err
		}
		result, err = r.settle(ctx, &copied, held)
		return err
	})
	return result, err
}

// Draft returns a draft that waits for signatures.
func (r *signed) Draft(id string) (*trust.Draft, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if d := r.waiting[id]; d != nil {
		return d, nil
	}
	return nil, webjob.Errorf(webjob.NotFound, "there is no draft %.40q; webjobctl repo status shows what waits", id)
}

// Drop forgets a draft.
func (r drafts) Drop(ctx context.Context, id string) error {
	return r.changing(ctx, func() error {
		d, err := r.Draft(id)
		if err != nil {
			return err
		}
		webjob.Describe(ctx, id, map[string]any{"summary": d.Summary, "by": d.By}, nil)
		return r.setDraft(ctx, id, nil, nil)
	})
}

// setDraft stores a draft, whose payloads are held as long as it is there, or removes it
// when it is nil.
func (r drafts) setDraft(ctx context.Context, id string, d *trust.Draft, held []int64) error {
	var encoded []byte
	if d != nil {
		var err error
		if encoded, err = json.Marshal(d); err != nil {
			return err
		}
	}
	change := webjob.RepositoryChange{Was: r.expected(id), Files: map[string][]byte{draftFiles + id: encoded}, Held: held}
	if err := r.store.ChangeRepository(ctx, change, now()); err != nil {
		return err
	}
	r.keepDraft(id, d, encoded)
	return nil
}

// keepDraft takes a draft as it is stored into the cache, or drops it.
func (r drafts) keepDraft(id string, d *trust.Draft, encoded []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d == nil {
		delete(r.waiting, id)
		delete(r.stored, id)
		return
	}
	r.waiting[id], r.stored[id] = d, webjob.DigestOf(encoded)
}

// settle puts a draft that has all signatures into effect, and keeps another one.
func (r drafts) settle(ctx context.Context, d *trust.Draft, held []int64) (Outcome, error) {
	r.mu.RLock()
	current, policyBefore := r.current, r.policy
	r.mu.RUnlock()
	result := Outcome{Draft: d}
	var err error
	if result.Needs, err = d.Needs(current.View); err != nil {
		return result, err
	}
	changes, err := d.Changes(current.View, now(), namesFor(d, policyBefore))
	if err != nil {
		return result, err
	}
	change, err := r.effects(ctx, d)
	if err != nil {
		return result, err
	}
	complete := !slices.ContainsFunc(result.Needs, func(n trust.Need) bool { return n.Missing() > 0 })
	if err := r.describe(ctx, d, result, changes, change, complete); err != nil {
		return result, err
	}
	if !complete {
		return result, r.setDraft(ctx, d.ID, d, held)
	}
	next, err := current.Accept(d, r.online, now())
	if err != nil {
		return result, err
	}
	policy, err := next.View.Policy()
	if err != nil {
		return result, err
	}
	change.Was, change.Files, change.Held = r.expected(d.ID), next.Files(current), held
	change.Files[draftFiles+d.ID] = nil
	r.accepting.Lock()
	defer r.accepting.Unlock()
	if err := r.store.ChangeRepository(ctx, change, now()); err != nil {
		return result, err
	}
	result.Accepted, result.Labels = true, change.Labels
	r.set(next, policy)
	r.keepDraft(d.ID, nil, nil)
	r.log.Info("job repository changed", "draft", d.ID, "what", d.Summary, "by", d.By, "timestamp", next.View.Timestamp())
	return result, nil
}

// Drafts returns the drafts, oldest first.
func (r *signed) Drafts() []*trust.Draft {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*trust.Draft
	for _, d := range r.waiting {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *trust.Draft) int { return a.Created.Compare(b.Created) })
	return list
}

// State returns all of it, for operators.
func (r drafts) State(have webjob.RepositoryHave) (api.RepositoryState, error) {
	state := api.RepositoryState{Online: r.online.DER()}
	for _, d := range r.Drafts() {
		encoded, err := json.Marshal(d)
		if err != nil {
			return state, err
		}
		state.Drafts = append(state.Drafts, encoded)
	}
	current, _, err := r.Published()
	if webjob.KindOf(err) == webjob.NotFound {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	state.First, state.Bundle = current.Roots[0], current.Everything(have)
	return state, nil
}
