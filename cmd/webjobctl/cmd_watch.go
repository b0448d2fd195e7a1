package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

// watchInterval is how often an order that is watched is looked at.
const watchInterval = 500 * time.Millisecond

func orderWatchCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "watch ORDER", Short: "Watch an order until it ends", Args: cobra.ExactArgs(1),
		Long: `Watch shows the progress of an order as it happens. It ends with the order, or when the order
is stopped; the exit status is 1 when any run did not succeed. On a terminal it draws over
itself; elsewhere it writes a line for every change.`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := webjob.CheckOrderID(args[0]); err != nil {
				return fmt.Errorf("order watch: %w", err)
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			return watchOrder(c, s, args[0])
		},
	}
}

func watchOrder(c *cobra.Command, s *operator.Session, id string) error {
	view := &orderView{out: c.OutOrStdout(), terminal: isTerminal(c.OutOrStdout())}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		var o api.OrderDetail
		err := s.Call(c.Context(), http.MethodGet, api.OrderPath(id), nil, nil, &o)
		switch {
		case c.Context().Err() != nil:
			return nil
		case webjob.KindOf(err) == webjob.Unavailable:
			view.note("the server is away; still trying")
		case err != nil:
			return fmt.Errorf("order watch: %w", err)
		default:
			view.draw(o)
			if o.State != webjob.OrderOpen {
				if o.Counts.Failures()+o.Counts[webjob.RunExpired]+o.Counts[webjob.RunStopped] > 0 {
					return &cli.ExitError{Status: cli.StatusFailed}
				}
				return nil
			}
		}
		select {
		case <-c.Context().Done():
			return nil
		case <-ticker.C:
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// orderView draws an order, over what it drew before on a terminal.
type orderView struct {
	out      io.Writer
	terminal bool
	lines    int
	last     string
}

func (v *orderView) draw(o api.OrderDetail) {
	ended := int64(0)
	for state, n := range o.Counts {
		if !state.Open() {
			ended += n
		}
	}
	total := o.Counts.Total()
	if !v.terminal {
		v.note(fmt.Sprintf("%s %s: %d of %d ended; %s%s", o.ID, o.State, ended, total, countsOf(o.Counts), reasonOf(o)))
		return
	}
	text := []string{
		fmt.Sprintf("%s  %s on %s  %s%s", o.ID, jobOf(o.Order), o.On, o.State, reasonOf(o)),
		bar(ended, total),
		countsOf(o.Counts),
	}
	for _, r := range o.Slowest {
		text = append(text, fmt.Sprintf("  running %-24s %s", r.Client, time.Since(r.Updated).Round(time.Second)))
	}
	for _, r := range o.Failing {
		text = append(text, fmt.Sprintf("  %-7s %s", r.State, r.Client))
	}
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.lines)
	}
	b.WriteString("\x1b[J") // clear what was drawn before
	for _, line := range text {
		b.WriteString(cli.Printable(line) + "\n")
	}
	v.lines = len(text)
	fmt.Fprint(v.out, b.String())
}

// note writes a line when it says something new.
func (v *orderView) note(line string) {
	if line == v.last {
		return
	}
	v.last, v.lines = line, 0
	fmt.Fprintln(v.out, cli.Printable(line))
}

func reasonOf(o api.OrderDetail) string {
	if o.Reason == "" {
		return ""
	}
	return " (" + o.Reason + ")"
}

func bar(done, total int64) string {
	const width = 40
	filled := int64(0)
	if total > 0 {
		filled = width * done / total
	}
	return fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", int(filled)), strings.Repeat(".", int(width-filled)), done, total)
}
