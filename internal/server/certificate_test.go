package server_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/internal/trust"
)

// A certificate that is not valid yet fails the check, and a server that has no good one is
// not ready.
func TestFutureCertificateIsToldOf(t *testing.T) {
	w := newWorld(t)
	certificateFinding := func() string {
		for _, f := range w.server.Check(t.Context()) {
			if f.What == "certificate" {
				return f.Error
			}
		}
		return "no finding"
	}
	if found := certificateFinding(); found != "" {
		t.Fatalf("a new folder has %q", found)
	}
	readiness := func() (int, string) {
		answer := httptest.NewRecorder()
		w.server.TelemetryHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return answer.Code, answer.Body.String()
	}
	if code, body := readiness(); code != http.StatusServiceUnavailable {
		t.Fatalf("ready before it serves: %d %s", code, body)
	}
	must(t, server.UseCertificate(w.server))
	if code, body := readiness(); code != http.StatusOK {
		t.Fatalf("not ready: %d %s", code, body)
	}
	key, err := trust.GenerateKey(trust.ECDSA)
	must(t, err)
	certificate, err := w.ca.IssueServer([]string{"localhost", "127.0.0.1", "::1"}, key.Public(), time.Now().Add(300*24*time.Hour))
	must(t, err)
	private, err := key.PrivatePEM()
	must(t, err)
	text := append(append(private, trust.CertificatePEM(certificate)...), trust.CertificatePEM(w.ca.Certificate)...)
	must(t, os.WriteFile(filepath.Join(server.FolderOf(w.server), "pki", "server.pem"), text, 0o600))
	if found := certificateFinding(); !strings.Contains(found, "is not valid before") {
		t.Fatalf("the check says %q", found)
	}
	server.MakeCAFuture(w.server)
	if code, body := readiness(); code != http.StatusServiceUnavailable || !strings.Contains(body, "the CA is not valid before") {
		t.Fatalf("ready with a CA of the future: %d %s", code, body)
	}
}
