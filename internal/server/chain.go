package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// A client shows with each poll and each job that it asks for the ticket of the
// exchange before, and gets the next one. Two holders of one identity cannot both have
// the newest ticket: sooner or later each shows one that the other's line left behind.
//
// A ticket is a counter on a branch, signed by the server. An older one may mean no
// more than that a client crashed before it kept the newer one; then a new branch
// begins, and what came later on the one before is never heard of again. When it is,
// there are two.
//
// All other requests show the newest ticket of single runs and get none. They run side
// by side, so theirs may be a little old; one that was old long ago gives a copy away.

// Lines of tickets: an agent and single runs have one each, so that neither waits for
// the other.
const (
	lineAgent = "agent"
	lineRun   = "run"
)

// Bounds of what is remembered and forgiven.
const (
	maxAbandoned = 8
	maxBehind    = 16 // tickets that a crash may lose
	cloneQuiet   = time.Hour
	settleTime   = 10 * time.Minute // after so long no request with an older ticket is under way
)

const ticketBytes = 8 + 8 + 16 // counter, branch, code

// chains follows the tickets of all clients.
type chains struct {
	key    []byte
	store  webjob.Clients
	mu     sync.Mutex
	lines  map[string]*line // by client and line
	dirty  map[string]bool
	told   map[string]time.Time // clones, by client
	notify func(webjob.Clone)
	now    func() time.Time
}

// line is a chain and what is known of it since the server began.
type line struct {
	webjob.Chain

	unshown         bool // nobody has shown a ticket of its branch yet
	recent, settled mark // the second is older than settleTime
}

// mark is when a counter was reached.
type mark struct {
	counter uint64
	at      time.Time
}

func newChains(ctx context.Context, secret []byte, store webjob.Clients) (*chains, error) {
	key := sha256.Sum256(append([]byte("webjob tickets 1\n"), secret...))
	c := &chains{key: key[:], store: store, lines: map[string]*line{}, dirty: map[string]bool{}, told: map[string]time.Time{}, now: now}
	return c, store.Chains(ctx, func(chain webjob.Chain) error {
		c.lines[chain.Client+"/"+chain.Line] = &line{Chain: chain, recent: mark{chain.Counter, chain.At}}
		return nil
	})
}

// code signs a ticket.
func (c *chains) code(client, name string, counter, branch uint64) []byte {
	m := hmac.New(sha256.New, c.key)
	fmt.Fprintf(m, "%s/%s/%d/%d", client, name, counter, branch)
	return m.Sum(nil)[:16]
}

func (c *chains) encode(client, name string, counter, branch uint64) string {
	raw := binary.BigEndian.AppendUint64(nil, counter)
	raw = binary.BigEndian.AppendUint64(raw, branch)
	return base64.RawURLEncoding.EncodeToString(append(raw, c.code(client, name, counter, branch)...))
}

// decode reads a ticket of ours. Anything else is no ticket.
func (c *chains) decode(client, name, text string) (counter, branch uint64, found bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != ticketBytes {
		return 0, 0, false
	}
	counter, branch = binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])
	return counter, branch, hmac.Equal(raw[16:], c.code(client, name, counter, branch))
}

// next takes a ticket that a client shows and returns the next one.
func (c *chains) next(client, name, ticket, address string) string {
	counter, branch, found := c.decode(client, name, ticket)
	at := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	id := client + "/" + name
	known := c.lines[id]
	if known == nil {
		known = &line{Chain: webjob.Chain{Client: client, Line: name, Counter: counter, Branch: newBranch()}}
		if found {
			known.Branch = branch
		}
		c.lines[id] = known
	}
	known.unshown = known.unshown && (!found || branch != known.Branch)
	switch {
	case !found && known.Counter == 0: // the first exchange
	case !found:
		c.leave(known, 0)
	case known.gaveAway(branch, counter):
		c.clone(known, address, at, reasonLeft)
		c.leave(known, known.Counter-1) // whoever holds its newest ticket is the other one
	case known.left(branch) != nil: // the place where the branches part, once more
		c.leave(known, counter)
	case branch != known.Branch: // ours, and lost here in a crash
		c.abandon(known, max(known.Counter, counter)) // where they parted is not known
		known.Branch, known.Counter, known.unshown = branch, max(known.Counter, counter), false
	case counter >= known.Counter:
		known.Counter = counter
	default:
		if known.Counter-counter > maxBehind {
			c.clone(known, address, at, fmt.Sprintf("a ticket %d exchanges old was shown: the state folder was copied, or restored from a backup", known.Counter-counter))
		}
		c.leave(known, counter)
	}
	known.Counter++
	known.Address, known.At = address, at
	if at.Sub(known.recent.at) > settleTime {
		known.settled, known.recent = known.recent, mark{known.Counter, at}
	}
	c.dirty[id] = true
	return c.encode(client, name, known.Counter, known.Branch)
}

