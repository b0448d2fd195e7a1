package endpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tickets"
)

// nothing is a store that forgets.
type nothing struct{}

func (nothing) SaveChains(context.Context, []webjob.Chain) error       { return nil }
func (nothing) Chains(context.Context, func(webjob.Chain) error) error { return nil }

func newLine(t *testing.T) (Line, *tickets.Book) {
	t.Helper()
	book, err := tickets.Open(t.Context(), []byte("secret"), nothing{})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), string(TargetGet))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return Line{filepath.Join(folder, runTickets)}, book
}

// Many at once use one state folder: their steps come one after another, some fail, some
// show a ticket beside them, and nobody is taken for a second holder.
func TestManyProcessesShareOneLine(t *testing.T) {
	line, book := newLine(t)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for range 20 {
				err := line.exchange(func(step string) (string, error) {
					a := book.Step(tickets.Request{Client: "web1", Line: "run", Ticket: step})
					if a.Verdict != tickets.Fine || a.Ticket == "" {
						t.Errorf("a step was judged %d", a.Verdict)
					}
					if i%4 == 0 {
						return "", nil // the answer was lost
					}
					return a.Ticket, nil
				})
				ticket, shownErr := line.shown()
				if err := errors.Join(err, shownErr); err != nil {
					t.Error(err)
				}
				if a := book.Show(tickets.Request{Client: "web1", Line: "run", Ticket: ticket}); a.Verdict == tickets.Twice {
					t.Error("it was taken for a second holder")
				}
			}
		})
	}
	work.Wait()
}

// A client without tickets shows none, and one whose folder cannot be written to sends
// nothing that it could forget.
func TestTicketsThatCannotBeKept(t *testing.T) {
	line, _ := newLine(t)
	if ticket, err := line.shown(); ticket != "" || err != nil {
		t.Errorf("it shows %q, %v", ticket, err)
	}
	if err := os.Mkdir(line.file, 0o700); err != nil {
		t.Fatal(err)
	}
	err := line.exchange(func(string) (string, error) {
		t.Error("a request was sent")
		return "", nil
	})
	if webjob.KindOf(err) != webjob.Unavailable {
		t.Errorf("got %v", err)
	}
}

// While an agent of the version before runs, its client stays one without tickets: the
// server would not serve the two side by side.
func TestLineBeginsWhenTheAgentIsOfThisVersion(t *testing.T) {
	line, book := newLine(t)
	state := filepath.Dir(filepath.Dir(line.file))
	status := filepath.Join(state, agentStatus)
	stepped := func() (step string) {
		t.Helper()
		if err := line.exchange(func(text string) (string, error) {
			step = text
			return "", nil
		}); err != nil {
			t.Fatal(err)
		}
		return step
	}
	if err := os.WriteFile(status, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if step := stepped(); step != "" {
		t.Errorf("beside an older agent it takes step %q", step)
	}
	long := time.Now().Add(-2 * oldAgentTime)
	if err := os.Chtimes(status, long, long); err != nil {
		t.Fatal(err)
	}
	if stepped() == "" {
		t.Error("it takes no step though the older agent is gone")
	}
	if err := errors.Join(os.Remove(line.file), os.Chtimes(status, time.Now(), time.Now())); err != nil {
		t.Fatal(err)
	}
	agent := Line{filepath.Join(state, string(TargetGet), agentTickets)}
	if _, err := agent.Step(); err != nil {
		t.Fatal(err)
	}
	if stepped() == "" {
		t.Error("it takes no step beside an agent of this version")
	}
	if err := os.Remove(agent.file); err != nil {
		t.Fatal(err)
	}
	if step := stepped(); step != "" {
		t.Errorf("before its first ticket it takes step %q", step)
	}
	if err := os.Chtimes(status, long, long); err != nil {
		t.Fatal(err)
	}
	if err := line.exchange(func(step string) (string, error) {
		return book.Step(tickets.Request{Client: "web1", Line: "run", Ticket: step}).Ticket, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(status, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if stepped() == "" {
		t.Error("a line that has begun takes no step")
	}
}
