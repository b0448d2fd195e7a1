package server

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/store/sqlite"
)

// TestChains lets a client lose tickets in crashes and the server forget what it had
// not stored: no clone is told. With a second holder, one is.
func TestChains(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		client := "web" + string(rune('a'+round%26)) + rapid.StringMatching(`[a-z]{8}`).Draw(t, "client")
		var told atomic.Int64
		open := func() *chains {
			c, err := newChains(t.Context(), []byte("secret"), store)
			if err != nil {
				t.Fatal(err)
			}
			c.notify = func(webjob.Clone) { told.Add(1) }
			return c
		}
		c := open()
		var mine []string // tickets that the client got, the newest last
		last := func(tickets []string) string {
			if len(tickets) == 0 {
				return ""
			}
			return tickets[len(tickets)-1]
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0: // a crash of the client loses the newest ticket
				if len(mine) > 0 {
					mine = mine[:len(mine)-1]
				}
			case 1: // the server stops
				if err := c.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				c = open()
			case 2: // or crashes
				c = open()
			default:
				mine = append(mine, c.next(client, lineRun, last(mine), "10.0.0.1:1"))
			}
		}
		if len(c.told) > 0 {
			t.Fatalf("a clone was told, and there is none")
		}
		mine = append(mine, c.next(client, lineRun, last(mine), "10.0.0.1:1"))
		theirs := []string{last(mine)}
		for range rapid.IntRange(0, 20).Draw(t, "again") { // they try to make the server forget
			if rapid.Bool().Draw(t, "none") {
				c.next(client, lineRun, "", "10.0.0.2:2")
			}
			c.next(client, lineRun, last(theirs), "10.0.0.2:2")
		}
		for range 3 { // both go on, in turns
			theirs = append(theirs, c.next(client, lineRun, last(theirs), "10.0.0.2:2"))
			mine = append(mine, c.next(client, lineRun, last(mine), "10.0.0.1:1"))
		}
		if len(c.told) == 0 {
			t.Fatalf("two holders were not noticed")
		}
	})
}

// TestShownTickets lets requests show tickets beside those that get new ones.
func TestShownTickets(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	for name, c := range map[string]struct {
		shown string // "none", "nonsense", "old", "left" or "newest"
		steps int    // of the real one before
		wait  time.Duration
		clone bool // told at once or with the real one's next job
	}{
		"the newest":                    {"newest", 40, time.Hour, false},
		"an old one while many run":     {"old", 40, time.Second, false},
		"an old one of a crash":         {"old", maxBehind, time.Hour, false},
		"an old one":                    {"old", 40, time.Hour, true},
		"one of a branch that was left": {"left", 40, time.Second, true},
		"none before there was any":     {"none", 0, time.Hour, false},
		"none, under way as jobs began": {"none", maxBehind - 1, time.Hour, false},
		"none":                          {"none", 40, time.Hour, true},
		"nonsense":                      {"nonsense", 40, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			chains, err := newChains(t.Context(), []byte("secret"), store)
			if err != nil {
				t.Fatal(err)
			}
			chains.lines = map[string]*line{}
			chains.notify = func(webjob.Clone) {}
			clock := now()
			chains.now = func() time.Time { return clock }
			var tickets []string
			newest := ""
			for i := range c.steps {
				if i == c.steps-1 {
					clock = clock.Add(c.wait)
				}
				newest = chains.next("web1", lineRun, newest, "10.0.0.1:1")
				tickets = append(tickets, newest)
			}
			clock = clock.Add(c.wait)
			newest = chains.next("web1", lineRun, newest, "10.0.0.1:1")
			shown := map[string]string{"nonsense": "../../x", "newest": newest}[c.shown]
			switch c.shown {
			case "old":
				shown = tickets[0]
			case "left": // the real one lost two in a crash; another has the newest
				shown, newest = newest, chains.next("web1", lineRun, tickets[c.steps-2], "10.0.0.1:1")
			}
			for range 20 {
				chains.show("web1", shown, "10.0.0.2:2")
			}
			chains.next("web1", lineRun, newest, "10.0.0.1:1")
			if told := len(chains.told) > 0; told != c.clone {
				t.Errorf("a clone was told: %t", told)
			}
		})
	}
}

// Tickets are of one client and one line, and nobody but the server makes them.
func TestTicketsOfOthersDoNotCount(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	c, err := newChains(t.Context(), []byte("secret"), store)
	if err != nil {
		t.Fatal(err)
	}
	ticket := c.next("web1", lineRun, "", "")
	if _, _, found := c.decode("web1", lineRun, ticket); !found {
		t.Fatal("its own ticket does not count")
	}
	changed := []byte(ticket)
	changed[3] ^= 1
	for name, decode := range map[string]func() (uint64, uint64, bool){
		"another client's": func() (uint64, uint64, bool) { return c.decode("web2", lineRun, ticket) },
		"another line's":   func() (uint64, uint64, bool) { return c.decode("web1", lineAgent, ticket) },
		"a changed one":    func() (uint64, uint64, bool) { return c.decode("web1", lineRun, string(changed)) },
		"a cut one":        func() (uint64, uint64, bool) { return c.decode("web1", lineRun, ticket[:20]) },
		"nonsense":         func() (uint64, uint64, bool) { return c.decode("web1", lineRun, "../../x") },
	} {
		if _, _, found := decode(); found {
			t.Errorf("%s counts", name)
		}
	}
}

// A branch that the server forgot in a crash has been shown when its holder goes on with
// it: who comes without a ticket then gets another one, and is told at once.
func TestForgottenBranchHasBeenShown(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	open := func() *chains {
		c, err := newChains(t.Context(), []byte("secret"), store)
		if err != nil {
			t.Fatal(err)
		}
		c.notify = func(webjob.Clone) {}
		return c
	}
	c := open()
	c.next("web1", lineRun, "", "10.0.0.1:1")
	if err := c.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mine := c.next("web1", lineRun, "", "10.0.0.1:1") // on a new branch, as its first ticket was lost
	c = open()                                        // a crash: the new branch is not stored
	c.next("web1", lineRun, "", "10.0.0.2:2")
	mine = c.next("web1", lineRun, mine, "10.0.0.1:1")
	c.next("web1", lineRun, "", "10.0.0.2:2")
	if len(c.told) > 0 {
		t.Fatal("a clone was told too early")
	}
	c.next("web1", lineRun, mine, "10.0.0.1:1")
	if len(c.told) == 0 {
		t.Error("two holders were not noticed")
	}
}
