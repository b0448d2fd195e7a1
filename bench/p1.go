package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
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
	newest := make([]string, workers) // tickets, by worker
	for range rounds {
		before, err := cpuTime(w.programs[0].Process.Pid)
		if err != nil {
			return err
		}
		oursNow, err := rate(length, func(worker int) (func() error, func(), error) {
			return ourPair(ctx, w.clients[worker], &newest[worker])
		})
		if err != nil {
			return err
		}
		after, err := cpuTime(w.programs[0].Process.Pid)
		if err != nil {
			return err
		}
		cost = append(cost, float64((after-before).Microseconds())/oursNow/length.Seconds())
		bareNow, err := rate(length, func(worker int) (func() error, func(), error) { return barePair(w.clients[worker], w.bareURL) })
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
func rate(length time.Duration, newPair func(worker int) (pair func() error, done func(), err error)) (float64, error) {
	var group sync.WaitGroup
	counts, errs := make([]int, workers), make([]error, workers)
	begin := make(chan time.Time)
	for i := range workers {
		pair, done, err := newPair(i)
		if err != nil {
			return 0, err
		}
		defer done()
		group.Go(func() {
			for start := <-begin; time.Since(start) < length && errs[i] == nil; counts[i]++ {
				errs[i] = pair()
			}
		})
	}
	start := time.Now()
	for range workers {
		begin <- start
	}
	group.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(start).Seconds(), errors.Join(errs...)
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
