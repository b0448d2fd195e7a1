package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/trust"
)

func tokenCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "One-time tokens that let machines and operators in: new, list, revoke"}
	c.AddCommand(tokenNewCommand(open), tokenListCommand(open), tokenRevokeCommand(open))
	return c
}

func tokenNewCommand(open openHome) *cobra.Command {
	var labels, roles []string
	var request api.NewTokenRequest
	var ttl time.Duration
	var forOperator bool
	c := &cobra.Command{
		Use: "new", Short: "Make a one-time token", Args: cobra.NoArgs,
		Long: `New prints a token that lets machines enrol. It carries the server's address, the
fingerprint of its CA and the digest of the trust root pinned here, so that the machine
knows whom it talks to and who may sign jobs. Whoever has the token can use it: keep it
like a password. webjobctl token revoke makes one useless.`,
		Example: `  webjobctl token new --label env=prod --label role=db
  webjobctl token new --uses 50 --ttl 1h
  webjobctl token new --operator --role viewer --uses 5`,
		RunE: func(c *cobra.Command, _ []string) error {
			request.Role, request.TTLSeconds = webjob.RoleClient, int64(ttl/time.Second)
			var err error
			if request.Labels, err = webjob.ParseLabels(labels); err != nil {
				return fmt.Errorf("token new: %w", err)
			}
			if forOperator || len(roles) > 0 {
				request.Role = webjob.RoleOperator
				if request.Grants, err = parseGrants(roles); err != nil {
					return fmt.Errorf("token new: %w", err)
				}
			}
			return newToken(c, open, request)
		},
	}
	c.Flags().StringArrayVar(&labels, "label", nil, "label key=value of the machines that use it; may be repeated")
	c.Flags().Int64Var(&request.Uses, "uses", 1, "how many machines may use it")
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long it is good for")
	c.Flags().BoolVar(&forOperator, "operator", false, "make it for an operator's login instead of a machine")
	c.Flags().StringArrayVar(&roles, "role", nil, "what the operator may do: ROLE, or \"ROLE on SELECTOR\"; may be repeated")
	return c
}

// newToken makes a token and prints it.
func newToken(c *cobra.Command, open openHome, request api.NewTokenRequest) error {
	s, err := open.session()
	if err != nil {
		return err
	}
	token, kept, err := s.Tokens().New(c.Context(), request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", c.Parent().Name(), c.Name(), err)
	}
	return showToken(c, token, kept)
}

func showToken(c *cobra.Command, token trust.Token, kept webjob.Token) error {
	if cli.FormatOf(c) == cli.Table { // the token alone, so that it can be piped
		cli.Say(c, "token %s for %s, good %s until %s UTC", kept.ID, tokenFor(kept), times(kept.Uses), cli.Time(kept.Expires))
		_, err := fmt.Fprintln(c.OutOrStdout(), token)
		return err
	}
	return cli.Show(c, struct {
		Text string `json:"token"`
		webjob.Token
	}{token.String(), kept}, nil)
}

// tokenFor tells whom a token lets in, and as what.
func tokenFor(t webjob.Token) string {
	name, as := t.Name, webjob.GrantsText(t.Grants)
	if t.Role == webjob.RoleClient {
		as = t.Labels.String()
	}
	text := "a new " + string(t.Role)
	switch {
	case t.Readmits():
		text = string(t.Role) + " " + name + ", which comes back"
	case name != "":
		text = "the new " + string(t.Role) + " " + name
	}
	if as != "" {
		text += " (" + as + ")"
	}
	return text
}

func tokenState(t webjob.Token) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case t.Uses == 0:
		return "used up"
	case time.Now().After(t.Expires):
		return "expired"
	}
	return "good"
}

func tokenListCommand(open openHome) *cobra.Command {
	var page pageFlags
	c := &cobra.Command{
		Use: "list", Short: "List tokens, the newest first", Args: cobra.NoArgs,
		Long: `List shows the tokens that were made, by the id that token new printed. The tokens
themselves are known only to whom they were given.`,
		Example: `  webjobctl token list`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			var list api.List[webjob.Token]
			if err := s.Call(c.Context(), http.MethodGet, api.PathTokens, page.query(), nil, &list); err != nil {
				return fmt.Errorf("token list: %w", err)
			}
			next(c, list.Next)
			return cli.List(c, list.Items, []cli.Column[webjob.Token]{
				{Title: "TOKEN", Cell: func(t webjob.Token) string { return t.ID }},
				{Title: "STATE", Cell: tokenState},
				{Title: "FOR", Cell: tokenFor},
				{Title: "USES LEFT", Cell: func(t webjob.Token) string { return fmt.Sprintf("%d of %d", t.Uses, t.Total) }},
				{Title: "USED BY", Cell: usedBy},
				{Title: "MADE BY", Cell: func(t webjob.Token) string { return t.MadeBy }},
				{Title: "MADE", Cell: func(t webjob.Token) string { return cli.Time(t.MadeAt) }},
				{Title: "EXPIRES", Cell: func(t webjob.Token) string { return cli.Time(t.Expires) }},
			})
		},
	}
	page.add(c)
	return c
}

// usedBy names who came in with a token, as far as the server kept it.
func usedBy(t webjob.Token) string {
	text := strings.Join(t.UsedBy, ", ")
	if more := t.Total - t.Uses - int64(len(t.UsedBy)); more > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s and %d more", text, more), " and ")
	}
	return text
}

func tokenRevokeCommand(open openHome) *cobra.Command {
	c := &cobra.Command{
		Use: "revoke TOKEN-ID", Short: "Make a token useless, at once", Args: cobra.ExactArgs(1),
		Long: `Revoke refuses the token from then on, whatever uses it has left. Who came in with it
before stays: see webjobctl client revoke. The id is the one of webjobctl token list.`,
		Example: `  webjobctl token revoke 3f2a9c014b7d --reason "posted in a chat"`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkTokenID(args[0]); err != nil {
				return fmt.Errorf("token revoke: %w", err)
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			var response api.NewTokenResponse
			if err := s.Call(c.Context(), http.MethodPost, api.TokenPath(args[0], "revoke"), nil, struct{}{}, &response); err != nil {
				return fmt.Errorf("token revoke: %w", err)
			}
			t := response.Token
			return cli.Show(c, t, []cli.Field{
				{Name: "Token:", Value: t.ID},
				{Name: "State:", Value: tokenState(t)},
				{Name: "For:", Value: tokenFor(t)},
				{Name: "Uses left:", Value: fmt.Sprintf("%d of %d", t.Uses, t.Total)},
				{Name: "Used by:", Value: usedBy(t)},
				{Name: "Revoked:", Value: cli.Time(t.RevokedAt)},
			})
		},
	}
	return c
}

// checkTokenID tells an id from a whole token, which belongs on no command line.
func checkTokenID(id string) error {
	if _, err := trust.ParseToken(id); err == nil {
		return webjob.Errorf(webjob.Invalid, "this is a token and not its id; webjobctl token list shows the ids")
	}
	if id == "" || strings.Trim(id, "0123456789abcdef") != "" || len(id) > 64 {
		return webjob.Errorf(webjob.Invalid, "%.40q is no id of a token; webjobctl token list shows them", id)
	}
	return nil
}

// times says how often something may be used.
func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return strconv.FormatInt(n, 10) + " times"
}
