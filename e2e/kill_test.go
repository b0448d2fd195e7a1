package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/operator"
)

var kills = flag.Int("kills", 50, "how many processes TestKill kills")

// TestKill kills server and clients with SIGKILL at random points while jobs run,
// then lets everything come to rest. Every result that was acknowledged must be
// there, whole and once; every run whose webjob lived must be there; nothing may be
// half visible, and nothing may be left in a spool.
func TestKill(t *testing.T) {
	k := newKillTest(t)
	var work sync.WaitGroup
	for i := range 3 {
		work.Go(func() { k.clientLoop(fmt.Sprint("c", i)) })
	}
	work.Go(k.serverLoop)
	work.Wait()
	if t.Failed() {
		return
	}
	k.flushAll()
	k.check()
}

type killTest struct {
	t    *testing.T
	work string
	srv  string

	mu     sync.Mutex
	daemon *daemon
	left   int                 // kills to go
	killed map[string]int      // by victim
	acked  map[string]string   // run to nonce
	lived  map[string]struct{} // nonces whose webjob was not killed and got its job
	next   int
}

func newKillTest(t *testing.T) *killTest {
	k := &killTest{t: t, work: t.TempDir(), left: *kills, killed: map[string]int{}, acked: map[string]string{}, lived: map[string]struct{}{}}
	k.srv = filepath.Join(k.work, "srv")
	ports, err := freePorts(3)
	k.must(err)
	out := k.run("webjobd", "init", k.srv, "--name", "localhost", "--listen", ports[0], "--operator-listen", ports[1], "--telemetry-listen", ports[2])
	k.daemon, err = startDaemon(k.srv, k.work)
	k.must(err)
	t.Cleanup(func() { _ = k.daemon.stop(syscall.SIGKILL) })
	k.run("webjobctl", "login", "--name", "olga", "--token", regexp.MustCompile(`wjt1_\S+`).FindString(out))
	k.run("webjobctl", "key", "new", "alice")
	k.run("webjobctl", "repo", "init", "alice")
	token := k.run("webjobctl", "token", "new", "--uses", "3")
	for i := range 3 {
		k.run("webjob", "--state", fmt.Sprint("c", i), "enroll", "--token", token, "--id", fmt.Sprint("client", i))
	}
	// Small and large results alternate, so that both ways of storing are hit.
	script := filepath.Join(k.work, "nonce.sh")
	k.must(os.WriteFile(script, []byte("#!/bin/sh\nprintf %s \"$1\"\ncase $1 in *[02468]) head -c 100000 /dev/zero;; esac\n"), 0o600))
	k.run("webjobctl", "job", "publish", script, "--args", ".*")
	return k
}

func (k *killTest) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *killTest) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(bin, name), args...)
	c.Dir, c.Env = k.work, environment(k.work)
	return c
}

