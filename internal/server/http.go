package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/transport"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// stallTimeout ends a request whose peer moves no byte for so long. Large bodies
// may take as long as they need while they move.
const stallTimeout = 30 * time.Second

// handler answers a request or returns the error to answer with.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes is a listener's table: method and pattern to handler.
type routes struct {
	server   *Server
	listener string
	mux      *http.ServeMux
}

func (s *Server) routes(listener string) *routes {
	r := &routes{server: s, listener: listener, mux: http.NewServeMux()}
	r.handle("/", func(_ http.ResponseWriter, request *http.Request) error {
		return webjob.Errorf(webjob.NotFound, "there is no %s %.200q here", request.Method, request.URL.Path)
	})
	return r
}

// handle adds a route: every request is bounded, counted and logged in one line. It is
// carried out as a whole, even when its peer leaves meanwhile, so that nothing is cut
// between two steps: the context of its handler does not end. One that waits for
// something looks at [transport.Departed].
func (rt *routes) handle(pattern string, h handler) {
	rt.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		caller := &caller{large: rt.server.large}
		r = r.WithContext(context.WithValue(transport.WithDeparture(r.Context()), callerKey{}, caller))
		control := http.NewResponseController(w)
		answer := &answer{ResponseWriter: w, control: control}
		body := &movingBody{ReadCloser: r.Body, control: control}
		r.Body = body
		err := h(answer, r)
		if caller.skip {
			return
		}
		if err != nil && answer.status == 0 {
			wire.WriteProblem(answer, err)
		}
		rt.server.metrics.request(rt.listener, pattern, answer.status, time.Since(start))
		rt.log(r, answer, body, caller, time.Since(start), err)
	})
}

func (rt *routes) log(r *http.Request, a *answer, body *movingBody, c *caller, took time.Duration, err error) {
	level := slog.LevelInfo
	attributes := []slog.Attr{
		slog.String("listener", rt.listener), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", a.status), slog.Int64("in", body.bytes), slog.Int64("out", a.bytes),
		slog.Duration("took", took.Round(time.Microsecond)), slog.String("remote", r.RemoteAddr),
	}
	if c.quiet && err == nil {
		level = slog.LevelDebug
	}
	if c.identity.Name != "" {
		attributes = append(attributes, slog.String(string(c.identity.Role), c.identity.Name))
	}
	attributes = append(attributes, c.more...)
	if err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
		if webjob.KindOf(err) == webjob.Internal {
			level = slog.LevelError
		}
	}
	handler := rt.server.log.Handler()
	if !handler.Enabled(r.Context(), level) {
		return
	}
	line := slog.NewRecord(time.Now(), level, "request", 0) // no place in the source: it is not printed, and costs a walk up the stack
	line.AddAttrs(attributes...)
	_ = handler.Handle(r.Context(), line) // as slog does: a log that cannot be written is told to nobody
}

// caller collects what the access line tells about a request beyond HTTP.
type caller struct {
	identity trust.Identity
	large    *transport.Places // for its JSON when that is not small
	more     []slog.Attr
	skip     bool // another one answers, counts and tells
	quiet    bool // tell at level debug: it happens all the time and brought nothing
}

type callerKey struct{}

// note adds a fixed key of ours (client, job, run) to the access line.
func note(r *http.Request, attributes ...slog.Attr) {
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok {
		c.more = append(c.more, attributes...)
	}
}

// quiet keeps an access line for those who debug.
func quiet(r *http.Request) {
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok {
		c.quiet = true
	}
}

// skip leaves answering to another one.
func skip(r *http.Request) {
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok {
		c.skip = true
	}
}

// authenticate returns who holds the client certificate of a request.
func authenticate(r *http.Request, role webjob.Role) (trust.Identity, webjob.Digest, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return trust.Identity{}, "", webjob.Errorf(webjob.Unauthorized, "no client certificate was shown; enrol first, and send the certificate")
	}
	certificate := r.TLS.PeerCertificates[0]
	identity, err := trust.Identify(certificate)
	if err != nil {
		return identity, "", err
	}
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok {
		c.identity = identity
	}
	// A connection may outlive the certificate that it was opened with.
	if time.Now().After(certificate.NotAfter) {
		return identity, "", webjob.Errorf(webjob.Unauthorized, "the certificate of %s expired at %s; renew it", identity.Name, certificate.NotAfter.UTC().Format(time.RFC3339))
	}
	if identity.Role != role {
		return identity, "", webjob.Errorf(webjob.Refused, "the certificate is for a %s; this address is for a %s", identity.Role, role)
	}
	return identity, trust.KeyDigest(certificate), nil
}

// answer counts what is sent and ends an answer that does not move.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
}

// Unwrap lets [http.ResponseController] reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	// An answer without a body is flushed after the handler, when the deadline of
	// the connection's previous answer may have passed.
	_ = a.control.SetWriteDeadline(time.Now().Add(stallTimeout)) // a dead connection shows at the next write
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if err := a.control.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// movingBody counts what arrives and ends a body that does not move.
type movingBody struct {
	io.ReadCloser
	control *http.ResponseController
	bytes   int64
}

func (b *movingBody) Read(p []byte) (int, error) {
	if err := b.control.SetReadDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	return n, err
}

// Bounds of JSON bodies, which are held in memory, beside those of their routes.
const (
	maxStrangerJSON = 32 << 10 // of who has not shown who it is; requests to be let in are small
	smallJSON       = 64 << 10 // what is larger takes a place, so that nobody fills the memory
	maxLargeJSON    = 64       // places
)

// readJSON reads a bounded request body. Unknown members are left alone, so that
// newer programs can talk to this server.
func readJSON(r *http.Request, v any) error { return readJSONUpTo(r, v, wire.MaxRequestJSON) }

func readJSONUpTo(r *http.Request, v any, limit int) error {
	c, _ := r.Context().Value(callerKey{}).(*caller)
	stranger := c == nil || c.identity.Name == ""
	if stranger {
		limit = min(limit, maxStrangerJSON)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(min(limit, smallJSON))+1))
	if err == nil && len(body) > smallJSON && !stranger {
		var leave func()
		if leave, err = c.large.Take(r.Context(), string(c.identity.Role)+" "+c.identity.Name); err != nil {
			return err
		}
		defer leave()
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(r.Body, int64(limit-len(body))+1))
		body = append(body, rest...)
	}
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "the body ended early: %w", err)
	}
	if len(body) > limit {
		return webjob.Errorf(webjob.TooLarge, "the body has more than %d bytes", limit)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return webjob.Errorf(webjob.Invalid, "the body is not the expected JSON: %w", err)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", wire.ContentTypeJSON)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that left needs no answer
	return nil
}

// sendContent sends a blob with Range support.
func sendContent(w http.ResponseWriter, r *http.Request, content io.ReadSeekCloser) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, content)
	return content.Close()
}
