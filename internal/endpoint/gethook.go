package endpoint

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/endpoint/runner"
	"webjob.dev/webjob/internal/hook"
	"webjob.dev/webjob/internal/trust"
)

// GetHook is a program of this endpoint that looks at every payload before it runs and
// can say no, such as gpgv. It takes nothing away from the verification before it.
type GetHook struct {
	// Command is an argv; {payload}, {signature}, {digest}, {job} and {version} in its
	// words stand for what they say. No shell sees them.
	Command []string        `toml:"command"`
	Timeout config.Duration `toml:"timeout"`
}

// maxHookOutput bounds what of a hook's words is kept.
const maxHookOutput = 16 << 10

// check judges the settings.
func (h *GetHook) check() error {
	if len(h.Command) == 0 {
		return nil
	}
	if err := hook.CheckProgram(h.Command[0]); err != nil {
		return &config.KeyError{Key: "get_hook.command", Err: err}
	}
	return h.Timeout.Within("get_hook.timeout", time.Millisecond, time.Hour)
}

// ask runs the hook. Anything but exit status 0 in time refuses.
func (h *GetHook) ask(ctx context.Context, run string, placed *runner.Placed, payload webjob.Payload, m *trust.SignedManifest) error {
	if len(h.Command) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.Timeout))
	defer cancel()
	dir, err := os.MkdirTemp("", "webjob-hook-*") // private
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "get hook: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is the system's to clear
	signature := filepath.Join(dir, "payload.sig")
	if err := os.WriteFile(signature, payload.Signature, 0o600); err != nil {
		return webjob.Errorf(webjob.Unavailable, "get hook: %w", err)
	}
	words := strings.NewReplacer("{payload}", placed.Path, "{signature}", signature, "{digest}", string(payload.Digest),
		"{job}", m.Name, "{version}", strconv.FormatInt(m.Version, 10))
	var argv []string
	for _, word := range h.Command {
		argv = append(argv, words.Replace(word))
	}
	c := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the machine's owner names it
	c.Dir, c.ExtraFiles = dir, placed.Inherit
	c.Env = runner.Environment(dir, map[string]string{"WEBJOB_RUN_ID": run, "WEBJOB_JOB": m.Name, "WEBJOB_PAYLOAD": placed.Path, "WEBJOB_SIGNATURE": signature})
	said := &bounded{limit: maxHookOutput}
	c.Stdout, c.Stderr = said, said
	hook.KillAsGroup(c)
	err = c.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return webjob.Errorf(webjob.Refused, "the get hook did not end within %s, which refuses", time.Duration(h.Timeout))
	case errors.As(err, &exit):
		return webjob.Errorf(webjob.Refused, "the get hook refused (%s)%s", exit, said.lastLine())
	}
	return webjob.Errorf(webjob.Refused, "the get hook failed, which refuses: %w", err)
}

// bounded keeps the beginning of what is written.
type bounded struct {
	kept  bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(len(p), b.limit-b.kept.Len())])
	return len(p), nil
}

// lastLine returns what was said last, printable.
func (b *bounded) lastLine() string {
	lines := strings.Split(strings.TrimSpace(b.kept.String()), "\n")
	line := strings.TrimSpace(lines[len(lines)-1])
	if line == "" {
		return ""
	}
	return ": " + strings.Trim(strconv.QuoteToGraphic(line[:min(len(line), 300)]), `"`)
}
