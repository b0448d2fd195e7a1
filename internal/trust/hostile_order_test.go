package trust_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// TestHostileOrders lets a server that holds one of two keys widen targets, change
// arguments, re-date, mix signatures, and give orders to others at other times. What a
// client would obey must be an order that two people signed, for it and for now.
func TestHostileOrders(t *testing.T) {
	policy, keys := orderSigners(t, 2)
	stolen, mallory := keys[1], trusttest.Key(t)
	var genuine []webjob.Order
	var envelopes [][]byte
	for i, on := range []string{"env=prod", "id=web1", "env=lab", "env=prod and not id=web1"} {
		o := *newOrder()
		o.ID, o.On = "o"+string(rune('1'+i)), on
		if i == 3 {
			o.Schedule = &webjob.Schedule{At: "@every 10m", Missed: webjob.MissedSkip}
		}
		envelope, err := trust.SignOrder(&o, keys[0], keys[2])
		must(t, err)
		genuine, envelopes = append(genuine, o), append(envelopes, envelope)
	}
	clients := []webjob.Subject{prod1, {ID: "web2", Labels: webjob.Labels{"env": "prod"}}, {ID: "lab1", Labels: webjob.Labels{"env": "lab"}}, {ID: "web9"}}
	obeyed, attacks := 0, 0
	for attacks < *attackCount {
		rapid.Check(t, func(t *rapid.T) {
			attacks++
			client := rapid.SampledFrom(clients).Draw(t, "client")
			data := tamper(t, rapid.SampledFrom(envelopes).Draw(t, "order"), envelopes, stolen, mallory)
			now := orderTime.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "minutes")) * time.Minute)
			var at time.Time
			if rapid.Bool().Draw(t, "timed") {
				at = orderTime.Add(time.Duration(rapid.IntRange(-10, 10).Draw(t, "time")) * 10 * time.Minute)
			}
			o, err := policy.OpenOrder(data)
			if err != nil || policy.Permits(o, client) != nil || o.Allows(client, at, now) != nil {
				return
			}
			obeyed++
			i := slices.IndexFunc(genuine, func(g webjob.Order) bool { return g.ID == o.ID })
			text, _ := trust.Canonical(o.Order)
			var want []byte
			if i >= 0 {
				want, _ = trust.Canonical(genuine[i])
			}
			selector, err := webjob.ParseSelector(o.On)
			if !bytes.Equal(text, want) || err != nil || !selector.Matches(client) || now.Before(o.NotBefore) || !now.Before(o.Expires) {
				t.Fatalf("client %s obeys at %s (for %s): %s", client.ID, now, at, text)
			}
		})
	}
	if obeyed == 0 {
		t.Error("no order was obeyed at all; the attacks are not what they should be")
	}
	t.Logf("%d offers of a hostile server, %d of them genuine and in place, 0 wrong", attacks, obeyed)
}

func tamper(t *rapid.T, data []byte, others [][]byte, stolen, mallory *trust.PrivateKey) []byte {
	var envelope map[string]any
	if err := json.Unmarshal(data, &envelope); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
	if err != nil {
		t.Fatal(err)
	}
	edited := false
	replace := func(old, text string) {
		payload = bytes.Replace(payload, []byte(old), []byte(text), 1)
		edited = true
	}
	for range rapid.IntRange(0, 3).Draw(t, "steps") {
		switch rapid.IntRange(0, 7).Draw(t, "step") {
		case 0:
			replace(`"on":"env=prod`, `"on":"all`)
		case 1:
			replace(`["-v"]`, `["-rf","/"]`)
		case 2:
			replace("2026-03-01T13", "2036-03-01T13")
		case 3:
			replace(`"id":"o`, `"id":"p`)
		case 4: // the signatures of another order
			var other map[string]any
			if err := json.Unmarshal(rapid.SampledFrom(others).Draw(t, "other"), &other); err != nil {
				t.Fatal(err)
			}
			envelope["signatures"] = other["signatures"]
		case 5: // one signature, three times
			signatures := envelope["signatures"].([]any)
			envelope["signatures"] = []any{signatures[0], signatures[0], signatures[0]}
		case 6:
			envelope["payloadType"] = rapid.SampledFrom([]string{trust.OrderType, "application/json", ""}).Draw(t, "type")
		case 7:
			replace(`"version":3`, `"version":2`)
		}
	}
	envelope["payload"] = base64.StdEncoding.EncodeToString(payload)
	encoded, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "sign") || edited { // with all the keys that it has
		if signed, err := trust.ApproveOrder(encoded, stolen, mallory); err == nil {
			encoded = signed
		}
	}
	return encoded
}
