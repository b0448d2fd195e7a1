package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// lean is an HTTP client of few instructions: the load and the server share the
// processors, and what is measured is the server. It is to us what wrk is to the CGI.
type lean struct {
	conn *tls.Conn
	wire *gatherer
	in   []byte // what was read and not used yet is in[:have]
	have int
	out  []byte
}

func dialLean(address string, config *tls.Config) (*lean, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	config.ServerName = u.Hostname()
	g := &gatherer{Conn: conn, raw: raw}
	secure := tls.Client(readAhead{Conn: conn, reader: bufio.NewReaderSize(g, 4*payloadBytes)}, config)
	return &lean{conn: secure, wire: g, in: make([]byte, 4*payloadBytes)}, secure.Handshake()
}

type readAhead struct {
	net.Conn
	reader *bufio.Reader
}

func (r readAhead) Read(p []byte) (int, error) { return r.reader.Read(p) }

// gatherer takes many TLS records out of the kernel at once: it does not wake up for
// less than what is still to come at least (socket(7), SO_RCVLOWAT).
type gatherer struct {
	net.Conn
	raw  syscall.RawConn
	want int
}

func (g *gatherer) Read(p []byte) (int, error) {
	var optionErr error
	err := g.raw.Control(func(fd uintptr) {
		optionErr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, max(1, g.want))
	})
	if err := errors.Join(err, optionErr); err != nil {
		return 0, err
	}
	n, err := g.Conn.Read(p)
	g.want -= n
	return n, err
}

func (l *lean) close() { _ = l.conn.Close() } // nothing is under way

var headerEnd, lengthName = []byte("\r\n\r\n"), []byte("Content-Length")

// exchange sends a request, which comes in pieces, and returns the header and the body
// of the answer, which are good until the next one. The answer has at least so many
// bytes.
func (l *lean) exchange(least int, request ...[]byte) (header, body []byte, err error) {
	l.out = l.out[:0]
	for _, piece := range request {
		l.out = append(l.out, piece...)
	}
	l.wire.want = least
	if _, err := l.conn.Write(l.out); err != nil {
		return nil, nil, err
	}
	l.have = 0
	end := -1
	for end < 0 {
		if err := l.more(); err != nil {
			return nil, nil, err
		}
		end = bytes.Index(l.in[:l.have], headerEnd)
	}
	header = l.in[:end+2]
	if !bytes.HasPrefix(header, []byte("HTTP/1.1 2")) {
		return nil, nil, fmt.Errorf("answered %q", l.in[:min(l.have, 500)])
	}
	length := 0
	if text := headerValue(header, lengthName); len(text) > 0 {
		if length, err = strconv.Atoi(string(text)); err != nil {
			return nil, nil, err
		}
	}
	start := end + len(headerEnd)
	for l.have < start+length {
		if err := l.more(); err != nil {
			return nil, nil, err
		}
	}
	return header, l.in[start : start+length], nil
}

func (l *lean) more() error {
	if l.have == len(l.in) {
		return io.ErrShortBuffer
	}
	n, err := l.conn.Read(l.in[l.have:])
	l.have += n
	return err
}

// headerValue returns the value of a header line, nil when there is none.
func headerValue(header, name []byte) []byte {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		if len(line) > len(name)+1 && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], name) {
			return bytes.TrimSpace(line[len(name)+1:])
		}
	}
	return nil
}

// step is what takes a step from a ticket: the value of the next one. Ours is always the
// same, which is enough for a server.
const step = ".AAAAAAAAAAAAAAAAAAAAAA"

