package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/agent"
	"webjob.dev/webjob/wire"
)

func agentCommand(state *string) *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "Stay and obey orders", Args: cobra.NoArgs,
		Long: `Agent holds one connection open to the server and runs the signed orders that are for this
machine, each in a process of its own. It keeps the time of standing orders also while
the server is away, and sends what waits in the spool. SIGTERM lets runs under way end
within the drain time of webjob.toml.`,
		RunE: func(c *cobra.Command, _ []string) error {
			handler := slog.NewTextHandler(c.ErrOrStderr(), nil)
			if underServiceManager() {
				return runAsService(*state, handler)
			}
			return runAgent(c.Context(), *state, handler)
		},
	}
}

func runAgent(ctx context.Context, dir string, handler slog.Handler) error {
	fail := func(err error) error {
		return &cli.ExitError{Status: cli.RunStatus(err), Err: fmt.Errorf("agent: %w", err)}
	}
	s, err := endpoint.OpenState(dir)
	if err != nil {
		return fail(err)
	}
	settings, err := s.Settings()
	if err != nil {
		return fail(err)
	}
	if _, err := s.Enrolments.With(endpoint.TargetGet); err != nil {
		return fail(err)
	}
	program, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	if err := agent.Run(ctx, s, settings, program, slog.New(handler)); err != nil {
		return fail(err)
	}
	return nil
}

// orderedCommand does one run of an order for the agent.
func orderedCommand(state *string) *cobra.Command {
	return &cobra.Command{
		Use: "ordered", Hidden: true, Args: cobra.NoArgs, Short: "Do one run of an order, read from standard input, for the agent",
		RunE: func(c *cobra.Command, _ []string) error {
			input := bufio.NewReader(c.InOrStdin())
			line, err := input.ReadBytes('\n')
			if err != nil {
				return cli.Usagef("webjob agent calls this: %w", err)
			}
			var offer wire.Offer
			if err := json.Unmarshal(line, &offer); err != nil {
				return cli.Usagef("webjob agent calls this: %w", err)
			}
			// The agent passes signals on in its own way.
			ctx, stop := context.WithCancel(context.WithoutCancel(c.Context()))
			defer stop()
			go func() { // ends with the process
				if word, err := input.ReadString('\n'); err == nil && strings.TrimSpace(word) == agent.StopWord {
					stop()
				}
			}()
			return runOffer(ctx, c, *state, offer)
		},
	}
}

func runOffer(ctx context.Context, c *cobra.Command, state string, offer wire.Offer) error {
	s, err := endpoint.OpenState(state)
	if err != nil {
		return err
	}
	settings, err := s.Settings()
	if err != nil {
		return err
	}
	ran, err := endpoint.RunOffer(ctx, s, settings, offer)
	switch {
	case errors.Is(err, endpoint.ErrLost):
		return &cli.ExitError{Status: agent.ExitLost, Err: err}
	case errors.Is(err, endpoint.ErrHeld):
		return nil
	case err != nil:
		return &cli.ExitError{Status: agent.ExitAgain, Err: err}
	}
	c.SetErr(withoutProgram{c.ErrOrStderr()})
	tellRun(c, ran)
	if ran.Refused != nil {
		return &cli.ExitError{Status: agent.ExitRefused}
	}
	return nil
}

// withoutProgram leaves the program's name out: the agent's log says who speaks.
type withoutProgram struct{ w io.Writer }

func (w withoutProgram) Write(p []byte) (int, error) {
	_, err := w.w.Write([]byte(strings.TrimPrefix(string(p), "webjob: ")))
	return len(p), err
}
