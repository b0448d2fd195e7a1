package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
)

func tokenCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "One-time tokens that let machines and operators in"}
	var labels []string
	var uses int64
	var ttl time.Duration
	var forOperator bool
	newToken := &cobra.Command{
		Use: "new", Short: "Make a one-time token", Args: cobra.NoArgs,
		Long: `New prints a token that lets machines enrol. It carries the server's address, the
fingerprint of its CA and the digest of the trust root pinned here, so that the machine
knows whom it talks to and who may sign jobs. Whoever has the token can use it: keep it
like a password.`,
		Example: `  webjobctl token new --label env=prod --label role=db
  webjobctl token new --uses 50 --ttl 1h`,
		RunE: func(c *cobra.Command, _ []string) error {
			request := api.NewTokenRequest{Role: webjob.RoleClient, Uses: uses, TTLSeconds: int64(ttl / time.Second)}
			var err error
			if request.Labels, err = webjob.ParseLabels(labels); err != nil {
				return fmt.Errorf("token new: %w", err)
			}
			if forOperator {
				request.Role = webjob.RoleOperator
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			token, kept, err := s.NewToken(c.Context(), request)
			if err != nil {
				return fmt.Errorf("token new: %w", err)
			}
			if cli.FormatOf(c) == cli.Table { // the token alone, so that it can be piped
				c.PrintErrf("%s token %s, good %s until %s UTC\n", kept.Role, kept.ID, times(kept.Uses), cli.Time(kept.Expires))
				_, err = fmt.Fprintln(c.OutOrStdout(), token)
				return err
			}
			return cli.Show(c, struct {
				Text string `json:"token"`
				webjob.Token
			}{token.String(), kept}, nil)
		},
	}
	newToken.Flags().StringArrayVar(&labels, "label", nil, "label key=value of the machines that use it; may be repeated")
	newToken.Flags().Int64Var(&uses, "uses", 1, "how many machines may use it")
	newToken.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long it is good for")
	newToken.Flags().BoolVar(&forOperator, "operator", false, "make it for an operator's login instead of a machine")
	c.AddCommand(newToken)
	return c
}

// times says how often something may be used.
func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return strconv.FormatInt(n, 10) + " times"
}
