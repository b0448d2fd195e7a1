package dispatch

import (
	"context"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/store/sqlite"
	"webjob.dev/webjob/internal/store/sqlite/sqlitetest"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// world is a store with one published job, clients, and who signs orders.
type world struct {
	t       *testing.T
	store   *sqlite.Store
	signers *trusttest.Repository
	version webjob.JobVersion
}

// newWorld has an order need so many signatures of alice, bob and carol.
func newWorld(t *testing.T, threshold int, clients ...string) *world {
	t.Helper()
	return newWorldFor(t, trusttest.New(t, threshold, "alice", "bob", "carol"), clients...)
}

// quickDir is a folder in memory where there is such a thing: that changes last is the
// store's to show.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dispatch-test-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newWorldFor(t *testing.T, signers *trusttest.Repository, clients ...string) *world {
	t.Helper()
	w := &world{t: t, signers: signers}
	var err error
	w.store, err = sqlitetest.Open(t.Context(), filepath.Join(quickDir(t), "meta.db"))
	w.must(err)
	t.Cleanup(func() { _ = w.store.Close() })
	w.version = w.publish("job", 1)
	for _, c := range clients {
		w.enroll(c)
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish(name string, version int64) webjob.JobVersion {
	w.t.Helper()
	m := webjob.Manifest{
		Format: webjob.JobFormat, Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(), Name: name, Version: version, Scope: webjob.ScopeCommon, Created: now().Truncate(time.Second), Expires: now().Add(24 * time.Hour).Truncate(time.Second),
		Payloads: []webjob.Payload{{Platform: "any", Digest: webjob.DigestOf([]byte("x")), Size: 1}},
	}
	text, err := trust.EncodeManifest(&m)
	w.must(err)
	v := webjob.JobVersion{Name: name, Version: version, Scope: webjob.ScopeCommon, Manifest: webjob.DigestOf(text), Text: text, PublishedAt: now(), Expires: m.Expires}
	w.must(w.store.ChangeRepository(w.t.Context(), webjob.RepositoryChange{Publish: []webjob.JobVersion{v}}, now()))
	return v
}

func (w *world) enroll(id string) {
	w.t.Helper()
	secret := webjob.DigestOf([]byte("token of " + id))
	w.must(w.store.AddToken(w.t.Context(), webjob.Token{ID: secret.Short(), Secret: secret, Role: webjob.RoleClient, Uses: 1, Expires: now().Add(time.Hour)}))
	w.must(w.store.Enroll(w.t.Context(), secret, webjob.Client{ID: id, Platform: "linux/amd64", Key: webjob.DigestOf([]byte(id)), EnrolledAt: now()}, webjob.Certificate{Serial: new(big.Int).SetBytes([]byte(id)), NotAfter: now().Add(time.Hour)}, nil))
}

// order returns an order of the job to all clients.
func (w *world) order(id string, change ...func(*webjob.Order)) *webjob.Order {
	o := &webjob.Order{
		Format: webjob.OrderFormat, ID: id, Job: w.version.Name, Version: w.version.Version, Manifest: w.version.Manifest, On: "all",
		Created: now().Truncate(time.Second), NotBefore: now().Add(-time.Minute).Truncate(time.Second), Expires: now().Add(time.Hour).Truncate(time.Second),
	}
	for _, c := range change {
		c(o)
	}
	return o
}

func (w *world) sign(o *webjob.Order, by ...string) []byte {
	w.t.Helper()
	var keys []*trust.PrivateKey
	for _, name := range by {
		keys = append(keys, w.signers.Keys[name])
	}
	envelope, err := trust.SignOrder(o, keys...)
	w.must(err)
	return envelope
}

// dispatcher returns one over a store, which may be the world's own.
func (w *world) dispatcher(store Store) *Dispatcher {
	return New(Neighbours{
		Store: store, Policy: func() (*trust.Policy, error) { return w.signers.Policy(), nil },
		News: func(webjob.OrderStatus) []webjob.Delivery { return nil }, Wake: func() {}, Log: slog.New(slog.DiscardHandler),
	})
}

func (w *world) stored(id string) webjob.OrderStatus {
	w.t.Helper()
	o, err := w.store.Order(w.t.Context(), id)
	w.must(err)
	return o
}

// create makes an order and returns its status.
func (w *world) create(d *Dispatcher, o *webjob.Order, by ...string) webjob.OrderStatus {
	w.t.Helper()
	status, err := d.Create(w.t.Context(), Creation{Envelope: w.sign(o, by...), By: "olga"})
	w.must(err)
	return status
}

// poll asks for work once, without waiting, and returns it.
func (w *world) poll(d *Dispatcher, client string, free int, known map[string]webjob.RunState) Work {
	w.t.Helper()
	c, err := w.store.Client(w.t.Context(), client)
	w.must(err)
	answer := make(chan Work, 1)
	waiter := &Waiter{Client: c, Free: free, Known: known, Answer: func(found Work) { answer <- found }, Drop: func() { close(answer) }}
	w.must(d.Wait(w.t.Context(), waiter, 0))
	return <-answer
}

// result makes the result of a run durable and tells of it, as the room of results does.
func (w *world) result(d *Dispatcher, order, client string, outcome webjob.Outcome) {
	w.t.Helper()
	run := order + "." + client
	ended := webjob.OrderRun{Run: run, Order: order, Client: client, State: webjob.StateOf(outcome), Updated: now()}
	added, err := w.store.AddResult(w.t.Context(), webjob.Result{
		Run: run, Client: client, Job: "job", Version: 1, Outcome: outcome, Started: now(), Received: now(), Record: []byte("{}"),
	}, nil, webjob.ResultEffects{OrderRun: &ended})
	w.must(err)
	if added {
		d.Ended(context.Background(), ended)
	}
}

func (w *world) isState(id string, want webjob.OrderState) {
	w.t.Helper()
	if got := w.stored(id); got.State != want {
		w.t.Fatalf("order %s is %s (%v), want %s", id, got.State, got.Counts, want)
	}
}

// An order of a clock that is far ahead would have another window than was meant.
func TestOrderOfAFutureClockIsRefused(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	made := func(id string, ahead time.Duration) error {
		at := now().Add(ahead).Truncate(time.Second)
		_, err := d.Create(t.Context(), Creation{Envelope: w.sign(w.order(id, func(o *webjob.Order) { o.Created, o.NotBefore, o.Expires = at, at, at.Add(time.Hour) }), "alice"), By: "olga"})
		return err
	}
	w.must(made("o1", time.Minute))
	if err := made("o2", 2*time.Hour); webjob.KindOf(err) != webjob.Invalid || !strings.Contains(err.Error(), "set the clock where it was made") {
		t.Fatalf("got %v", err)
	}
}

// A pending order tells how many signatures it lacks, and whose would count.
func TestPendingOrderTellsWhoseSignaturesItLacks(t *testing.T) {
	w := newWorld(t, 2, "web1")
	d := w.dispatcher(w.store)
	w.create(d, w.order("o1"), "alice")
	detail, err := d.Detail(t.Context(), "o1")
	w.must(err)
	if detail.Missing != 1 || slices.Contains(detail.MaySign, "alice") || !slices.Contains(detail.MaySign, "bob") {
		t.Fatalf("%d of %v", detail.Missing, detail.MaySign)
	}
}

// An order that lacks signatures does not get by without them: not by a stop and a resume.
func TestResumedOrderStillNeedsItsSignatures(t *testing.T) {
	w := newWorld(t, 2, "web1")
	d := w.dispatcher(w.store)
	o := w.order("o1")
	w.create(d, o, "alice")
	w.isState("o1", webjob.OrderPending)
	w.must(d.Stop(t.Context(), "o1", "why", false))
	w.isState("o1", webjob.OrderStopped)
	w.must(d.Resume(t.Context(), "o1"))
	w.isState("o1", webjob.OrderPending)
	if found := w.poll(d, "web1", 1, nil); !found.Empty() {
		t.Errorf("web1 got %v of an order that one of two signed", found)
	}
	// Signatures that come while it is stopped count when it is resumed, and not before.
	w.must(d.Stop(t.Context(), "o1", "why", false))
	if _, err := d.Approve(t.Context(), "o1", w.sign(o, "bob")); err != nil {
		t.Fatal(err)
	}
	w.isState("o1", webjob.OrderStopped)
	w.must(d.Resume(t.Context(), "o1"))
	w.isState("o1", webjob.OrderOpen)
	if found := w.poll(d, "web1", 1, nil); len(found.Offers) != 1 {
		t.Errorf("web1 got %v", found)
	}
	if _, err := d.Approve(t.Context(), "o1", w.sign(o, "carol")); webjob.KindOf(err) != webjob.Conflict {
		t.Errorf("an open order took a signature: %v", err)
	}
}

// Two changes of an order at the same moment are both made: the slower one judges anew what
// the faster one made.
func TestChangesAtTheSameMomentAreBothMade(t *testing.T) {
	w := newWorld(t, 2, "web1")
	s := &interleaved{Store: w.store}
	d, other := w.dispatcher(s), w.dispatcher(w.store)
	o := w.order("o1")
	w.create(d, o, "alice")
	s.before = func(call string) {
		if call == "ChangeOrder" && w.stored("o1").State == webjob.OrderPending {
			_, err := other.Approve(t.Context(), "o1", w.sign(o, "bob"))
			w.must(err)
		}
	}
	w.must(d.Stop(t.Context(), "o1", "why", false))
	w.isState("o1", webjob.OrderStopped)
	if signed := w.stored("o1").SignedBy; len(signed) != 2 {
		t.Errorf("the stop undid a signature: %v", signed)
	}
	if found := w.poll(d, "web1", 1, nil); !found.Empty() {
		t.Errorf("web1 got %v of a stopped order", found)
	}
}

// Who delivers the news of an order's end is woken when it is stored, not before:
// looking too early it would find nothing, and wait.
func TestEndOfOrderIsStoredBeforeItIsTold(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	d.News = func(webjob.OrderStatus) []webjob.Delivery {
		return []webjob.Delivery{{Trigger: "t", NextAt: time.Now()}}
	}
	found := -1
	d.Wake = func() {
		due, err := w.store.DueDeliveries(t.Context(), "t", time.Now().Add(time.Minute), 9)
		if err != nil {
			t.Error(err)
		}
		found = len(due)
	}
	w.create(d, w.order("o1"), "alice")
	w.result(d, "o1", "web1", webjob.Succeeded)
	w.isState("o1", webjob.OrderDone)
	if found != 1 {
		t.Errorf("when it was told, %d deliveries were stored, want 1", found)
	}
}

// A time that passed while the server was away is made up for once, or not at all, as
// the order says.
func TestMissedTimes(t *testing.T) {
	for missed, want := range map[webjob.Missed]int64{webjob.MissedRun: 1, webjob.MissedSkip: 0} {
		t.Run(string(missed), func(t *testing.T) {
			w := newWorld(t, 1, "web1")
			latest := now().Truncate(time.Second).Add(-30 * time.Minute)
			begin := latest.Add(-5 * time.Hour)
			o := w.order("o1", func(o *webjob.Order) {
				o.Created, o.NotBefore, o.Expires = begin, begin, begin.Add(24*time.Hour)
				o.Schedule = &webjob.Schedule{At: "@every 1h", Missed: missed}
			})
			// It was to run four hours ago, and three times since.
			status := webjob.OrderStatus{Order: *o, State: webjob.OrderOpen, Envelope: w.sign(o, "alice"), NextAt: begin.Add(time.Hour)}
			_, err := w.store.AddOrder(t.Context(), status, nil)
			w.must(err)
			d := w.dispatcher(w.store)
			w.must(d.Load(t.Context()))
			if next := d.keepTime(t.Context()); !next.Equal(latest.Add(time.Hour)) {
				t.Errorf("the next time is %s, want %s", next, latest.Add(time.Hour))
			}
			if total := w.stored("o1").Counts.Total(); total != want {
				t.Errorf("%d runs were made, want %d", total, want)
			}
			if want == 1 && d.orders["o1"].runs[o.RunID("web1", latest)] == nil {
				t.Errorf("the run made is not that of the latest time: %v", d.orders["o1"].runs)
			}
			d.keepTime(t.Context())
			if total := w.stored("o1").Counts.Total(); total != want {
				t.Errorf("%d runs were made at the second look, want %d", total, want)
			}
		})
	}
}

// A run that its agent gave up, of an order that was stopped meanwhile, is over: it
// does not wait for good.
func TestGivenUpRunsOfStoppedOrdersEnd(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2")
	d := w.dispatcher(w.store)
	w.create(d, w.order("o1"), "alice")
	for _, client := range []string{"web1", "web2"} {
		if found := w.poll(d, client, 1, nil); len(found.Offers) != 1 {
			t.Fatalf("%s got %v", client, found)
		}
	}
	w.must(d.Stop(t.Context(), "o1", "why", false))
	w.poll(d, "web1", 1, map[string]webjob.RunState{"o1.web1": webjob.RunRunning})
	w.poll(d, "web2", 1, nil)
	if counts := w.stored("o1").Counts; counts[webjob.RunStopped] != 1 || counts[webjob.RunOffered] != 1 {
		t.Errorf("got %v, want the one that is gone stopped", counts)
	}
}

// An offer that did not arrive is made again, and a run that is held is not.
func TestOffersAreMadeAgainWhereTheyDidNotArrive(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d, other := w.dispatcher(w.store), w.dispatcher(w.store)
	w.create(d, w.order("o1"), "alice")
	w.must(other.Load(t.Context()))
	for name, d := range map[string]*Dispatcher{"the same server": d, "another one": other, "and a new one": w.dispatcher(w.store)} {
		if len(d.orders) == 0 {
			w.must(d.Load(t.Context()))
		}
		if found := w.poll(d, "web1", 1, nil); len(found.Offers) != 1 || found.Offers[0].Run != "o1.web1" {
			t.Errorf("%s: got %v", name, found)
		}
		if found := w.poll(d, "web1", 1, map[string]webjob.RunState{"o1.web1": webjob.RunOffered}); !found.Empty() {
			t.Errorf("%s: it was given what it holds: %v", name, found)
		}
		if counts := d.Overlay(w.stored("o1")).Counts; counts[webjob.RunOffered] != 1 {
			t.Errorf("%s: got %v", name, counts)
		}
	}
}

// What a caller is given of an order is its own: it may be read while the order goes on.
func TestStatusOfNewOrderIsTheCallersOwn(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	status := w.create(d, w.order("o1"), "alice")
	w.poll(d, "web1", 1, nil)
	if status.Counts[webjob.RunQueued] != 1 || len(status.Counts) != 1 {
		t.Errorf("it changed to %v", status.Counts)
	}
}

// A client that enrols while an order for late joiners is being made is asked, too.
func TestClientThatEnrolsMeanwhileIsAsked(t *testing.T) {
	w := newWorld(t, 1, "web1")
	s := &interleaved{Store: w.store}
	d := w.dispatcher(s)
	s.before = func(call string) {
		if call == "AddOrder" {
			w.enroll("web2")
			w.must(d.Join(t.Context(), "web2"))
		}
	}
	w.create(d, w.order("o1", func(o *webjob.Order) { o.Late = true }), "alice")
	if found := w.poll(d, "web2", 1, nil); len(found.Offers) != 1 {
		t.Errorf("web2 got %v", found)
	}
	// So is one whose joining was cut by a crash.
	w.enroll("web3")
	again := w.dispatcher(w.store)
	w.must(again.Load(t.Context()))
	if found := w.poll(again, "web3", 1, nil); len(found.Offers) != 1 {
		t.Errorf("web3 got %v", found)
	}
}

// A client of the canary that is away does not hold up the others: one that is connected
// takes its place.
func TestCanaryThatIsAwayIsReplaced(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2", "web3", "web4")
	d := w.dispatcher(w.store)
	status := w.create(d, w.order("o1", func(o *webjob.Order) { o.Canary = 2 }), "alice")
	if found := w.poll(d, "web1", 1, nil); len(found.Offers) != 1 {
		t.Fatalf("the canary got %v", found)
	}
	detail, err := d.Detail(t.Context(), status.ID)
	w.must(err)
	if len(detail.CanaryRuns) != 2 || detail.CanaryRuns[1].Client != "web2" || detail.CanaryRuns[1].Connected || detail.Waits == "" {
		t.Errorf("got %+v, %q", detail.CanaryRuns, detail.Waits)
	}
	c, err := w.store.Client(t.Context(), "web4")
	w.must(err)
	answer := make(chan Work, 1)
	w.must(d.Wait(t.Context(), &Waiter{Client: c, Free: 1, Answer: func(found Work) { answer <- found }}, time.Hour))
	d.keepTime(t.Context())
	if detail, err = d.Detail(t.Context(), status.ID); err != nil || detail.CanaryRuns[1].Client != "web2" {
		t.Errorf("it was replaced at once: %+v, %v", detail.CanaryRuns, err)
	}
	d.since = d.since.Add(-2 * awayTime)
	d.keepTime(t.Context())
	go d.Serve(t.Context())
	if found := <-answer; len(found.Offers) != 1 {
		t.Errorf("web4 got %v", found)
	}
	w.result(d, "o1", "web1", webjob.Succeeded)
	w.result(d, "o1", "web4", webjob.Succeeded)
	if found := w.poll(d, "web3", 1, nil); len(found.Offers) != 1 {
		t.Errorf("after the canary web3 got %v", found)
	}
}

// One who stops, and one whose client is killed while it waits, is not counted as waiting.
func TestClientThatLeftDoesNotWait(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	c, err := w.store.Client(t.Context(), "web1")
	w.must(err)
	waiter := &Waiter{Client: c, Free: 1, Answer: func(Work) { t.Error("nobody was answered") }}
	w.must(d.Wait(t.Context(), waiter, time.Hour))
	if !d.Connected()["web1"] || !d.Leave(waiter) || d.Leave(waiter) || d.Connected()["web1"] {
		t.Error("it waits although it left, or left twice")
	}
	w.create(d, w.order("o1"), "alice")
	if counts := w.stored("o1").Counts; counts[webjob.RunQueued] != 1 {
		t.Errorf("got %v: it was given a run", counts)
	}
}

// A client that keeps the time of an order itself has runs at the times of its schedule, and
// no others.
func TestClientsMakeNoTimesUp(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	begin := now().Truncate(10 * time.Minute).Add(-time.Hour)
	w.create(d, w.order("o1", func(o *webjob.Order) {
		o.Created, o.NotBefore, o.Expires = begin, begin, begin.Add(72*time.Hour)
		o.Schedule = &webjob.Schedule{At: "*/10 * * * *", Agent: true, Missed: webjob.MissedRun}
	}), "alice")
	web1 := webjob.Client{ID: "web1"}
	for offset, want := range map[time.Duration]bool{
		0: true, 10 * time.Minute: true, time.Hour: true, 2 * time.Hour: true, // its clock may be ahead
		time.Minute: false, 10*time.Minute + time.Second: false, -10 * time.Minute: false, 48 * time.Hour: false, 720 * time.Hour: false,
	} {
		if got := d.Keeps("o1", web1, begin.Add(offset)); got != want {
			t.Errorf("a run %s after the beginning: %v, want %v", offset, got, want)
		}
	}
	if d.Keeps("o1", web1, time.Time{}) || d.Keeps("o2", web1, begin) {
		t.Error("a run without a time, or of no order, counts")
	}
}

func TestLongWaitsEndOnATick(t *testing.T) {
	at := time.Unix(1000, 77_000_000)
	if got := onTick(time.Second, at); got != time.Second {
		t.Errorf("a short wait of 1s became %s", got)
	}
	long := onTick(time.Minute, at)
	if end := at.Add(long); end.UnixNano()%int64(waitTick) != 0 || long > time.Minute || long <= time.Minute-waitTick {
		t.Errorf("a wait of a minute became %s and ends at %s", long, end)
	}
}
