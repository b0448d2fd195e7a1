//go:build man

package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// addManCommand adds the command that make man calls. It is left out of ordinary
// builds: the endpoint program stays small.
func addManCommand(root *cobra.Command) {
	root.AddCommand(&cobra.Command{
		Use: "man DIR", Short: "Write the manual pages", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			c.Root().DisableAutoGenTag = true
			return doc.GenManTree(c.Root(), &doc.GenManHeader{Section: "1", Source: "WebJob", Manual: "WebJob"}, args[0])
		},
	})
}
