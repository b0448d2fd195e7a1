package main

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

const rolesHelp = `Roles are viewer (reads), operator (orders, stops, resumes, suspends), publisher (proposes
changes of the job repository), approver (adds signatures) and admin (everything, and who
may what). A role may be narrowed to the clients of a selector: "operator on site=lab".
Narrow by labels and ids: facts such as the host name are the client's own word.`

func operatorCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "operator", Short: "Who may do what: list, show, add, role, revoke, renew", Long: rolesHelp}
	c.AddCommand(operatorListCommand(open), operatorShowCommand(open), operatorAddCommand(open), operatorRoleCommand(open),
		operatorRevokeCommand(open), operatorRenewCommand(open))
	return c
}

func operatorState(o webjob.Operator) string {
	switch {
	case o.Revoked():
		return "revoked"
	case time.Now().After(o.Expires):
		return "expired"
	}
	return "active"
}

func operatorListCommand(open openHome) *cobra.Command {
	var page pageFlags
	c := &cobra.Command{
		Use: "list", Short: "List operators, by name", Args: cobra.NoArgs,
		Example: `  webjobctl operator list
  webjobctl operator list -o jsonl`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			var list api.List[webjob.Operator]
			if err := s.Call(c.Context(), http.MethodGet, api.PathOperators, page.query(), nil, &list); err != nil {
				return fmt.Errorf("operator list: %w", err)
			}
			next(c, list.Next)
			return cli.List(c, list.Items, []cli.Column[webjob.Operator]{
				{Title: "OPERATOR", Cell: func(o webjob.Operator) string { return o.Name }},
				{Title: "STATE", Cell: operatorState},
				{Title: "ROLES", Cell: func(o webjob.Operator) string { return webjob.GrantsText(o.Grants) }},
				{Title: "ADDED BY", Cell: func(o webjob.Operator) string { return o.AddedBy }},
				{Title: "LOGGED IN", Cell: func(o webjob.Operator) string { return cli.Time(o.EnrolledAt) }},
				{Title: "CERTIFICATE UNTIL", Cell: func(o webjob.Operator) string { return cli.Time(o.Expires) }},
			})
		},
	}
	page.add(c)
	return c
}

func showOperator(c *cobra.Command, o webjob.Operator) error {
	return cli.Show(c, o, []cli.Field{
		{Name: "Operator:", Value: o.Name},
		{Name: "State:", Value: operatorState(o)},
		{Name: "Roles:", Value: webjob.GrantsText(o.Grants)},
		{Name: "Key:", Value: string(o.Key)},
		{Name: "Added by:", Value: o.AddedBy},
		{Name: "Logged in:", Value: cli.Time(o.EnrolledAt)},
		{Name: "Certificate until:", Value: cli.Time(o.Expires)},
		{Name: "Revoked:", Value: cli.Time(o.RevokedAt)},
		{Name: "Reason:", Value: o.Reason},
	})
}

func operatorShowCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "show [OPERATOR]", Short: "Show an operator; without a name, who is logged in here", Args: cobra.MaximumNArgs(1),
		Example: `  webjobctl operator show
  webjobctl operator show paul`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				s, err := open.session()
				if err != nil {
					return err
				}
				args = []string{s.Name}
			}
			return onOperator(c, open, http.MethodGet, args[0], nil)
		},
	}
}

func operatorAddCommand(open openHome) *cobra.Command {
	var request api.NewTokenRequest
	var ttl time.Duration
	var roles []string
	c := &cobra.Command{
		Use: "add OPERATOR --role ROLE", Short: "Let a person or program in: make a token for its first login", Args: cobra.ExactArgs(1),
		Long: `Add prints a token with which the person logs in, under this name and no other:
webjobctl login --token TOKEN --name OPERATOR. Whoever has the token can use it: keep it
like a password.

` + rolesHelp,
		Example: `  webjobctl operator add paul --role viewer --role 'operator on site=lab'
  webjobctl operator add rosa --role admin --ttl 1h`,
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if request.Grants, err = parseGrants(roles); err != nil {
				return fmt.Errorf("operator add: %w", err)
			}
			request.Role, request.Name, request.Uses, request.TTLSeconds = webjob.RoleOperator, args[0], 1, int64(ttl/time.Second)
			return newToken(c, open, request)
		},
	}
	c.Flags().StringArrayVar(&roles, "role", nil, "what the operator may do: ROLE, or \"ROLE on SELECTOR\"; may be repeated")
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is good for")
	return c
}

