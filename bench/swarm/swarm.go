package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// swarm is the agents of this process.
type swarm struct {
	agents, sources int
	wait, spread    time.Duration
	ready           func()

	address string // of the server
	pool    *x509.CertPool
	members []*member
	waiting atomic.Int64
	views   sync.Map // version of a timestamp to the job repository
	updates sync.Map // digest of what came of the repository to what it makes of a view
	orders  sync.Map // digest of an envelope to what it holds, once verified
	jobs    sync.Map

	mu   sync.Mutex
	seen seen
}

// step is what takes a step from a ticket: the value of the next one. Ours is always the
// same, which is enough for a server.
const step = ".AAAAAAAAAAAAAAAAAAAAAA"

// member is one agent.
type member struct {
	swarm   *swarm
	id      string
	own     tls.Certificate
	source  net.IP
	conn    *tls.Conn
	reader  *bufio.Reader
	counted bool   // counted as waiting
	ticket  string // of the last poll
	run     string // the newest ticket of runs
	view    int64  // version of the job repository that it has
}

// enroll enrols every agent, with as many requests at once as there are processors.
func (s *swarm) enroll(ctx context.Context, token trust.Token, prefix string) error {
	parsed, err := url.Parse(token.URL)
	if err != nil {
		return err
	}
	s.address = parsed.Host
	s.members = make([]*member, s.agents)
	var next atomic.Int64
	var work sync.WaitGroup
	failed := make(chan error, 8*runtime.NumCPU())
	for range 8 * runtime.NumCPU() {
		work.Go(func() {
			var authority *x509.Certificate
			c := wire.NewClient(token.URL, trust.FirstContactTLS(token.CA, parsed.Hostname(), func(ca *x509.Certificate) { authority = ca }))
			defer c.Close()
			for {
				i := int(next.Add(1)) - 1
				if i >= s.agents {
					return
				}
				m, err := s.enrollOne(ctx, c, token, fmt.Sprintf("%s%06d", prefix, i))
				if err != nil {
					failed <- err
					return
				}
				m.source = net.IPv4(127, 0, 0, byte(2+i%s.sources))
				s.members[i] = m
				s.mu.Lock()
				if s.pool == nil {
					s.pool = x509.NewCertPool()
					s.pool.AddCert(authority)
				}
				s.mu.Unlock()
			}
		})
	}
	work.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (s *swarm) enrollOne(ctx context.Context, c *wire.Client, token trust.Token, id string) (*member, error) {
	key, err := trust.GenerateKey(trust.ECDSA)
	if err != nil {
		return nil, err
	}
	request, err := trust.CertificateRequest(key, id)
	if err != nil {
		return nil, err
	}
	var response wire.EnrollResponse
	err = c.Call(ctx, http.MethodPost, wire.PathEnroll, nil, wire.EnrollRequest{
		Secret: token.Secret[:], ID: id, Platform: webjob.ThisPlatform, CertificateRequest: request, TrustRoot: token.Root,
	}, &response)
	if err != nil {
		return nil, err
	}
	certificate, err := trust.ParseCertificate([]byte(response.Certificate))
	if err != nil {
		return nil, err
	}
	root, err := trust.NewView(response.TrustRoot)
	if err != nil {
		return nil, err
	}
	s.views.LoadOrStore(int64(0), root)
	return &member{swarm: s, id: id, own: tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key.Signer()}}, nil
}

// run has every agent run until ctx ends.
func (s *swarm) run(ctx context.Context) {
	var work sync.WaitGroup
	for _, m := range s.members {
		work.Go(func() {
			if s.spread > 0 {
				sleep(ctx, rand.N(s.spread))
			}
			m.keepPolling(ctx)
		})
	}
	work.Wait()
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// keepPolling polls and works, as an agent does.
func (m *member) keepPolling(ctx context.Context) {
	backoff := time.Second
	for ctx.Err() == nil {
		if err := m.poll(ctx); err != nil && ctx.Err() == nil {
			m.swarm.count(func(s *seen) { s.Errors, s.Last = s.Errors+1, err.Error() })
			m.hangUp()
			sleep(ctx, backoff/2+rand.N(backoff))
			backoff = min(2*backoff, time.Minute)
			continue
		}
		backoff = time.Second
	}
	m.hangUp()
}

func (m *member) hangUp() {
	if m.conn != nil {
		_ = m.conn.NetConn().Close() // over either way
		m.conn = nil
	}
}

func (s *swarm) count(change func(*seen)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.seen)
}

