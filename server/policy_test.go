package server_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/server"
)

// Results go after their retention, with the blobs that nothing else needs; clients
// that were not seen for too long are told about once.
func TestHousekeeping(t *testing.T) {
	w := newWorld(t)
	dir := server.FolderOf(w.server)
	must(t, os.MkdirAll(filepath.Join(dir, "overrides", "client"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "overrides", "client", "web1.toml"), []byte("retention = \"1h\"\n"), 0o600))
	settings, err := os.ReadFile(filepath.Join(dir, "webjobd.toml"))
	must(t, err)
	settings = append(settings, "[clients]\noverdue = \"3h\"\n[[trigger]]\nname = \"t\"\non = [\"overdue\"]\ncommand = [\"/bin/true\"]\n"...)
	must(t, os.WriteFile(filepath.Join(dir, "webjobd.toml"), settings, 0o600))
	must(t, w.server.Reload(t.Context()))
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
	must(t, server.TidyAt(t.Context(), w.server, time.Now().Add(2*time.Hour)))
	blob, err = w.backends.Blobs.Has(t.Context(), webjob.DigestOf([]byte(large)))
	must(t, err)
	if has("run-of-web2") || blob {
		t.Errorf("the last result is there: %v, its blob: %v", has("run-of-web2"), blob)
	}
}
