package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/cli"
	"webjob.dev/webjob/endpoint/embedded"
)

func shCommand() *cobra.Command {
	var command string
	var list bool
	c := &cobra.Command{
		Use: "sh FILE [ARG...]", Short: "Run a POSIX shell script with the shell and tools in this program",
		Long: `Sh runs a script with nothing of the host: the shell and its tools are part of this
program and win over programs of the same name. A program of the host is run by its
path. Regular expressions are RE2's. FILE "-" is the standard input.

A job runs in it with interpreter = ["webjob", "sh"] in its job.toml.

Built in: ` + strings.Join(embedded.Tools(), ", "),
		Example: `  webjob sh harvest.sh /var/log
  webjob sh -c 'ps | grep -c sshd'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && command == "" && !list {
				return cli.Usagef("name a script, or give one with -c")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if list {
				_, err := fmt.Fprintln(c.OutOrStdout(), strings.Join(embedded.Tools(), "\n"))
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal is not waited for
			var status int
			var err error
			if command != "" {
				streams := embedded.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
				status, err = embedded.Shell(ctx, "sh", strings.NewReader(command), args, streams)
			} else {
				status, err = embedded.RunShellFile(ctx, args[0], args[1:])
			}
			if err != nil {
				return &cli.ExitError{Status: cli.StatusUsage, Err: err}
			}
			if status != 0 {
				return &cli.ExitError{Status: status}
			}
			return nil
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVarP(&command, "command", "c", "", "script itself, in place of FILE")
	c.Flags().BoolVar(&list, "list", false, "list the built-in tools")
	return c
}
