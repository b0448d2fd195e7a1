package main

import (
	"fmt"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

func loginCommand(open openHome) *cobra.Command {
	var text, name string
	c := &cobra.Command{
		Use:   "login [URL] --token TOKEN",
		Short: "Become an operator of a server",
		Long: `Login makes a key that never leaves this folder, checks that the server is the one that
the token names, and gets an operator's certificate. webjobd init prints the first token;
later ones come from webjobctl operator add or webjobctl operator renew, and are for one
name.`,
		Example: `  webjobctl login --token wjt1_... --name paul`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			given, err := cli.Secret(c, text)
			if err != nil {
				return err
			}
			if given == "" {
				return cli.Usagef("no --token; webjobd init prints the first one")
			}
			token, err := trust.ParseToken(given)
			if err != nil {
				return fmt.Errorf("login: %w", err)
			}
			h, err := open()
			if err != nil {
				return err
			}
			if name == "" {
				name = userName()
			}
			s, err := operator.Login(c.Context(), h, token, strings.Join(args, ""), name)
			if err != nil {
				return fmt.Errorf("login: %w", err)
			}
			return cli.Show(c, map[string]string{"operator": name, "server": s.Base()}, []cli.Field{
				{Name: "Operator:", Value: name},
				{Name: "Server:", Value: s.Base()},
			})
		},
	}
	c.Flags().StringVar(&text, "token", "", "one-time token; - reads it from standard input")
	c.Flags().StringVar(&name, "name", "", "operator name (default: this user's)")
	return c
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "operator"
}
