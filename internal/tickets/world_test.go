package tickets

import (
	"context"
	"errors"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"webjob.dev/webjob"
)

// shelf is a store.
type shelf struct{ chains map[string]webjob.Chain }

func newShelf() *shelf { return &shelf{chains: map[string]webjob.Chain{}} }

func (s *shelf) SaveChains(_ context.Context, chains []webjob.Chain) error {
	for _, c := range chains {
		old := s.chains[c.Line]
		if c.Generation > old.Generation || c.Generation == old.Generation && c.Number >= old.Number {
			s.chains[c.Line] = c
		}
	}
	return nil
}

func (s *shelf) Chains(_ context.Context, visit func(webjob.Chain) error) error {
	for _, c := range s.chains {
		if err := visit(c); err != nil {
			return err
		}
	}
	return nil
}

// message is a request of one process on its way.
type message struct {
	Request
	step bool
	from *process
}

// process is one of a client's. It waits for one answer at a time.
type process struct {
	step   string // that it takes while it holds the lock; "" for one that only shows
	told   string
	loaded string   // of told, when its next request was begun; the ticket is read after it
	asks   *message // what it waits for an answer to; nil when it is dead, or free
}

// world is one client with its processes, some servers, and what is between them.
type world struct {
	*rapid.T

	disk     *disk
	secret   string
	servers  []*Book
	shelves  []*shelf
	backups  []map[string]webjob.Chain
	locker   *process // who holds the lock; nil for nobody
	showing  []*process
	under    []*message // on their way, also those of the dead
	verdicts map[Verdict]int
}

func newWorld(t *rapid.T, servers int) *world {
	w := &world{T: t, disk: &disk{t: t}, secret: "1", verdicts: map[Verdict]int{}}
	for i := range servers {
		w.servers, w.shelves, w.backups = append(w.servers, nil), append(w.shelves, newShelf()), append(w.backups, map[string]webjob.Chain{})
		w.open(i)
	}
	return w
}

// open starts a server with what was stored.
func (w *world) open(i int) {
	book, err := Open(context.Background(), []byte(w.secret), w.shelves[i])
	if err != nil {
		w.Fatal(err)
	}
	w.servers[i] = book
}

func (w *world) aServer() int { return roll(w.T, len(w.servers), "server") }

func (w *world) send(m *message) {
	m.Client, m.Line, m.Address = "web1", "run", "192.0.2.1:1"
	w.under = append(w.under, m)
	m.from.asks = m
}

// judge has a server judge a request.
func (w *world) judge(server int, m *message) Answer {
	judge := w.servers[server].Show
	if m.step {
		judge = w.servers[server].Step
	}
	a := judge(m.Request)
	w.verdicts[a.Verdict]++
	return a
}

// action is something that happens in an honest world, and how often beside the others.
type action struct {
	often int
	name  string
	do    func()
}

func (w *world) actions() []action {
	return []action{
		{30, "a whole step", w.wholeStep},
		{20, "begin a step", w.beginStep},
		{20, "step", w.step},
		{20, "the newest arrives", w.arriveNewest},
		{8, "arrive in any order", func() { w.arrive(true) }},
		{4, "arrive and come again", func() { w.arrive(false) }},
		{6, "begin to show", w.beginShow},
		{8, "show", w.show},
		{4, "kill the one that takes a step", w.killLocker},
		{2, "kill the others", w.killShowing},
		{3, "power cut", w.powerCut},
		{2, "lost on the way", w.lose},
		{3, "server stores", w.flush},
		{2, "server is killed", func() { w.open(w.aServer()) }},
		{1, "server is backed up", w.backUp},
		{1, "server is set back", w.setBack},
		{1, "servers change key", w.changeKey},
		{1, "operator lets in", w.forget},
	}
}

// walk lets so many things happen.
func (w *world) walk(steps int, but ...string) {
	var choice []action
	for _, a := range w.actions() {
		if !slices.Contains(but, a.name) {
			choice = append(choice, slices.Repeat([]action{a}, a.often)...)
		}
	}
	for range steps {
		a := choice[roll(w.T, len(choice), "action")]
		w.Log(a.name)
		a.do()
	}
}

func (w *world) powerCut() {
	w.killLocker()
	w.killShowing()
	w.disk.cutPower()
}

