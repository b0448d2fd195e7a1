package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/server"
)

func operatorCommand() *cobra.Command {
	var dir, reason string
	c := &cobra.Command{
		Use: "operator NAME", Short: "Make a token for an admin, when no admin can log in any more", Args: cobra.ExactArgs(1),
		Long: `Operator makes a token on the server's own machine, with the server stopped: for an admin
that comes back under its name with a new key, or for a new admin of that name. A login that
this admin has ends, even when it works. It is noted in the audit log, with who ran it. While
any admin can log in, webjobctl operator add and renew do the same.`,
		Example: `  webjobd operator --dir /srv/webjob olga`,
		RunE: func(c *cobra.Command, args []string) error {
			settings, err := server.LoadSettings(dir)
			if err != nil {
				return err
			}
			token, ended, err := server.AdmitOperator(c.Context(), settings, args[0], reason, openBackends)
			if err != nil {
				return fmt.Errorf("operator: %w", err)
			}
			if ended {
				cli.Say(c, "the login that operator %s had ends with this", args[0])
			}
			return cli.Show(c, map[string]string{"operator": args[0], "login_token": token.String()}, []cli.Field{
				{Name: "Start the server:", Value: "webjobd serve --dir " + dir},
				{Name: "Login:", Value: "webjobctl login --name " + args[0] + " --token " + token.String()},
				{Name: "", Value: "(good once, for 24 hours; keep it like a password)"},
			})
		},
	}
	dirFlag(c, &dir)
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return c
}
