package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/operator"
)

// swarm is a running swarm.
type swarm struct {
	command *exec.Cmd
	log     string
	report  string
}

// startSwarm starts so many agents and returns when all of them wait.
func (w *world) startSwarm(ctx context.Context, agents int) (*swarm, error) {
	token, _, err := w.session.Tokens().New(ctx, api.NewTokenRequest{Role: webjob.RoleClient, Uses: int64(agents), TTLSeconds: 3600})
	if err != nil {
		return nil, err
	}
	s := &swarm{log: filepath.Join(w.dir, "swarm.log"), report: filepath.Join(w.dir, "swarm.json")}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	s.command = exec.Command("bin/swarm", append([]string{"--token", token.String(), "--agents", strconv.Itoa(agents), //nolint:noctx // ended by end
		"--sources", "8", "--report", s.report}, w.swarmFlags...)...)
	s.command.Stderr = log
	if err := errors.Join(s.command.Start(), log.Close()); err != nil {
		return nil, err
	}
	for range 60_000 {
		text, err := os.ReadFile(s.log)
		if err != nil || strings.Contains(string(text), "ready") {
			return s, err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return s, fmt.Errorf("the swarm is not ready; see %s", s.log)
}

// end stops the swarm and returns what it saw.
func (s *swarm) end() (starts []time.Time, failed int, err error) {
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, 0, err
	}
	if err := s.command.Wait(); err != nil {
		return nil, 0, err
	}
	text, err := os.ReadFile(s.report)
	if err != nil {
		return nil, 0, err
	}
	var seen struct {
		Starts []int64 `json:"starts"`
		Errors int     `json:"errors"`
	}
	if err := json.Unmarshal(text, &seen); err != nil {
		return nil, 0, err
	}
	for _, n := range seen.Starts {
		starts = append(starts, time.Unix(0, n))
	}
	slices.SortFunc(starts, time.Time.Compare)
	return starts, seen.Errors, nil
}

// memory returns the resident memory of a process in bytes (proc(5)).
func memory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// idleAgents measures P3 with 1, 2, 4 and 8 times the agents.
func idleAgents(args []string) error {
	flags := flag.NewFlagSet("p3", flag.ContinueOnError)
	most := flags.Int("agents", 19200, "agents at the most; bounded by the files that a process may open")
	idle := flags.Duration("idle", 70*time.Second, "how long they are watched")
	only := flags.Bool("only", false, "measure with that many agents alone, not with an eighth, a quarter and half of them")
	wait := flags.Duration("wait", time.Minute, "how long each poll waits")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	var figures []figure
	sizes := []int{*most / 8, *most / 4, *most / 2, *most}
	if *only {
		sizes = sizes[3:]
	}
	for _, n := range sizes {
		bytes, cpu, failed, err := idleOnce(ctx, n, *idle, *wait)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("P3-%d-agents", n)
		figures = append(figures,
			newFigure(name+"-memory", "KB an agent", "at most 40", []float64{float64(bytes) / float64(n) / 1000}),
			newFigure(name+"-cpu", "% of a core", "under 20 for 50,000", []float64{100 * cpu.Seconds() / idle.Seconds()}),
			newFigure(name+"-tried-again", "connections", "", []float64{float64(failed)})) // all came at once
	}
	return report("p3", figures)
}

// idleOnce returns what so many agents add to the server's memory, and its CPU time
// while they are idle.
func idleOnce(ctx context.Context, agents int, idle, wait time.Duration) (bytes int64, cpu time.Duration, failed int, err error) {
	w, err := newWorld(ctx, 0)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	// Idle agents are measured, not a storm of handshakes: 200 of these a second.
	spread := time.Duration(agents) * time.Second / 200
	w.swarmFlags = []string{"--wait", wait.String(), "--spread", spread.String()}
	server := w.programs[0].Process.Pid
	before, err := memory(server)
	if err != nil {
		return 0, 0, 0, err
	}
	s, err := w.startSwarm(ctx, agents)
	if err != nil {
		return 0, 0, 0, err
	}
	time.Sleep(20 * time.Second) // until enrolment and handshakes are over
	start, err := cpuTime(server)
	if err != nil {
		return 0, 0, 0, err
	}
	time.Sleep(idle)
	end, err1 := cpuTime(server)
	after, err2 := memory(server)
	_, failed, err3 := s.end()
	return after - before, end - start, failed, errors.Join(err1, err2, err3)
}

// oneOrder measures P4.
func oneOrder(args []string) error {
	flags := flag.NewFlagSet("p4", flag.ContinueOnError)
	agents := flags.Int("agents", 10000, "agents")
	rounds := flags.Int("rounds", 5, "orders, one after another")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	w, err := newWorld(ctx, 0)
	if err != nil {
		return err
	}
	return errors.Join(measureOrders(ctx, w, *agents, *rounds), w.close())
}

func measureOrders(ctx context.Context, w *world, agents, rounds int) error {
	if err := w.publish(ctx, "noop", "#!/bin/sh\n"); err != nil {
		return err
	}
	s, err := w.startSwarm(ctx, agents)
	if err != nil {
		return err
	}
	keys, err := w.home.SigningKeys(nil)
	if err != nil {
		return err
	}
	var signed, done []time.Time
	var spent []float64
	for range rounds {
		time.Sleep(5 * time.Second)
		before, err := cpuTime(w.programs[0].Process.Pid)
		if err != nil {
			return err
		}
		at := time.Now()
		plan := &operator.OrderPlan{Keys: keys, Order: webjob.Order{
			Format: webjob.OrderFormat, ID: operator.NewOrderID(at), Job: "noop", On: "all",
			Created: at.UTC().Truncate(time.Second), NotBefore: at.UTC().Truncate(time.Second), Expires: at.UTC().Truncate(time.Second).Add(time.Hour),
		}}
		if _, err := w.session.Orders().Complete(ctx, plan); err != nil {
			return err
		}
		signed = append(signed, time.Now())
		if _, err := w.session.Orders().Submit(ctx, plan); err != nil {
			return err
		}
		end, err := w.untilDone(ctx, plan.ID, agents)
		if err != nil {
			return err
		}
		done = append(done, end)
		after, err := cpuTime(w.programs[0].Process.Pid)
		if err != nil {
			return err
		}
		spent = append(spent, (after - before).Seconds())
	}
	reconnected, err := w.reconnect(agents)
	if err != nil {
		return err
	}
	starts, failed, err := s.end()
	if err != nil {
		return err
	}
	if len(starts) != agents*rounds {
		return fmt.Errorf("%d runs began, want %d", len(starts), agents*rounds)
	}
	var p50, p99, durable []float64
	for i := range rounds {
		mine := starts[i*agents : (i+1)*agents]
		p50 = append(p50, mine[agents/2].Sub(signed[i]).Seconds())
		p99 = append(p99, mine[agents*99/100].Sub(signed[i]).Seconds())
		durable = append(durable, done[i].Sub(signed[i]).Seconds())
	}
	name := fmt.Sprintf("P4-%d-agents", agents)
	return report("p4", []figure{
		newFigure(name+"-start-p50", "s", "", p50), newFigure(name+"-start-p99", "s", "at most 2", p99),
		newFigure(name+"-all-durable", "s", "at most 15", durable), newFigure(name+"-server-cpu", "s", "", spent),
		newFigure(name+"-reconnected", "s", "", []float64{reconnected.Seconds()}),
		newFigure(name+"-tried-again", "requests", "", []float64{float64(failed)}), // while the server was gone
	})
}

// reconnect kills the server, starts it again, and returns how long it takes until
// every agent waits again.
func (w *world) reconnect(agents int) (time.Duration, error) {
	server := w.programs[0]
	if err := server.Process.Kill(); err != nil {
		return 0, err
	}
	_ = server.Wait() // killed
	w.programs = w.programs[1:]
	if err := w.launch("msg=ready", "bin/webjobd", "serve", "--dir", w.serverDir); err != nil {
		return 0, err
	}
	start := time.Now()
	for range 2400 {
		response, err := http.Get(w.telemetry + "/metrics")
		if err != nil {
			return 0, err
		}
		text, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			return 0, err
		}
		if strings.Contains(string(text), fmt.Sprintf("\nwebjob_agents_waiting %d\n", agents)) {
			return time.Since(start), nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0, errors.New("the agents do not come back")
}

func (w *world) untilDone(ctx context.Context, order string, runs int) (time.Time, error) {
	for range 1200 {
		var o api.OrderDetail
		if err := w.session.Call(ctx, "GET", api.OrderPath(order), nil, nil, &o); err != nil {
			return time.Time{}, err
		}
		if o.Counts[webjob.RunDone] == int64(runs) {
			return time.Now(), nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Time{}, fmt.Errorf("order %s does not end", order)
}
