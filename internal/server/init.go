package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
)

// Layout is what init needs to know.
type Layout struct {
	Names     []string // host names and addresses of the server, the first for tokens
	Endpoint  string   // addresses to listen on
	Operator  string
	Telemetry string
}

// DefaultLayout returns the addresses that init uses when none are given.
func DefaultLayout() Layout {
	d := defaultSettings("")
	return Layout{Endpoint: d.Endpoint.Listen, Operator: d.Operator.Listen, Telemetry: d.Telemetry.Listen}
}

// Init makes a server folder: configuration, CA, server certificate, metadata and
// blobs. It returns a token for the first operator. The folder appears as a whole
// or not at all, and one that holds anything is never touched.
func Init(ctx context.Context, dir string, layout Layout, open OpenBackends) (trust.Token, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return trust.Token{}, webjob.Errorf(webjob.Conflict, "%s holds files already; init never overwrites, name a new folder", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return trust.Token{}, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	settings, err := layout.settings(dir)
	if err != nil {
		return trust.Token{}, err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return trust.Token{}, err
	}
	if err := os.MkdirAll(filepath.Dir(absolute), 0o755); err != nil {
		return trust.Token{}, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	draft, err := os.MkdirTemp(filepath.Dir(absolute), ".webjobd-init-*")
	if err != nil {
		return trust.Token{}, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	defer func() { _ = os.RemoveAll(draft) }() // gone already on success
	settings.dir = draft
	token, err := fill(ctx, settings, open)
	if err != nil {
		return trust.Token{}, err
	}
	if err := os.Rename(draft, absolute); err != nil { //nolint:forbidigo // synced below, with an error of another kind
		return trust.Token{}, webjob.Errorf(webjob.Conflict, "%w", err)
	}
	return token, durable.SyncFolder(filepath.Dir(absolute))
}

func (l Layout) settings(dir string) (*Settings, error) {
	s := defaultSettings(dir)
	s.Names = l.Names
	s.Endpoint.Listen, s.Operator.Listen, s.Telemetry.Listen = l.Endpoint, l.Operator, l.Telemetry
	for _, name := range l.Names {
		if net.ParseIP(name) == nil && (name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789.-") != "") {
			return nil, webjob.Errorf(webjob.Invalid, "name %.80q is no host name or address; write such as jobs.example.org", name)
		}
	}
	if len(l.Names) > 0 {
		_, port, err := net.SplitHostPort(l.Endpoint)
		if err != nil {
			return nil, webjob.Errorf(webjob.Invalid, "%.80q is not an address to listen on; write HOST:PORT, or :PORT for every interface", l.Endpoint)
		}
		s.URL = "https://" + net.JoinHostPort(l.Names[0], port)
	}
	if err := s.Check(); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return s, nil
}

// fill writes everything below settings.dir, which is new and private.
func fill(ctx context.Context, settings *Settings, open OpenBackends) (trust.Token, error) {
	for _, folder := range []string{"pki", blobsFolder} {
		if err := os.Mkdir(settings.path(folder), 0o700); err != nil {
			return trust.Token{}, err
		}
	}
	authority, err := settings.identityFolder().Create()
	if err != nil {
		return trust.Token{}, err
	}
	online, err := trust.GenerateKey(trust.Ed25519)
	if err != nil {
		return trust.Token{}, err
	}
	onlinePEM, err := online.PrivatePEM()
	if err != nil {
		return trust.Token{}, err
	}
	for name, content := range map[string][]byte{
		settingsFile:  settings.render(),
		onlineKeyFile: onlinePEM,
	} {
		if err := durable.Write(settings.path(name), content); err != nil {
			return trust.Token{}, err
		}
	}
	backends, err := open(ctx, settings.path(metadataFile), settings.path(blobsFolder))
	if err != nil {
		return trust.Token{}, err
	}
	token, err := operatorToken(ctx, settings, authority, backends.Store, webjob.Token{Grants: []webjob.Grant{{Role: webjob.Admin}}}, "the first login")
	return token, errors.Join(err, backends.Store.Close())
}

// render writes the settings as a commented configuration file.
func (s *Settings) render() []byte {
	return fmt.Appendf(nil, `# WebJob server. Unknown keys are errors; webjobd check reads this file without serving.

url = %q        # what tokens tell clients; clients must reach it
names = [%s]    # host names and addresses in the server certificate

[endpoint]               # for clients, mutual TLS 1.3
listen = %q
max_result = "%s"    # largest result that is taken

[operator]               # for webjobctl, mutual TLS 1.3
listen = %q

[telemetry]              # /healthz, /readyz, /metrics; plain HTTP, keep it private
listen = %q

[log]
level = %q            # debug, info, warn, error
format = %q           # text, json

[shutdown]
drain = "%s"            # how long requests under way may take after SIGTERM
`, s.URL, quoted(s.Names), s.Endpoint.Listen, s.Endpoint.MaxResult, s.Operator.Listen, s.Telemetry.Listen,
		s.Log.Level, s.Log.Format, time.Duration(s.Shutdown.Drain))
}

func quoted(items []string) string {
	q := make([]string, len(items))
	for i, item := range items {
		q[i] = fmt.Sprintf("%q", item)
	}
	return strings.Join(q, ", ")
}
