package operator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// chained makes a log of n acts with texts that encoders like to rewrite.
func chained(t *testing.T, n int, reason string) (log []webjob.AuditEntry) {
	t.Helper()
	last := webjob.AuditEntry{Hash: webjob.EmptyDigest}
	for i := range n {
		act := webjob.Act{Time: time.Unix(int64(i), 0).UTC(), Actor: "olga", Action: "client.revoke", Target: fmt.Sprint("web", i), Outcome: webjob.ActDone}
		act.Reason, act.After = reason+" <b>&amp;\u2028 \"ä\"\t\\", json.RawMessage(`{"on": "a<b & c>d"}`)
		var err error
		if last, err = webjob.SealAct(act, last.Sequence, last.Hash); err != nil {
			t.Fatal(err)
		}
		log = append(log, last)
	}
	return log
}

// auditServer serves a log in pages, as a server does.
func auditServer(t *testing.T, log *[]webjob.AuditEntry) *Session {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		filter, err := api.DecodeActFilter(r.URL.Query())
		if err != nil {
			t.Error(err)
		}
		after := 0
		_, _ = fmt.Sscan(filter.Page.After, &after)
		list := api.List[webjob.AuditEntry]{Items: (*log)[min(after, len(*log)):min(after+filter.Page.Limit, len(*log))]}
		if len(list.Items) == filter.Page.Limit {
			list.Next = "more"
		}
		answer, err := json.Marshal(list)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	home, err := OpenHome(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	return &Session{Client: wire.NewClient(server.URL, server.Client().Transport.(*http.Transport).TLSClientConfig), home: home}
}

func TestAuditIsVerified(t *testing.T) {
	log := chained(t, 2500, "odd")
	whole := slices.Clone(log)
	log = log[:1200]
	s := auditServer(t, &log)
	verify := func(says string) AuditReport {
		t.Helper()
		report, err := s.Audit().Verify(t.Context())
		if says == "" && err != nil || says != "" && (webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), says)) {
			t.Fatalf("got %v, want %q", err, says)
		}
		return report
	}
	if report := verify(""); report.Entries != 1200 || report.Before != nil {
		t.Errorf("first: %+v", report)
	}
	log = whole
	if report := verify(""); report.Entries != 2500 || report.Before == nil || report.Before.Sequence != 1200 {
		t.Errorf("second: %+v", report)
	}
	log = whole[:2499]
	verify("was cut: it ends at entry 2499, and entry 2500")
	log = chained(t, 2600, "rewritten")
	verify("was rewritten: entry 2500")
	log = slices.Delete(slices.Clone(whole), 7, 8)
	verify("does not follow entry 7")
	log = slices.Clone(whole)
	log[99].Text = bytes.Replace(log[99].Text, []byte("web99"), []byte("web98"), 1)
	verify("entry 100 was changed")
	log[99].Hash = webjob.DigestOf(log[99].Text)
	verify("entry 101 names")
	log = whole // a refused log is not remembered
	verify("")
}

func TestExportIsExact(t *testing.T) {
	log := chained(t, 5, "odd")
	s := auditServer(t, &log)
	var file bytes.Buffer
	if err := s.Audit().Each(t.Context(), api.ForExport, func(e webjob.AuditEntry) error { return WriteAct(&file, e) }); err != nil {
		t.Fatal(err)
	}
	for _, e := range log {
		if !bytes.Contains(file.Bytes(), e.Text) {
			t.Errorf("the text of entry %d is not in the export", e.Sequence)
		}
	}
	check := func(text, says string) {
		t.Helper()
		report, err := VerifyExport(strings.NewReader(text))
		if says == "" && (err != nil || report.Entries != 5) || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("got %+v, %v, want %q", report, err, says)
		}
	}
	lines := strings.SplitAfter(file.String(), "\n")
	check(file.String(), "")
	check(strings.Join(lines[1:], ""), "line 1: audit entry 2 does not follow entry 0")
	check(strings.Join(append(slices.Clone(lines[:2]), lines[3:]...), ""), "line 3: audit entry 4 does not follow entry 2")
	check(strings.Replace(file.String(), "web3", "web7", 1), "line 4: audit entry 4 was changed")
	check(lines[0]+"nonsense\n", "line 2 is no entry")
	check(lines[0]+strings.Repeat("x", maxAuditLine+1), "after entry 1")
}

// A machine's token is told from an operator's before anybody is asked.
func TestLoginWithAMachinesToken(t *testing.T) {
	home, err := OpenHome(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := trust.NewToken("https://localhost:1", webjob.EmptyDigest, webjob.DigestOf([]byte("root")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Login(t.Context(), home, token, "", "paul"); webjob.KindOf(err) != webjob.Invalid || !strings.Contains(err.Error(), "this token is for a machine") {
		t.Errorf("got %v", err)
	}
}