func (k *killTest) run(name string, args ...string) string {
	k.t.Helper()
	c := k.command(name, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		k.t.Fatalf("%s %v: %v\n%s", name, args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// take returns whether another kill is to be done, and counts it.
func (k *killTest) take(victim string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left == 0 {
		return false
	}
	k.left--
	k.killed[victim]++
	return true
}

func (k *killTest) done() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.left == 0 || k.t.Failed()
}

var (
	ranLine    = regexp.MustCompile(`webjob: run (\S+) of nonce version 1 (\w+)`)
	storedLine = regexp.MustCompile(`webjob: result of run (\S+) is stored`)
)

// clientLoop runs jobs with a new nonce each and kills every other webjob at a
// random moment of its life.
func (k *killTest) clientLoop(state string) {
	for !k.done() {
		k.mu.Lock()
		k.next++
		nonce := fmt.Sprintf("nonce-%06d", k.next)
		k.mu.Unlock()
		c := k.command("webjob", "--state", state, "run", "nonce", "--put-limit", "2s", "--", nonce)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			k.t.Error(err)
			return
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = c.Wait() // how it ended is told by its output
		}()
		wasKilled := false
		if rand.N(2) == 0 {
			select {
			case <-ended:
			case <-time.After(rand.N(killWindow)):
				if k.take("client") {
					wasKilled = c.Process.Kill() == nil
				}
			}
		}
		<-ended
		k.note(nonce, stderr.String(), wasKilled)
	}
}

// killWindow is about how long a webjob run takes; the race detector makes it longer.
var killWindow = map[bool]time.Duration{false: 60 * time.Millisecond, true: 250 * time.Millisecond}[raceEnabled]

// note remembers what a webjob said before it ended.
func (k *killTest) note(nonce, stderr string, wasKilled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ran := ranLine.FindStringSubmatch(stderr)
	if ran != nil && !wasKilled {
		k.lived[nonce] = struct{}{}
	}
	for _, stored := range storedLine.FindAllStringSubmatch(stderr, -1) {
		if ran != nil && stored[1] == ran[1] {
			k.acked[stored[1]] = nonce
		} else if _, known := k.acked[stored[1]]; !known {
			k.acked[stored[1]] = "" // of an earlier run that waited
		}
	}
}

// serverLoop kills the server now and then and starts it again.
func (k *killTest) serverLoop() {
	for !k.done() {
		time.Sleep(rand.N(4 * killWindow)) // the random moment is what is tested
		if !k.take("server") {
			return
		}
		if err := k.daemon.stop(syscall.SIGKILL); err != nil {
			k.t.Error(err)
			return
		}
		d, err := startDaemon(k.srv, k.work)
		if err != nil {
			k.t.Error(err)
			return
		}
		k.daemon = d
	}
}

func (k *killTest) flushAll() {
	for i := range 3 {
		c := k.command("webjob", "--state", fmt.Sprint("c", i), "spool", "flush")
		out, err := c.CombinedOutput()
		if err != nil {
			k.t.Errorf("flush: %v\n%s", err, out)
		}
		k.note("", string(out), false)
		if list := k.run("webjob", "--state", fmt.Sprint("c", i), "spool", "list", "-o", "jsonl"); list != "" {
			k.t.Errorf("the spool is not empty:\n%s", list)
		}
	}
}

// check compares what the server has with what was seen from outside.
func (k *killTest) check() {
	home, err := operator.OpenHome(filepath.Join(k.work, "operator"))
	k.must(err)
	s, err := home.Session()
	k.must(err)
	runs, nonces, outcomes := map[string]int{}, map[string]int{}, map[webjob.Outcome]int{}
	filter := webjob.ResultFilter{Page: webjob.Page{Limit: webjob.MaxPage}}
	for {
		var list api.List[webjob.Result]
		k.must(s.Call(k.t.Context(), http.MethodGet, api.PathOperatorResults, api.EncodeResultFilter(filter), nil, &list))
		for _, r := range list.Items {
			runs[r.Run]++
			outcomes[r.Outcome]++
			nonces[k.checkResult(s.Results(), r)]++
		}
		if list.Next == "" {
			break
		}
		filter.Page.After = list.Next
	}
	for run, n := range runs {
		if n != 1 {
			k.t.Errorf("run %s is there %d times", run, n)
		}
	}
	for nonce, n := range nonces {
		if n != 1 {
			k.t.Errorf("%s ran once and has %d results", nonce, n)
		}
	}
	for run, nonce := range k.acked {
		if runs[run] == 0 {
			k.t.Errorf("run %s (%s) was acknowledged and is lost", run, nonce)
		}
	}
	for nonce := range k.lived {
		if nonces[nonce] == 0 {
			k.t.Errorf("the result of %s is lost", nonce)
		}
	}
	k.run("webjobd", "check", "--dir", k.srv)
	k.t.Logf("%d kills (%v), %d runs acknowledged, %d results: %v", *kills, k.killed, len(k.acked), len(runs), outcomes)
}

// checkResult reads a whole result and returns its nonce.
func (k *killTest) checkResult(results operator.Results, r webjob.Result) string {
	_, record, err := results.Get(k.t.Context(), r.Run)
	k.must(err)
	nonce := record.Arguments[0]
	var out bytes.Buffer
	for _, part := range record.Parts {
		w := io.Discard
		if part.Name == webjob.Stdout {
			w = &out
		}
		if err := results.WritePart(k.t.Context(), record, part, w); err != nil {
			k.t.Errorf("run %s: %v", r.Run, err)
		}
	}
	if r.Outcome == webjob.Succeeded && !strings.HasPrefix(out.String(), nonce) {
		k.t.Errorf("run %s of %s says %.40q", r.Run, nonce, out.String())
	}
	return nonce
}
