package main

import (
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/server"
)

func checkCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "check --dir DIR",
		Short: "Validate the configuration, reach every backend, compare blobs with metadata",
		Long: `Check reads everything that the server keeps and tells what is wrong with it. It may
run beside a serving server. The exit status is 1 when anything is wrong.`,
		Example: `  webjobd check --dir /srv/webjob`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			settings, err := server.LoadSettings(dir)
			if err != nil {
				return err
			}
			s, err := server.Open(c.Context(), settings, slog.New(slog.NewTextHandler(io.Discard, nil)), openBackends)
			if err != nil {
				return err
			}
			findings := s.Check(c.Context())
			err = cli.List(c, findings, []cli.Column[server.Finding]{
				{Title: "CHECK", Cell: func(f server.Finding) string { return f.What }},
				{Title: "STATE", Cell: func(f server.Finding) string {
					if f.Error != "" {
						return "FAILED: " + f.Error
					}
					return "ok"
				}},
				{Title: "DETAIL", Cell: func(f server.Finding) string { return f.Detail }},
			})
			if err := errors.Join(err, s.Close(c.Context())); err != nil {
				return err
			}
			for _, f := range findings {
				if f.Error != "" {
					return &cli.ExitError{Status: cli.StatusFailed}
				}
			}
			return nil
		},
	}
	dirFlag(c, &dir)
	return c
}
