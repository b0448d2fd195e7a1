package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/server"
)

// closeTime bounds the last writes of a server that stops.
const closeTime = 10 * time.Second

func serveCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "serve --dir DIR",
		Short:   "Serve until SIGTERM, which lets requests under way finish",
		Example: `  webjobd serve --dir /srv/webjob`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			settings, err := server.LoadSettings(dir)
			if err != nil {
				return err
			}
			s, err := server.Open(c.Context(), settings, newLog(settings), openBackends)
			if err != nil {
				return err
			}
			err = s.Serve(c.Context())
			ctx, cancel := context.WithTimeout(context.Background(), closeTime)
			defer cancel()
			return errors.Join(err, s.Close(ctx))
		},
	}
	dirFlag(c, &dir)
	return c
}

func dirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "dir", ".", "server folder, made by webjobd init")
}

func newLog(settings *server.Settings) *slog.Logger {
	options := &slog.HandlerOptions{Level: settings.Level()}
	if settings.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
