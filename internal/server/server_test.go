package server_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/blob/files"
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/internal/store/sqlite/sqlitetest"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// world is a real server with real TLS, backends and identities.
type world struct {
	t        *testing.T
	server   *server.Server
	backends server.Backends
	endpoint *httptest.Server
	operator *httptest.Server
	ca       *trust.Authority
	key      *trust.PrivateKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, func(s *server.Settings) { s.Endpoint.MaxResult = 1 << 20 })
}

// newWorldWith has a server with other settings.
func newWorldWith(t *testing.T, change func(*server.Settings)) *world {
	t.Helper()
	return newWorldOver(t, change, func(s webjob.Store) webjob.Store { return s })
}

// newWorldOver has another store in front of its own.
func newWorldOver(t *testing.T, change func(*server.Settings), wrap func(webjob.Store) webjob.Store) *world {
	t.Helper()
	w := &world{t: t}
	open := func(ctx context.Context, metadata, blobs string) (server.Backends, error) {
		store, err := sqlitetest.Open(ctx, metadata)
		if err != nil {
			return server.Backends{}, err
		}
		b, err := files.Open(blobs)
		w.backends = server.Backends{Store: wrap(store), Blobs: b}
		return w.backends, err
	}
	dir := filepath.Join(t.TempDir(), "srv")
	layout := server.DefaultLayout()
	layout.Names = []string{"localhost"}
	_, err := server.Init(t.Context(), dir, layout, open)
	must(t, err)
	settings, err := server.LoadSettings(dir)
	must(t, err)
	change(settings)
	w.server, err = server.Open(t.Context(), settings, slog.New(slog.NewTextHandler(io.Discard, nil)), open)
	must(t, err)
	t.Cleanup(func() { must(t, w.server.Close(context.Background())) })
	w.ca = server.AuthorityOf(w.server)
	w.endpoint = w.listen(w.server.EndpointHandler())
	w.operator = w.listen(w.server.OperatorHandler(), func(h *http.Server) { server.WatchOperators(w.server, h) })
	w.key, err = trust.GenerateKey(trust.Ed25519)
	must(t, err)
	must(t, server.NewRepository(t.Context(), w.server, w.key))
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) listen(h http.Handler, prepare ...func(*http.Server)) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	key, err := trust.GenerateKey(trust.ECDSA)
	must(w.t, err)
	certificate, err := w.ca.IssueServer([]string{"127.0.0.1"}, key.Public(), time.Now())
	must(w.t, err)
	chain := &tls.Certificate{Certificate: [][]byte{certificate.Raw, w.ca.Certificate.Raw}, PrivateKey: key.Signer()}
	s.Listener = tls.NewListener(s.Listener, trust.ServerTLS(func() (*tls.Certificate, error) { return chain, nil }, w.ca.Certificate))
	s.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelInfo)
	for _, do := range prepare {
		do(s.Config)
	}
	s.Start()
	s.URL = "https://" + s.Listener.Addr().String()
	w.t.Cleanup(s.Close)
	return s
}

// client enrols a client and returns its TLS configuration.
func (w *world) client(id string) *tls.Config {
	w.t.Helper()
	key, err := trust.GenerateKey(trust.ECDSA)
	must(w.t, err)
	certificate, err := w.ca.IssueIdentity(trust.Identity{Role: webjob.RoleClient, Name: id}, key.Public(), time.Now())
	must(w.t, err)
	digest := trust.KeyDigest(certificate)
	secret := webjob.DigestOf([]byte("token of " + id))
	must(w.t, w.backends.Store.AddToken(w.t.Context(), webjob.Token{ID: secret.Short(), Secret: secret, Role: webjob.RoleClient, Uses: 1, Expires: time.Now().Add(time.Hour)}))
	must(w.t, w.backends.Store.Enroll(w.t.Context(), secret, webjob.Client{ID: id, Platform: "linux/amd64", Key: digest, EnrolledAt: time.Now()},
		webjob.Certificate{Serial: certificate.SerialNumber, NotAfter: certificate.NotAfter}, nil))
	return trust.ClientTLS(tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key.Signer()}, w.ca.Certificate)
}

