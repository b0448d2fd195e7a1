package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// Answer is what a hook says. All of it may be left out: nothing at all, with exit
// status 0 or an HTTP status below 300, allows.
type Answer struct {
	Decision string        `json:"decision"` // allow, refuse
	Reason   string        `json:"reason"`   // of a refusal, one line
	Notes    []string      `json:"notes"`    // kept with the run, one line each
	Labels   webjob.Labels `json:"labels"`   // kept with the run
	Data     any           `json:"data"`     // run hooks: handed to the job, as data
}

// Bounds of an answer.
const (
	maxNotes    = 32
	maxDataJSON = 256 << 10
)

// Ask asks the hook. An error means that it failed: it could not be reached, took too
// long, said too much, or what it said makes no sense.
func (s *Settings) Ask(ctx context.Context, event webjob.Event) (Answer, error) {
	out, err := s.call(ctx, event)
	if err != nil {
		return Answer{}, err
	}
	return parseAnswer(out)
}

func parseAnswer(out []byte) (Answer, error) {
	answer := Answer{Decision: "allow"}
	if len(bytes.TrimSpace(out)) == 0 {
		return answer, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&answer); err != nil {
		return Answer{}, webjob.Errorf(webjob.Invalid, "its answer is not the expected JSON: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Answer{}, webjob.Errorf(webjob.Invalid, "its answer is followed by other bytes")
	}
	if answer.Decision != "allow" && answer.Decision != "refuse" {
		return Answer{}, webjob.Errorf(webjob.Invalid, "its decision is %.40q; it must be \"allow\" or \"refuse\"", answer.Decision)
	}
	if len(answer.Notes) > maxNotes {
		return Answer{}, webjob.Errorf(webjob.Invalid, "it adds %d notes; at most %d", len(answer.Notes), maxNotes)
	}
	for _, line := range append([]string{answer.Reason}, answer.Notes...) {
		if err := webjob.CheckLine("note", line, 500); err != nil {
			return Answer{}, err
		}
	}
	if data, err := json.Marshal(answer.Data); err != nil || len(data) > maxDataJSON {
		return Answer{}, webjob.Errorf(webjob.TooLarge, "its data has more than %d bytes", maxDataJSON)
	}
	return answer, answer.Labels.Check()
}

// Tell tells a trigger what happened. It returns nil when the command ended with
// status 0 or the endpoint answered with a status below 300.
func (s *Settings) Tell(ctx context.Context, event webjob.Event) error {
	_, err := s.call(ctx, event)
	return err
}

func (s *Settings) call(ctx context.Context, event webjob.Event) ([]byte, error) {
	body, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	if s.URL != "" {
		return s.post(ctx, event, body)
	}
	return s.execute(ctx, event, body)
}

// limited keeps at most limit bytes, and remembers that there were more. It goes on
// taking them, so that a program that floods ends by itself or at its time limit.
type limited struct {
	kept  bytes.Buffer // not embedded: its ReadFrom would go past the limit
	limit int
	over  bool
	full  func()
}

func (l *limited) Write(p []byte) (int, error) {
	if room := l.limit - l.kept.Len(); len(p) > room {
		l.over = true
		l.kept.Write(p[:max(room, 0)])
		l.full()
		return len(p), nil
	}
	return l.kept.Write(p)
}

// execute runs the command: argv as it stands, the event on standard input, a folder
// of its own, and a clean environment.
func (s *Settings) execute(ctx context.Context, event webjob.Event, body []byte) ([]byte, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	dir, err := os.MkdirTemp("", "webjob-hook-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...)
	c.Dir, c.Env, c.Stdin = dir, environment(dir, event), bytes.NewReader(body)
	stdout := &limited{limit: int(s.MaxOutput), full: stop}
	stderr := &limited{limit: 4 << 10, full: func() {}}
	c.Stdout, c.Stderr = stdout, stderr
	c.WaitDelay = time.Second
	if err := prepare(c, s.User, dir); err != nil {
		return nil, err
	}
	err = c.Run()
	said := ""
	if line := firstLine(stderr.kept.String()); line != "" {
		said = "; it said: " + line
	}
	switch {
	case stdout.over:
		return nil, webjob.Errorf(webjob.TooLarge, "it wrote more than %s", s.MaxOutput)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, webjob.Errorf(webjob.Unavailable, "it did not end within %s%s", time.Duration(s.Timeout), said)
	case err != nil:
		return nil, webjob.Errorf(webjob.Unavailable, "it failed: %w%s", err, said)
	}
	return stdout.kept.Bytes(), nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, line[:min(len(line), 200)])
}

func environment(dir string, e webjob.Event) []string {
	variables := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8"}
	for name, value := range map[string]string{
		"EVENT": string(e.Kind), "EVENT_ID": e.ID, "CLIENT_ID": e.Client, "JOB": e.Job, "RUN_ID": e.Run, "ORDER": e.Order, "OUTCOME": string(e.Outcome),
	} {
		if value != "" {
			variables = append(variables, "WEBJOB_"+name+"="+value)
		}
	}
	if e.Version != 0 {
		variables = append(variables, "WEBJOB_JOB_VERSION="+strconv.FormatInt(e.Version, 10))
	}
	return variables
}

// Headers of what is posted.
const (
	HeaderEvent     = "Webjob-Event"     // the kind
	HeaderEventID   = "Webjob-Event-Id"  // the same when it is told again
	HeaderSignature = "Webjob-Signature" // "t=UNIX,v1=HEX": HMAC-SHA-256 of "UNIX.BODY" under the secret
)

// Sign returns the signature header of a body at a time.
func Sign(secret, body []byte, at time.Time) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func (s *Settings) post(ctx context.Context, event webjob.Event, body []byte) ([]byte, error) {
	secret, err := os.ReadFile(s.SecretFile)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "secret_file: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "webjobd/"+webjob.Version())
	request.Header.Set(HeaderEvent, string(event.Kind))
	request.Header.Set(HeaderEventID, event.ID)
	request.Header.Set(HeaderSignature, Sign(bytes.TrimSpace(secret), body, time.Now()))
	client, err := s.httpClient()
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "it cannot be reached: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(response.Body, int64(s.MaxOutput)+1))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "its answer was cut off: %w", err)
	}
	client.CloseIdleConnections()
	switch {
	case response.StatusCode >= 300:
		return nil, webjob.Errorf(webjob.Unavailable, "it answered %s", firstLine(response.Status))
	case len(out) > int(s.MaxOutput):
		return nil, webjob.Errorf(webjob.TooLarge, "it answered more than %s", s.MaxOutput)
	}
	return out, nil
}

// httpClient follows no redirect: only the address that was named is told.
func (s *Settings) httpClient() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		text, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, webjob.Errorf(webjob.Invalid, "ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, webjob.Errorf(webjob.Invalid, "ca_file %s holds no certificate", s.CAFile)
		}
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
