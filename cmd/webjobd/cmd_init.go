package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/server"
)

func initCommand() *cobra.Command {
	layout := server.DefaultLayout()
	c := &cobra.Command{
		Use:   "init DIR --name HOST[,HOST...]",
		Short: "Make a new server folder: configuration, CA, keys, databases",
		Long: `Init makes a new server folder with everything a server needs, and prints a token
for the first operator to log in with. It never overwrites: a folder that holds
anything is refused.`,
		Example: `  webjobd init /srv/webjob --name jobs.example.org,192.0.2.7`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(layout.Names) == 0 {
				return cli.Usagef("no --name; give the host name that clients use, such as --name jobs.example.org")
			}
			token, err := server.Init(c.Context(), args[0], layout, openBackends)
			if err != nil {
				return fmt.Errorf("init: %w", err)
			}
			fields := []cli.Field{
				{Name: "Server folder:", Value: args[0]},
				{Name: "Start it:", Value: "webjobd serve --dir " + args[0]},
				{Name: "First login:", Value: "webjobctl login --token " + token.String()},
				{Name: "", Value: "(good once, for 24 hours; keep it like a password)"},
			}
			return cli.Show(c, map[string]string{"dir": args[0], "login_token": token.String()}, fields)
		},
	}
	c.Flags().StringSliceVar(&layout.Names, "name", nil, "host names and addresses of the server, the first one for tokens")
	c.Flags().StringVar(&layout.Endpoint, "listen", layout.Endpoint, "address for clients")
	c.Flags().StringVar(&layout.Operator, "operator-listen", layout.Operator, "address for operators")
	c.Flags().StringVar(&layout.Telemetry, "telemetry-listen", layout.Telemetry, "address for health checks and metrics")
	return c
}