func httpClient(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second}, Timeout: time.Minute}
}

// put sends a body as a result; a recordLength below zero leaves the header out.
func (w *world) put(config *tls.Config, recordLength int64, body []byte) (int, string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.endpoint.URL+wire.PathResults, bytes.NewReader(body))
	must(w.t, err)
	if recordLength >= 0 {
		request.Header.Set(wire.HeaderRecordLength, strconv.FormatInt(recordLength, 10))
	}
	if len(body) > 32<<10 { // as clients do: an answer may come before the body is read, and this connection closes after it
		request.Header.Set("Expect", "100-continue")
	}
	response, err := httpClient(config).Do(request)
	must(w.t, err)
	text, err := io.ReadAll(response.Body)
	must(w.t, errors.Join(err, response.Body.Close()))
	return response.StatusCode, string(text)
}

// begin opens a connection and sends the header of a result and the first part of its
// body.
func (w *world) begin(config *tls.Config, record, body []byte, sent int) *tls.Conn {
	w.t.Helper()
	connection, err := tls.Dial("tcp", w.endpoint.Listener.Addr().String(), config)
	must(w.t, err)
	_, err = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: x\r\n%s: %d\r\nContent-Length: %d\r\n\r\n%s%s",
		wire.PathResults, wire.HeaderRecordLength, len(record), len(record)+len(body), record, body[:sent])
	must(w.t, err)
	return connection
}

func record(client, out string) *webjob.Record {
	return &webjob.Record{
		Format: webjob.RecordFormat, Run: "run-1", Client: client, Job: "job", Version: 1, Outcome: webjob.Succeeded,
		Limits: webjob.DefaultLimits(), Parts: []webjob.Stream{
			{Name: webjob.Stdout, Digest: webjob.DigestOf([]byte(out)), Size: int64(len(out)), Written: int64(len(out))},
			{Name: webjob.Stderr, Digest: webjob.EmptyDigest},
		},
	}
}

func encode(t *testing.T, r any) []byte {
	t.Helper()
	exact, err := json.Marshal(r)
	must(t, err)
	return exact
}

// Nothing of a result that is not exactly as said is stored, and the client is
// told which part of it was wrong.
func TestReceiveRefusesWhatIsNotAsSaid(t *testing.T) {
	w := newWorld(t)
	config := w.client("web1")
	large := strings.Repeat("x", webjob.InlinePartBytes+1)
	for name, c := range map[string]struct {
		change func(*webjob.Record)
		body   string
		length func(int) int64
		status int
		want   string
	}{
		"run id with path characters": {change: func(r *webjob.Record) { r.Run = "../../etc/cron.d/x" }, status: 400, want: "run id"},
		"run id with a newline":       {change: func(r *webjob.Record) { r.Run = "run\nx" }, status: 400, want: "run id"},
		"run id with NUL":             {change: func(r *webjob.Record) { r.Run = "run\x00" }, status: 400, want: "run id"},
		"run id of 300 characters":    {change: func(r *webjob.Record) { r.Run = strings.Repeat("r", 300) }, status: 400, want: "run id"},
		"empty run id":                {change: func(r *webjob.Record) { r.Run = "" }, status: 400, want: "run id"},
		"job name with a slash":       {change: func(r *webjob.Record) { r.Job = "a/b" }, status: 400, want: "job name"},
		"part name with a path":       {change: func(r *webjob.Record) { r.Parts[0].Name = "../stdout" }, status: 400, want: "part name"},
		"the same part twice":         {change: func(r *webjob.Record) { r.Parts[1].Name = webjob.Stdout }, status: 400, want: "listed twice"},
		"unknown outcome":             {change: func(r *webjob.Record) { r.Outcome = "great" }, status: 400, want: "outcome"},
		"another format":              {change: func(r *webjob.Record) { r.Format = "webjob-run/9" }, status: 400, want: "format"},
		"another client's id":         {change: func(r *webjob.Record) { r.Client = "web2" }, status: 403, want: "a client sends only its own results"},
		"negative size":               {change: func(r *webjob.Record) { r.Parts[0].Size = -1 }, status: 400, want: "bytes"},
		"malformed digest":            {change: func(r *webjob.Record) { r.Parts[0].Digest = "md5:00" }, status: 400, want: "digest"},
		"digest of other bytes":       {change: func(r *webjob.Record) { r.Parts[0].Digest = webjob.DigestOf([]byte("other")) }, status: 400, want: "part stdout said to be"},
		"body longer than said":       {body: "hello and more", status: 400, want: "the record says 5"},
		"body shorter than said":      {body: "hel", status: 400, want: "the record says 5"},
		"record length missing":       {length: func(int) int64 { return -1 }, status: 400, want: wire.HeaderRecordLength},
		"record length zero":          {length: func(int) int64 { return 0 }, status: 400, want: wire.HeaderRecordLength},
		"record length past the body": {length: func(n int) int64 { return int64(n) + 100 }, status: 400, want: wire.HeaderRecordLength},
		"record length inside":        {length: func(n int) int64 { return int64(n) - 1 }, status: 400, want: "not readable"},
		"record of two megabytes":     {length: func(int) int64 { return 2 << 20 }, status: 413, want: "record has"},
		"large part of other bytes": {change: func(r *webjob.Record) {
			r.Parts[0].Size, r.Parts[0].Digest = int64(len(large)), webjob.DigestOf([]byte("other"))
		}, body: large, status: 400, want: "blob said to be"},
	} {
		t.Run(name, func(t *testing.T) {
			r := record("web1", "hello")
			if c.change != nil {
				c.change(r)
			}
			exact := encode(t, r)
			length, body := int64(len(exact)), c.body
			if c.length != nil {
				length = c.length(len(exact))
			}
			if body == "" {
				body = "hello"
			}
			status, text := w.put(config, length, append(exact, body...))
			if status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("got %d %s, want %d with %q", status, text, c.status, c.want)
			}
			list, err := w.backends.Store.ListResults(t.Context(), webjob.ResultFilter{Page: webjob.Page{Limit: 10}})
			must(t, err)
			if len(list) != 0 {
				t.Fatalf("something was stored: %+v", list)
			}
		})
	}
}

