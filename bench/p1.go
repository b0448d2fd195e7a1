package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/endpoint"
	"webjob.dev/webjob/endpoint/fetch"
	"webjob.dev/webjob/trust"
	"webjob.dev/webjob/wire"
)

const (
	workers      = 8
	payloadBytes = 64 << 10
	resultBytes  = 3 << 10 // record, stdout and stderr together
	rounds       = 5
)

// pairs measures P1.
func pairs(args []string) error {
	flags := flag.NewFlagSet("p1", flag.ContinueOnError)
	cgi := flags.String("cgi", "", "script that measures a CGI server and prints its gets and puts a second")
	seconds := flags.Int("seconds", 6, "length of a round")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	w, err := newWorld(ctx, workers)
	if err != nil {
		return err
	}
	err = measurePairs(ctx, w, *cgi, time.Duration(*seconds)*time.Second)
	return errors.Join(err, w.close())
}

func measurePairs(ctx context.Context, w *world, cgi string, length time.Duration) error {
	script := "#!/bin/sh\n" + strings.Repeat("# "+strings.Repeat("x", 61)+"\n", payloadBytes/64)
	if err := w.publish(ctx, "probe", script[:payloadBytes]); err != nil {
		return err
	}
	var ours, bare, cgis, overCGI, overBare, cost, costCGI []float64
	for range rounds {
		before, err := cpuTime(w.programs[0].Process.Pid)
		if err != nil {
			return err
		}
		oursNow, err := rate(length, func(worker int) (func() error, func()) { return ourPair(ctx, w.clients[worker]) })
		if err != nil {
			return err
		}
		after, err := cpuTime(w.programs[0].Process.Pid)
		if err != nil {
			return err
		}
		cost = append(cost, float64((after-before).Microseconds())/oursNow/length.Seconds())
		bareNow, err := rate(length, func(worker int) (func() error, func()) { return barePair(ctx, w.clients[worker], w.bareURL) })
		if err != nil {
			return err
		}
		ours, bare, overBare = append(ours, oursNow), append(bare, bareNow), append(overBare, oursNow/bareNow)
		if cgi == "" {
			continue
		}
		cgiNow, err := cgiPairs(ctx, cgi, length)
		if err != nil {
			return err
		}
		cgis, overCGI = append(cgis, cgiNow), append(overCGI, oursNow/cgiNow)
		// The CGI keeps every core busy, wrk beside it takes next to nothing.
		costCGI = append(costCGI, float64(runtime.NumCPU())*1e6/cgiNow)
	}
	figures := []figure{
		newFigure("P1-webjob", "pairs/s", "", ours),
		newFigure("P1-bare", "pairs/s", "", bare),
		newFigure("P1-over-bare", "x", "at least 0.5", overBare),
		newFigure("P1-server-cpu", "us a pair", "", cost),
	}
	if cgi != "" {
		figures = append(figures, newFigure("P1-cgi", "pairs/s", "", cgis), newFigure("P1-over-cgi", "x", "at least 30", overCGI),
			newFigure("P1-cgi-cpu", "us a pair", "", costCGI))
	}
	return report("p1", figures)
}

// rate runs pairs in every worker for the time and returns pairs a second.
func rate(length time.Duration, newPair func(worker int) (pair func() error, done func())) (float64, error) {
	var group sync.WaitGroup
	counts, errs := make([]int, workers), make([]error, workers)
	start := time.Now()
	for i := range workers {
		group.Go(func() {
			pair, done := newPair(i)
			defer done()
			for time.Since(start) < length && errs[i] == nil {
				errs[i] = pair()
				counts[i]++
			}
		})
	}
	group.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(start).Seconds(), errors.Join(errs...)
}