func (w *world) flush() {
	if err := w.servers[w.aServer()].Flush(context.Background()); err != nil {
		w.Fatal(err)
	}
}

func (w *world) backUp() {
	i := w.aServer()
	w.backups[i] = maps.Clone(w.shelves[i].chains)
}

func (w *world) setBack() {
	i := w.aServer()
	w.shelves[i].chains = maps.Clone(w.backups[i])
	w.open(i)
}

// changeKey starts the servers with another key. No request outlives that: who has sent
// one to the new server was alive when it began.
func (w *world) changeKey() {
	w.secret += "1"
	w.under = nil
	for i := range w.servers {
		w.open(i)
		w.backups[i] = map[string]webjob.Chain{}
	}
}

func (w *world) forget() {
	if err := w.servers[w.aServer()].Forget(context.Background(), "web1"); err != nil {
		w.Fatal(err)
	}
}

func (w *world) lose() {
	if len(w.under) > 0 {
		i := roll(w.T, len(w.under), "lost")
		w.under = slices.Delete(w.under, i, i+1)
	}
}

func (w *world) killLocker() {
	if w.locker != nil {
		w.locker.asks, w.locker = nil, nil
	}
}

func (w *world) killShowing() {
	for _, p := range w.showing {
		p.asks = nil
	}
	w.showing = nil
}

func (w *world) wholeStep() {
	w.beginStep()
	w.step()
	w.arriveNewest()
}

// mayDie lets the process die at one of its next calls, or at none.
func (w *world) mayDie() { w.disk.dieAt = roll(w.T, 26, "dies at") - 20 }

func (w *world) beginStep() {
	if w.locker != nil {
		return
	}
	w.mayDie()
	text, err := Holder{w.disk}.Step()
	w.disk.dieAt = 0
	if err != nil {
		return // it died
	}
	w.locker = &process{step: text}
}

// step sends the step that was begun, with the word that its process was told by then.
func (w *world) step() {
	if w.locker == nil || w.locker.asks != nil {
		return
	}
	told := ""
	if len(w.showing) > 0 {
		told = w.showing[roll(w.T, len(w.showing), "of the process")].told
	}
	w.send(&message{Request: Request{Ticket: w.locker.step, Told: told}, step: true, from: w.locker})
}

// beginShow takes the word that a process was told, before the ticket that it shows.
func (w *world) beginShow() {
	if len(w.showing) < 3 {
		w.showing = append(w.showing, &process{})
	}
	p := w.showing[roll(w.T, len(w.showing), "shows")]
	p.loaded = p.told
}

func (w *world) show() {
	if len(w.showing) == 0 {
		return
	}
	p := w.showing[roll(w.T, len(w.showing), "shows")]
	text, err := Holder{w.disk}.Shown()
	if err != nil {
		w.Fatal(err)
	}
	w.send(&message{Request: Request{Ticket: text, Told: p.loaded}, from: p})
}

func (w *world) arriveNewest() {
	if len(w.under) > 0 {
		m := w.under[len(w.under)-1]
		w.under = w.under[:len(w.under)-1]
		w.handle(m)
	}
}

// arrive lets a request arrive, in any order. It may come again.
func (w *world) arrive(once bool) {
	if len(w.under) == 0 {
		return
	}
	i := roll(w.T, len(w.under), "request")
	m := w.under[i]
	if once {
		w.under = slices.Delete(w.under, i, i+1)
	}
	w.handle(m)
}

// handle judges a request and, when somebody still waits for it and it is not lost,
// brings back the answer.
func (w *world) handle(m *message) {
	a := w.judge(w.aServer(), m)
	if a.Verdict == Twice {
		w.Fatalf("an honest client was taken for two: %+v %+v", m.Request, a.Clone)
	}
	if m.from.asks != m || roll(w.T, 5, "lost") == 0 {
		return
	}
	if m.step && a.Verdict != Fine {
		w.Fatalf("an honest step was not served")
	}
	m.from.asks = nil
	if !m.step {
		m.from.told = a.Told
		return
	}
	w.locker = nil
	w.mayDie()
	err := Holder{w.disk}.Keep(a.Ticket)
	w.disk.dieAt = 0
	if err != nil && !errors.Is(err, errDied) {
		w.Fatal(err)
	}
}
