package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

type agentsKey struct{}

func agentsOf(ts *testscript.TestScript) map[string]*exec.Cmd {
	return ts.Value(agentsKey{}).(map[string]*exec.Cmd)
}

// cmdAgent starts an agent in the background; its log is STATE.log: agent STATE.
func cmdAgent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: agent STATE")
	}
	log, err := os.OpenFile(ts.MkAbs(args[0]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	c := exec.Command(filepath.Join(bin, "webjob"), "--state", args[0], "agent")
	c.Dir, c.Env, c.Stderr = ts.MkAbs("."), environment(ts.Getenv("WORK")), log
	ts.Check(c.Start())
	ts.Check(log.Close())
	agentsOf(ts)[args[0]] = c
}

// cmdEndAgent ends an agent cleanly, or with -kill at once: endagent [-kill] STATE.
func cmdEndAgent(ts *testscript.TestScript, neg bool, args []string) {
	signal := syscall.SIGTERM
	if len(args) == 2 && args[0] == "-kill" {
		signal, args = syscall.SIGKILL, args[1:]
	}
	if neg || len(args) != 1 || agentsOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: endagent [-kill] STATE, of an agent that was started")
	}
	c := agentsOf(ts)[args[0]]
	ts.Check(c.Process.Signal(signal))
	err := c.Wait()
	delete(agentsOf(ts), args[0])
	if signal == syscall.SIGTERM {
		ts.Check(err)
	}
}

// cmdUntil runs a program again and again until what it says matches: until REGEXP
// PROGRAM [ARG...]. With ! it stops as soon as it does not match any more.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until REGEXP PROGRAM [ARG...]")
	}
	want := regexp.MustCompile(`(?m)` + args[0])
	var out []byte
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		program := filepath.Join(bin, args[1])
		if _, err := os.Stat(program); err != nil {
			program = args[1]
		}
		c := exec.Command(program, args[2:]...)
		c.Dir, c.Env = ts.MkAbs("."), environment(ts.Getenv("WORK"))
		out, _ = c.CombinedOutput() // what it says is what counts
		if want.Match(out) != neg {
			_, _ = ts.Stdout().Write(out)
			return
		}
	}
	ts.Fatalf("%s does not come to match %q; it says\n%s", strings.Join(args[1:], " "), args[0], out)
}

// killRuns ends the processes of runs that outlived their agent: they name the work
// folder on their command line.
func killRuns(work string) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if bytes.Contains(command, []byte("ordered")) && bytes.Contains(command, []byte(work)) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// cmdSink starts a receiver of webhooks that appends a line for each to a file, in
// the background: sink NAME FILE. NAME_URL tells its address. While the file
// NAME.down is there it answers 503.
func cmdSink(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sink NAME FILE")
	}
	file, down := ts.MkAbs(args[1]), ts.MkAbs(args[0]+".down")
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := os.Stat(down); err == nil {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(f, "%s %s %s %s\n", r.Header.Get("Webjob-Event"), r.Header.Get("Webjob-Event-Id"), r.Header.Get("Webjob-Signature"), body)
		_ = f.Close()
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0]+"_URL", server.URL)
}