// ourPair gets and verifies the job and its payload, and puts a result.
func ourPair(ctx context.Context, e *endpoint.Enrolment) (func() error, func()) {
	c := e.Connect()
	who := fetch.Requester{ID: e.ID, Labels: e.Labels}
	return func() error {
		if who.Repository == nil {
			var err error
			if who.Repository, err = trust.NewRepository(e.TrustRoot); err != nil {
				return err
			}
		}
		m, err := fetch.Job(ctx, c, who, "probe", wire.JobQuery{Platform: webjob.ThisPlatform}, time.Now())
		if err != nil {
			return err
		}
		who.Repository, who.Ticket = m.Repository, m.Ticket
		payload, err := m.PayloadFor(webjob.ThisPlatform)
		if err != nil {
			return err
		}
		if err := m.Payload(ctx, payload, io.Discard); err != nil {
			return err
		}
		exact, body, err := newResult(e.ID, m.Digest, payload.Digest)
		if err != nil {
			return err
		}
		header := http.Header{}
		header.Set("Content-Type", wire.ContentTypeResult)
		header.Set(wire.HeaderRecordLength, strconv.Itoa(exact))
		response, err := c.Send(ctx, http.MethodPost, wire.PathResults, header, bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close())
	}, c.Close
}

// newResult makes a result of resultBytes with fresh content and returns the length
// of its record and its body.
func newResult(client string, manifest, payload webjob.Digest) (int, []byte, error) {
	now := time.Now().UTC()
	status := 0
	record := webjob.Record{
		Format: webjob.RecordFormat, Run: uuid.Must(uuid.NewV7()).String(), Client: client, Job: "probe", Version: 1,
		Manifest: manifest, Payload: payload, Host: "bench", Platform: webjob.ThisPlatform, Webjob: "bench",
		Outcome: webjob.Succeeded, ExitStatus: &status, PutURL: "https://localhost:8443",
		Times:  webjob.Times{Get: webjob.Phase{Start: now, DurationMS: 5}, Run: webjob.Phase{Start: now, DurationMS: 5}, Put: webjob.Phase{Start: now}},
		Limits: webjob.DefaultLimits(), Enforced: []string{"tree: cgroup and subreaper"},
	}
	stdout := make([]byte, 1200)
	for i := range stdout {
		stdout[i] = byte('a' + rand.N(26))
	}
	stderr := stdout[:300]
	for name, content := range map[string][]byte{webjob.Stdout: stdout, webjob.Stderr: stderr} {
		record.Parts = append(record.Parts, webjob.Stream{Name: name, Digest: webjob.DigestOf(content), Size: int64(len(content)), Written: int64(len(content))})
	}
	exact, err := json.Marshal(record)
	if err != nil {
		return 0, nil, err
	}
	body := exact
	for _, part := range record.Parts {
		content := stderr
		if part.Name == webjob.Stdout {
			content = stdout
		}
		body = append(body, content...)
	}
	return len(exact), body, nil
}

// barePair gets a file of the same size and puts a body of the same size.
func barePair(ctx context.Context, e *endpoint.Enrolment, address string) (func() error, func()) {
	c := wire.NewClient(address, e.TLS())
	body := bytes.Repeat([]byte("x"), resultBytes)
	return func() error {
		response, err := c.Send(ctx, http.MethodGet, "/probe.sh", nil, nil, -1)
		if err != nil {
			return err
		}
		if n, err := io.Copy(io.Discard, response.Body); err != nil || n != payloadBytes {
			return fmt.Errorf("got %d bytes: %w", n, err)
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		response, err = c.Send(ctx, http.MethodPut, "/result", nil, bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return err
		}
		return response.Body.Close()
	}, c.Close
}

// cpuTime returns the CPU time that a process has used, in user and system mode
// (proc(5)): fields 14 and 15 of its stat file, in hundredths of a second.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

var cgiLine = regexp.MustCompile(`(get|put) ([0-9.]+) requests/s`)

// cgiPairs runs the script and turns its two rates into pairs a second: the time of
// a pair is the time of a get and of a put.
func cgiPairs(ctx context.Context, script string, length time.Duration) (float64, error) {
	c := exec.CommandContext(ctx, "bash", script, strconv.Itoa(int(length.Seconds())), strconv.Itoa(workers))
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return 0, err
	}
	rates := map[string]float64{}
	for _, match := range cgiLine.FindAllStringSubmatch(string(out), -1) {
		if rates[match[1]], err = strconv.ParseFloat(match[2], 64); err != nil {
			return 0, err
		}
	}
	if rates["get"] <= 0 || rates["put"] <= 0 {
		return 0, fmt.Errorf("%s printed no rates:\n%s", script, out)
	}
	return 1 / (1/rates["get"] + 1/rates["put"]), nil
}
