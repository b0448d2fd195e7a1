package tickets

import (
	"flag"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// TestMain walks further than rapid does by itself: these walks cost next to nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks").Value; checks.String() == "100" {
		_ = checks.Set("1000") // a number, as it takes
	}
	os.Exit(m.Run())
}

// Whatever is killed, lost, repeated, late or set back on the servers: one holder is
// never taken for two, and its newest step is always served.
func TestHonestClientIsNeverTakenForTwo(t *testing.T) {
	total := map[Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.IntRange(1, 2).Draw(t, "servers"))
		w.walk(roll(t, 400, "steps"))
		for v, n := range w.verdicts {
			total[v] += n
		}
	})
	if total[Fine] == 0 || total[Behind] == 0 {
		t.Errorf("the world is too quiet to show anything: %v", total)
	}
}

// holder follows the protocol, as webjob does.
type holder struct {
	*world

	disk   *disk
	served int // steps
	twice  bool
}

// step is one whole exchange, and once more with the word that it is behind.
func (h *holder) step() {
	text, err := Holder{h.disk}.Step()
	if err != nil {
		h.Fatal(err)
	}
	a := h.ask(Request{Ticket: text}, true)
	if a.Verdict == Behind {
		a = h.ask(Request{Ticket: text, Told: a.Told}, true)
	}
	if a.Verdict == Behind {
		h.Fatal("neither served nor told of")
	}
	h.twice = h.twice || a.Verdict == Twice
	h.served++
	if err := (Holder{h.disk}).Keep(a.Ticket); err != nil {
		h.Fatal(err)
	}
}

// show is one request that takes no step, and once more when it was behind.
func (h *holder) show() {
	text, err := Holder{h.disk}.Shown()
	if err != nil {
		h.Fatal(err)
	}
	a := h.ask(Request{Ticket: text}, false)
	if a.Verdict == Behind {
		a = h.ask(Request{Ticket: text, Told: a.Told}, false)
	}
	h.twice = h.twice || a.Verdict == Twice
}

func (h *holder) ask(r Request, step bool) Answer {
	r.Client, r.Line, r.Address = "web1", "run", "192.0.2.1:1"
	return h.judge(0, &message{Request: r, step: step})
}

// twoHolders lets an honest world go on for a while and copies the state folder, with
// whatever is under way.
func twoHolders(t *rapid.T) (*world, [2]*holder) {
	w := warmedUp(t)
	return w, [2]*holder{{world: w, disk: w.disk}, {world: w, disk: w.disk.copy()}}
}

func warmedUp(t *rapid.T) *world {
	w := newWorld(t, 1)
	w.walk(roll(t, 60, "before"), "operator lets in")
	return w
}

// When each of two holders has been served two steps, both are known. They may come in
// any order, the copy may be of any moment, and requests of before may still arrive.
func TestTwoHoldersAreNoticedWithinTwoStepsOfEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, holders := twoHolders(t)
		for holders[0].served < 2 || holders[1].served < 2 {
			holders[roll(t, 2, "holder")].step()
			if len(w.under) > 0 && rapid.Bool().Draw(t, "late") { // of the dead
				m := w.under[0]
				w.under = w.under[1:]
				w.judge(0, m)
			}
		}
		if !holders[0].twice && !holders[1].twice {
			t.Fatal("two holders were not noticed")
		}
	})
}

// After a server lost what it knew in the middle, the notice may wait until each has
// taken its turn twice.
func TestLostTicketsOnlyDelayTheNotice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, holders := twoHolders(t)
		for range roll(t, 10, "steps") {
			holders[roll(t, 2, "holder")].step()
		}
		w.setBack()
		holders[0].twice, holders[1].twice = false, false
		first := roll(t, 2, "first")
		for turn := range 4 {
			for range 1 + roll(t, 4, "steps") {
				holders[(first+turn)%2].step()
			}
		}
		if !holders[0].twice && !holders[1].twice {
			t.Fatal("two holders were not noticed")
		}
	})
}

// Who only sends results or reads, and takes no steps, is noticed once the other one has
// taken more steps than requests may be behind.
func TestHolderWhoTakesNoStepsIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, holders := twoHolders(t)
		for range window + 1 {
			holders[0].step()
		}
		holders[1].show()
		if !holders[1].twice {
			t.Fatal("it was not noticed")
		}
	})
}

// thief does what it wants with what it has.
type thief struct {
	*holder

	tickets, tolds []string
	values         []value
	invented       map[value]bool // that the real holder cannot know
}

// rob sends one request of any kind. It reports whether a step was served that the real
// holder did not take.
func (h *thief) rob() (served bool) {
	v := newValue()
	if len(h.values) > 0 && rapid.Bool().Draw(h.T, "a known value") {
		v = h.values[roll(h.T, len(h.values), "value")]
	} else {
		h.invented[v] = true
		h.values = append(h.values, v)
	}
	shown := h.tickets[roll(h.T, len(h.tickets), "ticket")]
	r := Request{Ticket: shown, Told: h.tolds[roll(h.T, len(h.tolds), "told")]}
	step := roll(h.T, 4, "kind") > 0
	if step && roll(h.T, 5, "as a program of before") > 0 {
		r.Ticket += stepMark + encoding.EncodeToString(v[:])
	}
	a := h.ask(r, step)
	if a.Told != "" {
		h.tolds = append(h.tolds, a.Told)
	}
	if a.Ticket != "" {
		h.tickets = append(h.tickets, a.Ticket)
	}
	h.twice = h.twice || a.Verdict == Twice
	return a.Verdict == Fine && a.Ticket != "" && h.invented[v]
}

// A thief with any wiles, for any time: when it was served one step of its own, the
// next step of the real one gives it away. And as long as the real one is ahead, it is
// served none.
func TestNoStepOfAThiefStaysUnnoticed(t *testing.T) {
	successes := 0
	rapid.Check(t, func(t *rapid.T) {
		w := warmedUp(t)
		honest := &holder{world: w, disk: w.disk}
		honest.step() // so that the server knows the newest one
		if rapid.Bool().Draw(t, "one more, whose answer is lost") {
			text, _ := Holder{w.disk}.Step()
			honest.ask(Request{Ticket: text}, true)
		}
		h := &thief{holder: &holder{world: w, disk: w.disk.copy()}, tickets: []string{"", "nonsense"}, tolds: []string{"", "nonsense"}, invented: map[value]bool{}}
		p, err := Holder{h.disk}.read()
		if err != nil {
			t.Fatal(err)
		}
		if p.sequence > 0 {
			h.tickets, h.values = append(h.tickets, p.ticket), append(h.values, p.next)
		}
		for range 8 {
			robbed := false
			for range roll(t, 12, "robs") {
				robbed = h.rob() || robbed
			}
			if h.twice {
				return
			}
			honest.step()
			if robbed && !honest.twice {
				t.Fatal("a step of the thief was not noticed")
			}
			if robbed {
				successes++
				return
			}
			if honest.twice {
				return
			}
		}
	})
	if successes == 0 {
		t.Error("the thief was never served, so that nothing was tested")
	}
}
