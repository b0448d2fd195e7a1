package server

import (
	"context"
	"slices"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
)

func percent(n int64) string { return strconv.FormatInt(n, 10) + " %" }

// NewOrder takes an order in: it checks it as clients will, finds the clients that it
// is for, and stores it with a run for each. Without enough signatures it is pending:
// nobody is told of it. The same envelope again is not an error.
func (s *Server) NewOrder(ctx context.Context, envelope []byte, operator string) (webjob.OrderStatus, error) {
	_, policy, _, err := s.repository.view()
	if err != nil {
		return webjob.OrderStatus{}, err
	}
	signed, err := policy.OpenOrder(envelope)
	if err != nil {
		return webjob.OrderStatus{}, err
	}
	status := webjob.OrderStatus{
		Order: signed.Order, State: webjob.OrderOpen, CreatedBy: operator, SignedBy: signed.SignedBy, Envelope: envelope, Counts: webjob.Counts{},
	}
	at := now()
	if !at.Before(signed.Expires) {
		return status, webjob.Errorf(webjob.Invalid, "order %s expired at %s and it is %s at the server; give it a later end", signed.ID, signed.Expires.Format(time.RFC3339), at.Format(time.RFC3339))
	}
	v, err := s.orderedVersion(ctx, signed, at)
	if err != nil {
		return status, err
	}
	targets, err := s.targets(ctx, signed, v)
	if err != nil {
		return status, err
	}
	if status.State, err = judgeOrder(policy, signed, targets); err != nil {
		return status, err
	}
	var runs []webjob.OrderRun
	switch {
	case signed.Schedule == nil:
		runs = runsFor(signed, targets, time.Time{})
	case !signed.Schedule.Agent:
		status.NextAt = signed.Times().Next(later(at, signed.NotBefore).Add(-time.Second))
	}
	if err := s.dispatcher.room(len(runs)); err != nil {
		return status, err
	}
	added, err := s.store.AddOrder(ctx, status, runs)
	if err != nil {
		return status, err
	}
	stored, err := s.store.Order(ctx, signed.ID)
	if err != nil || !added {
		return s.dispatcher.overlay(stored), err
	}
	counts := stored.Counts
	stored.Counts = webjob.Counts{}
	s.dispatcher.add(stored, signed, runs)
	stored.Counts = counts
	return stored, nil
}

// judgeOrder asks the policy about every client that the order is for. It is pending
// while any of them would want more signatures, and refused when no signature would
// help, or none that it has does.
func judgeOrder(policy *trust.Policy, signed *trust.SignedOrder, targets []webjob.Client) (webjob.OrderState, error) {
	state := webjob.OrderOpen
	for _, c := range targets {
		have, missing, err := policy.Judge(signed, c.Subject())
		switch {
		case err == nil:
		case missing == 0 || have == 0:
			return state, err
		default:
			state = webjob.OrderPending
		}
	}
	return state, nil
}

// Approve adds the signatures of another copy of an order's envelope.
func (s *Server) Approve(ctx context.Context, id string, envelope []byte) (webjob.OrderStatus, error) {
	_, policy, _, err := s.repository.view()
	if err != nil {
		return webjob.OrderStatus{}, err
	}
	s.approvals.Lock()
	defer s.approvals.Unlock()
	status, err := s.store.Order(ctx, id)
	if err != nil {
		return status, err
	}
	if status.State != webjob.OrderPending {
		return status, webjob.Errorf(webjob.Conflict, "order %s is %s; it waits for no signature", id, status.State)
	}
	if status.Envelope, err = trust.MergeOrders(status.Envelope, envelope); err != nil {
		return status, err
	}
	signed, err := policy.OpenOrder(status.Envelope)
	if err != nil {
		return status, err
	}
	v, err := s.orderedVersion(ctx, signed, now())
	if err != nil {
		return status, err
	}
	targets, err := s.targets(ctx, signed, v)
	if err != nil {
		return status, err
	}
	status.SignedBy = signed.SignedBy
	if status.State, err = judgeOrder(policy, signed, targets); err != nil {
		return status, err
	}
	if err := s.store.ApproveOrder(ctx, status); err != nil {
		return status, err
	}
	s.dispatcher.approved(status, signed)
	return status, nil
}