func operatorRoleCommand(open openHome) *cobra.Command {
	var request api.RolesRequest
	c := &cobra.Command{
		Use: "role OPERATOR ROLE...", Short: "Give an operator other roles than before", Args: cobra.MinimumNArgs(2),
		Long: `Role gives an operator the roles that are named, and no others. The last admin of all
clients keeps that role.

` + rolesHelp,
		Example: `  webjobctl operator role paul viewer 'operator on site=lab'
  webjobctl operator role rosa admin --reason "stands in for olga"`,
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if request.Grants, err = parseGrants(args[1:]); err != nil {
				return fmt.Errorf("operator role: %w", err)
			}
			return onOperator(c, open, http.MethodPost, args[0], request, "role")
		},
	}
	return c
}

func parseGrants(texts []string) ([]webjob.Grant, error) {
	if len(texts) == 0 {
		return nil, cli.Usagef("no --role; say what the operator may do, such as --role viewer or --role 'operator on site=lab'")
	}
	var grants []webjob.Grant
	for _, text := range texts {
		g, err := webjob.ParseGrant(text)
		if err != nil {
			return nil, err
		}
		grants = append(grants, g)
	}
	return grants, webjob.CheckGrants(grants)
}

func operatorRevokeCommand(open openHome) *cobra.Command {
	c := &cobra.Command{
		Use: "revoke OPERATOR", Short: "Shut an operator out, at once", Args: cobra.ExactArgs(1),
		Long: `Revoke cuts the operator's connections and refuses it from then on. Tokens that it made and
that were not used are revoked, too. What it signed stays signed: see webjobctl repo rotate.
webjobctl operator renew lets it come back. The last admin of all clients cannot be revoked.`,
		Example: `  webjobctl operator revoke paul --reason "laptop stolen"`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := onOperator(c, open, http.MethodPost, args[0], struct{}{}, "revoke"); err != nil {
				return err
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			tellKeys(c, s, args[0])
			return nil
		},
	}
	return c
}

// tellKeys says that a signing key is another thing than a login, and stays.
func tellKeys(c *cobra.Command, s *operator.Session, name string) {
	r, err := s.Repository().GetAsSeen(c.Context())
	if err == nil && r.View != nil {
		if policy, err := r.View.Policy(); err == nil && slices.ContainsFunc(policy.People, func(p trust.NamedKey) bool { return p.Name == name }) {
			cli.Say(c, "the signing key %s is still in the policy, and what it signs counts; take it out: webjobctl repo rotate with those who stay, or webjobctl repo policy set", name)
			return
		}
	}
	cli.Say(c, "if %s has a signing key, it still counts: webjobctl repo status shows whose do, webjobctl repo rotate takes one out", name)
}

func operatorRenewCommand(open openHome) *cobra.Command {
	var request api.NewTokenRequest
	var ttl time.Duration
	c := &cobra.Command{
		Use: "renew [OPERATOR]", Short: "Renew one's own certificate, or let another operator come back", Args: cobra.MaximumNArgs(1),
		Long: `Without a name, or with one's own, renew gets a new certificate for the key that is here; it
is good for a year.

With another name it makes a token with which that operator logs in again under its name,
with a new key and the roles of before: for one that lost its key, was revoked, or whose
certificate expired. The key of before ends at once.`,
		Example: `  webjobctl operator renew
  webjobctl operator renew paul --reason "new laptop"`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			if len(args) == 1 && args[0] != s.Name {
				request.Role, request.Name, request.Uses, request.TTLSeconds = webjob.RoleOperator, args[0], 1, int64(ttl/time.Second)
				return newToken(c, open, request)
			}
			expires, err := s.Renew(c.Context())
			if err != nil {
				return fmt.Errorf("operator renew: %w", err)
			}
			return cli.Show(c, map[string]any{"operator": s.Name, "expires": expires.UTC()}, []cli.Field{
				{Name: "Operator:", Value: s.Name},
				{Name: "Certificate until:", Value: cli.Time(expires)},
			})
		},
	}
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is good for")
	return c
}

// onOperator makes one request about an operator and shows what comes back.
func onOperator(c *cobra.Command, open openHome, method, name string, in any, action ...string) error {
	if err := webjob.CheckOperatorName(name); err != nil {
		return fmt.Errorf("operator %s: %w", c.Name(), err)
	}
	s, err := open.session()
	if err != nil {
		return err
	}
	var o webjob.Operator
	if err := s.Call(c.Context(), method, api.OperatorPath(name, action...), nil, in, &o); err != nil {
		return fmt.Errorf("operator %s: %w", c.Name(), err)
	}
	return showOperator(c, o)
}
