package hook

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func script(t *testing.T, text string) Settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook.sh")
	must(t, os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700))
	s := []Settings{{Name: "h", On: []webjob.EventKind{webjob.OnGet}, Command: []string{file, "a b; $(c)"}, Timeout: config.Duration(5 * time.Second)}}
	must(t, CheckHooks(s))
	return s[0]
}

var event = webjob.Event{ID: "e1", Kind: webjob.OnGet, Client: "web1", Job: "job", Version: 3}

// A command gets its arguments untouched, the event on standard input, and an
// environment and folder of its own.
func TestCommandSeesItsEventAndNothingElse(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SERVER", "x")
	s := script(t, `read event
case "$event" in *'"client":"web1"'*) ;; *) echo no event; exit 1;; esac
[ "$1" = 'a b; $(c)' ] || exit 2
[ "$WEBJOB_EVENT $WEBJOB_CLIENT_ID $WEBJOB_JOB $WEBJOB_JOB_VERSION $WEBJOB_EVENT_ID" = "get web1 job 3 e1" ] || exit 3
[ -z "$SECRET_OF_THE_SERVER" ] || exit 4
[ "$(pwd)" = "$HOME" ] && [ -z "$(ls -A)" ] || exit 5
echo '{"decision":"allow","data":{"pwd":"'$(pwd)'"}}'`)
	answer, err := s.Ask(t.Context(), event)
	must(t, err)
	pwd := answer.Data.(map[string]any)["pwd"].(string)
	if _, err := os.Stat(pwd); !os.IsNotExist(err) {
		t.Errorf("the folder %s is left: %v", pwd, err)
	}
}

// Everything that a hook starts ends with it.
func TestHangingHookEndsWithItsChildren(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	s := script(t, "sleep 60 &\necho $! >"+pids+"\nsleep 60\n")
	s.Timeout = config.Duration(300 * time.Millisecond)
	start := time.Now()
	if _, err := s.Ask(t.Context(), event); webjob.KindOf(err) != webjob.Unavailable || !strings.Contains(err.Error(), "did not end within 300ms") {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	pid, err := os.ReadFile(pids)
	must(t, err)
	for range 100 {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond) // the kernel takes its time
	}
	t.Errorf("its child %s lives on", pid)
}

