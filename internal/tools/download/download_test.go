package download_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tools/download"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB

// source serves content, cutting its first answers after some bytes.
type source struct {
	mu     sync.Mutex
	cuts   int
	etag   string
	ranges []string
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	cut := s.cuts > 0
	s.cuts--
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	etag := s.etag
	s.mu.Unlock()
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	if cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:300<<10])
		w.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func TestCutDownloadsGoOn(t *testing.T) {
	for name, etag := range map[string]string{"same version": `"v1"`, "no version": "", "weak version": `W/"v1"`} {
		t.Run(name, func(t *testing.T) {
			s := &source{cuts: 1, etag: etag}
			server := httptest.NewServer(s)
			defer server.Close()
			file := filepath.Join(t.TempDir(), "f")
			digest, size, err := download.Get(t.Context(), download.Request{URL: server.URL, File: file, Most: 2 << 20, Retries: 1, Digest: webjob.DigestOf(content)})
			if err != nil || size != int64(len(content)) || digest != webjob.DigestOf(content) {
				t.Fatalf("%s, %d, %v", digest, size, err)
			}
			if got, _ := os.ReadFile(file); !bytes.Equal(got, content) {
				t.Error("the file is another")
			}
			if resumed := s.ranges[1] == fmt.Sprintf("bytes=%d-", 300<<10); resumed != (etag == `"v1"`) {
				t.Errorf("the second request asked for %q", s.ranges[1])
			}
			if left, _ := filepath.Glob(file + ".*"); len(left) > 0 {
				t.Errorf("%v are left", left)
			}
		})
	}
}

func TestTheNextCallGoesOn(t *testing.T) {
	s := &source{cuts: 1, etag: `"v1"`}
	server := httptest.NewServer(s)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "f")
	r := download.Request{URL: server.URL, File: file, Most: 2 << 20}
	if _, _, err := download.Get(t.Context(), r); webjob.KindOf(err) != webjob.Unavailable {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("half a file is in its place")
	}
	s.etag = `"v2"` // it changed meanwhile: from the start
	if _, size, err := download.Get(t.Context(), r); err != nil || size != int64(len(content)) {
		t.Fatal(size, err)
	}
	if s.ranges[1] == "" {
		t.Error("the second call did not ask for the rest")
	}
}

func TestWhatIsNotWantedIsNotKept(t *testing.T) {
	plain := httptest.NewServer(&source{})
	defer plain.Close()
	var target string
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/down":
			http.Redirect(w, r, target, http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/endless":
			for r.Context().Err() == nil {
				_, _ = w.Write(content)
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer secure.Close()
	target = plain.URL
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig
	for name, c := range map[string]struct {
		r    download.Request
		want webjob.Kind
		says string
	}{
		"another digest": {download.Request{URL: plain.URL, Most: 2 << 20, Digest: webjob.DigestOf([]byte("x"))}, webjob.Refused, "nothing was kept"},
		"too large":      {download.Request{URL: plain.URL, Most: 1 << 10}, webjob.TooLarge, "at most 1024"},
		"endless":        {download.Request{URL: secure.URL + "/endless", Most: 3 << 20, TLS: roots}, webjob.TooLarge, "more than"},
		"not there":      {download.Request{URL: secure.URL + "/absent", Most: 1, TLS: roots}, webjob.NotFound, "404"},
		"downgrade":      {download.Request{URL: secure.URL + "/down", Most: 2 << 20, TLS: roots}, webjob.Unavailable, "redirect"},
		"not trusted":    {download.Request{URL: secure.URL + "/x", Most: 1}, webjob.Unavailable, "certificate"},
		"no URL":         {download.Request{URL: "ftp://x/y", Most: 1}, webjob.Invalid, "not an http"},
		"identity":       {download.Request{URL: "http://x/y", Most: 1, TLS: &tls.Config{}}, webjob.Invalid, "https only"}, //nolint:gosec // it is not used
		"nobody":         {download.Request{URL: "http://user:secret@127.0.0.1:1/y", Most: 1}, webjob.Unavailable, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			c.r.File = filepath.Join(t.TempDir(), "f")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, _, err := download.Get(ctx, c.r)
			if webjob.KindOf(err) != c.want || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(c.r.File); err == nil {
				t.Error("the file is there")
			}
		})
	}
}

// TestWhatOthersLeftIsNotUsed: in a folder that all can write to, a part or a link may
// have been put there for us.
func TestWhatOthersLeftIsNotUsed(t *testing.T) {
	s := &source{etag: `"v1"`}
	server := httptest.NewServer(s)
	defer server.Close()
	for name, plant := range map[string]func(file, victim string) error{
		"link":                func(file, victim string) error { return os.Symlink(victim, file+".part") },
		"link of the version": func(file, victim string) error { return os.Symlink(victim, file+".part.etag") },
		"part that others can write": func(file, _ string) error {
			return errors.Join(os.WriteFile(file+".part", []byte("evil"), 0o600), os.Chmod(file+".part", 0o666), os.WriteFile(file+".part.etag", []byte(`"v1"`), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, victim := filepath.Join(dir, "f"), filepath.Join(dir, "victim")
			if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), plant(file, victim)); err != nil {
				t.Fatal(err)
			}
			_, _, err := download.Get(t.Context(), download.Request{URL: server.URL, File: file, Most: 2 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(file); !bytes.Equal(got, content) {
				t.Error("the file is not what the server has")
			}
			if got, _ := os.ReadFile(victim); string(got) != "precious" {
				t.Errorf("another file became %.20q", got)
			}
			if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
				t.Errorf("the file is %v", info)
			}
		})
	}
}
