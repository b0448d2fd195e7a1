package transport

import (
	"context"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// Places bounds how much of something is done at once, and leaves room for others
// beside each client.
type Places struct {
	what  string        // "receiving results"
	taken chan struct{} // one for each place in use
	most  int           // places of one client

	mu     sync.Mutex
	shares map[string]*share // of the clients that have a place or wait for one
}

// share is what one client has of the places.
type share struct {
	taken chan struct{}
	users int // guarded by places.mu
}

// placeTime is how long a request may wait for a place. Nothing of its body is read
// until then, so it costs a connection and no more.
const placeTime = 20 * time.Second

// NewPlaces returns n places, of which one client has at most a quarter.
func NewPlaces(what string, n int) *Places {
	return &Places{what: what, taken: make(chan struct{}, n), most: n / 4, shares: map[string]*share{}}
}

// Take waits for a place for a client, and returns how to give it back.
func (p *Places) Take(ctx context.Context, client string) (leave func(), err error) {
	p.mu.Lock()
	mine := p.shares[client]
	if mine == nil {
		mine = &share{taken: make(chan struct{}, p.most)}
		p.shares[client] = mine
	}
	mine.users++
	p.mu.Unlock()
	forget := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(p.shares, client)
		}
	}
	deadline := time.Now().Add(placeTime)
	if err := p.wait(ctx, mine.taken, deadline); err != nil {
		forget()
		return nil, err
	}
	if err := p.wait(ctx, p.taken, deadline); err != nil {
		<-mine.taken
		forget()
		return nil, err
	}
	return func() {
		<-p.taken
		<-mine.taken
		forget()
	}, nil
}

func (p *Places) wait(ctx context.Context, taken chan struct{}, deadline time.Time) error {
	select {
	case taken <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case taken <- struct{}{}:
		return nil
	case <-timer.C:
		return webjob.Errorf(webjob.Unavailable, "the server is busy %s; keep what you have and try again", p.what)
	case <-Departed(ctx):
		return webjob.Errorf(webjob.Unavailable, "the client left before there was a place")
	}
}

type departedKey struct{}

// WithDeparture returns the context of a request that is carried out as a whole, whoever
// leaves: it does not end, and tells by Departed when the peer has left.
func WithDeparture(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), departedKey{}, ctx.Done())
}

// Departed is closed when the peer of a request has left; nil when nothing tells.
func Departed(ctx context.Context) <-chan struct{} {
	departed, _ := ctx.Value(departedKey{}).(<-chan struct{})
	return departed
}
