// Webjobctl is the operator's program: it keeps signing keys, publishes jobs, and
// reads results.
package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

func main() {
	root := &cobra.Command{
		Use:   "webjobctl",
		Short: "Sign and publish jobs, give orders, let machines in, read results",
		Example: `  webjobctl login --token TOKEN
  webjobctl key new alice && webjobctl repo init alice
  webjobctl token new --label env=prod
  webjobctl job publish check-disks.sh
  webjobctl order new check-disks --on env=prod --watch
  webjobctl result list --outcome failed`,
	}
	cli.AddFormatFlag(root)
	home := root.PersistentFlags().String("home", operator.DefaultDir(), "operator folder: keys and login")
	ask := passphrases(root)
	var reason string
	open := func() (*operator.Home, error) {
		h, err := operator.OpenHome(*home)
		if err == nil {
			h.AskWith(ask)
			h.Because(reason)
		}
		return h, err
	}
	root.AddCommand(loginCommand(open), keyCommand(open), repoCommand(open), tokenCommand(open),
		jobCommand(open), orderCommand(open), clientCommand(open), resultCommand(open), hookCommand(open), configCommand(open),
		operatorCommand(open), auditCommand(open), signCommand(open, ask), verifyCommand(), padCommand(), recipeCommand(open))
	addReasonFlag(root, &reason)
	os.Exit(cli.Run(root, os.Args[1:], cli.StatusUsage))
}

// changing are the commands that change something on a server. Each takes --reason, which
// goes with all that it asks for.
var changing = []string{
	"login", "operator add", "operator role", "operator renew", "operator revoke", "token new", "token revoke",
	"job publish", "job withdraw", "job restore", "recipe publish",
	"repo init", "repo sign", "repo drop", "repo rotate", "repo delegate", "repo renew", "repo policy set",
	"client label", "client suspend", "client readmit", "client approve", "client revoke",
	"order new", "order approve", "order stop", "order resume", "hook test", "hook retry", "config reload",
}

// addReasonFlag gives these commands the flag.
func addReasonFlag(root *cobra.Command, reason *string) {
	for _, path := range changing {
		c, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) > 0 {
			panic("there is no command " + path)
		}
		c.Flags().StringVar(reason, "reason", "", "why, for the audit log")
	}
}

// openHome opens the operator's folder.
type openHome func() (*operator.Home, error)

// session connects to the server of who is logged in.
func (open openHome) session() (*operator.Session, error) {
	h, err := open()
	if err != nil {
		return nil, err
	}
	return h.Session()
}

// next tells how to continue a list, on stderr.
func next(c *cobra.Command, after string) {
	if after != "" {
		cli.Say(c, "there may be more: add --after %s", after)
	}
}
