package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/server"
)

// closeTime bounds the last writes of a server that stops.
const closeTime = 10 * time.Second

func serveCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "serve --dir DIR",
		Short:   "Serve until SIGTERM, which lets requests under way finish; SIGHUP reads the configuration again",
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
			stop := reloadOnHangup(c.Context(), s)
			err = s.Serve(c.Context())
			stop()
			ctx, cancel := context.WithTimeout(context.Background(), closeTime)
			defer cancel()
			return errors.Join(err, s.Close(ctx))
		},
	}
	dirFlag(c, &dir)
	return c
}

// reloadOnHangup reads the configuration again at SIGHUP, until the returned
// function is called. What is wrong is told by the log.
func reloadOnHangup(ctx context.Context, s *server.Server) (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-hangup:
				_ = s.Hangup(ctx) // told by the log, and the configuration before holds
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangup)
		close(done)
	}
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
