//go:build !man

package cli

import "github.com/spf13/cobra"

// addManCommand adds nothing; see man_on.go.
func addManCommand(*cobra.Command) {}
