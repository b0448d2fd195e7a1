package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/wire"
)

// configure adds to the configuration and takes it into use.
func (w *world) configure(more string) {
	w.t.Helper()
	w.edit(more)
	must(w.t, w.server.Reload(w.t.Context()))
}

// edit adds to the configuration.
func (w *world) edit(more string) {
	w.t.Helper()
	file := filepath.Join(server.FolderOf(w.server), "webjobd.toml")
	settings, err := os.ReadFile(file)
	must(w.t, err)
	must(w.t, os.WriteFile(file, append(settings, more...), 0o600))
}

// keepForAnHour is the retention of a client's results.
func (w *world) keepForAnHour(client string) {
	w.t.Helper()
	folder := filepath.Join(server.FolderOf(w.server), "overrides", "client")
	must(w.t, os.MkdirAll(folder, 0o700))
	must(w.t, os.WriteFile(filepath.Join(folder, client+".toml"), []byte("retention = \"1h\"\n"), 0o600))
	must(w.t, w.server.Reload(w.t.Context()))
}

// Results go after their retention, with the blobs that nothing else needs; clients
// that were not seen for too long are told about once.
func TestHousekeeping(t *testing.T) {
	w := newWorld(t)
	dir := server.FolderOf(w.server)
	w.keepForAnHour("web1")
	w.configure("[clients]\noverdue = \"3h\"\n[[trigger]]\nname = \"t\"\non = [\"overdue\"]\ncommand = [\"/bin/true\"]\n")
	large := string(bytes.Repeat([]byte("x"), 40_000))
	for _, client := range []string{"web1", "web2"} {
		r := record(client, large)
		r.Run = "run-of-" + client
		exact := encode(t, r)
		if status, text := w.put(w.client(client), int64(len(exact)), append(exact, large...)); status != 201 {
			t.Fatalf("%d %s", status, text)
		}
	}
	has := func(run string) bool {
		_, err := w.backends.Store.Result(t.Context(), run)
		return err == nil
	}
	due := func() int {
		list, err := w.backends.Store.ListDeliveries(t.Context(), false, webjob.Page{Limit: 9})
		must(t, err)
		return len(list)
	}
	must(t, server.TidyAt(t.Context(), w.server, time.Now()))
	if !has("run-of-web1") || due() != 0 {
		t.Fatal("something went before its time")
	}
	must(t, server.TidyAt(t.Context(), w.server, time.Now().Add(2*time.Hour)))
	if has("run-of-web1") || !has("run-of-web2") || due() != 0 {
		t.Errorf("after two hours: web1 %v, web2 %v", has("run-of-web1"), has("run-of-web2"))
	}
	blob, err := w.backends.Blobs.Has(t.Context(), webjob.DigestOf([]byte(large)))
	must(t, err)
	if !blob {
		t.Error("a blob that another result needs is gone")
	}
	for range 2 {
		must(t, server.TidyAt(t.Context(), w.server, time.Now().Add(4*time.Hour)))
	}
	if due() != 2 {
		t.Errorf("%d clients were told to be overdue, want 2", due())
	}
	must(t, os.Rename(filepath.Join(dir, "overrides", "client", "web1.toml"), filepath.Join(dir, "overrides", "client", "web2.toml")))
	must(t, w.server.Reload(t.Context()))
	must(t, server.TidyAt(t.Context(), w.server, time.Now().Add(6*time.Hour)))
	blob, err = w.backends.Blobs.Has(t.Context(), webjob.DigestOf([]byte(large)))
	must(t, err)
	if has("run-of-web2") || blob {
		t.Errorf("the last result is there: %v, its blob: %v", has("run-of-web2"), blob)
	}
}

// until waits for what comes soon.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after 30 s", what)
		}
	}
}

