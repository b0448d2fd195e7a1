package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/operator"
)

var (
	fleetAgents = flag.Int("agents", 20, "how many agents TestFleet starts")
	fleetOrders = flag.Int("orders", 5, "how many orders TestFleet gives")
)

// TestFleet gives orders to many real agents while agents and the server are killed
// with SIGKILL and started again. Every run must happen at most once, every run must
// come to an end, and every result must be there once.
func TestFleet(t *testing.T) {
	f := newFleet(t)
	for i := range *fleetOrders {
		f.order(fmt.Sprintf("order%d", i))
		for range max(1, *fleetAgents/20) {
			f.killAgent(rand.N(*fleetAgents))
		}
		if i%3 == 1 {
			f.killServer()
		}
	}
	total := webjob.Counts{}
	for i := range *fleetOrders {
		for state, n := range f.untilDone(fmt.Sprintf("order%d", i)) {
			total[state] += n
		}
	}
	f.check(total)
}

type fleet struct {
	*killTest
	ran    string // file to which every run appends its id
	agents []*exec.Cmd
	killed int
	s      *operator.Session
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{killTest: newKillTest(t)}
	f.ran = filepath.Join(f.work, "ran")
	script := filepath.Join(f.work, "mark.sh")
	f.must(os.WriteFile(script, []byte("#!/bin/sh\necho $WEBJOB_RUN_ID >>$1\nsleep 0.$(( $$ % 10 ))\n"), 0o600))
	f.run("webjobctl", "job", "publish", script, "--args", ".*")
	token := f.run("webjobctl", "token", "new", "--uses", fmt.Sprint(*fleetAgents))
	f.agents = make([]*exec.Cmd, *fleetAgents)
	var work sync.WaitGroup
	places := make(chan struct{}, 8)
	for i := range f.agents {
		work.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c := f.command("webjob", "--state", f.state(i), "enroll", "--token", token, "--id", fmt.Sprintf("agent%03d", i))
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("enroll: %v\n%s", err, out)
				return
			}
			f.startAgent(i)
		})
	}
	work.Wait()
	t.Cleanup(func() {
		for _, a := range f.agents {
			if a != nil {
				_ = a.Process.Kill()
				_ = a.Wait()
			}
		}
		killRuns(f.work)
	})
	home, err := operator.OpenHome(filepath.Join(f.work, "operator"))
	f.must(err)
	f.s, err = home.Session()
	f.must(err)
	return f
}

func (f *fleet) state(i int) string { return filepath.Join(f.work, fmt.Sprint("agent-state", i)) }

func (f *fleet) startAgent(i int) {
	log, err := os.OpenFile(f.state(i)+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer func() { _ = log.Close() }()
	c := f.command("webjob", "--state", f.state(i), "agent")
	c.Stderr = log
	if err := c.Start(); err != nil {
		f.t.Error(err)
		return
	}
	f.agents[i] = c
}

func (f *fleet) killAgent(i int) {
	f.killed++
	f.must(f.agents[i].Process.Kill())
	_ = f.agents[i].Wait() // killed
	if f.killed%2 == 0 {
		// The machine went down: its runs ended with it.
		killRuns(f.state(i))
	}
	f.startAgent(i)
}

func (f *fleet) killServer() {
	f.must(f.daemon.stop(syscall.SIGKILL))
	d, err := startDaemon(f.srv, f.work)
	f.must(err)
	f.daemon = d
}

func (f *fleet) order(id string) {
	f.run("webjobctl", "order", "new", "mark", "--on", "id=agent*", "--id", id, "--window", "10m", "--", f.ran)
}

func (f *fleet) untilDone(id string) webjob.Counts {
	var o api.OrderDetail
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		o = api.OrderDetail{}
		err := f.s.Call(f.t.Context(), http.MethodGet, api.OrderPath(id), nil, nil, &o)
		if webjob.KindOf(err) != webjob.Unavailable {
			f.must(err)
		}
		if o.State == webjob.OrderDone {
			return o.Counts
		}
	}
	for _, r := range o.Slowest {
		var i int
		_, err := fmt.Sscanf(r.Client, "agent%d", &i)
		f.must(err)
		text, _ := os.ReadFile(f.state(i) + ".log")
		f.t.Logf("run %s is %s; the log of its agent:\n%s%s", r.Run, r.State, text, f.run("webjob", "--state", f.state(i), "spool", "list"))
	}
	f.t.Fatalf("order %s does not end: %v", id, o.Counts)
	return nil
}

func (f *fleet) check(total webjob.Counts) {
	want := int64(*fleetAgents * *fleetOrders)
	if total.Total() != want {
		f.t.Errorf("%d runs ended, want %d: %v", total.Total(), want, total)
	}
	text, err := os.ReadFile(f.ran)
	f.must(err)
	ran := map[string]int{}
	for line := range strings.Lines(string(text)) {
		ran[strings.TrimSpace(line)]++
	}
	for run, n := range ran {
		if n != 1 {
			f.t.Errorf("run %s happened %d times", run, n)
		}
	}
	var clients api.List[webjob.Client]
	f.must(f.s.Call(f.t.Context(), http.MethodGet, api.PathClients, api.EncodePage(webjob.Page{Limit: webjob.MaxPage}), nil, &clients))
	for _, client := range clients.Items {
		if client.Clone != nil {
			f.t.Errorf("%s was only killed, and a clone was told: %+v", client.ID, client.Clone)
		}
	}
	done := int64(0)
	for i := range *fleetOrders {
		page := webjob.Page{Limit: webjob.MaxPage}
		for {
			var list api.List[webjob.OrderRun]
			f.must(f.s.Call(f.t.Context(), http.MethodGet, api.OrderPath(fmt.Sprintf("order%d", i), "runs"), api.EncodePage(page), nil, &list))
			for _, r := range list.Items {
				if r.State == webjob.RunDone && ran[r.Run] != 1 {
					f.t.Errorf("run %s is done and did not happen", r.Run)
				}
				if r.State == webjob.RunDone {
					done++
				}
				if _, _, err := f.s.Results().Get(f.t.Context(), r.Run); err != nil && r.State != webjob.RunLost {
					f.t.Errorf("run %s is %s and has no result: %v", r.Run, r.State, err)
				}
			}
			if list.Next == "" {
				break
			}
			page.After = list.Next
		}
	}
	if done < want*9/10 {
		f.t.Errorf("only %d of %d runs succeeded: %v", done, want, total)
	}
	f.run("webjobd", "check", "--dir", f.srv)
	f.t.Logf("%d agents, %d orders, %d agents and the server killed: %v", *fleetAgents, *fleetOrders, f.killed, total)
}
