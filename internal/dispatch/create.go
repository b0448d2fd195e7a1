package dispatch

import (
	"context"
	"slices"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// Creation is a new order: what was signed, who brings it, and for whom it may be.
type Creation struct {
	Envelope []byte
	By       string // operator
	// Within narrows the order to the clients that the creator may order on; "" for all.
	Within string
	// Check refuses targets that the creator may not order on; nil refuses none.
	Check func(targets []webjob.Client) error
}

// Create takes an order in: it checks it as clients will, finds the clients that it
// is for, and stores it with a run for each. Without enough signatures it is pending:
// nobody is told of it. The same envelope again is not an error.
func (d changes) Create(ctx context.Context, c Creation) (webjob.OrderStatus, error) {
	status, runs, err := d.prepare(ctx, c)
	if err != nil {
		return status, err
	}
	webjob.DescribeMore(ctx, "state", status.State)
	added, err := d.Store.AddOrder(ctx, status, runs)
	if err != nil {
		return status, err
	}
	stored, err := d.Store.Order(ctx, status.ID)
	if err != nil {
		return status, err
	}
	if !added {
		return d.Overlay(stored), nil
	}
	d.enter(ctx, stored, runs)
	return stored, nil
}

// enter takes a new order, which is stored, into the cache.
func (d changes) enter(ctx context.Context, stored webjob.OrderStatus, runs []webjob.OrderRun) {
	policy, err := d.Policy()
	if err != nil {
		d.unread(stored.ID, err)
		return
	}
	d.mu.Lock()
	if d.orders[stored.ID] != nil || stored.Revision != 1 {
		d.mu.Unlock()
		err = d.reload(ctx, stored.ID) // somebody changed it already, and it may have other runs
	} else {
		if err = d.know(policy, stored); err == nil {
			d.enterRuns(d.orders[stored.ID], runs)
		}
		d.mu.Unlock()
	}
	if err != nil {
		d.unread(stored.ID, err)
		return
	}
	d.tick()
	if o := d.order(stored.ID); o != nil {
		d.later(ctx, o, d.join(ctx, o)) // who enrolled while the order was made
	}
}

// enterRuns takes the runs of a new order, which may have ended already, into the cache; mu
// is held.
func (d changes) enterRuns(o *order, runs []webjob.OrderRun) {
	if o == nil {
		return
	}
	for _, r := range runs {
		d.attach(o, r, d.looks)
	}
	if o.agentsKeepTime() {
		d.wakeAll()
	}
}

// prepare judges a new order and makes its runs.
func (d changes) prepare(ctx context.Context, c Creation) (status webjob.OrderStatus, runs []webjob.OrderRun, err error) {
	policy, err := d.Policy()
	if err != nil {
		return status, nil, err
	}
	signed, err := policy.OpenOrder(c.Envelope)
	if err != nil {
		return status, nil, err
	}
	status = webjob.OrderStatus{
		Order: signed.Order, State: created, CreatedBy: c.By, SignedBy: signed.SignedBy, Within: c.Within, Envelope: c.Envelope, Counts: webjob.Counts{},
	}
	at := now()
	if !at.Before(signed.Expires) {
		return status, nil, webjob.Errorf(webjob.Invalid, "order %s expired at %s and it is %s at the server; give it a later end", signed.ID, signed.Expires.Format(time.RFC3339), at.Format(time.RFC3339))
	}
	if signed.Created.After(at.Add(madeAhead)) {
		return status, nil, webjob.Errorf(webjob.Invalid, "order %s says that it was made at %s, and it is %s at the server; set the clock where it was made, and make it anew", signed.ID, signed.Created.Format(time.RFC3339), at.Format(time.RFC3339))
	}
	v, err := d.orderedVersion(ctx, signed, at)
	if err != nil {
		return status, nil, err
	}
	targets, err := d.targets(ctx, signed, v)
	if err != nil {
		return status, nil, err
	}
	if c.Check != nil {
		if err := c.Check(targets); err != nil {
			return status, nil, err
		}
	}
	isEnough, err := judgeTargets(policy, signed, targets)
	if err != nil {
		return status, nil, err
	}
	if status.State, _, err = nextOrder(status, eventSigned, isEnough); err != nil {
		return status, nil, err
	}
	switch {
	case signed.Schedule == nil:
		runs = runsFor(signed, targets, time.Time{})
	case !signed.Schedule.Agent:
		status.NextAt = signed.Times().Next(later(at, signed.NotBefore).Add(-time.Second))
	}
	return status, runs, d.room(len(runs))
}

// madeAhead is how far ahead the clock may be by which an order was made. Beyond that its
// window is not the one that was meant.
const madeAhead = 10 * time.Minute

// room reports whether so many more runs fit.
func (d changes) room(n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total+n > webjob.MaxOrderRuns {
		return webjob.Errorf(webjob.Unavailable, "%d runs are not finished and the order adds %d; at most %d at once: wait, or stop other orders", d.total, n, webjob.MaxOrderRuns)
	}
	return nil
}

// isEnough reports whether an order has the signatures that each of its clients wants.
func (d changes) isEnough(ctx context.Context, o webjob.OrderStatus) (bool, error) {
	policy, err := d.Policy()
	if err != nil {
		return false, err
	}
	signed, err := policy.OpenOrder(o.Envelope)
	if err != nil {
		return false, err
	}
	v, err := d.orderedVersion(ctx, signed, now())
	if err != nil {
		return false, err
	}
	targets, err := d.targets(ctx, signed, v)
	if err != nil {
		return false, err
	}
	return judgeTargets(policy, signed, targets)
}

// judgeTargets asks the policy about every client that the order is for. It is refused
// when no signature would help, or none that it has does.
func judgeTargets(policy *trust.Policy, signed *trust.SignedOrder, targets []webjob.Client) (isEnough bool, err error) {
	isEnough = true
	for _, c := range targets {
		have, missing, err := policy.Judge(signed, c.Subject())
		switch {
		case err == nil:
		case missing == 0 || have == 0:
			return false, err
		default:
			isEnough = false
		}
	}
	return isEnough, nil
}

// lacks returns how many more signatures a pending order needs, and whose count. Different
// clients may ask for different people: then each of these helps some.
func (d *book) lacks(ctx context.Context, o webjob.OrderStatus) (missing int, of []string, err error) {
	policy, err := d.Policy()
	if err != nil {
		return 0, nil, err
	}
	signed, err := policy.OpenOrder(o.Envelope)
	if err != nil {
		return 0, nil, err
	}
	err = d.eachClient(ctx, func(c webjob.Client) {
		if c.Revoked() || !signed.Selects(c.Subject()) {
			return
		}
		if n, names := policy.Lacks(signed, c.Subject()); n > 0 {
			missing = max(missing, n)
			of = append(of, names...)
			slices.Sort(of)
			of = slices.Compact(of)
		}
	})
	return missing, of, err
}

// orderedVersion returns the version that the order names when it may be ordered.
func (d changes) orderedVersion(ctx context.Context, o *trust.SignedOrder, at time.Time) (webjob.JobVersion, error) {
	v, err := d.Store.JobVersion(ctx, o.Job, o.Version)
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
func (d changes) targets(ctx context.Context, o *trust.SignedOrder, v webjob.JobVersion) ([]webjob.Client, error) {
	enrolled := 0
	var targets []webjob.Client
	err := d.eachClient(ctx, func(c webjob.Client) {
		enrolled++
		if mayGet(c, v) && o.Selects(c.Subject()) {
			targets = append(targets, c)
		}
	})
	if err != nil {
		return nil, err
	}
	connected := d.Connected()
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
		return nil, webjob.Errorf(webjob.Invalid, "%q selects none of the %d clients that may get %s version %d; mend the selector, or add --late for clients that come later", o.On, enrolled, o.Job, o.Version)
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
