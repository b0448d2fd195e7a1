package upload_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/spool"
	"webjob.dev/webjob/internal/endpoint/upload"
	"webjob.dev/webjob/wire"
)

// acknowledge answers as a server that received everything.
func acknowledge(w http.ResponseWriter, r *http.Request, change func(*wire.ResultResponse)) {
	body, err := io.ReadAll(r.Body)
	length, lengthErr := strconv.Atoi(r.Header.Get(wire.HeaderRecordLength))
	if err := errors.Join(err, lengthErr); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := wire.ResultResponse{Run: "run1", Record: webjob.DigestOf(body[:length])}
	change(&answer)
	_ = json.NewEncoder(w).Encode(answer)
}

// Only the acknowledgement of exactly this result deletes the endpoint's copy.
func TestOnlyTheRightAcknowledgementDeletes(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		sent   bool
	}{
		"the right one": {func(w http.ResponseWriter, r *http.Request) { acknowledge(w, r, func(*wire.ResultResponse) {}) }, true},
		"of another run": {func(w http.ResponseWriter, r *http.Request) {
			acknowledge(w, r, func(a *wire.ResultResponse) { a.Run = "run2" })
		}, false},
		"of another record": {func(w http.ResponseWriter, r *http.Request) {
			acknowledge(w, r, func(a *wire.ResultResponse) { a.Record = webjob.EmptyDigest })
		}, false},
		"empty":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }, false},
		"not JSON":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>OK</html>") }, false},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, false},
		"a refusal": {func(w http.ResponseWriter, _ *http.Request) {
			wire.WriteProblem(w, webjob.Errorf(webjob.Refused, "no"))
		}, false},
		"a bad disk": {func(w http.ResponseWriter, _ *http.Request) { wire.WriteProblem(w, errors.New("disk")) }, false},
		"hanging up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a connection that is cut is tried again after a moment
			server := httptest.NewTLSServer(http.HandlerFunc(c.answer))
			defer server.Close()
			s := newSpool(t)
			err := send(t, s, server)
			if (err == nil) != c.sent {
				t.Errorf("sending said %v", err)
			}
			list, err := s.List()
			if err != nil || (len(list) == 0) != c.sent {
				t.Errorf("the spool holds %v, %v", list, err)
			}
		})
	}
}

// A server that is busy for a moment is tried again, with the whole body.
func TestBusyServerIsTriedAgain(t *testing.T) {
	var tries atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			wire.WriteProblem(w, webjob.Errorf(webjob.Unavailable, "busy"))
			return
		}
		acknowledge(w, r, func(*wire.ResultResponse) {})
	}))
	defer server.Close()
	if err := send(t, newSpool(t), server); err != nil || tries.Load() != 2 {
		t.Fatalf("got %v after %d tries", err, tries.Load())
	}
}

func newSpool(t *testing.T) *spool.Spool {
	t.Helper()
	s, err := spool.Open(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	record := &webjob.Record{Format: webjob.RecordFormat, Run: "run1", Client: "web1", Job: "job", Outcome: webjob.Succeeded, Limits: webjob.DefaultLimits()}
	entry, stdout, stderr, err := s.Begin(record)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stdout.WriteString("hello")
	record.Parts = []webjob.Stream{{Name: webjob.Stdout, Digest: webjob.DigestOf([]byte("hello")), Size: 5, Written: 5}}
	if err := errors.Join(err, stdout.Close(), stderr.Close(), entry.Seal(record), entry.Unlock()); err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, s *spool.Spool, server *httptest.Server) error {
	t.Helper()
	entry, err := s.Lock("run1")
	if err != nil {
		t.Fatal(err)
	}
	c := wire.NewClient(server.URL, server.Client().Transport.(*http.Transport).TLSClientConfig)
	defer c.Close()
	return upload.Send(t.Context(), c, entry)
}
