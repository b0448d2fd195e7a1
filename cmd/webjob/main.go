// Webjob is the endpoint program: it gets signed jobs, runs them, and sends their
// results.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/runner"
)

func main() {
	runner.LaunchIfAsked()
	root := &cobra.Command{
		Use:   "webjob",
		Short: "Run known-good programs on this machine and send what they say",
		Example: `  webjob enroll --token TOKEN
  webjob run host-diagnostics
  webjob run inventory -- --verbose /srv
  webjob agent`,
	}
	cli.AddFormatFlag(root)
	state := root.PersistentFlags().String("state", endpoint.DefaultDir(), "state folder; nothing is written elsewhere")
	root.AddCommand(enrollCommand(state), runCommand(state), agentCommand(state), serviceCommand(state), statusCommand(state), renewCommand(state),
		spoolCommand(state), orderedCommand(state), shCommand(), luaCommand(state), wasmCommand(), hashCommand(), getCommand(state), tryCommand())
	os.Exit(cli.Run(root, os.Args[1:], cli.StatusConfig))
}
