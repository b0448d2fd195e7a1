package trust_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/trust"
)

var orderTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newOrder() *webjob.Order {
	return &webjob.Order{
		Format: webjob.OrderFormat, ID: "o1", Job: "job", Version: 3, Manifest: webjob.DigestOf([]byte("m")), Arguments: []string{"-v"},
		On: "env=prod and not id=web9", Created: orderTime, NotBefore: orderTime, Expires: orderTime.Add(time.Hour),
	}
}

func orderSigners(t *testing.T, threshold int) (*trust.Root, []*trust.PrivateKey) {
	t.Helper()
	var keys []*trust.PrivateKey
	public := map[string]*trust.PublicKey{}
	for _, name := range []string{"alice", "bob"} {
		key, err := trust.GenerateKey(trust.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		keys, public[name] = append(keys, key), key.PublicKey
	}
	root, err := trust.NewRoot(threshold, public)
	if err != nil {
		t.Fatal(err)
	}
	return root, keys
}

func TestOrdersNeedTheThreshold(t *testing.T) {
	root, keys := orderSigners(t, 2)
	for n := range 3 {
		envelope, err := trust.SignOrder(newOrder(), keys[:n]...)
		if n == 0 {
			if webjob.KindOf(err) != webjob.Invalid {
				t.Fatalf("signed by nobody: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		o, err := root.VerifyOrder(envelope)
		if n < 2 && webjob.KindOf(err) != webjob.Refused || n == 2 && (err != nil || len(o.SignedBy) != 2) {
			t.Errorf("%d signatures: %v", n, err)
		}
	}
}

// Every field of an order is signed: whatever is changed in it is noticed. And a
// manifest does not pass for an order.
func TestEditedOrdersAreRefused(t *testing.T) {
	root, keys := orderSigners(t, 1)
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
		if _, err := root.VerifyOrder(forged); webjob.KindOf(err) != webjob.Refused {
			t.Errorf("%s: got %v", changed, err)
		}
	}
	if _, err := root.VerifyManifest(envelope, orderTime); webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), "not a manifest") {
		t.Errorf("an order passed for a manifest: %v", err)
	}
}

func TestOrdersHoldInTheirWindowForTheirClients(t *testing.T) {
	root, keys := orderSigners(t, 1)
	verify := func(o *webjob.Order) *trust.SignedOrder {
		t.Helper()
		envelope, err := trust.SignOrder(o, keys[0])
		if err != nil {
			t.Fatal(err)
		}
		signed, err := root.VerifyOrder(envelope)
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
	root, keys := func() (*trust.Root, []*trust.PrivateKey) {
		key, err := trust.GenerateKey(trust.Ed25519)
		if err != nil {
			f.Fatal(err)
		}
		root, err := trust.NewRoot(1, map[string]*trust.PublicKey{"alice": key.PublicKey})
		if err != nil {
			f.Fatal(err)
		}
		return root, []*trust.PrivateKey{key}
	}()
	envelope, err := trust.SignOrder(newOrder(), keys[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := root.VerifyOrder(data)
		if err != nil {
			return
		}
		if want := newOrder(); o.ID != want.ID || o.On != want.On || o.Arguments[0] != want.Arguments[0] {
			t.Fatalf("an order that nobody signed was accepted: %+v", o.Order)
		}
	})
}
