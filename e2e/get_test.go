package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGetUsesTheProxy fetches from a host that only a proxy can reach.
func TestGetUsesTheProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("through the proxy: " + r.URL.String()))
	}))
	defer proxy.Close()
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), filepath.Join(bin, "webjob"), "get", "http://nowhere.invalid/a/file")
	c.Dir, c.Env = dir, append(environment(dir), "HTTP_PROXY="+proxy.URL)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "file"))
	if want := "through the proxy: http://nowhere.invalid/a/file"; err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