// A result is acknowledged as often as it is sent, and stored once; another one of
// the same run never replaces it.
func TestReceiveIsIdempotent(t *testing.T) {
	for name, out := range map[string]string{"small": "hello", "large": strings.Repeat("x", 200_000)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			config := w.client("web1")
			exact := encode(t, record("web1", out))
			for attempt, want := range []int{201, 200, 200} {
				if status, text := w.put(config, int64(len(exact)), append(exact, out...)); status != want {
					t.Fatalf("attempt %d: got %d %s, want %d", attempt, status, text, want)
				}
			}
			changed := record("web1", out)
			changed.Outcome = webjob.Failed
			other := encode(t, changed)
			if status, text := w.put(config, int64(len(other)), append(other, out...)); status != 409 {
				t.Fatalf("another result of the run: got %d %s", status, text)
			}
			stolen := encode(t, record("web2", out))
			if status, text := w.put(w.client("web2"), int64(len(stolen)), append(stolen, out...)); status != 409 {
				t.Fatalf("another client's result of the run: got %d %s", status, text)
			}
			part, err := server.ResultsOf(w.server).OpenPart(t.Context(), "run-1", webjob.Stdout)
			must(t, err)
			got, err := io.ReadAll(part)
			must(t, errors.Join(err, part.Close()))
			if string(got) != out {
				t.Fatalf("stored %d bytes, want %d", len(got), len(out))
			}
		})
	}
}

