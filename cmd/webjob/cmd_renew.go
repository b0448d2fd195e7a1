package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/endpoint"
)

func renewCommand(state *string) *cobra.Command {
	var put bool
	c := &cobra.Command{
		Use: "renew", Short: "Renew this client's certificate now", Args: cobra.NoArgs,
		Long: `Renew gets a new certificate for this client's key. Run and agent do that by themselves at
half of its life. When it has expired, an operator must let the client come back first:
webjobctl client approve CLIENT.`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := endpoint.OpenState(*state)
			if err != nil {
				return &cli.ExitError{Status: cli.StatusConfig, Err: fmt.Errorf("renew: %w", err)}
			}
			target := endpoint.TargetGet
			if put {
				target = endpoint.TargetPut
			}
			if _, err := s.Enrolments.Renew(c.Context(), target, true); err != nil {
				return &cli.ExitError{Status: cli.RunStatus(err), Err: fmt.Errorf("renew: %w", err)}
			}
			e, err := s.Enrolments.With(target)
			if err != nil {
				return fmt.Errorf("renew: %w", err)
			}
			return cli.Show(c, map[string]any{"client": e.ID, "expires": e.Expires()}, []cli.Field{
				{Name: "Client:", Value: e.ID}, {Name: "Certificate:", Value: "holds until " + cli.Time(e.Expires())},
			})
		},
	}
	c.Flags().BoolVar(&put, "put", false, "that of the second server, which receives the results")
	return c
}