// A client that sends slowly holds up neither the removal of old results nor the
// results of others; what the removal took from under it is told, and comes again.
func TestSlowResultHoldsNobodyUp(t *testing.T) {
	w := newWorld(t)
	w.keepForAnHour("web1")
	shared, own := strings.Repeat("x", 40_000), strings.Repeat("y", 40_000)
	old := encode(t, record("web1", shared))
	if status, text := w.put(w.client("web1"), int64(len(old)), append(old, shared...)); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	digest := webjob.DigestOf([]byte(shared))
	blob := filepath.Join(server.FolderOf(w.server), "blobs", digest.Hex()[:2], digest.Hex())
	before, err := os.Stat(blob)
	must(t, err)

	slow := record("web2", shared)
	slow.Run = "slow"
	slow.Parts[1] = webjob.Stream{Name: webjob.Stderr, Digest: webjob.DigestOf([]byte(own)), Size: int64(len(own)), Written: int64(len(own))}
	config, exact, body := w.client("web2"), encode(t, slow), []byte(shared+own)
	connection := w.begin(config, exact, body, len(body)-1)
	until(t, "the first part", func() bool {
		now, err := os.Stat(blob)
		return err == nil && !os.SameFile(before, now)
	})
	tidied := make(chan error, 1)
	go func() { tidied <- server.TidyAt(t.Context(), w.server, time.Now().Add(2*time.Hour)) }()
	select {
	case err := <-tidied:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Error("the removal waits for a client")
	}
	quick := record("web3", "hello")
	quick.Run = "quick"
	other := encode(t, quick)
	if status, text := w.put(w.client("web3"), int64(len(other)), append(other, "hello"...)); status != 201 {
		t.Errorf("%d %s", status, text)
	}

	_, err = connection.Write(body[len(body)-1:])
	must(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	must(t, err)
	text, err := io.ReadAll(answer.Body)
	must(t, errors.Join(err, connection.Close()))
	if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "took too long to be named, and may have been removed; send it again") {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
	if status, text := w.put(config, int64(len(exact)), append(exact, body...)); status != 201 {
		t.Errorf("again: %d %s", status, text)
	}
	part, err := server.ResultsOf(w.server).OpenPart(t.Context(), "slow", webjob.Stdout)
	must(t, err)
	must(t, part.Close())
}

// A poll is held for a client, not for its connection that is gone.
func TestPollOfClientThatLeftEnds(t *testing.T) {
	w := newWorld(t)
	polls := func() string {
		answer := httptest.NewRecorder()
		w.server.TelemetryHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		for line := range strings.Lines(answer.Body.String()) {
			if value, found := strings.CutPrefix(line, "webjob_agents_waiting "); found {
				return strings.TrimSpace(value)
			}
		}
		t.Fatalf("no number of polls in\n%s", answer.Body)
		return ""
	}
	connection, err := tls.Dial("tcp", w.endpoint.Listener.Addr().String(), w.client("web1"))
	must(t, err)
	body := encode(t, wire.PollRequest{WaitMS: 300_000})
	_, err = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", wire.PathPoll, len(body), body)
	must(t, err)
	until(t, "a poll is held", func() bool { return polls() == "1" })
	must(t, connection.Close())
	until(t, "the poll ended", func() bool { return polls() == "0" })
}

// A result that arrived is kept, whether or not its client waits for the answer.
func TestResultOfClientThatLeftIsKept(t *testing.T) {
	w := newWorld(t)
	w.configure("[[hook]]\nname = \"slow\"\non = [\"put\"]\ncommand = [\"/bin/sleep\", \"0.5\"]\n")
	exact := encode(t, record("web1", ""))
	must(t, w.begin(w.client("web1"), exact, nil, 0).Close())
	until(t, "the result", func() bool {
		_, err := w.backends.Store.Result(t.Context(), "run-1")
		return err == nil
	})
}

// Clients cannot make the server start any number of hooks.
func TestHooksWaitForAPlace(t *testing.T) {
	w := newWorld(t)
	w.configure("[[hook]]\nname = \"quick\"\non = [\"put\"]\ncommand = [\"/bin/true\"]\n")
	done := server.AskNobody(t.Context(), w.server)
	exact := encode(t, record("web1", ""))
	connection := w.begin(w.client("web1"), exact, nil, 0)
	must(t, connection.SetReadDeadline(time.Now().Add(time.Second)))
	if n, err := connection.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d, %v: the hook was asked without a place", n, err)
	}
	done()
	until(t, "the result", func() bool {
		_, err := w.backends.Store.Result(t.Context(), "run-1")
		return err == nil
	})
	must(t, connection.Close())
}

// A clone is shut out also when the news of it cannot be kept.
func TestCloneIsSuspendedWithoutItsNews(t *testing.T) {
	w := newWorldWith(t, func(s *server.Settings) { s.Clients.OnClone = "suspend" })
	w.configure("[[trigger]]\nname = \"t\"\non = [\"clone\"]\ncommand = [\"/bin/true\"]\n")
	w.client("web1")
	db, err := sql.Open("sqlite", filepath.Join(server.FolderOf(w.server), "metadata.db"))
	must(t, err)
	_, err = db.ExecContext(t.Context(), `CREATE TRIGGER broken BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, 'no'); END`)
	must(t, errors.Join(err, db.Close()))
	server.Cloned(w.server, webjob.Clone{Client: "web1", Reason: "a test", Address: "192.0.2.1", OtherAddress: "192.0.2.2"})
	client, err := w.backends.Store.Client(t.Context(), "web1")
	must(t, err)
	if client.SuspendedAt.IsZero() {
		t.Error("it is not suspended")
	}
	if client.Clone != nil {
		t.Error("the news was kept, so that nothing was tested")
	}
}
