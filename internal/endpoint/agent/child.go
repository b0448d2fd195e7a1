package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os/exec"
	"sync"

	"webjob.dev/webjob/wire"
)

// Exit statuses of the process of a run, beside 0: the result is kept or sent.
const (
	ExitAgain   = 75 // nothing ran; another try may help (sysexits.h, EX_TEMPFAIL)
	ExitLost    = 76 // it was begun before, and nothing of it is left
	ExitRefused = 77 // the order was refused, and that is a result (EX_NOPERM)
)

// StopWord is the line on a run's standard input that tells it to stop. The end of
// input tells nothing: a run outlives an agent that was killed.
const StopWord = "stop"

// How the process of a run ended.
type end int

const (
	endKept end = iota
	endRefused
	endAgain
	endLost
)

// launcher starts "webjob ordered" for each run.
type launcher struct {
	program string // webjob itself
	dir     string // state folder
	log     *slog.Logger
}

// child is the process of one run.
type child struct {
	command  *exec.Cmd
	run      string
	log      *slog.Logger
	stopping func() // once
	stopped  chan struct{}
	ended    chan struct{}
	pipes    sync.WaitGroup
}

// launch starts a process, which reads its offer from standard input.
func (l *launcher) launch(offer wire.Offer) (process, error) {
	encoded, err := json.Marshal(offer)
	if err != nil {
		return nil, err
	}
	c := &child{
		run: offer.Run, log: l.log, stopped: make(chan struct{}), ended: make(chan struct{}),
		command: exec.Command(l.program, "--state", l.dir, "ordered"), //nolint:noctx // it is told to stop by its standard input
	}
	c.stopping = sync.OnceFunc(func() { close(c.stopped) })
	c.command.SysProcAttr = ownGroup()
	input, err := c.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := c.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	c.pipes.Go(func() { c.listen(output) })
	go c.tell(input, append(encoded, '\n')) // ends with the process
	return c, nil
}

// tell hands the offer to the process and later the word to stop. Nobody waits for it:
// a process may not read.
func (c *child) tell(input io.Writer, offer []byte) {
	if _, err := input.Write(offer); err != nil {
		c.log.Warn("a run did not take its offer", "run", c.run, "error", err)
		return
	}
	select {
	case <-c.stopped:
		_, _ = io.WriteString(input, StopWord+"\n") // one that has ended needs no word
	case <-c.ended:
	}
}

func (c *child) listen(output io.Reader) {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		c.log.Info("run", "run", c.run, "says", lines.Text())
	}
	_, _ = io.Copy(io.Discard, output) // after a line that is too long
}

// wait returns when the process has ended.
func (c *child) wait() end {
	c.pipes.Wait()
	err := c.command.Wait()
	close(c.ended)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		switch exit.ExitCode() {
		case ExitRefused:
			return endRefused
		case ExitAgain:
			return endAgain
		case ExitLost:
			return endLost
		}
	}
	if err == nil {
		return endKept
	}
	c.log.Warn("the process of a run failed", "run", c.run, "error", err)
	return endAgain // whether it may run again is decided by what it left
}

// stop tells the run to end and keep its result.
func (c *child) stop() { c.stopping() }

func (c *child) kill() { _ = c.command.Process.Kill() } // it may have ended