func (m *member) connect(ctx context.Context) error {
	dialer := net.Dialer{Timeout: time.Minute, LocalAddr: &net.TCPAddr{IP: m.source}}
	conn, err := dialer.DialContext(ctx, "tcp4", m.swarm.address)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(m.swarm.address)
	if err != nil {
		return err
	}
	secure := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: m.swarm.pool, ServerName: host, Certificates: []tls.Certificate{m.own},
		SessionTicketsDisabled: true,
	})
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // over either way
		return err
	}
	m.conn, m.reader = secure, bufio.NewReaderSize(secure, 1024)
	return nil
}

// request sends one request on the agent's connection and reads the whole answer.
func (m *member) request(ctx context.Context, method, path string, header http.Header, body []byte) (http.Header, []byte, error) {
	if m.conn == nil {
		if err := m.connect(ctx); err != nil {
			return nil, nil, err
		}
	}
	conn := m.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
	defer stop()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, m.swarm.address)
	if method != http.MethodGet {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	for name := range header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, header.Get(name))
	}
	if header.Get(wire.HeaderTicket) == "" {
		fmt.Fprintf(&b, "%s: %s\r\n", wire.HeaderTicket, m.run)
	}
	b.WriteString("\r\n")
	b.Write(body)
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return nil, nil, err
	}
	if path == wire.PathPoll && !m.counted {
		m.counted = true
		if n := m.swarm.waiting.Add(1); n == int64(len(m.swarm.members)) {
			m.swarm.ready()
		}
	}
	response, err := http.ReadResponse(m.reader, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode >= 300 {
		return nil, nil, fmt.Errorf("%s %s: %s: %.200s", method, path, response.Status, answer)
	}
	return response.Header, answer, response.Body.Close()
}

func (m *member) poll(ctx context.Context) error {
	body, err := json.Marshal(wire.PollRequest{WaitMS: m.swarm.wait.Milliseconds(), Free: 1, Ticket: m.ticket + step})
	if err != nil {
		return err
	}
	_, answer, err := m.request(ctx, http.MethodPost, wire.PathPoll, nil, body)
	if err != nil {
		return err
	}
	m.swarm.count(func(s *seen) { s.Polls++ })
	var response wire.PollResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return err
	}
	m.ticket = response.Ticket
	if response.Repository > m.view {
		if err := m.sync(ctx); err != nil {
			return err
		}
	}
	for _, offer := range response.Offers {
		if err := m.work(ctx, offer); err != nil {
			return err
		}
	}
	return nil
}

// once verifies what an envelope holds, once for all agents of this process.
func once[T any](memo *sync.Map, envelope []byte, verify func([]byte) (T, error)) (T, error) {
	load, _ := memo.LoadOrStore(webjob.DigestOf(envelope), sync.OnceValues(func() (T, error) { return verify(envelope) }))
	return load.(func() (T, error))()
}

func (m *member) repository() *trust.View {
	view, _ := m.swarm.views.Load(m.view)
	return view.(*trust.View)
}

// take returns what a bundle makes of this agent's view of the job repository.
func (m *member) take(bundle []byte) (*trust.View, error) {
	if len(bundle) == 0 {
		return m.repository(), nil
	}
	return once(&m.swarm.updates, append(strconv.AppendInt(nil, m.view, 10), bundle...), func([]byte) (*trust.View, error) {
		var b webjob.RepositoryBundle
		if err := json.Unmarshal(bundle, &b); err != nil {
			return nil, err
		}
		return m.repository().Update(b, time.Now())
	})
}

// sync gets what is new in the job repository.
func (m *member) sync(ctx context.Context) error {
	body, err := json.Marshal(wire.RepositoryRequest{Have: m.repository().Have(trust.PolicyPath, trust.ClientPath(m.id))})
	if err != nil {
		return err
	}
	_, answer, err := m.request(ctx, http.MethodPost, wire.PathRepository, nil, body)
	if err != nil {
		return err
	}
	view, err := m.take(answer)
	if err != nil {
		return err
	}
	m.view = view.Timestamp()
	m.swarm.views.LoadOrStore(m.view, view)
	return nil
}

