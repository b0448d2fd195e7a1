package tickets

import (
	"context"
	"errors"
	"testing"
	"time"

	"webjob.dev/webjob"
)

func TestRules(t *testing.T) {
	a, b := value{1}, value{2}
	for name, c := range map[string]struct {
		known, shown, following ticket // no value of following: no step
		told                    uint64
		want                    Verdict
	}{
		"the first step":                          {ticket{}, ticket{}, ticket{1, a}, 0, Fine},
		"a step from the newest":                  {ticket{7, a}, ticket{7, a}, ticket{8, b}, 0, Fine},
		"the last step, once more":                {ticket{8, b}, ticket{7, a}, ticket{8, b}, 0, Fine},
		"one that was lost here":                  {ticket{5, a}, ticket{9, a}, ticket{10, b}, 0, Fine},
		"another step than the last":              {ticket{8, b}, ticket{7, a}, ticket{8, a}, 0, Twice},
		"another first step":                      {ticket{1, b}, ticket{}, ticket{1, a}, 0, Twice},
		"from another ticket of the number":       {ticket{7, a}, ticket{7, b}, ticket{8, b}, 0, Twice},
		"an old step":                             {ticket{9, a}, ticket{7, a}, ticket{8, b}, 0, Behind},
		"an old step, told of a later number":     {ticket{9, a}, ticket{7, a}, ticket{8, b}, 9, Twice},
		"an old step, told of its own number":     {ticket{9, a}, ticket{7, a}, ticket{8, b}, 8, Behind},
		"the newest, told of the one to follow":   {ticket{8, b}, ticket{7, a}, ticket{8, b}, 8, Fine},
		"lost here, told of a later number":       {ticket{5, a}, ticket{7, a}, ticket{8, b}, 9, Twice},
		"none shown":                              {ticket{}, ticket{}, ticket{}, 0, Fine},
		"the newest shown":                        {ticket{9, a}, ticket{9, a}, ticket{}, 0, Fine},
		"another of the number shown":             {ticket{9, a}, ticket{9, b}, ticket{}, 0, Twice},
		"a newer one shown":                       {ticket{9, a}, ticket{12, b}, ticket{}, 0, Fine},
		"the oldest of the window shown":          {ticket{9, a}, ticket{9 - window, b}, ticket{}, 0, Fine},
		"one before the window shown":             {ticket{9, a}, ticket{8 - window, b}, ticket{}, 0, Behind},
		"one before the window, told of it":       {ticket{9, a}, ticket{8 - window, b}, ticket{}, 8 - window, Behind},
		"one before the window, told of the next": {ticket{9, a}, ticket{8 - window, b}, ticket{}, 9 - window, Behind},
		"one before the window, told of more":     {ticket{9, a}, ticket{8 - window, b}, ticket{}, 10 - window, Twice},
	} {
		t.Run(name, func(t *testing.T) {
			got := judgeStep(c.known, c.shown, c.following, c.told)
			if c.following == (ticket{}) {
				got = judgeShown(c.known, c.shown, c.told)
			}
			if got != c.want {
				t.Errorf("it is judged %d, want %d", got, c.want)
			}
		})
	}
}

// bookTest is a book whose server can be killed.
type bookTest struct {
	*Book

	t      *testing.T
	shelf  *shelf
	secret string
}

func newBookTest(t *testing.T) *bookTest {
	b := &bookTest{t: t, shelf: newShelf(), secret: "secret"}
	b.kill()
	return b
}