// ourPair gets the job with its payload, which must be byte for byte what a client
// accepted, and puts a result. Each get takes a step from the newest ticket.
func ourPair(ctx context.Context, e *endpoint.Enrolment, newest *string) (pair func() error, done func(), err error) {
	c := e.Connect()
	defer c.Close()
	who := fetch.Requester{ID: e.ID, Labels: e.Labels, Ticket: *newest + step}
	if who.Repository, err = trust.NewView(e.TrustRoot); err != nil {
		return nil, nil, err
	}
	m, err := fetch.Job(ctx, c, who, "probe", wire.JobQuery{Platform: webjob.ThisPlatform}, time.Now())
	if err != nil {
		return nil, nil, err
	}
	payload, err := m.PayloadFor(webjob.ThisPlatform)
	if err != nil {
		return nil, nil, err
	}
	accepted := bytes.NewBuffer(bytes.Clone(m.Text))
	if err := m.Payload(ctx, payload, accepted); err != nil {
		return nil, nil, err
	}
	have, err := json.Marshal(m.Repository.Have(trust.PolicyPath, trust.ClientPath(e.ID), trust.JobPath("probe")))
	if err != nil {
		return nil, nil, err
	}
	r, err := newResult(e.ID, m.Digest, payload.Digest)
	if err != nil {
		return nil, nil, err
	}
	l, err := dialLean(c.Base(), e.TLS())
	if err != nil {
		return nil, nil, err
	}
	get := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s: %s\r\n%s: ",
		wire.JobPath("probe", wire.JobQuery{Platform: webjob.ThisPlatform}), wire.HeaderHave, have, wire.HeaderTicket)
	put := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n%s: %d\r\nContent-Length: %d\r\n%s: ",
		wire.PathResults, wire.ContentTypeResult, wire.HeaderRecordLength, r.record, len(r.body), wire.HeaderTicket)
	ticket, ticketName := []byte(m.Ticket), []byte(wire.HeaderTicket)
	*newest = m.Ticket
	getEnd := append([]byte(step), headerEnd...)
	return func() error {
		header, body, err := l.exchange(accepted.Len(), get, ticket, getEnd)
		if err != nil {
			return err
		}
		if !bytes.Equal(body, accepted.Bytes()) {
			return errors.New("the answer is not what a client accepted")
		}
		ticket = append(ticket[:0], headerValue(header, ticketName)...)
		*newest = string(ticket)
		r.renew()
		_, _, err = l.exchange(1, put, ticket, headerEnd, r.body)
		return err
	}, l.close, nil
}

// result is the body of a result with resultBytes, a record, stdout and stderr, whose
// run and content are new each time.
type result struct {
	body   []byte
	record int // length of the record, which comes first
	run    []byte
	parts  []part
}

// part is a stream's content in the body, and the digits of its digest there.
type part struct{ content, digest []byte }

func newResult(client string, manifest, payload webjob.Digest) (*result, error) {
	now := time.Now().UTC()
	status := 0
	record := webjob.Record{
		Format: webjob.RecordFormat, Run: uuid.Must(uuid.NewV7()).String(), Client: client, Job: "probe", Version: 1,
		Manifest: manifest, Payload: payload, Host: "bench", Platform: webjob.ThisPlatform, Webjob: "bench",
		Outcome: webjob.Succeeded, ExitStatus: &status, PutURL: "https://localhost:8443",
		Times:  webjob.Times{Get: webjob.Phase{Start: now, DurationMS: 5}, Run: webjob.Phase{Start: now, DurationMS: 5}, Put: webjob.Phase{Start: now}},
		Limits: webjob.DefaultLimits(), Enforced: []string{"tree: cgroup and subreaper"},
	}
	contents := [][]byte{bytes.Repeat([]byte("o"), 1200), bytes.Repeat([]byte("e"), 300)}
	for i, name := range []string{webjob.Stdout, webjob.Stderr} {
		size := int64(len(contents[i]))
		record.Parts = append(record.Parts, webjob.Stream{Name: name, Digest: webjob.DigestOf(contents[i]), Size: size, Written: size})
	}
	exact, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	r := &result{body: slices.Concat(append([][]byte{exact}, contents...)...), record: len(exact)}
	find := func(what string) []byte {
		at := bytes.Index(r.body, []byte(what))
		return r.body[at : at+len(what)]
	}
	r.run = find(record.Run)
	at := r.record
	for i, content := range contents {
		r.parts = append(r.parts, part{content: r.body[at : at+len(content)], digest: find(record.Parts[i].Digest.Hex())})
		at += len(content)
	}
	return r, nil
}

func (r *result) renew() {
	run := uuid.Must(uuid.NewV7())
	copy(r.run, run.String())
	for _, p := range r.parts {
		hex.Encode(p.content, run[:])
		sum := sha256.Sum256(p.content)
		hex.Encode(p.digest, sum[:])
	}
}

// barePair gets a file of the same size and puts a body of the same size.
func barePair(e *endpoint.Enrolment, address string) (pair func() error, done func(), err error) {
	l, err := dialLean(address, e.TLS())
	if err != nil {
		return nil, nil, err
	}
	get := []byte("GET /probe.sh HTTP/1.1\r\nHost: localhost\r\n\r\n")
	put := fmt.Appendf(nil, "PUT /result HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", resultBytes, bytes.Repeat([]byte("x"), resultBytes))
	return func() error {
		_, body, err := l.exchange(payloadBytes, get)
		if err != nil || len(body) != payloadBytes {
			return fmt.Errorf("got %d bytes: %w", len(body), err)
		}
		_, _, err = l.exchange(1, put)
		return err
	}, l.close, nil
}
