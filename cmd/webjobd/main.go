// Webjobd is the server: it serves signed jobs to clients and keeps their results.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
)

func main() {
	root := &cobra.Command{
		Use:   "webjobd",
		Short: "WebJob server: serves signed jobs, receives results",
		Example: `  webjobd init /srv/webjob --name jobs.example.org
  webjobd serve --dir /srv/webjob`,
	}
	cli.AddFormatFlag(root)
	root.AddCommand(initCommand(), serveCommand(), checkCommand(), caCommand(), operatorCommand())
	os.Exit(cli.Run(root, os.Args[1:], cli.StatusUsage))
}