func TestAnswers(t *testing.T) {
	for text, want := range map[string]string{
		``:                            "",
		`{"decision":"allow"}`:        "",
		`{"decision":"refuse"}`:       "",
		`{"decision":"perhaps"}`:      `decision is "perhaps"`,
		`{"decision":"allow","x":1}`:  "unknown field",
		`{"decision":"allow"}{}`:      "followed by other bytes",
		`<html>`:                      "not the expected JSON",
		`{"reason":"a\nb"}`:           "one line",
		`{"labels":{"os":"x"}}`:       "name of a fact",
		`{"labels":{"A":"x"}}`:        "label key",
		`{"notes":["\u001b[31mred"]}`: "one line",
		`{"notes":[` + strings.Repeat(`"n",`, 40) + `"n"]}`:                 "adds 41 notes",
		`{"data":"` + strings.Repeat("x", maxDataJSON) + `"}`:               "its data has more",
		`{"decision":"refuse","reason":"` + strings.Repeat("r", 501) + `"}`: "501 characters",
	} {
		_, err := parseAnswer([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40s: got %v, want %q", text, err, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"decision":"allow","notes":["n"],"labels":{"a":"b"},"data":{"x":[1]}}`))
	f.Fuzz(func(t *testing.T, out []byte) {
		answer, err := parseAnswer(out)
		if err != nil {
			return
		}
		if answer.Decision != "allow" && answer.Decision != "refuse" {
			t.Fatalf("%q decides %q", out, answer.Decision)
		}
		if strings.ContainsAny(answer.Reason+strings.Join(answer.Notes, ""), "\n\r\x1b\x00") {
			t.Fatalf("%q says %q %q", out, answer.Reason, answer.Notes)
		}
	})
}

func endpoint(t *testing.T, tls bool, h http.HandlerFunc) (Settings, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	s := []Settings{{Name: "h", On: []webjob.EventKind{webjob.OnGet}, URL: server.URL, SecretFile: secret, Timeout: config.Duration(5 * time.Second)}}
	must(t, CheckHooks(s))
	return s[0], server
}

// The receiver can tell from the signature that the body is this server's and fresh.
func TestPostsAreSigned(t *testing.T) {
	var header, body string
	s, _ := endpoint(t, false, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		header, body = r.Header.Get(HeaderSignature), string(text)
		_, _ = w.Write([]byte(`{"decision":"refuse","reason":"no"}`))
	})
	answer, err := s.Ask(t.Context(), event)
	must(t, err)
	if answer.Decision != "refuse" || answer.Reason != "no" {
		t.Errorf("got %+v", answer)
	}
	var stamp int64
	for _, part := range strings.Split(header, ",") {
		if text, found := strings.CutPrefix(part, "t="); found {
			must(t, json.Unmarshal([]byte(text), &stamp))
		}
	}
	at := time.Unix(stamp, 0)
	if time.Since(at).Abs() > time.Minute || header != Sign([]byte("s3cret"), []byte(body), at) {
		t.Errorf("the signature is %q", header)
	}
	// Known answer: HMAC-SHA-256 with key "s3cret" of "1700000000.{}", by openssl dgst.
	if got := Sign([]byte("s3cret"), []byte("{}"), time.Unix(1700000000, 0)); got != "t=1700000000,v1=97926816e98fbb41ccb1673225ff29a2f35369099990e1b1561651e7bd097ebf" {
		t.Errorf("got %s", got)
	}
}

// A receiver whose certificate is not verified is told nothing; one that redirects,
// answers an error or too much has failed.
func TestBadReceivers(t *testing.T) {
	asked := 0
	unverified, server := endpoint(t, true, func(http.ResponseWriter, *http.Request) { asked++ })
	if _, err := unverified.Ask(t.Context(), event); webjob.KindOf(err) != webjob.Unavailable || asked != 0 {
		t.Errorf("an unknown CA: %v, asked %d times", err, asked)
	}
	verified := unverified
	verified.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(verified.CAFile, pemOf(server), 0o600))
	if _, err := verified.Ask(t.Context(), event); err != nil || asked != 1 {
		t.Errorf("a known CA: %v, asked %d times", err, asked)
	}
	for want, h := range map[string]http.HandlerFunc{
		"302": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"500": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"more than 64KiB": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 1<<20))
		},
	} {
		s, _ := endpoint(t, false, h)
		if _, err := s.Ask(t.Context(), event); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	s, _ := endpoint(t, false, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the peer left
		<-r.Context().Done()
	})
	s.Timeout = config.Duration(200 * time.Millisecond)
	if _, err := s.Ask(context.Background(), event); webjob.KindOf(err) != webjob.Unavailable {
		t.Errorf("a receiver that hangs: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	good := script(t, "exit 0")
	for name, change := range map[string]func(*Settings){
		"no event": func(s *Settings) { s.On = nil }, "another event": func(s *Settings) { s.On = []webjob.EventKind{webjob.OnDiff} },
		"no name": func(s *Settings) { s.Name = "" }, "both": func(s *Settings) { s.URL = "https://x/" }, "neither": func(s *Settings) { s.Command = nil },
		"relative": func(s *Settings) { s.Command = []string{"hook.sh"} }, "not there": func(s *Settings) { s.Command = []string{"/no/such"} },
		"a folder": func(s *Settings) { s.Command = []string{"/etc"} }, "not executable": func(s *Settings) { s.Command = []string{"/etc/passwd"} },
		"plain http": func(s *Settings) { s.Command, s.URL = nil, "http://example.org/" }, "no secret": func(s *Settings) { s.Command, s.URL = nil, "https://example.org/" },
		"user in url": func(s *Settings) { s.Command, s.URL, s.SecretFile = nil, "https://a:b@example.org/", "/etc/passwd" },
		"on_failure":  func(s *Settings) { s.OnFailure = "shrug" }, "timeout": func(s *Settings) { s.Timeout = config.Duration(time.Hour) },
		"attempts": func(s *Settings) { s.Attempts = -1 }, "selector": func(s *Settings) { s.Clients = "env" }, "jobs": func(s *Settings) { s.Jobs = []string{"["} },
	} {
		s := good
		change(&s)
		if err := CheckHooks([]Settings{s}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := CheckHooks([]Settings{good, good}); err == nil {
		t.Error("two of a name were accepted")
	}
	must(t, os.Chmod(filepath.Dir(good.Command[0]), 0o777))
	if err := CheckHooks([]Settings{good}); err == nil || !strings.Contains(err.Error(), "others can write to") {
		t.Errorf("a folder that others can write to: %v", err)
	}
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// A command may run as someone who can do less than the server.
func TestCommandRunsAsItsUser(t *testing.T) {
	s := []Settings{{
		Name: "h", On: []webjob.EventKind{webjob.OnGet}, User: "nobody", Timeout: config.Duration(5 * time.Second),
		Command: []string{"/bin/sh", "-c", `touch mine && printf '{"decision":"allow","notes":["%s"]}' "$(id -un)"`},
	}}
	must(t, CheckHooks(s))
	answer, err := s[0].Ask(t.Context(), event)
	if os.Geteuid() != 0 {
		if err == nil {
			t.Fatal("a server without rights became someone else")
		}
		return
	}
	must(t, err)
	if len(answer.Notes) != 1 || answer.Notes[0] != "nobody" {
		t.Errorf("it ran as %v", answer.Notes)
	}
}
