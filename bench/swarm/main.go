// Swarm plays many agents in one process: each with its own key, certificate,
// TLS connection and requests, as real agents have, but with runs that do nothing. It
// is for measuring servers; see docs/performance.md.
//
// The agents of one process verify each distinct signature once, together: on real
// machines they would do it at the same time, each on its own processor.
package main

import (
	"encoding/json"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/trust"
)

func main() {
	s := &swarm{}
	var token, prefix, report string
	root := &cobra.Command{
		Use:   "swarm --token TOKEN --agents N",
		Short: "Play many agents, to measure a server",
		Example: `  swarm --token wjt1_... --agents 10000 --sources 4
  (a token for so many: webjobctl token new --uses 10000)`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			parsed, err := trust.ParseToken(token)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if err := s.enroll(ctx, parsed, prefix); err != nil {
				return err
			}
			c.PrintErrf("enrolled %d agents\n", len(s.members))
			s.ready = func() { c.PrintErrf("ready: %d agents wait\n", len(s.members)) }
			s.run(ctx)
			return s.write(report)
		},
	}
	flags := root.Flags()
	flags.StringVar(&token, "token", "", "token that is good for so many enrolments")
	flags.IntVar(&s.agents, "agents", 100, "how many")
	flags.IntVar(&s.sources, "sources", 1, "addresses to connect from: 127.0.0.2 and on")
	flags.DurationVar(&s.wait, "wait", time.Minute, "how long a poll is held open")
	flags.DurationVar(&s.spread, "spread", 0, "spread the first connections over this time; 0 is all at once")
	flags.StringVar(&prefix, "prefix", "swarm", "of the client ids")
	flags.StringVar(&report, "report", "", "file for what was seen, as JSON, at the end")
	os.Exit(cli.Run(root, os.Args[1:], cli.StatusUsage))
}

// seen is what the swarm saw.
type seen struct {
	Starts  []int64 `json:"starts"` // of runs, nanoseconds since 1970
	Results int64   `json:"results"`
	Polls   int64   `json:"polls"`
	Errors  int64   `json:"errors"` // requests that failed and were made again
	Last    string  `json:"last_error,omitempty"`
}

func (s *swarm) write(file string) error {
	if file == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	encoded, err := json.Marshal(s.seen)
	if err != nil {
		return err
	}
	return os.WriteFile(file, encoded, 0o600)
}
