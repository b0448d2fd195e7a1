package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"sync"

	"webjob.dev/webjob/wire"
)

// Exit statuses of the process of a run, beside 0: the result is kept or sent.
const (
	ExitAgain = 75 // nothing ran; another try may help (sysexits.h, EX_TEMPFAIL)
	ExitLost  = 76 // it was begun before, and nothing of it is left
)

// StopWord is the line on a run's standard input that tells it to stop. The end of
// input tells nothing: a run outlives an agent that was killed.
const StopWord = "stop"

// How the process of a run ended.
type end int

const (
	endKept end = iota
	endAgain
	endLost
)

// child is the process of one run.
type child struct {
	command *exec.Cmd
	mu      sync.Mutex
	stdin   io.WriteCloser
	logged  sync.WaitGroup
	agent   *Agent
	run     string
}

// newChild starts "webjob ordered", which reads its offer from standard input.
func (a *Agent) newChild(offer wire.Offer) (*child, error) {
	encoded, err := json.Marshal(offer)
	if err != nil {
		return nil, err
	}
	c := &child{agent: a, run: offer.Run, command: exec.Command(a.program, "--state", a.state.Dir(), "ordered")} //nolint:noctx // it is told to stop by its standard input
	c.command.SysProcAttr = ownGroup()
	if c.stdin, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := c.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	c.logged.Go(func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			a.log.Info("run", "run", offer.Run, "says", lines.Text())
		}
	})
	if _, err := c.stdin.Write(append(encoded, '\n')); err != nil {
		a.log.Warn("a run did not take its offer", "run", offer.Run, "error", err)
	}
	return c, nil
}

// wait returns when the process has ended.
func (c *child) wait() end {
	c.logged.Wait()
	err := c.command.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return endKept
	case errors.As(err, &exit) && exit.ExitCode() == ExitLost:
		return endLost
	case errors.As(err, &exit) && exit.ExitCode() == ExitAgain:
		return endAgain
	}
	c.agent.log.Warn("the process of a run failed", "run", c.run, "error", err)
	return endAgain // whether it may run again is decided by what it left
}

// stop tells the run to end and keep its result.
func (c *child) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(c.stdin, StopWord+"\n") // one that has ended needs no word
}

func (c *child) kill() { _ = c.command.Process.Kill() } // it may have ended