// kill starts the server again with what was stored.
func (b *bookTest) kill() {
	b.t.Helper()
	var err error
	if b.Book, err = Open(b.t.Context(), []byte(b.secret), b.shelf); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bookTest) store() {
	b.t.Helper()
	if err := b.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// step takes a step from a ticket and wants it to be judged so.
func (b *bookTest) step(from string, next value, want Verdict) Answer {
	b.t.Helper()
	a := b.Step(Request{Client: "web1", Line: "run", Ticket: from + stepMark + encoding.EncodeToString(next[:]), Address: "192.0.2.1:1"})
	if a.Verdict != want {
		b.t.Fatalf("it is judged %d, want %d", a.Verdict, want)
	}
	return a
}

// steps takes so many and returns all tickets, beginning with none.
func (b *bookTest) steps(n int) []string {
	b.t.Helper()
	got := []string{""}
	for range n {
		got = append(got, b.step(got[len(got)-1], value{1}, Fine).Ticket)
	}
	return got
}

// Whom an operator lets in begins from whatever it has, also when the server is killed.
func TestForgottenForGood(t *testing.T) {
	b := newBookTest(t)
	tickets := b.steps(5)
	b.store()
	told := b.step(tickets[1], value{1}, Behind).Told
	if err := b.Forget(t.Context(), "web1"); err != nil {
		t.Fatal(err)
	}
	b.kill()
	a := b.Step(Request{Client: "web1", Line: "run", Ticket: tickets[1] + stepMark + encoding.EncodeToString(make([]byte, 16)), Told: told})
	if a.Verdict != Fine {
		t.Fatalf("it is judged %d", a.Verdict)
	}
	b.store()
	b.kill()
	b.step(tickets[1], value{9}, Twice) // what came after is known again
}

// failing is a store that fails.
type failing struct{ *shelf }

func (failing) SaveChains(context.Context, []webjob.Chain) error { return errors.New("disk full") }

// What cannot be stored is not forgotten here either, and is stored later.
func TestFailingStore(t *testing.T) {
	b := newBookTest(t)
	tickets := b.steps(5)
	b.Book.store = failing{b.shelf}
	if b.Forget(t.Context(), "web1") == nil || b.Flush(t.Context()) == nil {
		t.Fatal("no error")
	}
	b.step(tickets[1], value{1}, Behind)
	b.Book.store = b.shelf
	b.store()
	b.kill()
	b.step(tickets[1], value{1}, Behind)
}

// With another key clients begin anew, and that is stored though its numbers are lower.
func TestAnotherKey(t *testing.T) {
	b := newBookTest(t)
	old := b.steps(5)
	b.store()
	b.secret = "another"
	b.kill()
	first := b.step(old[5], value{3}, Fine).Ticket
	second := b.step(first, value{4}, Fine).Ticket
	b.store()
	b.kill()
	b.step(first, value{5}, Twice)
	_ = second
}

// After two holders were told of, the server goes on with who speaks, and stores that.
func TestTwoHoldersGoOn(t *testing.T) {
	b := newBookTest(t)
	tickets := b.steps(5)
	b.store()
	a := b.Step(Request{Client: "web1", Line: "run", Ticket: tickets[1] + stepMark + encoding.EncodeToString(make([]byte, 16)), Told: b.step(tickets[1], value{1}, Behind).Told, Address: "192.0.2.2:2"})
	if a.Verdict != Twice || a.Ticket == "" || a.Clone == nil || a.Clone.Address != "192.0.2.2:2" || a.Clone.OtherAddress != "192.0.2.1:1" {
		t.Fatalf("got %+v", a)
	}
	b.store()
	b.kill()
	b.step(a.Ticket, value{2}, Fine)
	b.step(a.Ticket, value{3}, Twice)
}

// Two holders are told of once an hour, and again at once when an operator has looked.
func TestTwoHoldersAreToldOfOnceAnHour(t *testing.T) {
	b := newBookTest(t)
	clock := time.Now()
	b.now = func() time.Time { return clock }
	from := b.steps(1)[1]
	last := byte(2)
	fork := func() bool {
		last++
		b.step(from, value{last}, Fine)
		last++
		return b.step(from, value{last}, Twice).Clone != nil
	}
	first := fork()
	if err := b.Forget(t.Context(), "web1"); err != nil {
		t.Fatal(err)
	}
	looked := fork()
	b.lines = map[name]*line{}
	clock = clock.Add(quietTime - time.Second)
	quiet := fork()
	b.lines = map[name]*line{}
	clock = clock.Add(time.Second)
	if later := fork(); !first || !looked || quiet || !later {
		t.Errorf("told: %t, after an operator has looked %t, within an hour %t, after it %t", first, looked, quiet, later)
	}
}

// A request without a step brings back what a crash lost: who is behind it gets nothing.
func TestShownTicketsAreBroughtBack(t *testing.T) {
	b := newBookTest(t)
	tickets := b.steps(7)
	b.kill()
	if a := b.Show(Request{Client: "web1", Line: "run", Ticket: tickets[7]}); a.Verdict != Fine {
		t.Fatalf("it is judged %d", a.Verdict)
	}
	b.step(tickets[2], value{9}, Behind)
}

// A pair of requests, as a job and its result: what judging them costs a server.
func BenchmarkPair(b *testing.B) {
	book, err := Open(b.Context(), []byte("secret"), newShelf())
	if err != nil {
		b.Fatal(err)
	}
	r := Request{Client: "web1", Line: "run", Address: "192.0.2.1:1"}
	newest := ""
	b.ReportAllocs()
	for b.Loop() {
		r.Ticket = newest + stepMark + "AAAAAAAAAAAAAAAAAAAAAA"
		newest = book.Step(r).Ticket
		r.Ticket = newest
		if a := book.Show(r); a.Verdict != Fine {
			b.Fatalf("it is judged %d", a.Verdict)
		}
	}
}
