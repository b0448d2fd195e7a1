package operator_test

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
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

// A login that seems to have expired tells what time it is here, and, when the server says
// another, that this clock may be wrong.
func TestExpiredLoginNamesTheClock(t *testing.T) {
	for name, c := range map[string]struct {
		serverBehind time.Duration
		want         string
	}{
		"right": {0, "; an admin makes a token"},
		"ahead": {370 * 24 * time.Hour, "which differs from the server's clock by 88"},
	} {
		t.Run(name, func(t *testing.T) {
			authority, err := trust.NewAuthority("CA", time.Now())
			must(t, err)
			key, err := trust.GenerateKey(trust.ECDSA)
			must(t, err)
			own, err := authority.IssueServer([]string{"127.0.0.1"}, key.Public(), time.Now())
			must(t, err)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(-c.serverBehind).UTC().Format(http.TimeFormat))
				w.WriteHeader(http.StatusUnauthorized)
			}))
			chain := &tls.Certificate{Certificate: [][]byte{own.Raw, authority.Certificate.Raw}, PrivateKey: key.Signer()}
			server.Listener = tls.NewListener(server.Listener, trust.ServerTLS(func() (*tls.Certificate, error) { return chain, nil }, authority.Certificate))
			server.Start()
			defer server.Close()
			expired, err := authority.IssueIdentity(trust.Identity{Role: webjob.RoleOperator, Name: "alice"}, key.Public(), time.Now().Add(-370*24*time.Hour))
			must(t, err)
			private, err := key.PrivatePEM()
			must(t, err)
			dir := filepath.Join(t.TempDir(), "home")
			must(t, os.Mkdir(dir, 0o700))
			home, err := operator.OpenHome(dir)
			must(t, err)
			login, err := json.Marshal(map[string]string{"url": "https://" + server.Listener.Addr().String(), "name": "alice", "authority": string(trust.CertificatePEM(authority.Certificate))})
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "login.json"), login, 0o600))
			must(t, os.WriteFile(filepath.Join(dir, "identity.pem"), append(private, trust.CertificatePEM(expired)...), 0o600))
			_, err = home.Session()
			if webjob.KindOf(err) != webjob.Unauthorized || !strings.Contains(err.Error(), "and here it is "+time.Now().UTC().Format("2006-01-02")) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
}