// orderedVersion returns the version that the order names when it may be ordered.
func (s *Server) orderedVersion(ctx context.Context, o *trust.SignedOrder, at time.Time) (webjob.JobVersion, error) {
	v, err := s.store.JobVersion(ctx, o.Job, o.Version)
	if err != nil {
		return v, err
	}
	if !v.WithdrawnAt.IsZero() {
		return v, webjob.Errorf(webjob.Conflict, "job %s version %d was withdrawn at %s; order another version", o.Job, o.Version, v.WithdrawnAt.Format(time.RFC3339))
	}
	if v.Manifest != o.Manifest {
		return v, webjob.Errorf(webjob.Conflict, "the order names manifest %s and job %s version %d here is %s", o.Manifest.Short(), o.Job, o.Version, v.Manifest.Short())
	}
	m, err := trust.ParseManifest(v.Text, v.Manifest, at)
	if err != nil {
		return v, err
	}
	if err := m.CheckArguments(o.Arguments); err != nil {
		return v, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return v, nil
}

// targets returns the clients that the order is for. Those that are connected come
// first: the first ones are the canary.
func (s *Server) targets(ctx context.Context, o *trust.SignedOrder, v webjob.JobVersion) ([]webjob.Client, error) {
	clients, err := s.allClients(ctx)
	if err != nil {
		return nil, err
	}
	connected := s.dispatcher.connected()
	var targets []webjob.Client
	for _, c := range clients {
		if mayGet(c, v) && o.Selects(c.Subject()) {
			targets = append(targets, c)
		}
	}
	slices.SortStableFunc(targets, func(a, b webjob.Client) int {
		switch {
		case connected[a.ID] == connected[b.ID]:
			return 0
		case connected[a.ID]:
			return -1
		}
		return 1
	})
	if len(targets) == 0 && !o.Late && o.Schedule == nil {
		return nil, webjob.Errorf(webjob.Invalid, "%q selects none of the %d clients that may get %s version %d; mend the selector, or add --late for clients that come later", o.On, len(clients), o.Job, o.Version)
	}
	return targets, nil
}

// mayGet reports whether a version is for the client, and the client not shut out.
func mayGet(c webjob.Client, v webjob.JobVersion) bool {
	return !c.Revoked() && slices.Contains(webjob.ScopesFor(c.ID, c.Labels), v.Scope)
}

func runsFor(o *trust.SignedOrder, clients []webjob.Client, at time.Time) []webjob.OrderRun {
	created := now()
	var runs []webjob.OrderRun
	for i, c := range clients {
		runs = append(runs, webjob.OrderRun{
			Run: o.RunID(c.ID, at), Order: o.ID, Client: c.ID, At: at, Rank: int64(i), State: webjob.RunQueued, Updated: created,
		})
	}
	return runs
}

// allClients returns every client.
func (s *Server) allClients(ctx context.Context) ([]webjob.Client, error) {
	var clients []webjob.Client
	page := webjob.Page{Limit: webjob.MaxPage}
	for {
		some, err := s.store.ListClients(ctx, page)
		if err != nil {
			return nil, err
		}
		clients = append(clients, some...)
		if len(some) < page.Limit {
			return clients, nil
		}
		page.After = some[len(some)-1].ID
	}
}

// Select tells whom a selector means.
func (s *Server) Select(ctx context.Context, on string) (api.SelectResponse, error) {
	response := api.SelectResponse{Examples: []string{}}
	selector, err := webjob.ParseSelector(on)
	if err != nil {
		return response, err
	}
	clients, err := s.allClients(ctx)
	for _, c := range clients {
		if c.Revoked() {
			continue
		}
		response.Enrolled++
		if selector.Matches(c.Subject()) {
			response.Matching++
			if len(response.Examples) < 5 {
				response.Examples = append(response.Examples, c.ID)
			}
		}
	}
	return response, err
}

// OrderDetail returns an order and the runs that are worth a look.
func (s *Server) OrderDetail(ctx context.Context, id string) (api.OrderDetail, error) {
	const some = 5
	o, err := s.store.Order(ctx, id)
	if err != nil {
		return api.OrderDetail{}, err
	}
	detail := api.OrderDetail{Envelope: o.Envelope, OrderStatus: s.dispatcher.overlay(o), Slowest: s.dispatcher.slowest(id, some)}
	for _, state := range []webjob.RunState{webjob.RunFailed, webjob.RunTimedOut, webjob.RunRefusedOne, webjob.RunLost} {
		if o.Counts[state] == 0 || len(detail.Failing) >= some {
			continue
		}
		runs, _, err := s.store.ListOrderRuns(ctx, id, state, webjob.Page{Limit: some - len(detail.Failing)})
		if err != nil {
			return detail, err
		}
		detail.Failing = append(detail.Failing, runs...)
	}
	return detail, nil
}

// joinOrders adds the runs of late joiners: orders that take clients which match later.
func (s *Server) joinOrders(ctx context.Context, id string) error {
	client, err := s.store.Client(ctx, id)
	if err != nil || client.Revoked() {
		return err
	}
	for _, o := range s.dispatcher.late(client) {
		v, err := s.store.JobVersion(ctx, o.signed.Job, o.signed.Version)
		if err != nil {
			return err
		}
		if !mayGet(client, v) || !v.WithdrawnAt.IsZero() {
			continue
		}
		runs := runsFor(o.signed, []webjob.Client{client}, time.Time{})
		runs[0].Rank = webjob.MaxOrderRuns // never of the canary
		if err := s.store.AddOrderRuns(ctx, o.signed.ID, runs, time.Time{}); err != nil {
			return err
		}
		if stored, err := s.store.Order(ctx, o.signed.ID); err != nil {
			return err
		} else if stored.Counts.Total() > o.total {
			s.dispatcher.add(stored, o.signed, runs)
		}
	}
	return nil
}
