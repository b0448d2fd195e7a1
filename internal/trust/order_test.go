package trust_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

var orderTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newOrder() *webjob.Order {
	return &webjob.Order{
		Format: webjob.OrderFormat, ID: "o1", Job: "job", Version: 3, Manifest: webjob.DigestOf([]byte("m")), Arguments: []string{"-v"},
		On: "env=prod and not id=web9", Created: orderTime, NotBefore: orderTime, Expires: orderTime.Add(time.Hour),
	}
}

func orderSigners(t testing.TB, threshold int) (*trust.Policy, []*trust.PrivateKey) {
	t.Helper()
	var keys []*trust.PrivateKey
	var people []trust.NamedKey
	for _, name := range []string{"alice", "bob", "carol"} {
		key := trusttest.Key(t)
		keys, people = append(keys, key), append(people, trust.NewNamedKey(name, key.PublicKey))
	}
	policy, err := trust.NewPolicy(threshold, people...)
	must(t, err)
	return policy, keys
}

var prod1 = webjob.Subject{ID: "web1", Labels: webjob.Labels{"env": "prod"}}

func TestOrdersNeedTheThreshold(t *testing.T) {
	policy, keys := orderSigners(t, 2)
	mallory := trusttest.Key(t)
	for name, c := range map[string]struct {
		signers []*trust.PrivateKey
		good    bool
	}{
		"nobody":                  {nil, false},
		"one":                     {keys[:1], false},
		"one, twice":              {[]*trust.PrivateKey{keys[0], keys[0]}, false},
		"one and a stranger":      {[]*trust.PrivateKey{keys[0], mallory}, false},
		"a stranger, three times": {[]*trust.PrivateKey{mallory, mallory, mallory}, false},
		"two":                     {keys[:2], true},
		"all three":               {keys, true},
		"two and a stranger":      {[]*trust.PrivateKey{keys[2], mallory, keys[1]}, true},
	} {
		envelope, err := trust.SignOrder(newOrder(), c.signers...)
		must(t, err)
		o, err := policy.OpenOrder(envelope)
		must(t, err)
		if err := policy.Permits(o, prod1); (err == nil) != c.good || err != nil && webjob.KindOf(err) != webjob.Refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The first rule that fits decides, so that a strict one for some is not undone by a
// loose one for all.
func TestPolicyRules(t *testing.T) {
	policy, keys := orderSigners(t, 1)
	policy.Orders = []trust.OrderRules{
		{Jobs: []string{"patch-*"}, On: "env=prod", Keys: []string{"alice", "bob"}, Threshold: 2},
		{Jobs: []string{"read-*"}, On: "all", Keys: []string{"carol"}, Threshold: 1, Arguments: []string{"[a-z]+"}},
		{Jobs: []string{"lab-*"}, On: "env=lab", Keys: []string{}, Threshold: 0},
		{Jobs: []string{"*"}, On: "env=lab", Keys: []string{"alice", "bob", "carol"}, Threshold: 1},
	}
	must(t, policy.Check())
	lab1 := webjob.Subject{ID: "lab1", Labels: webjob.Labels{"env": "lab"}}
	for name, c := range map[string]struct {
		job       string
		arguments []string
		client    webjob.Subject
		signers   []*trust.PrivateKey
		want      string // "" permits
	}{
		"strict rule, one":          {"patch-os", nil, prod1, keys[:1], "1 of 2 required signatures"},
		"strict rule, the wrong":    {"patch-os", nil, prod1, keys[1:], "1 of 2 required signatures"},
		"strict rule, two":          {"patch-os", nil, prod1, keys[:2], ""},
		"elsewhere one is enough":   {"patch-os", nil, lab1, keys[:1], ""},
		"the rule of readers":       {"read-log", []string{"abc"}, prod1, keys[2:], ""},
		"arguments that do not fit": {"read-log", []string{"abc", "/etc"}, prod1, keys[2:], "only with arguments that match"},
		"somebody else":             {"read-log", nil, prod1, keys[:2], "0 of 1 required signatures"},
		"no rule":                   {"other", nil, prod1, keys, "no rule of the policy"},
		"nobody has to sign":        {"lab-x", nil, lab1, nil, ""},
		"there alone":               {"lab-x", nil, prod1, nil, "no rule of the policy"},
	} {
		o := newOrder()
		o.Job, o.Arguments = c.job, c.arguments
		envelope, err := trust.SignOrder(o, c.signers...)
		must(t, err)
		signed, err := policy.OpenOrder(envelope)
		must(t, err)
		if err := policy.Permits(signed, c.client); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestBadPoliciesAreRefused(t *testing.T) {
	for name, change := range map[string]func(*trust.Policy){
		"threshold above the keys": func(p *trust.Policy) { p.Orders[0].Threshold = 4 },
		"negative threshold":       func(p *trust.Policy) { p.Orders[0].Threshold = -1 },
		"a key twice":              func(p *trust.Policy) { p.Orders[0].Keys = []string{"alice", "alice"} },
		"nobody":                   func(p *trust.Policy) { p.Orders[0].Keys = []string{"dora"} },
		"one key, two names":       func(p *trust.Policy) { p.People[1].Public = p.People[0].Public },
		"a name with a path":       func(p *trust.Policy) { p.People[0].Name = "../a" },
		"no jobs":                  func(p *trust.Policy) { p.Orders[0].Jobs = nil },
		"no selector":              func(p *trust.Policy) { p.Orders[0].On = "" },
		"half a pattern":           func(p *trust.Policy) { p.Orders[0].Arguments = []string{"("} },
		"another format":           func(p *trust.Policy) { p.Format = "webjob-policy/2" },
	} {
		policy, _ := orderSigners(t, 2)
		change(policy)
		content, err := policy.Encode()
		must(t, err)
		if _, err := trust.ParsePolicy(content); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Approvals add up, for one and the same order.
func TestApprovalsAddUp(t *testing.T) {
	policy, keys := orderSigners(t, 2)
	mine, err := trust.SignOrder(newOrder(), keys[0])
	must(t, err)
	theirs, err := trust.ApproveOrder(mine, keys[1])
	must(t, err)
	merged, err := trust.MergeOrders(mine, theirs)
	must(t, err)
	o, err := policy.OpenOrder(merged)
	must(t, err)
	must(t, policy.Permits(o, prod1))
	other := newOrder()
	other.On = "all"
	different, err := trust.SignOrder(other, keys[1])
	must(t, err)
	if _, err := trust.MergeOrders(mine, different); webjob.KindOf(err) != webjob.Conflict {
		t.Errorf("the approval of another order: %v", err)
	}
}

// Every field of an order is signed: whatever is changed in it is noticed. And a
// manifest does not pass for an order.
func TestEditedOrdersAreRefused(t *testing.T) {
	policy, keys := orderSigners(t, 1)
	envelope, err := trust.SignOrder(newOrder(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	var parsed map[string]any
	if err := json.Unmarshal(envelope, &parsed); err != nil {
		t.Fatal(err)
	}
	document, err := base64.StdEncoding.DecodeString(parsed["payload"].(string))
	if err != nil {
		t.Fatal(err)
	}
	for old, changed := range map[string]string{
		`"id":"o1"`: `"id":"o2"`, `"job":"job"`: `"job":"rm"`, `"version":3`: `"version":2`, "env=prod and not id=web9": "all", `["-v"]`: `["-x"]`,
		"2026-03-01T13": "2036-03-01T13", `"not_before":"2026`: `"not_before":"2020`,
	} {
		edited := bytes.Replace(document, []byte(old), []byte(changed), 1)
		if bytes.Equal(edited, document) {
			t.Fatalf("%s is not in %s", old, document)
		}
		parsed["payload"] = base64.StdEncoding.EncodeToString(edited)
		forged, err := json.Marshal(parsed)
		if err != nil {
			t.Fatal(err)
		}
		o, err := policy.OpenOrder(forged)
		must(t, err)
		if err := policy.Permits(o, webjob.Subject{ID: "web1"}); webjob.KindOf(err) != webjob.Refused {
			t.Errorf("%s: got %v", changed, err)
		}
	}
	other := bytes.Replace(envelope, []byte("webjob.order.v1"), []byte("webjob.other.v1"), 1)
	if _, err := policy.OpenOrder(other); webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), "not the expected order") {
		t.Errorf("something else passed for an order: %v", err)
	}
	for name, text := range map[string][]byte{
		"trailing bytes": append(bytes.Clone(envelope), "{}"...), "unknown member": bytes.Replace(envelope, []byte(`{`), []byte(`{"x":1,`), 1),
		"empty": {}, "not an envelope": []byte(`[]`), "cut short": envelope[:len(envelope)/2],
		"1,000 signatures": bytes.Replace(envelope, []byte(`"signatures":[`), []byte(`"signatures":[`+strings.Repeat(`{"keyid":"","sig":""},`, 1000)), 1),
		"two megabytes":    append(bytes.Clone(envelope), bytes.Repeat([]byte(" "), 2<<20)...),
	} {
		if o, err := policy.OpenOrder(text); err == nil {
			t.Errorf("%s: accepted as %+v", name, o)
		}
	}
}

func TestOrdersHoldInTheirWindowForTheirClients(t *testing.T) {
	policy, keys := orderSigners(t, 1)
	verify := func(o *webjob.Order) *trust.SignedOrder {
		t.Helper()
		envelope, err := trust.SignOrder(o, keys[0])
		if err != nil {
			t.Fatal(err)
		}
		signed, err := policy.OpenOrder(envelope)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	once := verify(newOrder())
	hourly := newOrder()
	hourly.Schedule = &webjob.Schedule{At: "@every 10m", Missed: webjob.MissedSkip}
	repeated := verify(hourly)
	prod := webjob.Subject{ID: "web1", Labels: webjob.Labels{"env": "prod"}}
	for name, c := range map[string]struct {
		order   *trust.SignedOrder
		subject webjob.Subject
		at, now time.Time
		want    string // "" is allowed
	}{
		"now":                     {once, prod, time.Time{}, orderTime.Add(time.Minute), ""},
		"a day early":             {once, prod, time.Time{}, orderTime.Add(-24 * time.Hour), "begins at 2026-03-01T12:00:00Z and it is 2026-02-28T12:00:00Z here"},
		"a day late":              {once, prod, time.Time{}, orderTime.Add(24 * time.Hour), "expired at"},
		"another client":          {once, webjob.Subject{ID: "web9", Labels: prod.Labels}, time.Time{}, orderTime, "the wrong client"},
		"another label":           {once, webjob.Subject{ID: "web1"}, time.Time{}, orderTime, "the wrong client"},
		"a time without schedule": {once, prod, orderTime, orderTime, "does not fit"},
		"no time of the schedule": {repeated, prod, time.Time{}, orderTime, "does not fit"},
		"its time":                {repeated, prod, orderTime.Add(10 * time.Minute), orderTime.Add(11 * time.Minute), ""},
		"another time":            {repeated, prod, orderTime.Add(9 * time.Minute), orderTime.Add(11 * time.Minute), "no run at"},
		"a time to come":          {repeated, prod, orderTime.Add(20 * time.Minute), orderTime.Add(11 * time.Minute), "mend this clock"},
		"a time long past":        {repeated, prod, orderTime.Add(10 * time.Minute), orderTime.Add(21 * time.Minute), "another one is due since"},
	} {
		err := c.order.Allows(c.subject, c.at, c.now)
		if c.want == "" && err != nil || c.want != "" && (webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func FuzzOrder(f *testing.F) {
	policy, keys := orderSigners(f, 1)
	envelope, err := trust.SignOrder(newOrder(), keys[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := policy.OpenOrder(data)
		if err != nil || policy.Permits(o, prod1) != nil {
			return
		}
		if want := newOrder(); o.ID != want.ID || o.On != want.On || o.Arguments[0] != want.Arguments[0] {
			t.Fatalf("an order that nobody signed was accepted: %+v", o.Order)
		}
	})
}
