package tickets

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// Store keeps lines. SaveChains never takes a line back: it keeps the higher of
// generation and number. Chains visits all.
type Store interface {
	SaveChains(ctx context.Context, chains []webjob.Chain) error
	Chains(ctx context.Context, visit func(webjob.Chain) error) error
}

// window is how many steps behind a request may be that takes none: others of its client
// take them beside it. It decides how soon it must look again, and nothing else.
const window = 4

// quietTime is how long no more is told of a client after two holders of it were.
const quietTime = time.Hour

// Book is the server's half: the newest ticket that it knows of each line.
//
// It is held in memory and stored now and then. What is lost in a crash clients bring
// back, because tickets prove themselves; see the rules at judge.
type Book struct {
	key   []byte
	store Store
	now   func() time.Time

	mu       sync.Mutex
	lines    map[name]*line
	dirty    map[name]bool
	reported map[string]time.Time // that two hold an identity, by client
}

type name struct{ client, line string }

// line is the newest ticket that is known, and who showed or got it.
type line struct {
	ticket            // number 0: nothing is known
	generation uint64 // how often what was known was put aside
	address    string
	at         time.Time
}

// Request is what a client shows.
type Request struct {
	Client, Line string
	Ticket       string // of a step: with the value of the next one
	Told         string // the word that it is behind, given back; "" for none
	Address      string
}

// Verdict is what a request is.
type Verdict int

const (
	// Fine is to be served.
	Fine Verdict = iota
	// Behind says that the ticket is not the newest. It may be a request that comes late, so it
	// accuses nobody; and it may be a copy, so nothing is handed out. Who is alive asks
	// again with the word of Answer.Told and the newest ticket.
	Behind
	// Twice says that two hold this identity, or its state folder was set back.
	Twice
)

// Answer is the judgement of a request.
type Answer struct {
	Verdict Verdict
	Ticket  string        // for a step that is served; "" for a program of the version before
	Told    string        // for one that is behind
	Steps   uint64        // how far it is behind
	Clone   *webjob.Clone // what is to be told of two holders; nil when that was done a moment ago
}

// Open makes a book of what is stored. The key signs tickets; with another key nothing
// that is stored counts, and clients begin anew.
func Open(ctx context.Context, secret []byte, store Store) (*Book, error) {
	key := sha256.Sum256(append([]byte("webjob tickets 2\n"), secret...))
	b := &Book{
		key: key[:], store: store, now: func() time.Time { return time.Now().UTC() },
		lines: map[name]*line{}, dirty: map[name]bool{}, reported: map[string]time.Time{},
	}
	return b, store.Chains(ctx, func(c webjob.Chain) error {
		known := &line{generation: c.Generation, address: c.Address, at: c.At}
		known.ticket = b.keeper(name{c.Client, c.Line}).decode(c.Ticket)
		if c.Ticket != "" && known.number == 0 {
			known.generation++ // by another key
		}
		b.lines[name{c.Client, c.Line}] = known
		return nil
	})
}

func (b *Book) keeper(n name) keeper { return keeper{key: b.key, client: n.client, line: n.line} }

// Step judges a request that takes a step, and gives the ticket for it. A program of the
// version before takes none: it is served without a ticket until its line has one.
func (b *Book) Step(r Request) Answer {
	k := b.keeper(name{r.Client, r.Line})
	text, next, step := parseStep(r.Ticket)
	shown := k.decode(text)
	following := ticket{shown.number + 1, next}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.known(r)
	if !step {
		return b.answer(r, k, known, shown, judgeOld(known.ticket, shown, known.told(k, r)))
	}
	a := b.answer(r, k, known, shown, judgeStep(known.ticket, shown, following, known.told(k, r)))
	switch a.Verdict {
	case Behind:
		return a
	case Twice: // from here on with who speaks: which one is real is for people to say
		known.generation++
	}
	known.ticket = following
	b.keep(r, known)
	a.Ticket = k.encode(following)
	return a
}

// Show judges a request that takes no step.
func (b *Book) Show(r Request) Answer {
	k := b.keeper(name{r.Client, r.Line})
	shown := k.decode(r.Ticket)
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.known(r)
	a := b.answer(r, k, known, shown, judgeShown(known.ticket, shown, known.told(k, r)))
	if a.Verdict == Fine && shown.number > known.number { // lost here in a crash
		known.ticket = shown
		b.keep(r, known)
	}
	return a
}

