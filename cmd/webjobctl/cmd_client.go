package main

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
)

func clientCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "client", Short: "Enrolled machines: list, show, label, suspend, readmit, approve, revoke"}
	c.AddCommand(clientListCommand(open), clientShowCommand(open), clientLabelCommand(open), clientSuspendCommand(open),
		clientReadmitCommand(open), clientApproveCommand(open), clientRevokeCommand(open))
	return c
}

func clientState(client webjob.Client) string {
	if client.Revoked() {
		return "revoked"
	}
	if !client.SuspendedAt.IsZero() {
		return "suspended"
	}
	if !client.AskedAt.IsZero() {
		return "asks to come back"
	}
	if !client.OverdueAt.IsZero() {
		return "overdue"
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
			var list api.List[webjob.Client]
			if err := s.Call(c.Context(), http.MethodGet, api.PathClients, page.query(), nil, &list); err != nil {
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
	facts := client.Subject().Facts
	return cli.Show(c, client, []cli.Field{
		{Name: "Client:", Value: client.ID},
		{Name: "State:", Value: clientState(client)},
		{Name: "Platform:", Value: string(client.Platform)},
		{Name: "Labels:", Value: client.Labels.String()},
		{Name: "Host:", Value: facts.Host},
		{Name: "System:", Value: facts.System},
		{Name: "Webjob:", Value: facts.Version},
		{Name: "Addresses:", Value: strings.Join(facts.Addresses, " ")},
		{Name: "Booted:", Value: cli.Time(facts.Booted)},
		{Name: "Key:", Value: string(client.Key)},
		{Name: "Enrolled:", Value: cli.Time(client.EnrolledAt)},
		{Name: "Last seen:", Value: cli.Time(client.LastSeen)},
		{Name: "Suspended:", Value: cli.Time(client.SuspendedAt)},
		{Name: "Overdue since:", Value: cli.Time(client.OverdueAt)},
		{Name: "Asked to return:", Value: cli.Time(client.AskedAt)},
		{Name: "May return until:", Value: cli.Time(client.ApprovedUntil)},
		{Name: "Stored:", Value: storageOf(client.Storage)},
		{Name: "Clone:", Value: cloneOf(client.Clone)},
		{Name: "Revoked:", Value: cli.Time(client.RevokedAt)},
		{Name: "Reason:", Value: client.Reason},
	})
}

func storageOf(s *webjob.Storage) string {
	if s == nil {
		return ""
	}
	text := fmt.Sprintf("%d results, %s of %s", s.Results, cli.Bytes(s.Stored), cli.Bytes(s.Most))
	if s.Reserved > 0 {
		text += fmt.Sprintf("; %s on their way or refused not long ago, %d uploads", cli.Bytes(s.Reserved), s.Uploads)
	}
	return text
}

func cloneOf(clone *webjob.Clone) string {
	if clone == nil {
		return ""
	}
	return fmt.Sprintf("two holders? %s at %s, and before it %s at %s: %s", clone.Address, cli.Time(clone.At), clone.OtherAddress, cli.Time(clone.OtherAt), clone.Reason)
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
	c := &cobra.Command{
		Use: "revoke CLIENT", Short: "Shut a client out, at once and for good", Args: cobra.ExactArgs(1),
		Long: `Revoke makes the server refuse the client's next request, also on open connections. It is
not undone; the machine can come back with a new key: see webjobctl client readmit.`,
		Example: `  webjobctl client revoke web1 --reason "laptop stolen"`,
		RunE: func(c *cobra.Command, args []string) error {
			return onClient(c, open, http.MethodPost, args[0], struct{}{}, "revoke")
		},
	}
	return c
}

func clientSuspendCommand(open openHome) *cobra.Command {
	c := &cobra.Command{
		Use: "suspend CLIENT", Short: "Shut a client out for now, at once", Args: cobra.ExactArgs(1),
		Long: `Suspend cuts the client's connections and refuses it until webjobctl client readmit.`,
		RunE: func(c *cobra.Command, args []string) error {
			return onClient(c, open, http.MethodPost, args[0], struct{}{}, "suspend")
		},
	}
	return c
}

func clientApproveCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "approve CLIENT", Short: "Let a client whose certificate expired have a new one", Args: cobra.ExactArgs(1),
		Long: `Approve lets a client come back whose certificate expired while it was away. It has proved
that it holds the key with which it was enrolled; make sure that it is still in good hands.`,
		RunE: func(c *cobra.Command, args []string) error {
			return onClient(c, open, http.MethodPost, args[0], struct{}{}, "approve")
		},
	}
}

