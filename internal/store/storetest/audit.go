package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// auditLog checks that acts are chained, and stored with the change that they make or not
// at all.
func auditLog(t *testing.T, s webjob.Store) {
	head, err := s.AuditHead(t.Context())
	must(t, err)
	wantEqual(t, head, webjob.AuditEntry{})
	act := func(actor, action, target string) webjob.Act {
		return webjob.Act{Time: now, Actor: actor, Address: "10.0.0.1:9", Action: action, Target: target, Outcome: webjob.ActDone, Reason: "odd", Before: []byte(`{"a":1}`)}
	}
	must(t, s.RecordActs(t.Context(), act("olga", "hook.test", "h"), act("paul", "client.list", "")))
	enroll(t, s, "web1")
	pending := &webjob.PendingAct{Act: act("olga", "client.suspend", "web1")}
	ctx := webjob.WithAct(t.Context(), pending)
	wantKind(t, s.SuspendClient(ctx, "nobody", "", now), webjob.NotFound)
	wantEqual(t, pending.Recorded(), false)
	must(t, s.SuspendClient(ctx, "web1", "odd", now))
	wantEqual(t, pending.Recorded(), true)
	must(t, s.SuspendClient(ctx, "web1", "", time.Time{})) // the same request goes on
	entries, err := s.ListActs(t.Context(), webjob.ActFilter{Page: webjob.Page{Limit: 9}})
	must(t, err)
	wantEqual(t, len(entries), 3)
	previous, sequence := webjob.EmptyDigest, int64(0)
	for _, e := range entries {
		got, err := e.CheckAfter(sequence, previous)
		must(t, err)
		previous, sequence = e.Hash, e.Sequence
		if sequence == 3 {
			wantEqual(t, got, pending.Act)
		}
	}
	head, err = s.AuditHead(t.Context())
	must(t, err)
	wantEqual(t, head, entries[2])
	changed := entries[1]
	changed.Text = append([]byte(nil), changed.Text...)
	changed.Text[len(changed.Text)-2] ^= 1
	for name, e := range map[string]webjob.AuditEntry{"changed": changed, "out of its place": entries[2]} {
		if _, err := e.CheckAfter(1, entries[0].Hash); webjob.KindOf(err) != webjob.Refused {
			t.Errorf("an entry that was %s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		filter webjob.ActFilter
		first  int64 // sequence of the first entry, 0 for none
	}{
		"actor":        {webjob.ActFilter{Actor: "paul"}, 2},
		"action":       {webjob.ActFilter{Action: "client.suspend"}, 3},
		"kind":         {webjob.ActFilter{Action: "client"}, 2},
		"half a kind":  {webjob.ActFilter{Action: "cli"}, 0},
		"target":       {webjob.ActFilter{Target: "web1"}, 3},
		"newest":       {webjob.ActFilter{Newest: true}, 3},
		"second page":  {webjob.ActFilter{Page: webjob.Page{After: "1"}}, 2},
		"page down":    {webjob.ActFilter{Newest: true, Page: webjob.Page{After: "3"}}, 2},
		"since then":   {webjob.ActFilter{Since: now.Add(time.Hour)}, 0},
		"until before": {webjob.ActFilter{Until: now}, 0},
	} {
		c.filter.Page.Limit = 1
		got, err := s.ListActs(t.Context(), c.filter)
		must(t, err)
		if c.first == 0 && len(got) > 0 || c.first > 0 && (len(got) != 1 || got[0].Sequence != c.first) {
			t.Errorf("%s: got %+v, want %d", name, got, c.first)
		}
	}
}

// A change is refused when its actor is no more as it was when it was found to have the
// right, however long its request was under way.
func actorsChange(t *testing.T, s webjob.Store) {
	operate(t, s, "olga", admin)
	enroll(t, s, "web1")
	for name, after := range map[string]func(who string) error{
		"is as it was": func(string) error { return nil },
		"is revoked":   func(who string) error { return s.RevokeOperator(t.Context(), who, "", now) },
		"has other roles": func(who string) error {
			return s.ChangeOperator(t.Context(), who, []webjob.Grant{admin}, []webjob.Grant{viewer}, now)
		},
		"has another key": func(who string) error {
			tok := tokenFor(webjob.RoleOperator, who)
			must(t, s.AddToken(t.Context(), tok))
			next := operator(who)
			next.Key = webjob.DigestOf([]byte("new"))
			_, err := s.AddOperator(t.Context(), tok.Secret, next, certificate("new of "+who))
			return err
		},
	} {
		who := webjob.DigestOf([]byte(name)).Short()
		operate(t, s, who, admin)
		judged, err := s.Operator(t.Context(), who)
		must(t, err)
		must(t, after(who))
		act := &webjob.PendingAct{Act: webjob.Act{Time: now, Actor: who, Action: "token.new", Outcome: webjob.ActDone}, Judged: &judged}
		tok := operatorToken("late token of "+who, 1, admin)
		tok.MadeBy = who
		err = s.AddToken(webjob.WithAct(t.Context(), act), tok)
		if name == "is as it was" {
			must(t, err)
			continue
		}
		wantKind(t, err, webjob.Refused)
		_, err = s.Token(t.Context(), tok.Secret)
		wantKind(t, err, webjob.NotFound)
		wantEqual(t, act.Recorded(), false)
	}
}

// What becomes useless with somebody who is shut out is named in the entry of that.
func auditNamesTokens(t *testing.T, s webjob.Store) {
	operate(t, s, "olga", admin)
	operate(t, s, "paul", admin)
	made, unused := token("made by paul", 1), token("of another one", 1)
	made.MadeBy = "paul"
	must(t, s.AddToken(t.Context(), made))
	must(t, s.AddToken(t.Context(), unused))
	forPaul := tokenFor(webjob.RoleOperator, "paul")
	must(t, s.AddToken(t.Context(), forPaul))
	tokens := func(do func(context.Context) error) []string {
		t.Helper()
		must(t, do(webjob.WithAct(t.Context(), webjob.ServerAct(now, "x.y", "", ""))))
		head, err := s.AuditHead(t.Context())
		must(t, err)
		var text webjob.AuditText
		must(t, json.Unmarshal(head.Text, &text))
		slices.Sort(text.Tokens)
		return text.Tokens
	}
	want := []string{made.ID, forPaul.ID}
	slices.Sort(want)
	wantEqual(t, tokens(func(ctx context.Context) error { return s.RevokeOperator(ctx, "paul", "", now) }), want)
	wantEqual(t, len(tokens(func(ctx context.Context) error { return s.RevokeOperator(ctx, "paul", "", now) })), 0)
	enroll(t, s, "web1")
	first := tokenFor(webjob.RoleClient, "web1")
	must(t, s.AddToken(t.Context(), first))
	second := first
	second.Secret = webjob.DigestOf([]byte("second"))
	second.ID = second.Secret.Short()
	wantEqual(t, tokens(func(ctx context.Context) error { return s.AddToken(ctx, second) }), []string{first.ID})
	_, err := s.Token(t.Context(), unused.Secret)
	must(t, err)
}

func leases(t *testing.T, s webjob.Store) {
	lease := func(holder string, ttl time.Duration, want bool) {
		t.Helper()
		held, err := s.Lease(t.Context(), "clock", holder, ttl)
		must(t, err)
		wantEqual(t, held, want)
	}
	lease("a", time.Hour, true)
	lease("b", time.Hour, false)
	lease("a", time.Hour, true) // more of it
	must(t, s.EndLease(t.Context(), "clock", "b"))
	lease("b", time.Hour, false)
	must(t, s.EndLease(t.Context(), "clock", "a"))
	lease("b", -time.Second, true)
	lease("a", time.Hour, true) // b's is over
}

// newestTime checks that the highest time is found, whatever came after it.
func newestTime(t *testing.T, s webjob.Store) {
	want := func(at time.Time) {
		t.Helper()
		newest, err := s.NewestTime(t.Context())
		must(t, err)
		if !newest.Equal(at) {
			t.Fatalf("the newest time is %s, not %s", newest, at)
		}
	}
	want(time.Time{})
	act := webjob.Act{Time: now.Add(time.Hour), Actor: "olga", Action: "hook.test", Outcome: webjob.ActDone}
	must(t, s.RecordActs(t.Context(), act))
	act.Time = now
	must(t, s.RecordActs(t.Context(), act))
	want(now.Add(time.Hour))
	r := resultOf("run1")
	r.Received = now.Add(2 * time.Hour)
	_, err := s.AddResult(t.Context(), r, nil, webjob.ResultEffects{})
	must(t, err)
	want(r.Received)
}
