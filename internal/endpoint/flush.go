package endpoint

import (
	"context"
	"errors"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/spool"
	"webjob.dev/webjob/internal/endpoint/upload"
	"webjob.dev/webjob/wire"
)

// Flushed is what came of the results that waited.
type Flushed struct {
	Sent []string         // runs that are acknowledged now
	Kept map[string]error // runs that still wait, and why
}

// Flush sends every result that waits in the spool, and completes the runs whose
// process was killed. It takes at most the PUT limit.
func Flush(ctx context.Context, s *State, settings *Settings) (Flushed, error) {
	sp, err := s.Spool()
	if err != nil {
		return Flushed{}, err
	}
	if _, err := sp.List(); err != nil {
		return Flushed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(settings.PutLimit))
	defer cancel()
	return flush(ctx, s, sp), nil
}

// flush goes on after a failure: one result that cannot be sent must not keep the
// others. A server that does not answer is asked once.
func flush(ctx context.Context, s *State, sp *spool.Spool) Flushed {
	flushed := Flushed{Kept: map[string]error{}}
	list, err := sp.List()
	if err != nil {
		return flushed
	}
	servers := servers{state: s, clients: map[string]*wire.Client{}, failed: map[string]error{}}
	defer servers.close()
	for _, status := range list {
		if status.State == spool.Running {
			continue
		}
		if status.State == spool.Damaged {
			flushed.Kept[status.Run] = webjob.Errorf(webjob.Invalid, "%s", status.Error)
			continue
		}
		if err := servers.send(ctx, sp, status.Run, &flushed); err != nil {
			flushed.Kept[status.Run] = err
		}
	}
	return flushed
}

// servers are the connections of one flush.
type servers struct {
	state   *State
	clients map[string]*wire.Client
	failed  map[string]error // servers that did not answer
}

func (v *servers) send(ctx context.Context, sp *spool.Spool, run string, flushed *Flushed) error {
	entry, err := sp.Lock(run)
	if err != nil || entry == nil {
		return err // nil: another process has it, or it is gone
	}
	record, err := sp.Record(run)
	if err != nil {
		return errors.Join(err, entry.Unlock())
	}
	c, err := v.client(record.PutURL)
	if err != nil {
		return errors.Join(err, entry.Unlock())
	}
	if err := upload.Send(ctx, c, entry); err != nil {
		if webjob.KindOf(err) == webjob.Unavailable {
			v.failed[record.PutURL] = err
		}
		return err
	}
	flushed.Sent = append(flushed.Sent, run)
	return nil
}

func (v *servers) client(address string) (*wire.Client, error) {
	if err := v.failed[address]; err != nil {
		return nil, err
	}
	if c := v.clients[address]; c != nil {
		return c, nil
	}
	e, err := v.state.Enrolments.For(address)
	if err != nil {
		return nil, err
	}
	v.clients[address] = e.Connect()
	return v.clients[address], nil
}

func (v *servers) close() {
	for _, c := range v.clients {
		c.Close()
	}
}
