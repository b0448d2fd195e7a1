package e2e

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// bin is the folder with the programs under test.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	if at := flag.Lookup("test.parallel"); at.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = at.Value.Set(strconv.Itoa(3 * runtime.GOMAXPROCS(0))) // the scripts mostly wait; a number, as it takes
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "webjob-e2e-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := build(dir); err != nil {
			fmt.Fprintln(os.Stderr, "build the programs:", err)
			return 1
		}
		bin = dir
		return m.Run()
	}())
}

// build builds the real programs: the agent and the server with the race detector when the
// tests have it, since much happens at once in them, and what is run hundreds of times
// without. The folder bare has them as they are released: with nothing that they need.
func build(dir string) error {
	var race []string
	if raceEnabled {
		race = []string{"-race"}
	}
	bare := filepath.Join(dir, "bare")
	for _, b := range []struct {
		environment []string
		arguments   []string
	}{
		{nil, append(race, "-o", dir, "webjob.dev/webjob/cmd/webjob", "webjob.dev/webjob/cmd/webjobd")},
		{nil, []string{"-o", dir, "./testdata/cmd/..."}}, // jobs
		{[]string{"CGO_ENABLED=0"}, []string{"-trimpath", "-o", bare + "/", "webjob.dev/webjob/cmd/..."}},
	} {
		c := exec.Command("go", append([]string{"build"}, b.arguments...)...)
		c.Env = append(os.Environ(), b.environment...)
		c.Stdout, c.Stderr = os.Stderr, os.Stderr
		if err := c.Run(); err != nil {
			return err
		}
	}
	return os.Symlink("bare/webjobctl", filepath.Join(dir, "webjobctl"))
}

// environment is what the programs get: nothing of the caller's own WebJob.
func environment(work string) []string {
	return []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + work, "TMPDIR=" + work, "GORACE=halt_on_error=1 atexit_sleep_ms=0",
		"WEBJOB_HOME=" + filepath.Join(work, "operator"),
		"WEBJOB_STATE=" + filepath.Join(work, "state"),
	}
}

// handedOut are the addresses that freePorts gave to some test of this process.
var handedOut sync.Map

// freePorts returns addresses on loopback that were free a moment ago. They are below
// the ports that the kernel gives to outgoing connections (32768 and up on Linux), one
// of which could take the port of a server that is down for a moment.
func freePorts(n int) ([]string, error) {
	var addresses []string
	for range 1000 {
		if len(addresses) == n {
			return addresses, nil
		}
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(22_000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue // taken
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
		if _, before := handedOut.LoadOrStore(address, true); !before {
			addresses = append(addresses, address)
		}
	}
	return nil, errors.New("no free ports below 32000")
}

// daemon is a running webjobd.
type daemon struct {
	command *exec.Cmd
	log     *os.File
	stopped atomic.Bool // by the test
	exited  chan struct{}
	err     error
}

// startDaemon starts webjobd and returns when it says that it is ready.
func startDaemon(dir, work string) (*daemon, error) {
	log, err := os.OpenFile(dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	c := exec.Command(filepath.Join(bin, "webjobd"), "serve", "--dir", dir)
	c.Env = environment(work)
	pipe, err := c.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	d := &daemon{command: c, log: log, exited: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(d.exited)
		tee := bufio.NewReader(io.TeeReader(pipe, log))
		var once sync.Once
		for {
			line, err := tee.ReadString('\n')
			if strings.Contains(line, "msg=ready") {
				once.Do(func() { close(ready) })
			}
			if err != nil {
				break
			}
		}
		d.err = errors.Join(c.Wait(), log.Close())
		if !d.stopped.Load() {
			text, _ := os.ReadFile(dir + ".log") // of a report, as much as there is
			fmt.Fprintf(os.Stderr, "webjobd of %s ended by itself: %v\n%s\n", dir, d.err, text[max(0, len(text)-4<<10):])
		}
	}()
	select {
	case <-ready:
		return d, nil
	case <-d.exited:
		text, _ := os.ReadFile(dir + ".log")
		return nil, fmt.Errorf("webjobd did not start: %w\n%s", d.err, text)
	case <-time.After(time.Minute):
		return nil, errors.Join(errors.New("webjobd is not ready after a minute"), d.stop(syscall.SIGKILL))
	}
}

// stop sends the signal and waits for the end.
func (d *daemon) stop(s syscall.Signal) error {
	d.stopped.Store(true)
	if err := d.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-d.exited
	if s == syscall.SIGKILL {
		return nil
	}
	return d.err
}