// A client that says nothing of its length, or sends more than the limit and keeps
// sending, is refused before its body is taken.
func TestReceiveBoundsTheBody(t *testing.T) {
	w := newWorld(t)
	config := w.client("web1")
	for name, c := range map[string]struct{ header, want string }{
		"over the limit":   {fmt.Sprintf("Content-Length: %d", 1<<30), "HTTP/1.1 413 "},
		"without a length": {"Transfer-Encoding: chunked", "HTTP/1.1 400 "},
	} {
		t.Run(name, func(t *testing.T) {
			connection, err := tls.Dial("tcp", w.endpoint.Listener.Addr().String(), config)
			must(t, err)
			_, err = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: x\r\n%s: 100\r\n%s\r\n\r\n", wire.PathResults, wire.HeaderRecordLength, c.header)
			must(t, err)
			sent := make(chan int)
			go func() { // keeps sending until the server closes the connection
				total, block := 0, bytes.Repeat([]byte("1\r\nx\r\n"), 10_000)
				for {
					n, err := connection.Write(block)
					total += n
					if err != nil {
						sent <- total
						return
					}
				}
			}()
			answer := make([]byte, 13)
			_, err = io.ReadFull(connection, answer)
			must(t, err)
			if string(answer) != c.want {
				t.Errorf("got %q, want %q", answer, c.want)
			}
			if n := <-sent; n > 64<<20 {
				t.Errorf("%d bytes were taken before the connection was closed", n)
			}
			_ = connection.Close() // closed by the server already
		})
	}
}

// A body that ends early stores nothing, and other clients are served meanwhile.
func TestCutConnectionStoresNothing(t *testing.T) {
	w := newWorld(t)
	config := w.client("web1")
	out := strings.Repeat("x", 100_000)
	exact := encode(t, record("web1", out))
	must(t, w.begin(config, exact, []byte(out), 50_000).Close())
	if status, text := w.put(config, int64(len(exact)), append(exact, out...)); status != 201 {
		t.Fatalf("the whole result afterwards: got %d %s", status, text)
	}
}

func TestConnectionsAreMutual(t *testing.T) {
	w := newWorld(t)
	good := w.client("web1")
	stranger, err := trust.NewAuthority("stranger", time.Now())
	must(t, err)
	lookAlike, err := trust.NewAuthority(w.ca.Certificate.Subject.CommonName, time.Now())
	must(t, err)
	foreign := func(authority *trust.Authority, role webjob.Role, at time.Time) *tls.Config {
		key, err := trust.GenerateKey(trust.ECDSA)
		must(t, err)
		certificate, err := authority.IssueIdentity(trust.Identity{Role: role, Name: "web1"}, key.Public(), at)
		must(t, err)
		own := tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key.Signer()}
		config := trust.ClientTLS(own, w.ca.Certificate)
		// Shown even when the server says that it knows another CA.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
		return config
	}
	bare := good.Clone()
	bare.Certificates = nil
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	serverKey, err := trust.GenerateKey(trust.ECDSA)
	must(t, err)
	serverCertificate, err := w.ca.IssueServer([]string{"web1"}, serverKey.Public(), time.Now())
	must(t, err)
	server := good.Clone()
	server.Certificates = []tls.Certificate{{Certificate: [][]byte{serverCertificate.Raw}, PrivateKey: serverKey.Signer()}}

	for name, c := range map[string]struct {
		config *tls.Config
		status int // 0: the handshake fails
	}{
		"the client itself":               {good, 404},
		"no certificate":                  {bare, 401},
		"TLS 1.2":                         {old, 0},
		"a certificate by another CA":     {foreign(stranger, webjob.RoleClient, time.Now()), 0},
		"an expired certificate":          {foreign(w.ca, webjob.RoleClient, time.Now().AddDate(-2, 0, 0)), 0},
		"a certificate of the future":     {foreign(w.ca, webjob.RoleClient, time.Now().AddDate(0, 0, 1)), 0},
		"the right name with another key": {foreign(w.ca, webjob.RoleClient, time.Now()), 403},
		"by a CA of the same name":        {foreign(lookAlike, webjob.RoleClient, time.Now()), 0},
		"an operator":                     {foreign(w.ca, webjob.RoleOperator, time.Now()), 403},
		"a server's certificate":          {server, 0},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := httpClient(c.config).Get(w.endpoint.URL + wire.JobPath("job", wire.JobQuery{Platform: "linux/amd64"}))
			if err != nil {
				if c.status != 0 {
					t.Fatal(err)
				}
				return
			}
			must(t, response.Body.Close())
			if response.StatusCode != c.status {
				t.Fatalf("got %s, want %d", response.Status, c.status)
			}
		})
	}
}

