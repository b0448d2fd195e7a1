package server

import (
	"context"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/access"
)

// scope says on which clients an actor may do what.
type scope struct{ *Server }

// mayOn asks whether the actor has the right on a client, by its id.
func (s scope) mayOn(ctx context.Context, a *access.Actor, right webjob.Right, id string) error {
	if a.MayEverywhere(right) == nil {
		return nil
	}
	client, err := s.store.Client(ctx, id)
	if err != nil {
		return err
	}
	return a.MayOn(right, client)
}

// sees returns what tells whether the actor may look at a client, by its id. One that is
// not known is seen only by who sees all.
func (s scope) sees(ctx context.Context, a *access.Actor) func(id string) bool {
	if a.SeesAll() {
		return func(string) bool { return true }
	}
	return func(id string) bool {
		client, err := s.store.Client(ctx, id)
		return err == nil && a.Sees(client)
	}
}

// mayOnOrder asks whether the actor has the right on every client of an order: those that
// have runs of it, and those that would get some.
func (s scope) mayOnOrder(ctx context.Context, a *access.Actor, right webjob.Right, id string) (webjob.OrderStatus, error) {
	o, err := s.store.Order(ctx, id)
	if err != nil {
		return o, err
	}
	within, err := a.Within(right)
	if err != nil || within == "" || within == o.Within {
		return o, err
	}
	clients, err := s.clientsOf(ctx, o)
	if err != nil {
		return o, err
	}
	return o, a.MayOnAll(right, clients)
}

func (s scope) clientsOf(ctx context.Context, o webjob.OrderStatus) ([]webjob.Client, error) {
	joins, err := joiner(o)
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	page := webjob.Page{Limit: webjob.MaxPage}
	for more := true; more; {
		runs, last, err := s.store.ListOrderRuns(ctx, o.ID, nil, page)
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			have[r.Client] = true
		}
		more, page.After = len(runs) == page.Limit, last
	}
	var clients []webjob.Client
	page = webjob.Page{Limit: webjob.MaxPage}
	for more := true; more; {
		list, err := s.store.ListClients(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if page.After = c.ID; have[c.ID] || joins(c) {
				clients = append(clients, c)
			}
		}
		more = len(list) == page.Limit
	}
	return clients, nil
}

// joiner returns what tells whether a client would join the order later.
func joiner(o webjob.OrderStatus) (func(webjob.Client) bool, error) {
	if !o.Late && o.Schedule == nil {
		return func(webjob.Client) bool { return false }, nil
	}
	on, err := webjob.ParseSelector(o.On)
	if err != nil || o.Within == "" {
		return func(c webjob.Client) bool { return on.Matches(c.Subject()) }, err
	}
	within, err := webjob.ParseSelector(o.Within)
	return func(c webjob.Client) bool { return on.Matches(c.Subject()) && within.Matches(c.Subject()) }, err
}

// maxScans bounds the pages of the store that one page of a narrowed list looks through.
const maxScans = 20

// seenPage returns a page of what is seen of a list. It may have fewer items than asked
// for, also none, and go on with last.
func seenPage[T any](page webjob.Page, list func(webjob.Page) ([]T, error), key func(T) string, seen func(T) bool) (items []T, last string, err error) {
	items = []T{}
	for range maxScans {
		found, err := list(page)
		if err != nil {
			return nil, "", err
		}
		for i, item := range found {
			if seen(item) {
				items = append(items, item)
			}
			if len(items) == page.Limit && i < len(found)-1 {
				return items, key(item), nil
			}
		}
		if len(found) < page.Limit {
			return items, "", nil
		}
		page.After = key(found[len(found)-1])
		if len(items) == page.Limit {
			break
		}
	}
	return items, page.After, nil
}
