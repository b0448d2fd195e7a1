package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
)

func enrollCommand(state *string) *cobra.Command {
	var tokenText, id string
	var put bool
	c := &cobra.Command{
		Use:   "enroll [URL] --token TOKEN",
		Short: "Make a key, get a certificate, pin who may sign jobs",
		Long: `Enroll makes a key that never leaves this machine, checks that the server is the one
that the token names, gets a certificate, and pins the keys that sign jobs. The address
is in the token; give URL when this machine reaches the server at another one.

With --put the machine enrols with a second server, which receives results instead of
the one that serves jobs.`,
		Example: `  webjob enroll --token wjt1_...
  webjob enroll --token - --id web1 <token.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := cli.Secret(c, tokenText)
			if err != nil {
				return err
			}
			if text == "" {
				return cli.Usagef("no --token; an operator makes one with webjobctl token new")
			}
			token, err := trust.ParseToken(text)
			if err != nil {
				return fmt.Errorf("enroll: %w", err)
			}
			if id == "" {
				id = defaultID()
			}
			s, err := endpoint.CreateState(*state)
			if err != nil {
				return fmt.Errorf("enroll: %w", err)
			}
			target, address := endpoint.TargetGet, strings.Join(args, "")
			if put {
				target = endpoint.TargetPut
			}
			e, err := endpoint.Enroll(c.Context(), s, target, token, address, id)
			if err != nil {
				return fmt.Errorf("enroll: %w", err)
			}
			return showEnrolment(c, s, e)
		},
	}
	c.Flags().StringVar(&tokenText, "token", "", "one-time token; - reads it from standard input")
	c.Flags().StringVar(&id, "id", "", "client id (default: this host's name)")
	c.Flags().BoolVar(&put, "put", false, "enrol with a second server that receives the results")
	return c
}

func showEnrolment(c *cobra.Command, s *endpoint.State, e *endpoint.Enrolment) error {
	threshold, signers, err := e.Signers()
	if err != nil {
		return err
	}
	return cli.Show(c, e, []cli.Field{
		{Name: "Client:", Value: e.ID},
		{Name: "Labels:", Value: e.Labels.String()},
		{Name: "Server:", Value: e.URL},
		{Name: "Jobs need:", Value: fmt.Sprintf("%d of %d signatures: %s", threshold, len(signers), strings.Join(signers, "; "))},
		{Name: "State folder:", Value: s.Dir()},
	})
}

// defaultID makes a client id of the host's name: its first label, with what an id
// may not hold replaced.
func defaultID() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	host, _, _ = strings.Cut(host, ".")
	id := strings.Map(func(r rune) rune {
		if webjob.CheckClientID("x"+string(r)) != nil {
			return '-'
		}
		return r
	}, host)
	return strings.TrimLeft(id[:min(len(id), 64)], ".-_")
}