// A client reads the payloads of its own jobs and of no others.
func TestPayloadsOfOthersAreNotThere(t *testing.T) {
	w := newWorld(t)
	content := []byte("#!/bin/sh\n")
	d := webjob.DigestOf(content)
	must(t, server.PutPayload(t.Context(), w.server, content))
	m := &webjob.Manifest{
		Format: webjob.JobFormat, Name: "own", Version: 1, Scope: webjob.ClientScope("web1"), Created: time.Now().UTC().Truncate(time.Second),
		Expires: time.Now().UTC().Truncate(time.Second).Add(time.Hour), Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(),
		Payloads: []webjob.Payload{{Platform: "any", Digest: d, Size: int64(len(content))}},
	}
	must(t, server.Publish(t.Context(), w.server, m, w.key))
	for id, want := range map[string]int{"web1": 200, "web2": 404} {
		c := httpClient(w.client(id))
		for _, path := range []string{wire.JobPath("own", wire.JobQuery{Platform: "linux/amd64"}), wire.BlobPath(d)} {
			response, err := c.Get(w.endpoint.URL + path)
			must(t, err)
			must(t, response.Body.Close())
			if response.StatusCode != want {
				t.Errorf("%s gets %s: %s, want %d", id, path, response.Status, want)
			}
		}
	}
}

// A client asks hooks about its own runs, so that nothing is noted of those of others.
func TestRunsOfOthersAreNotAskedAbout(t *testing.T) {
	w := newWorld(t)
	m := &webjob.Manifest{
		Format: webjob.JobFormat, Name: "job", Version: 1, Scope: webjob.ScopeCommon, Created: time.Now().UTC().Truncate(time.Second),
		Expires: time.Now().UTC().Truncate(time.Second).Add(time.Hour), Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(),
		Payloads: []webjob.Payload{{Platform: "any", Digest: webjob.DigestOf([]byte("x")), Size: 1}},
	}
	must(t, server.PutPayload(t.Context(), w.server, []byte("x")))
	must(t, server.Publish(t.Context(), w.server, m, w.key))
	c := httpClient(w.client("web1"))
	for run, want := range map[string]int{"o1.web1": 200, "o1.web2": 403, "o1.20260102T030405.web2": 403, "run-1": 200} {
		begun, err := c.Post(w.endpoint.URL+wire.PathRuns, wire.ContentTypeJSON, strings.NewReader(`{"run":"`+run+`","job":"job"}`))
		must(t, err)
		must(t, begun.Body.Close())
		got, err := c.Get(w.endpoint.URL + wire.JobPath("job", wire.JobQuery{Platform: "linux/amd64", Run: run}))
		must(t, err)
		must(t, got.Body.Close())
		if begun.StatusCode != want || got.StatusCode != want {
			t.Errorf("run %s: %s and %s, want %d", run, begun.Status, got.Status, want)
		}
	}
}

// oneConnection returns what asks for a job over one connection of a client, and
// returns the status of the answer.
func (w *world) oneConnection(t *testing.T, client string) func() int {
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: w.client(client)}}
	return func() int {
		t.Helper()
		response, err := c.Get(w.endpoint.URL + wire.JobPath("job", wire.JobQuery{Platform: "linux/amd64"}))
		must(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		must(t, errors.Join(err, response.Body.Close()))
		return response.StatusCode
	}
}

// Revocation holds for the next request on a connection that is open already.
func TestRevocationOnOpenConnection(t *testing.T) {
	w := newWorld(t)
	get := w.oneConnection(t, "web1")
	if got := get(); got != 404 {
		t.Fatalf("before: %d", got)
	}
	must(t, w.backends.Store.RevokeClient(t.Context(), "web1", "", time.Now()))
	if got := get(); got != 403 {
		t.Fatalf("after: %d", got)
	}
}

