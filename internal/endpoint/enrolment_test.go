package endpoint_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
	"webjob.dev/webjob/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRoot(t *testing.T) []byte {
	t.Helper()
	return trusttest.New(t, 1, "alice").Roots[0]
}

// A server with the right CA, in the wrong hands: it certifies, but it cannot choose
// who signs jobs, nor whom the client is.
func TestEnrolmentWithHostileServer(t *testing.T) {
	authority, err := trust.NewAuthority("CA", time.Now())
	must(t, err)
	key, err := trust.GenerateKey(trust.ECDSA)
	must(t, err)
	certificate, err := authority.IssueServer([]string{"127.0.0.1"}, key.Public(), time.Now())
	must(t, err)
	chain := &tls.Certificate{Certificate: [][]byte{certificate.Raw, authority.Certificate.Raw}, PrivateKey: key.Signer()}
	pinned := newRoot(t)

	for name, c := range map[string]struct {
		change func(*wire.EnrollResponse)
		role   webjob.Role
		want   string // "" enrols
	}{
		"an honest answer":        {func(*wire.EnrollResponse) {}, webjob.RoleClient, ""},
		"another trust root":      {func(r *wire.EnrollResponse) { r.TrustRoot = newRoot(t) }, webjob.RoleClient, "gave another root of the job repository than the token pins"},
		"no trust root":           {func(r *wire.EnrollResponse) { r.TrustRoot = nil }, webjob.RoleClient, "gave another root"},
		"another client's name":   {func(r *wire.EnrollResponse) { r.ID = "web2" }, webjob.RoleClient, "the certificate is for"},
		"an operator's role":      {func(*wire.EnrollResponse) {}, webjob.RoleOperator, "the certificate is for operator"},
		"no certificate":          {func(r *wire.EnrollResponse) { r.Certificate = "" }, webjob.RoleClient, "key and certificate"},
		"labels with a line feed": {func(r *wire.EnrollResponse) { r.Labels = webjob.Labels{"a": "b\nc"} }, webjob.RoleClient, "the token gives"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var request wire.EnrollRequest
				if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
				public, err := trust.ParseCertificateRequest(request.CertificateRequest)
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
				own, err := authority.IssueIdentity(trust.Identity{Role: c.role, Name: request.ID}, public, time.Now())
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
				response := wire.EnrollResponse{ID: request.ID, Certificate: string(trust.CertificatePEM(own)), TrustRoot: pinned}
				c.change(&response)
				_ = json.NewEncoder(w).Encode(response)
			}))
			server.Listener = tls.NewListener(server.Listener, trust.ServerTLS(func() (*tls.Certificate, error) { return chain, nil }, authority.Certificate))
			server.Start()
			defer server.Close()
			token, err := trust.NewToken("https://"+server.Listener.Addr().String(), webjob.DigestOf(authority.Certificate.Raw), webjob.DigestOf(pinned), nil)
			must(t, err)
			dir := filepath.Join(t.TempDir(), "state")
			state, err := endpoint.CreateState(dir)
			must(t, err)
			_, err = endpoint.Enroll(t.Context(), state, endpoint.TargetGet, token, "", "web1")
			if c.want == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Fatalf("something was stored: %v, %v", left, err)
			}
		})
	}
}
