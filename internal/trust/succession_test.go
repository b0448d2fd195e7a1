package trust_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// Whoever is taken out of the signers leaves every rule; nobody else does, and no rule is
// left that too few could fulfil.
func TestWhoLeavesTheSignersLeavesTheRules(t *testing.T) {
	r := trusttest.New(t, 2, "alice", "bob", "carol")
	dora, dave := trusttest.Key(t), trusttest.Key(t)
	rule := func(on string, threshold int, keys ...string) trust.OrderRules {
		return trust.OrderRules{Jobs: []string{"*"}, On: on, Keys: keys, Threshold: threshold}
	}
	for name, c := range map[string]struct {
		before, after []trust.OrderRules
		says          string
	}{
		"of all":            {[]trust.OrderRules{rule("all", 2, "alice", "bob", "carol")}, []trust.OrderRules{rule("all", 1, "alice", "carol", "dave")}, ""},
		"stricter for all":  {[]trust.OrderRules{rule("all", 3, "alice", "bob", "carol")}, []trust.OrderRules{rule("all", 3, "alice", "carol", "dave")}, ""},
		"for all, of some":  {[]trust.OrderRules{rule("all", 1, "alice", "bob")}, []trust.OrderRules{rule("all", 1, "alice")}, ""},
		"of a laboratory":   {[]trust.OrderRules{rule("site=lab", 1, "alice", "bob")}, []trust.OrderRules{rule("site=lab", 1, "alice")}, ""},
		"of one who orders": {[]trust.OrderRules{rule("site=lab", 1, "bob", "dora")}, []trust.OrderRules{rule("site=lab", 1, "dora")}, ""},
		"of nobody":         {[]trust.OrderRules{rule("site=lab", 0)}, []trust.OrderRules{rule("site=lab", 0)}, ""},
		"of the one alone":  {[]trust.OrderRules{rule("env=x", 1, "alice"), rule("site=lab", 1, "bob")}, nil, "rule 2 of the policy (* on site=lab) needs 1 of bob"},
		"with too few":      {[]trust.OrderRules{rule("site=lab", 2, "alice", "bob")}, nil, "rule 1 of the policy"},
	} {
		t.Run(name, func(t *testing.T) {
			before := &trust.Policy{Format: trust.PolicyFormat, People: append(slices.Clone(r.People), trust.NewNamedKey("dora", dora.PublicKey)), Orders: c.before}
			must(t, before.Check())
			content, err := before.Encode()
			must(t, err)
			r.Change(map[string][]byte{trust.PolicyPath: content})
			// alice has another name on the machine of who proposes.
			people := []trust.NamedKey{trust.NewNamedKey("me", r.People[0].Key()), r.People[2], trust.NewNamedKey("dave", dave.PublicKey)}
			after, err := trust.PolicyFor(r.View, people, 1)
			if c.says != "" {
				if webjob.KindOf(err) != webjob.Conflict || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("got %v, want %q", err, c.says)
				}
				return
			}
			must(t, err)
			show := func(rules []trust.OrderRules) (text string) {
				for _, r := range rules {
					text += fmt.Sprintln(r.Jobs, r.On, r.Keys, r.Threshold)
				}
				return text
			}
			if show(after.Orders) != show(c.after) {
				t.Fatalf("got\n%swant\n%s", show(after.Orders), show(c.after))
			}
			if after.NameOf(r.People[1].Key().ID()) != "" {
				t.Fatal("bob's key is still in the policy")
			}
		})
	}
}