// Requests that are no requests get an answer or a closed connection, and the
// server goes on.
func TestNonsenseRequests(t *testing.T) {
	w := newWorld(t)
	config := w.client("web1")
	for name, text := range map[string]string{
		"no HTTP":             "\x00\x01\x02\r\n\r\n",
		"huge header":         "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n",
		"header injection":    "GET /v1/jobs/a%0d%0aX-Y:%20z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"traversal":           "GET /v1/blobs/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"encoded traversal":   "GET /v1/blobs/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"two lengths":         "POST /v1/results HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"length and chunks":   "POST /v1/results HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"negative length":     "POST /v1/results HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"enrolment, no JSON":  "POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"enrolment, too much": "POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n" + strings.Repeat(" ", 3_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			connection, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", w.endpoint.Listener.Addr().String(), config)
			must(t, err)
			must(t, connection.SetDeadline(time.Now().Add(30*time.Second)))
			_, _ = io.WriteString(connection, text) // the server may close before all is sent
			_ = connection.CloseWrite()
			answer, _ := io.ReadAll(connection) // an error is as good as an answer
			_ = connection.Close()
			for _, bad := range []string{"200 OK", "201", "root:", "\r\nX-Y:", "goroutine"} {
				if bytes.Contains(answer, []byte(bad)) {
					t.Fatalf("the answer holds %q:\n%s", bad, answer)
				}
			}
			if status, text := w.put(config, 1, []byte("x")); status != 400 {
				t.Fatalf("afterwards: %d %s", status, text)
			}
		})
	}
}

// Without a certificate that holds, only the client's own key may even ask, and only an
// operator's word lets it in.
func TestRenewalWithoutCertificate(t *testing.T) {
	w := newWorld(t)
	own := w.client("web1")
	w.client("web2")
	anonymous := httpClient(trust.ClientTLS(tls.Certificate{}, w.ca.Certificate))
	anonymous.Transport.(*http.Transport).TLSClientConfig.Certificates = nil
	ask := func(id string, key *trust.PrivateKey) (int, string) {
		t.Helper()
		csr, err := trust.CertificateRequest(key, id)
		must(t, err)
		body, err := json.Marshal(wire.RenewRequest{ID: id, CertificateRequest: csr})
		must(t, err)
		response, err := anonymous.Post(w.endpoint.URL+wire.PathRenew, "application/json", bytes.NewReader(body))
		must(t, err)
		text, err := io.ReadAll(response.Body)
		must(t, errors.Join(err, response.Body.Close()))
		return response.StatusCode, string(text)
	}
	mine, err := trust.NewPrivateKey(own.Certificates[0].PrivateKey.(crypto.Signer))
	must(t, err)
	stranger, err := trust.GenerateKey(trust.ECDSA)
	must(t, err)
	approve := func(id string) {
		must(t, w.backends.Store.SetLateRenewal(t.Context(), id, time.Now(), time.Now().Add(time.Hour)))
	}
	for name, c := range map[string]struct {
		id   string
		key  *trust.PrivateKey
		want string
	}{
		"a stranger's key":     {"web1", stranger, "enrolled with another key"},
		"another client's key": {"web2", mine, "enrolled with another key"},
		"its own key":          {"web1", mine, "an admin must let it come back"},
		"nobody":               {"web9", mine, "is not enrolled here"},
		"a path":               {"../web1", mine, "is not allowed"},
	} {
		if status, text := ask(c.id, c.key); status/100 == 2 || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s, want %q", name, status, text, c.want)
		}
	}
	approve("web1")
	if status, text := ask("web1", stranger); status != 403 {
		t.Errorf("approved, a stranger's key: %d %s", status, text)
	}
	if status, text := ask("web1", mine); status != 200 {
		t.Errorf("approved: %d %s", status, text)
	}
	if status, text := ask("web1", mine); status != 403 {
		t.Errorf("a second time: %d %s", status, text)
	}
	approve("web1")
	must(t, w.backends.Store.RevokeClient(t.Context(), "web1", "", time.Now()))
	if status, text := ask("web1", mine); status != 403 {
		t.Errorf("revoked: %d %s", status, text)
	}
}

// A connection outlives its certificate, and what it may do does not.
func TestExpiryOnOpenConnection(t *testing.T) {
	w := newWorld(t)
	w.ca.Lifetime = 2 * time.Second
	get := w.oneConnection(t, "web1")
	if got := get(); got != 404 {
		t.Fatalf("before: %d", got)
	}
	time.Sleep(2100 * time.Millisecond)
	if got := get(); got != 401 {
		t.Fatalf("after: %d", got)
	}
}