const reasonLeft = "a ticket that another holder of this identity had left behind was shown"

// show takes the ticket that a client shows with a request that gets it none.
func (c *chains) show(client, ticket, address string) {
	counter, branch, found := c.decode(client, lineRun, ticket)
	at := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.lines[client+"/"+lineRun]
	if known == nil {
		return // it has had no ticket
	}
	known.unshown = known.unshown && (!found || branch != known.Branch)
	switch {
	case !found && known.Counter > maxBehind: // none of so many: its next ticket tells whether it is another one
		c.leave(known, 0)
		c.dirty[client+"/"+lineRun] = true
	case !found:
	case known.gaveAway(branch, counter):
		c.clone(known, address, at, reasonLeft)
	case branch == known.Branch && counter < known.settled.counter && counter+maxBehind < known.Counter:
		c.clone(known, address, at, fmt.Sprintf("a ticket %d exchanges old was shown: the state folder was copied, or restored from a backup", known.Counter-counter))
	}
}

// gaveAway reports whether a ticket proves a second holder.
func (known *line) gaveAway(branch, counter uint64) bool {
	left := known.left(branch)
	return left != nil && counter > left.After
}

// left returns a branch that was left behind.
func (known *line) left(branch uint64) *webjob.Branch {
	for i := range known.Abandoned {
		if known.Abandoned[i].ID == branch {
			return &known.Abandoned[i]
		}
	}
	return nil
}

// leave begins a new branch, unless the one of now is as good as new: who asks again
// and again with the same ticket, or none, must not make us forget those before.
func (c *chains) leave(known *line, after uint64) {
	if known.unshown {
		return
	}
	c.abandon(known, after)
	known.Branch, known.unshown = newBranch(), true
}

// abandon leaves the branch of now behind, after a ticket.
func (c *chains) abandon(known *line, after uint64) {
	known.Abandoned = append(known.Abandoned, webjob.Branch{ID: known.Branch, After: after})
	if extra := len(known.Abandoned) - maxAbandoned; extra > 0 {
		known.Abandoned = slices.Delete(known.Abandoned, 0, extra)
	}
}

// clone tells of two holders, not more often than once an hour for a client.
func (c *chains) clone(known *line, address string, at time.Time, reason string) {
	if at.Sub(c.told[known.Client]) < cloneQuiet {
		return
	}
	c.told[known.Client] = at
	clone := webjob.Clone{Client: known.Client, Reason: reason, Address: address, At: at, OtherAddress: known.Address, OtherAt: known.At}
	go c.notify(clone) // it asks the store, and others wait for this lock
}

// forget lets a client begin anew: an operator has looked into it.
func (c *chains) forget(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.told, client)
	for _, name := range []string{lineAgent, lineRun} {
		if known := c.lines[client+"/"+name]; known != nil {
			known.Abandoned, known.Counter = nil, 0
			known.unshown, known.recent, known.settled = false, mark{}, mark{}
			c.dirty[client+"/"+name] = true
		}
	}
}

func newBranch() uint64 {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint64(raw[:]) >> 1
}

// flush stores what has changed. What a crash loses, clients bring back.
func (c *chains) flush(ctx context.Context) error {
	c.mu.Lock()
	var changed []webjob.Chain
	for id := range c.dirty {
		copied := c.lines[id].Chain
		copied.Abandoned = slices.Clone(copied.Abandoned)
		changed = append(changed, copied)
	}
	c.dirty = map[string]bool{}
	c.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	err := c.store.SaveChains(ctx, changed)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, chain := range changed {
			c.dirty[chain.Client+"/"+chain.Line] = true
		}
	}
	return err
}
