package endpoint

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Standing orders are replaced as a set, whatever an earlier process left.
func TestStandingOrdersAreASet(t *testing.T) {
	s := &StandingOrders{folder: folder(filepath.Join(t.TempDir(), "standing"))}
	for _, set := range [][][]byte{nil, {[]byte("a"), []byte("b")}, {[]byte("b"), []byte("c")}, {}} {
		ok(t, s.Replace(set))
		ok(t, os.WriteFile(s.path(".write-1"), []byte("half"), 0o600)) // of a process that was killed
		got, err := s.Read()
		ok(t, err)
		slices.SortFunc(got, slices.Compare)
		if !slices.EqualFunc(got, set, slices.Equal) {
			t.Errorf("kept %q of %q", got, set)
		}
	}
	if err := s.Replace(make([][]byte, wire.MaxStanding+1)); webjob.KindOf(err) != webjob.TooLarge {
		t.Errorf("too many: %v", err)
	}
	if err := s.Replace([][]byte{make([]byte, trust.MaxEnvelopeBytes+1)}); webjob.KindOf(err) != webjob.TooLarge {
		t.Errorf("one too large: %v", err)
	}
}

type alive []string

func (a alive) Alive(run string) bool { return slices.Contains(a, run) }

// Folders of dead runs are swept, those of live ones are not.
func TestWorkFoldersOfDeadRunsAreSwept(t *testing.T) {
	w := workFolders{folder: folder(filepath.Join(t.TempDir(), "work"))}
	ok(t, w.sweep(alive{})) // before there is any
	for _, run := range []string{"dead", "alive"} {
		dir, err := w.make(run)
		ok(t, err)
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 || !exists(filepath.Join(dir, "home")) {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	if _, err := w.make("alive"); err == nil {
		t.Error("a run got the folder of another one")
	}
	ok(t, w.sweep(alive{"alive"}))
	if exists(w.path("dead")) || !exists(w.path("alive")) {
		t.Error("the wrong folder was swept")
	}
}

// keepEnrolment writes an enrolment as Enroll does.
func keepEnrolment(t *testing.T, e *Enrolments, target Target, url, id string) {
	t.Helper()
	authority, err := trust.NewAuthority("CA", time.Now())
	ok(t, err)
	key, err := trust.GenerateKey(trust.ECDSA)
	ok(t, err)
	certificate, err := authority.IssueIdentity(trust.Identity{Role: webjob.RoleClient, Name: id}, key.Public(), time.Now())
	ok(t, err)
	text, err := key.PrivatePEM()
	ok(t, err)
	encoded, err := json.Marshal(&Enrolment{URL: url, ID: id, Authority: string(trust.CertificatePEM(authority.Certificate)), TrustRoot: []byte("{}")})
	ok(t, err)
	ok(t, os.MkdirAll(e.path(string(target)), 0o700))
	ok(t, os.WriteFile(e.path(string(target), enrolmentFile), encoded, 0o600))
	ok(t, os.WriteFile(e.path(string(target), identityFile), append(text, trust.CertificatePEM(certificate)...), 0o600))
}

func newEnrolments(t *testing.T) *Enrolments {
	t.Helper()
	return newState(folder(t.TempDir())).Enrolments
}

// Results go to the server that is named, else to the one that only takes results, else
// to the one that serves jobs.
func TestWhereResultsGo(t *testing.T) {
	e := newEnrolments(t)
	if _, err := e.With(TargetGet); webjob.KindOf(err) != webjob.NotFound {
		t.Errorf("without an enrolment: %v", err)
	}
	keepEnrolment(t, e, TargetGet, "https://jobs:1", "web1")
	get, err := e.With(TargetGet)
	ok(t, err)
	where := func(putURL string) string {
		put, err := e.forResults(putURL, get)
		if err != nil {
			return err.Error()
		}
		return put.URL
	}
	if got := where(""); got != "https://jobs:1" {
		t.Error(got)
	}
	keepEnrolment(t, e, TargetPut, "https://results:1", "web1")
	if got := where(""); got != "https://results:1" {
		t.Error(got)
	}
	if got := where("https://jobs:1"); got != "https://jobs:1" {
		t.Error(got)
	}
	if _, err := e.forResults("https://other:1", get); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("a stranger: %v", err)
	}
}

// The identity is shown to the servers of the enrolments and to nobody whose address
// only begins like theirs.
func TestIdentityIsForItsServers(t *testing.T) {
	e := newEnrolments(t)
	keepEnrolment(t, e, TargetGet, "https://jobs:1", "web1")
	for address, want := range map[string]bool{
		"https://jobs:1": true, "https://jobs:1/v1/blobs/x": true, "https://jobs:11/v1": false, "https://jobs:1.evil.example/": false, "https://other:1/": false,
	} {
		config, err := e.TLSFor(address)
		ok(t, err)
		if (config != nil) != want {
			t.Errorf("%s: %v", address, config != nil)
		}
	}
}

// Another process may renew the certificate; what is unchanged is not parsed again.
func TestEnrolmentsAreReadAnew(t *testing.T) {
	e := newEnrolments(t)
	keepEnrolment(t, e, TargetGet, "https://jobs:1", "web1")
	first, err := e.With(TargetGet)
	ok(t, err)
	again, err := e.With(TargetGet)
	ok(t, err)
	keepEnrolment(t, e, TargetGet, "https://jobs:1", "web1")
	renewed, err := e.With(TargetGet)
	ok(t, err)
	serial := func(e *Enrolment) string { return e.TLS().Certificates[0].Leaf.SerialNumber.String() }
	if first != again || serial(first) == serial(renewed) {
		t.Errorf("the same: %v; certificates %s and %s", first == again, serial(first), serial(renewed))
	}
	ok(t, os.WriteFile(e.path(getFolder, identityFile), []byte("half"), 0o600))
	if _, err := e.With(TargetGet); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("a damaged identity: %v", err)
	}
}

