package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"webjob.dev/webjob"
)

// Bounds of the writer: changes waiting, and changes in one transaction.
const (
	maxWaiting = 1024
	maxBatch   = 256
	// gatherTime is how long a batch waits for results that are on their way: about as
	// long as the sync that they then share.
	gatherTime = 150 * time.Microsecond
)

// writer is the only one who changes the file. While one transaction is being
// synced the next changes gather; then they share the next transaction.
type writer struct {
	conn     *conn
	forget   func(*subjects) // what was looked up before
	changes  chan change
	expected atomic.Int64 // results that are on their way, in a batch or before it
	stopping chan struct{}
	stopOnce sync.Once
	stopped  chan struct{}
}

// change is one caller's statements. They see the changes before them and are
// undone alone when they fail.
type change struct {
	apply func(context.Context, *conn) error
	about *subjects // what is looked up and depends on it; nil for nothing
	done  chan error
}

func startWriter(ctx context.Context, db *sql.DB, forget func(*subjects)) (*writer, error) {
	conn, err := newConn(ctx, db)
	if err != nil {
		return nil, backendError(err)
	}
	w := &writer{
		conn:     conn,
		forget:   forget,
		changes:  make(chan change, maxWaiting),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	go w.run()
	return w, nil
}

// stop finishes the changes that are waiting and refuses new ones.
func (w *writer) stop() {
	w.stopOnce.Do(func() { close(w.stopping) })
	<-w.stopped
}

// do makes a change and returns nil when it is durable. Once handed over it is waited
// for, even when ctx ends: until then what it touches is the writer's, and a caller who
// left would not know whether it was made.
func (w *writer) do(ctx context.Context, c change) error {
	if err := ctx.Err(); err != nil {
		return backendError(err)
	}
	c.done = make(chan error, 1)
	select {
	case <-w.stopping:
		return webjob.Errorf(webjob.Unavailable, "the server is stopping")
	default:
	}
	select {
	case w.changes <- c:
	case <-w.stopping:
		return webjob.Errorf(webjob.Unavailable, "the server is stopping")
	default:
		return webjob.Errorf(webjob.Unavailable, "the server is busy: %d changes are waiting to be stored", maxWaiting)
	}
	select {
	case err := <-c.done:
		return backendError(err)
	case <-w.stopped: // the change arrived after the last batch was taken
		select {
		case err := <-c.done:
			return backendError(err)
		default:
			return webjob.Errorf(webjob.Unavailable, "the server is stopping")
		}
	}
}

func (w *writer) run() {
	defer close(w.stopped)
	defer func() { // the pool reports errors when it closes
		_ = w.conn.close()
	}()
	for {
		select {
		case c := <-w.changes:
			w.commit(c)
		case <-w.stopping:
			for {
				select {
				case c := <-w.changes:
					w.commit(c)
				default:
					return
				}
			}
		}
	}
}

// commit applies first and whatever waits behind it, in one transaction. The
// context is the writer's own: one caller that leaves must not undo the others.
func (w *writer) commit(first change) {
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		first.done <- err
		return
	}
	var applied []change
	w.conn.counted = nil
	gathering := time.NewTimer(gatherTime)
	defer gathering.Stop()
	for c, more := first, true; more; c, more = w.next(len(applied), gathering.C) {
		failed, broken := w.applyOne(ctx, c)
		switch {
		case broken != nil: // the transaction is lost, and everything in it
			w.rollback(ctx, append(applied, c), broken)
			return
		case failed != nil:
			c.done <- failed
		default:
			applied = append(applied, c)
		}
	}
	err := w.conn.storeCounts(ctx)
	if err == nil {
		_, err = w.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		w.rollback(ctx, applied, err)
		return
	}
	for _, c := range applied {
		if c.about != nil {
			w.forget(c.about)
		}
	}
	for _, c := range applied {
		c.done <- nil
	}
}

// next returns a change that is waiting, if the batch has room. While more changes are
// expected than the batch has, it waits for them until the batch has gathered enough.
func (w *writer) next(size int, enough <-chan time.Time) (change, bool) {
	if size >= maxBatch {
		return change{}, false
	}
	select {
	case c := <-w.changes:
		return c, true
	default:
	}
	if int64(size) >= w.expected.Load() {
		return change{}, false
	}
	select {
	case c := <-w.changes:
		return c, true
	case <-enough:
		return change{}, false
	}
}

// applyOne runs one change in a savepoint. failed is the change's own error,
// which undid only the change; broken means that the transaction cannot go on.
func (w *writer) applyOne(ctx context.Context, c change) (failed, broken error) {
	if _, err := w.conn.ExecContext(ctx, "SAVEPOINT change"); err != nil {
		return nil, err
	}
	before := len(w.conn.counted)
	w.conn.revoked = nil
	failed = c.apply(ctx, w.conn)
	if failed != nil {
		w.conn.counted = w.conn.counted[:before]
		if _, err := w.conn.ExecContext(ctx, "ROLLBACK TO change"); err != nil {
			return nil, errors.Join(failed, err)
		}
	}
	if _, err := w.conn.ExecContext(ctx, "RELEASE change"); err != nil {
		return nil, errors.Join(failed, err)
	}
	return failed, nil
}

// rollback ends a transaction that could not be committed and tells everyone in
// it. SQLite may have rolled back by itself (disk full), so its answer is not asked.
func (w *writer) rollback(ctx context.Context, changes []change, cause error) {
	_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
	for _, c := range changes {
		c.done <- cause
	}
}
