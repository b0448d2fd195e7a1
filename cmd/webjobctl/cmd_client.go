package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/cli"
	"webjob.dev/webjob/wire"
)

func clientCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "client", Short: "Enrolled machines: list, show, revoke"}
	c.AddCommand(clientListCommand(open), clientShowCommand(open), clientRevokeCommand(open))
	return c
}

func clientState(client webjob.Client) string {
	if client.Revoked() {
		return "revoked"
	}
	return "enrolled"
}

func clientListCommand(open openHome) *cobra.Command {
	var page pageFlags
	c := &cobra.Command{
		Use: "list", Short: "List clients, by id", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			var list wire.List[webjob.Client]
			if err := s.Call(c.Context(), http.MethodGet, wire.PathClients, page.query(), nil, &list); err != nil {
				return fmt.Errorf("client list: %w", err)
			}
			next(c, list.Next)
			return cli.List(c, list.Items, []cli.Column[webjob.Client]{
				{Title: "CLIENT", Cell: func(c webjob.Client) string { return c.ID }},
				{Title: "STATE", Cell: clientState},
				{Title: "PLATFORM", Cell: func(c webjob.Client) string { return string(c.Platform) }},
				{Title: "LABELS", Cell: func(c webjob.Client) string { return c.Labels.String() }},
				{Title: "ENROLLED", Cell: func(c webjob.Client) string { return cli.Time(c.EnrolledAt) }},
				{Title: "LAST SEEN", Cell: func(c webjob.Client) string { return cli.Time(c.LastSeen) }},
			})
		},
	}
	page.add(c)
	return c
}

func showClient(c *cobra.Command, client webjob.Client) error {
	return cli.Show(c, client, []cli.Field{
		{Name: "Client:", Value: client.ID},
		{Name: "State:", Value: clientState(client)},
		{Name: "Platform:", Value: string(client.Platform)},
		{Name: "Labels:", Value: client.Labels.String()},
		{Name: "Key:", Value: string(client.Key)},
		{Name: "Enrolled:", Value: cli.Time(client.EnrolledAt)},
		{Name: "Last seen:", Value: cli.Time(client.LastSeen)},
		{Name: "Revoked:", Value: cli.Time(client.RevokedAt)},
		{Name: "Reason:", Value: client.Reason},
	})
}

func clientShowCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "show CLIENT", Short: "Show a client", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return onClient(c, open, http.MethodGet, args[0], nil)
		},
	}
}

func clientRevokeCommand(open openHome) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "revoke CLIENT", Short: "Shut a client out, at once and for good", Args: cobra.ExactArgs(1),
		Long: `Revoke makes the server refuse the client's next request, also on open connections. It is
not undone; the machine can come back with a new token and another id.`,
		Example: `  webjobctl client revoke web1 --reason "laptop stolen"`,
		RunE: func(c *cobra.Command, args []string) error {
			return onClient(c, open, http.MethodPost, args[0], &wire.RevokeRequest{Reason: reason}, "revoke")
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return c
}

func onClient(c *cobra.Command, open openHome, method, id string, in any, action ...string) error {
	if err := webjob.CheckClientID(id); err != nil {
		return fmt.Errorf("%s: %w", c.CommandPath(), err)
	}
	s, err := open.session()
	if err != nil {
		return err
	}
	var client webjob.Client
	if err := s.Call(c.Context(), method, wire.ClientPath(id, action...), nil, in, &client); err != nil {
		return fmt.Errorf("client %s: %w", c.Name(), err)
	}
	return showClient(c, client)
}
