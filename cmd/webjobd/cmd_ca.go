package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/server"
)

func caCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "ca", Short: "Change the CA, in three steps that clients follow by themselves",
		Long: `A CA is changed in three steps, each with the server stopped for a moment and with a
lifetime of clients' certificates (7 days) before the next:

  1. announce: a new CA is made; clients learn of it when they renew their certificates
  2. switch:   the new CA issues all certificates; the old one still counts
  3. drop:     the old CA counts no more

Operators follow with webjobctl operator renew, between the first two steps. Who did not is
let in again by one who did: webjobctl operator renew NAME.`,
	}
	for _, step := range []struct {
		name, short string
		do          func(context.Context, *server.Settings, server.OpenBackends, string) error
	}{
		{"announce", "Make a new CA and tell clients of it", server.AnnounceAuthority},
		{"switch", "Let the new CA issue certificates", server.SwitchAuthority},
		{"drop", "Forget the old CA", server.DropAuthorities},
	} {
		var dir, reason string
		sub := &cobra.Command{
			Use: step.name, Short: step.short, Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				settings, err := server.LoadSettings(dir)
				if err == nil {
					err = step.do(c.Context(), settings, openBackends, reason)
				}
				if err != nil {
					return fmt.Errorf("ca %s: %w", step.name, err)
				}
				cli.Say(c, "webjobd: ca %s done; start the server again", step.name)
				return nil
			},
		}
		sub.Flags().StringVar(&dir, "dir", ".", "server folder")
		sub.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
		c.AddCommand(sub)
	}
	return c
}
