package webjob_test

import (
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// The log of a server of the version before: hash and text of each entry.
var entriesBefore = [][2]string{
	{"sha256:6bffe446295ee7142f2519601adb69bc7287aca4dbe8a232611ecf11cb2490c7", `{"sequence":1,"previous":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","time":"2026-03-01T12:00:00.123456Z","actor":"server","action":"token.new","target":"3f2a9c014b7d","outcome":"done","reason":"the first login","after":{"token":{"id":"3f2a9c014b7d"}}}`},
	{"sha256:e5e793c1f7ee692556294d1818ce8572a62c544c1fd05fe7cd709d7b2e14b4f4", `{"sequence":2,"previous":"sha256:6bffe446295ee7142f2519601adb69bc7287aca4dbe8a232611ecf11cb2490c7","time":"2026-03-01T12:00:00.123456Z","actor":"paul","address":"192.0.2.7:1234","action":"client.revoke","target":"web1","outcome":"refused","reason":"operator paul may not do this: it needs the right \"admin\" \u003cb\u003e"}`},
	{"sha256:5800ab88c2bf5103fcc4f9a2a8b06521cde09668778ea5071dd5ed5b1a8099c3", `{"sequence":3,"previous":"sha256:e5e793c1f7ee692556294d1818ce8572a62c544c1fd05fe7cd709d7b2e14b4f4","time":"2026-03-01T12:00:00.123456Z","actor":"olga","address":"192.0.2.7:1235","action":"audit.read","outcome":"done"}`},
}

// Entries of the version before are whole, and those of this one follow them.
func TestAuditLogGoesOn(t *testing.T) {
	hash, sequence := webjob.EmptyDigest, int64(0)
	var acts []webjob.Act
	add := func(e webjob.AuditEntry) {
		t.Helper()
		act, err := e.CheckAfter(sequence, hash)
		if err != nil {
			t.Fatal(err)
		}
		hash, sequence, acts = e.Hash, e.Sequence, append(acts, act)
	}
	for i, e := range entriesBefore {
		add(webjob.AuditEntry{Sequence: int64(i + 1), Hash: webjob.Digest(e[0]), Text: []byte(e[1])})
	}
	if paul := acts[1]; paul.Actor != "paul" || paul.Error != "" || !strings.HasPrefix(paul.Reason, "operator paul may not") || paul.Key != "" {
		t.Errorf("got %+v", paul)
	}
	next := webjob.Act{Time: time.Now().UTC(), Actor: "olga", Key: "0123456789ab", Certificate: "ff", Action: "client.revoke", Outcome: webjob.ActFailed, Error: "no"}
	sealed, err := webjob.SealAct(next.WithTokens([]string{"a"}), sequence, hash)
	if err != nil {
		t.Fatal(err)
	}
	add(sealed)
	if last := acts[3]; last.Key != "0123456789ab" || last.Error != "no" || len(last.Tokens) != 1 {
		t.Errorf("got %+v", last)
	}
}

// What an entry says is bounded.
func TestActIsBounded(t *testing.T) {
	ids := make([]string, 1000)
	if got := (webjob.Act{}).WithTokens(ids).Tokens; len(got) != 101 || got[100] != "and 900 more" {
		t.Errorf("%d tokens, the last is %q", len(got), got[len(got)-1])
	}
	act := webjob.ServerAct(time.Now(), "x.y", "", "")
	ctx := webjob.WithAct(t.Context(), act)
	webjob.Describe(ctx, "it", nil, map[string]any{"a": strings.Repeat("long", 100_000)})
	if len(act.After) > 1000 || !strings.Contains(string(act.After), `"bytes":400008`) {
		t.Errorf("%d bytes: %.200s", len(act.After), act.After)
	}
	webjob.Describe(ctx, "it", nil, map[string]any{"a": 1})
	webjob.DescribeMore(ctx, "b", 2)
	if got := string(act.After); got != `{"a":1,"b":2}` {
		t.Error(got)
	}
	for _, reason := range []string{"two\nlines", "bell\a", strings.Repeat("r", webjob.MaxReason+1), "\xff"} {
		if webjob.KindOf(webjob.CheckReason(reason)) != webjob.Invalid {
			t.Errorf("reason %.20q is accepted", reason)
		}
	}
}