// The rules. An honest client follows both, whatever crashes, is lost or comes late:
//
//  1. A number has one value.
//  2. Who was told of a number shows at least the one before it: the server knew the
//     number from a step, and where that step leaves from had been made durable before.
//
// Who breaks one is not alone. All else is served or sent to look again. A number above
// the known one was lost here, and its code proves it.

// judgeStep judges a step to the ticket following.
func judgeStep(known, shown, following ticket, told uint64) Verdict {
	switch {
	case told > following.number:
		return Twice
	case known.number == 0 || shown.number > known.number || shown == known || following == known: // the last: once more
		return Fine
	case shown.number == known.number || following.number == known.number:
		return Twice
	}
	return Behind
}

// judgeShown judges a request that takes no step.
func judgeShown(known, shown ticket, told uint64) Verdict {
	switch {
	case told > shown.number+1:
		return Twice
	case shown.number == known.number && shown != known:
		return Twice
	case shown.number+window >= known.number:
		return Fine
	}
	return Behind
}

// judgeOld judges a request that should take a step and does not: of a program of the
// version before, or of somebody who would like to be taken for one.
func judgeOld(known, shown ticket, told uint64) Verdict {
	verdict := judgeShown(known, shown, told)
	if verdict == Fine && known.number > 0 {
		return Behind
	}
	return verdict
}

// known returns what is known of the line of a request; mu is held.
func (b *Book) known(r Request) *line {
	if known := b.lines[name{r.Client, r.Line}]; known != nil {
		return known
	}
	return &line{}
}

// keep keeps what is known now; mu is held.
func (b *Book) keep(r Request, known *line) {
	known.address, known.at = r.Address, b.now()
	n := name{r.Client, r.Line}
	b.lines[n], b.dirty[n] = known, true
}

// told returns the number that the client was told of, 0 for none.
func (l *line) told(k keeper, r Request) uint64 {
	if r.Told == "" {
		return 0
	}
	return k.decodeTold(r.Told, l.generation)
}

// answer makes an answer of a verdict; mu is held.
func (b *Book) answer(r Request, k keeper, known *line, shown ticket, verdict Verdict) Answer {
	a := Answer{Verdict: verdict}
	switch verdict {
	case Behind:
		a.Told, a.Steps = k.encodeTold(known.generation, known.number), known.number-shown.number
	case Twice:
		at := b.now()
		if at.Sub(b.reported[r.Client]) < quietTime {
			break
		}
		b.reported[r.Client] = at
		reason := "two different tickets of one number were shown: two hold this identity"
		if shown.number+1 < known.number {
			reason = fmt.Sprintf("a ticket %d exchanges old was shown: the state folder was copied, or restored from a backup", known.number-shown.number)
		}
		a.Clone = &webjob.Clone{Client: r.Client, Reason: reason, Address: r.Address, At: at, OtherAddress: known.address, OtherAt: known.at}
	}
	return a
}

// Forget lets a client begin anew: an operator has looked into it.
func (b *Book) Forget(ctx context.Context, client string) error {
	var forgotten []webjob.Chain
	b.mu.Lock()
	for n, known := range b.lines {
		if n.client == client {
			forgotten = append(forgotten, webjob.Chain{Client: client, Line: n.line, Generation: known.generation + 1, Address: known.address, At: known.at})
		}
	}
	b.mu.Unlock()
	if len(forgotten) > 0 {
		if err := b.store.SaveChains(ctx, forgotten); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.reported, client)
	for _, c := range forgotten {
		known := b.lines[name{client, c.Line}]
		known.ticket, known.generation = ticket{}, max(known.generation+1, c.Generation)
	}
	return nil
}

// Flush stores what has changed. What a crash loses, clients bring back.
func (b *Book) Flush(ctx context.Context) error {
	b.mu.Lock()
	var changed []webjob.Chain
	for n := range b.dirty {
		known := b.lines[n]
		c := webjob.Chain{Client: n.client, Line: n.line, Generation: known.generation, Number: known.number, Address: known.address, At: known.at}
		if known.number > 0 {
			c.Ticket = b.keeper(n).encode(known.ticket)
		}
		changed = append(changed, c)
	}
	written := b.dirty
	b.dirty = map[name]bool{}
	b.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	err := b.store.SaveChains(ctx, changed)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		maps.Copy(b.dirty, written)
	}
	return err
}