// Jobs that no order wants are forgotten, also when the server is away; those that are
// kept are not asked for.
func TestKeptJobsFollowTheOrders(t *testing.T) {
	errAway := errors.New("away")
	asked := 0
	s := &KeptJobs{folder: folder(filepath.Join(t.TempDir(), "kept")), exchange: func(func(string) (string, error)) error {
		asked++
		return errAway
	}}
	order := func(name string) *trust.SignedOrder {
		return &trust.SignedOrder{Order: webjob.Order{Job: name, Manifest: webjob.DigestOf([]byte(name))}}
	}
	for _, name := range []string{"kept", "unwanted"} {
		dir := s.path(webjob.DigestOf([]byte(name)).Hex())
		ok(t, os.MkdirAll(dir, 0o700))
		ok(t, os.WriteFile(filepath.Join(dir, keptManifest), nil, 0o600))
	}
	e := &Enrolment{URL: "https://jobs:1", config: &tls.Config{MinVersion: tls.VersionTLS13}}
	err := s.Keep(context.Background(), e, nil, []*trust.SignedOrder{order("kept"), order("missing")})
	if !errors.Is(err, errAway) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	if exists(s.path(webjob.DigestOf([]byte("unwanted")).Hex())) || !exists(s.path(webjob.DigestOf([]byte("kept")).Hex())) {
		t.Error("the wrong job was forgotten")
	}
}

// Certificates are read again with every use, so that a server cannot make them large.
func TestLargeRenewalsAreNotKept(t *testing.T) {
	e := newEnrolments(t)
	keepEnrolment(t, e, TargetGet, "https://jobs:1", "web1")
	own, err := e.With(TargetGet)
	ok(t, err)
	identity, err := readIdentity(e.path(getFolder))
	ok(t, err)
	key, err := trust.ParsePrivateKey(identity)
	ok(t, err)
	_, certificate, _ := strings.Cut(string(identity), "PRIVATE KEY-----\n-----BEGIN CERT")
	good := wire.RenewResponse{Certificate: "-----BEGIN CERT" + certificate, Authority: own.Authority}
	ok(t, e.keepRenewal(e.path(getFolder), own, key, good))
	good.Authority = strings.Repeat(own.Authority, maxCertificates/len(own.Authority)+1)
	if err := e.keepRenewal(e.path(getFolder), own, key, good); webjob.KindOf(err) != webjob.TooLarge {
		t.Errorf("%v", err)
	}
}

// What a crash left half-written goes after a day; what is being written stays.
func TestSweepTidiesAfterCrashes(t *testing.T) {
	s := newState(folder(t.TempDir()))
	for _, place := range []string{"", getFolder, standingFolder} {
		ok(t, os.MkdirAll(s.path(place), 0o700))
		for _, name := range []string{".write-old", ".write-new"} {
			ok(t, os.WriteFile(s.path(place, name), nil, 0o600))
		}
		before := time.Now().Add(-25 * time.Hour)
		ok(t, os.Chtimes(s.path(place, ".write-old"), before, before))
	}
	ok(t, s.Sweep(time.Now()))
	for _, place := range []string{"", getFolder, standingFolder} {
		if exists(s.path(place, ".write-old")) || !exists(s.path(place, ".write-new")) {
			t.Errorf("in %q the wrong file went", place)
		}
	}
}
