package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/spool"
)

func spoolCommand(state *string) *cobra.Command {
	c := &cobra.Command{Use: "spool", Short: "Results that wait for upload"}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the results in the spool", Args: cobra.NoArgs,
			Example: `  webjob spool list -o json`,
			RunE:    func(c *cobra.Command, _ []string) error { return listSpool(c, *state) },
		},
		&cobra.Command{
			Use: "show RUN", Short: "Show the record of one run in the spool", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error { return showSpooled(c, *state, args[0]) },
		},
		&cobra.Command{
			Use: "flush", Short: "Send every result that waits", Args: cobra.NoArgs,
			Long: `Flush sends every result that waits, and completes the runs whose webjob was killed.
The exit status is 1 when any result still waits.`,
			RunE: func(c *cobra.Command, _ []string) error { return flushSpool(c, *state) },
		},
	)
	return c
}

func openSpool(state string) (*spool.Spool, error) {
	s, err := endpoint.OpenState(state)
	if err != nil {
		return nil, err
	}
	return s.Spool()
}

func listSpool(c *cobra.Command, state string) error {
	sp, err := openSpool(state)
	if err != nil {
		return err
	}
	list, err := sp.List()
	if err != nil {
		return err
	}
	return cli.List(c, list, []cli.Column[spool.Status]{
		{Title: "RUN", Cell: func(s spool.Status) string { return s.Run }},
		{Title: "STATE", Cell: func(s spool.Status) string { return string(s.State) }},
		{Title: "JOB", Cell: func(s spool.Status) string { return s.Job }},
		{Title: "OUTCOME", Cell: func(s spool.Status) string { return string(s.Outcome) }},
		{Title: "STARTED", Cell: func(s spool.Status) string { return cli.Time(s.Started) }},
		{Title: "SIZE", Cell: func(s spool.Status) string { return cli.Bytes(s.Bytes) }},
		{Title: "FOR", Cell: func(s spool.Status) string {
			if s.Error != "" {
				return s.Error
			}
			return s.PutURL
		}},
	})
}

func showSpooled(c *cobra.Command, state, run string) error {
	sp, err := openSpool(state)
	if err != nil {
		return err
	}
	r, err := sp.Record(run)
	if err != nil {
		return err
	}
	return cli.Show(c, r, cli.RecordFields(r))
}

func flushSpool(c *cobra.Command, state string) error {
	s, err := endpoint.OpenState(state)
	if err != nil {
		return err
	}
	settings, err := s.Settings()
	if err != nil {
		return err
	}
	flushed, err := endpoint.Flush(c.Context(), s, settings)
	if err != nil {
		return err
	}
	tellFlushed(c, flushed)
	if len(flushed.Kept) > 0 {
		return &cli.ExitError{Status: cli.StatusFailed, Err: fmt.Errorf("%d results still wait in the spool", len(flushed.Kept))}
	}
	return nil
}
