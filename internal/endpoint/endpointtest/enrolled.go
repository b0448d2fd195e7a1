// Package endpointtest makes clients for tests that are enrolled with a server which is
// in the hands of the test.
package endpointtest

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// ID is the client's.
const ID = "web1"

// Enrolled starts a server over real connections, which lets one client in and has
// everything else answered by the handler. It returns the client's state in dir.
func Enrolled(t *testing.T, dir string, root []byte, labels webjob.Labels, handler http.HandlerFunc) *endpoint.State {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	authority, err := trust.NewAuthority("CA", time.Now())
	must(err)
	key, err := trust.GenerateKey(trust.ECDSA)
	must(err)
	certificate, err := authority.IssueServer([]string{"127.0.0.1"}, key.Public(), time.Now())
	must(err)
	chain := &tls.Certificate{Certificate: [][]byte{certificate.Raw, authority.Certificate.Raw}, PrivateKey: key.Signer()}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wire.PathEnroll {
			handler(w, r)
			return
		}
		response, err := enrol(authority, r)
		if err != nil {
			wire.WriteProblem(w, err)
			return
		}
		response.Labels, response.TrustRoot = labels, root
		_ = json.NewEncoder(w).Encode(response)
	}))
	server.Listener = tls.NewListener(server.Listener, trust.ServerTLS(func() (*tls.Certificate, error) { return chain, nil }, authority.Certificate))
	server.Start()
	t.Cleanup(server.Close)
	token, err := trust.NewToken("https://"+server.Listener.Addr().String(), webjob.DigestOf(authority.Certificate.Raw), webjob.DigestOf(root), labels)
	must(err)
	state, err := endpoint.CreateState(dir)
	must(err)
	_, err = endpoint.Enroll(t.Context(), state, endpoint.TargetGet, token, "", ID)
	must(err)
	return state
}

func enrol(authority *trust.Authority, r *http.Request) (*wire.EnrollResponse, error) {
	var request wire.EnrollRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	public, err := trust.ParseCertificateRequest(request.CertificateRequest)
	if err != nil {
		return nil, err
	}
	own, err := authority.IssueIdentity(trust.Identity{Role: webjob.RoleClient, Name: request.ID}, public, time.Now())
	if err != nil {
		return nil, err
	}
	return &wire.EnrollResponse{ID: request.ID, Certificate: string(trust.CertificatePEM(own))}, nil
}
