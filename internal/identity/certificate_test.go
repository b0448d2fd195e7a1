package identity

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob/internal/trust"
)

func newFolder(t *testing.T) (Folder, *trust.Authority) {
	t.Helper()
	f := Folder{Dir: t.TempDir(), Names: []string{"jobs.example.org", "192.0.2.1"}, Read: os.ReadFile}
	must(t, os.Mkdir(filepath.Join(f.Dir, "pki"), 0o700))
	authority, err := f.Create()
	must(t, err)
	return f, authority
}

// A start issues the certificate anew when it is not good for what holds now, says why, and
// leaves one alone that is good.
func TestStartMendsTheCertificate(t *testing.T) {
	year := 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		spoil func(t *testing.T, f *Folder, authority *trust.Authority)
		says  string // in the log; empty when nothing is to be done
	}{
		"good":           {func(*testing.T, *Folder, *trust.Authority) {}, ""},
		"in other order": {func(_ *testing.T, f *Folder, _ *trust.Authority) { f.Names = []string{"192.0.2.1", "jobs.example.org"} }, ""},
		"not valid yet":  {func(t *testing.T, f *Folder, a *trust.Authority) { must(t, f.issue(a, time.Now().Add(year))) }, "is not valid before"},
		"expired":        {func(t *testing.T, f *Folder, a *trust.Authority) { must(t, f.issue(a, time.Now().Add(-2*year))) }, "expired at"},
		"gone":           {func(t *testing.T, f *Folder, _ *trust.Authority) { must(t, os.Remove(f.path(serverFile))) }, "no such file"},
		"garbage": {func(t *testing.T, f *Folder, _ *trust.Authority) {
			must(t, os.WriteFile(f.path(serverFile), []byte("x"), 0o600))
		}, serverFile},
		"of another name": {func(_ *testing.T, f *Folder, _ *trust.Authority) { f.Names = []string{"new.example.org"} }, "the settings name 127.0.0.1, ::1, localhost, new.example.org"},
		"of another CA": {func(t *testing.T, f *Folder, _ *trust.Authority) {
			other, err := trust.NewAuthority("WebJob CA jobs.example.org", time.Now())
			must(t, err)
			must(t, f.issue(other, time.Now()))
		}, "of another CA"},
		"of another key": {func(t *testing.T, f *Folder, a *trust.Authority) {
			before, err := os.ReadFile(f.path(serverFile))
			must(t, err)
			must(t, f.issue(a, time.Now()))
			after, err := os.ReadFile(f.path(serverFile))
			must(t, err)
			cut := []byte("-----BEGIN CERTIFICATE")
			must(t, os.WriteFile(f.path(serverFile), append(before[:bytes.Index(before, cut)], after[bytes.Index(after, cut):]...), 0o600))
		}, "private key"},
	} {
		t.Run(name, func(t *testing.T) {
			f, authority := newFolder(t)
			c.spoil(t, &f, authority)
			before, _ := os.ReadFile(f.path(serverFile))
			var log bytes.Buffer
			own, err := f.Certificate(authority, slog.New(slog.NewTextHandler(&log, nil)))
			must(t, err)
			must(t, own.Ready())
			after, err := os.ReadFile(f.path(serverFile))
			must(t, err)
			if renewed := !bytes.Equal(before, after); renewed != (c.says != "") {
				t.Fatalf("issued anew: %v", renewed)
			}
			if !strings.Contains(log.String(), c.says) || (c.says != "") != strings.Contains(log.String(), "level=WARN") {
				t.Fatalf("the log says %q, not %q", log.String(), c.says)
			}
		})
	}
}

// A clock that is put right while the server runs leaves it with no certificate of the future.
func TestHandshakeMendsTheCertificate(t *testing.T) {
	f, authority := newFolder(t)
	own, err := f.Certificate(authority, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, own.renew(time.Now().Add(48*time.Hour)))
	got, err := own.Get()
	must(t, err)
	if time.Now().Before(got.Leaf.NotBefore) {
		t.Fatalf("the certificate is valid from %s", got.Leaf.NotBefore)
	}
}

// An authority of the future cannot be mended by a certificate.
func TestFutureAuthorityIsNotReady(t *testing.T) {
	f, _ := newFolder(t)
	future, err := trust.NewAuthority("test", time.Now().Add(48*time.Hour))
	must(t, err)
	own, err := f.Certificate(future, slog.New(slog.DiscardHandler))
	must(t, err)
	if err := own.Ready(); err == nil || !strings.Contains(err.Error(), "the CA is not valid before") {
		t.Fatalf("ready says %v", err)
	}
}