// judge verifies the order of an offer as a client does.
func (m *member) judge(offer wire.Offer) (*trust.SignedOrder, error) {
	policy, err := m.repository().Policy()
	if err != nil {
		return nil, err
	}
	order, err := once(&m.swarm.orders, offer.Order, policy.OpenOrder)
	if err != nil {
		return nil, err
	}
	subject := webjob.Client{ID: m.id, Platform: webjob.ThisPlatform}.Subject()
	if err := policy.Permits(order, subject); err != nil {
		return nil, err
	}
	return order, order.Allows(subject, offer.At, time.Now())
}

// work does one run: it verifies, gets the job, "runs" it, and puts the result.
func (m *member) work(ctx context.Context, offer wire.Offer) error {
	order, err := m.judge(offer)
	if err != nil {
		return err
	}
	get := time.Now()
	have, err := json.Marshal(m.repository().Have(trust.PolicyPath, trust.ClientPath(m.id), trust.JobPath(order.Job)))
	if err != nil {
		return err
	}
	header, answer, err := m.request(ctx, http.MethodGet, wire.JobPath(order.Job, wire.JobQuery{
		Platform: webjob.ThisPlatform, Version: order.Version, Run: offer.Run,
	}), http.Header{wire.HeaderHave: {string(have)}, wire.HeaderTicket: {m.run + step}}, nil)
	if err != nil {
		return err
	}
	m.run = header.Get(wire.HeaderTicket)
	bundle, err1 := strconv.Atoi(header.Get(wire.HeaderBundleLength))
	length, err2 := strconv.Atoi(header.Get(wire.HeaderManifestLength))
	if err1 != nil || err2 != nil || bundle < 0 || length < 0 || bundle+length > len(answer) {
		return fmt.Errorf("the job has no manifest: %w", errors.Join(err1, err2))
	}
	view, err := m.take(answer[:bundle])
	if err != nil {
		return err
	}
	encoded, answer := answer[bundle:bundle+length], answer[bundle+length:]
	manifest, err := once(&m.swarm.jobs, encoded, func(text []byte) (*trust.SignedManifest, error) {
		index, err := view.Index(order.Job)
		if err != nil {
			return nil, err
		}
		version, err := index.Version(order.Version)
		if err != nil {
			return nil, err
		}
		return trust.ParseManifest(text, version.Manifest, time.Now())
	})
	if err != nil {
		return err
	}
	payload, err := manifest.PayloadFor(webjob.ThisPlatform)
	if err != nil {
		return err
	}
	if manifest.Digest != order.Manifest || webjob.DigestOf(answer) != payload.Digest {
		return fmt.Errorf("run %s: not the job that was ordered", offer.Run)
	}
	start := time.Now()
	m.swarm.count(func(s *seen) { s.Starts = append(s.Starts, start.UnixNano()) })
	return m.put(ctx, order, payload, offer.Run, get, start)
}

func (m *member) put(ctx context.Context, order *trust.SignedOrder, payload webjob.Payload, run string, get, start time.Time) error {
	status := 0
	out := []byte("nothing was done by " + m.id + "\n")
	record := webjob.Record{
		Format: webjob.RecordFormat, Run: run, Client: m.id, Job: order.Job, Version: order.Version, Order: order.ID,
		Manifest: order.Manifest, Payload: payload.Digest, Arguments: order.Arguments, Host: "swarm", Platform: webjob.ThisPlatform,
		Webjob: webjob.Version(), Outcome: webjob.Succeeded, ExitStatus: &status, PutURL: "https://" + m.swarm.address, Limits: webjob.DefaultLimits(),
		Times: webjob.Times{Get: webjob.Phase{Start: get.UTC()}, Run: webjob.Phase{Start: start.UTC()}, Put: webjob.Phase{Start: start.UTC()}},
		Parts: []webjob.Stream{
			{Name: webjob.Stdout, Digest: webjob.DigestOf(out), Size: int64(len(out)), Written: int64(len(out))},
			{Name: webjob.Stderr, Digest: webjob.EmptyDigest},
		},
	}
	exact, err := json.Marshal(record)
	if err != nil {
		return err
	}
	header := http.Header{}
	header.Set(wire.HeaderRecordLength, strconv.Itoa(len(exact)))
	if _, _, err := m.request(ctx, http.MethodPost, wire.PathResults, header, append(exact, out...)); err != nil {
		return err
	}
	m.swarm.count(func(s *seen) { s.Results++ })
	return nil
}