func clientReadmitCommand(open openHome) *cobra.Command {
	var newKey bool
	var ttl time.Duration
	c := &cobra.Command{
		Use: "readmit CLIENT", Short: "Let a suspended client in again, or one come back with a new key", Args: cobra.ExactArgs(1),
		Long: `Readmit ends a suspension. What showed that two hold the client's identity is forgotten.

With --new-key it prints a token with which the machine enrols anew under the client's own
name: one that was set up anew, lost its state folder, or was revoked. The key of before
ends at once, for good. Labels, results and orders of the client stay; its suspension, its
facts, and what showed a second holder are forgotten. Look at the labels that are printed:
they are those that were signed or, when none were, those that the server knows.`,
		Example: `  webjobctl client readmit web1
  webjobctl client readmit web1 --new-key --reason "new disk"    # then, on web1: webjob enroll --id web1 --token TOKEN`,
		RunE: func(c *cobra.Command, args []string) error {
			if !newKey {
				return onClient(c, open, http.MethodPost, args[0], struct{}{}, "readmit")
			}
			if err := webjob.CheckClientID(args[0]); err != nil {
				return fmt.Errorf("client readmit: %w", err)
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			token, kept, err := s.Tokens().Readmission(c.Context(), args[0], api.NewTokenRequest{TTLSeconds: int64(ttl / time.Second)})
			if err != nil {
				return fmt.Errorf("client readmit: %w", err)
			}
			return showToken(c, token, kept)
		},
	}
	c.Flags().BoolVar(&newKey, "new-key", false, "the client comes back with a new key: print a token for it")
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is good for")
	return c
}

func clientLabelCommand(open openHome) *cobra.Command {
	var names []string
	c := &cobra.Command{
		Use: "label CLIENT [KEY=VALUE | KEY-]...", Short: "Set and remove labels of a client", Args: cobra.MinimumNArgs(2),
		Long: `Label changes a client's labels. They decide what the client may be ordered to do, so they
are signed like jobs: as a change of the job repository.`,
		Example: `  webjobctl client label web1 env=prod old-`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			if err := webjob.CheckClientID(args[0]); err != nil {
				return fmt.Errorf("client label: %w", err)
			}
			var client webjob.Client
			if err := s.Call(c.Context(), http.MethodGet, api.ClientPath(args[0]), nil, nil, &client); err != nil {
				return fmt.Errorf("client label: %w", err)
			}
			labels, err := changeLabels(client.Labels, args[1:])
			if err != nil {
				return fmt.Errorf("client label: %w", err)
			}
			response, err := s.Repository().SetLabels(c.Context(), client.ID, labels, names)
			if err != nil {
				return fmt.Errorf("client label: %w", err)
			}
			tellDraft(c, response)
			if err := s.Call(c.Context(), http.MethodGet, api.ClientPath(client.ID), nil, nil, &client); err != nil {
				return fmt.Errorf("client label: %w", err)
			}
			return showClient(c, client)
		},
	}
	addKeyFlag(c, &names)
	return c
}

// changeLabels sets KEY=VALUE and removes KEY-.
func changeLabels(before webjob.Labels, changes []string) (webjob.Labels, error) {
	labels := webjob.Labels{}
	maps.Copy(labels, before)
	for _, change := range changes {
		if key, remove := strings.CutSuffix(change, "-"); remove && !strings.Contains(key, "=") {
			delete(labels, key)
			continue
		}
		set, err := webjob.ParseLabels([]string{change})
		if err != nil {
			return nil, err
		}
		maps.Copy(labels, set)
	}
	return labels, labels.Check()
}

func onClient(c *cobra.Command, open openHome, method, id string, in any, action ...string) error {
	if err := webjob.CheckClientID(id); err != nil {
		return fmt.Errorf("client %s: %w", c.Name(), err)
	}
	s, err := open.session()
	if err != nil {
		return err
	}
	var client webjob.Client
	if err := s.Call(c.Context(), method, api.ClientPath(id, action...), nil, in, &client); err != nil {
		return fmt.Errorf("client %s: %w", c.Name(), err)
	}
	return showClient(c, client)
}
