package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const coldRounds = 41

// coldRun measures P2.
func coldRun() error {
	ctx := context.Background()
	w, err := newWorld(ctx, 1)
	if err != nil {
		return err
	}
	return errors.Join(measureColdRun(ctx, w), w.close())
}

func measureColdRun(ctx context.Context, w *world) error {
	if err := w.publish(ctx, "noop", "#!/bin/sh\necho done\n"); err != nil {
		return err
	}
	identity := filepath.Join(w.states[0], "get", "identity.pem")
	authority := filepath.Join(w.serverDir, "pki", "ca.crt")
	curl := fmt.Sprintf("curl -sS --fail --tlsv1.3 --cacert %s --cert %s", authority, identity)
	shell := fmt.Sprintf("%s %s/noop.sh | sh 2>&1 | %s -T - %s/result", curl, w.bareURL, curl, w.bareURL)
	var ours, theirs, ratio, memory []float64
	for range coldRounds {
		webjob := exec.CommandContext(ctx, "bin/webjob", "--state", w.states[0], "run", "noop", "--require-put")
		oursNow, err := timed(webjob)
		if err != nil {
			return err
		}
		theirsNow, err := timed(exec.CommandContext(ctx, "sh", "-c", shell))
		if err != nil {
			return err
		}
		ours, theirs, ratio = append(ours, oursNow), append(theirs, theirsNow), append(ratio, oursNow/theirsNow)
		usage, ok := webjob.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return errors.New("this system tells no memory use")
		}
		memory = append(memory, float64(usage.Maxrss)/1024)
	}
	info, err := os.Stat("bin/webjob")
	if err != nil {
		return err
	}
	return report("p2", []figure{
		newFigure("P2-webjob", "ms", "", ours),
		newFigure("P2-curl-sh-curl", "ms", "", theirs),
		newFigure("P2-ratio", "x", "at most 1.5", ratio),
		newFigure("P2-memory", "MiB", "under 30", memory),
		newFigure("P2-binary", "MB", "under 16", []float64{float64(info.Size()) / 1e6}),
	})
}

func timed(c *exec.Cmd) (float64, error) {
	start := time.Now()
	out, err := c.CombinedOutput()
	took := float64(time.Since(start).Microseconds()) / 1000
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, out)
	}
	return took, nil
}
