package tickets

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Tickets are of one client, one line and one key, and nobody else makes them.
func TestTicketsOfOthersDoNotCount(t *testing.T) {
	k := keeper{key: []byte("key"), client: "web1", line: "run"}
	text := k.encode(ticket{7, newValue()})
	if k.decode(text).number != 7 {
		t.Fatal("its own ticket does not count")
	}
	changed := []byte(text)
	changed[3] ^= 1
	for name, got := range map[string]ticket{
		"another client's": keeper{k.key, "web2", "run"}.decode(text),
		"another line's":   keeper{k.key, "web1", "agent"}.decode(text),
		"another key's":    keeper{[]byte("other"), "web1", "run"}.decode(text),
		"a changed one":    k.decode(string(changed)),
		"a cut one":        k.decode(text[:20]),
		"a word told":      k.decode(k.encodeTold(7, 7)),
		"a step":           k.decode(text + stepMark),
		"nonsense":         k.decode("../../x"),
	} {
		if got != (ticket{}) {
			t.Errorf("%s counts: %v", name, got)
		}
	}
	if k.decodeTold(text, 0) != 0 || k.decodeTold(k.encodeTold(1, 7), 2) != 0 || k.decodeTold(k.encodeTold(1, 7), 1) != 7 {
		t.Error("a word told is not of one generation")
	}
}

// Nothing that a server says makes a client take two steps from one ticket, nor one
// without a request.
func TestHolderTakesOnlyTheTicketOfItsStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Holder{&disk{t: t}}
		k := keeper{key: []byte("key")}
		step, err := h.Step()
		if err != nil {
			t.Fatal(err)
		}
		_, next, _ := parseStep(step)
		for _, text := range []string{"", "nonsense", step, k.encode(ticket{1, newValue()}), strings.Repeat("A", 43), rapid.String().Draw(t, "said")} {
			if err := h.Keep(text); err != nil {
				t.Fatal(err)
			}
			if again, err := h.Step(); again != step || err != nil {
				t.Fatalf("after %q the step is %q, %v", text, again, err)
			}
		}
		given := k.encode(ticket{rapid.Uint64().Draw(t, "number"), next})
		if err := h.Keep(given); err != nil {
			t.Fatal(err)
		}
		if shown, err := h.Shown(); shown != given || err != nil {
			t.Fatalf("it shows %q, %v", shown, err)
		}
	})
}

func FuzzPlace(f *testing.F) {
	f.Add([]byte{})
	f.Add(place{sequence: 3, ticket: "A", next: value{1}}.encode())
	f.Fuzz(func(t *testing.T, slot []byte) {
		p, ok := parsePlace(slot)
		if ok && !bytes.HasPrefix(bytes.Join(bytes.Fields(p.encode()), []byte(" ")), bytes.Join(bytes.Fields(slot)[:2], []byte(" "))) {
			t.Errorf("%q is read as %v", slot, p)
		}
	})
}

func FuzzTicket(f *testing.F) {
	k := keeper{key: []byte("key"), client: "web1", line: "run"}
	f.Add(k.encode(ticket{7, value{1}}) + stepMark + "AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		shown, _, _ := parseStep(text)
		if got := k.decode(shown); got != (ticket{}) && k.encode(got) != shown {
			t.Errorf("%q is read as %v", shown, got)
		}
		valueOf(shown)
	})
}
