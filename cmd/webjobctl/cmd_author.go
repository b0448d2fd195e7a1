package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

func jobNewCommand() *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use: "new DIR", Short: "Begin a new job in a folder, which gives it its name", Args: cobra.ExactArgs(1),
		Example: `  webjobctl job new check-disks
  webjobctl job new inventory --kind lua`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := operator.Scaffold(args[0], kind); err != nil {
				return fmt.Errorf("job new: %w", err)
			}
			return cli.Show(c, map[string]string{"folder": args[0]}, []cli.Field{
				{Name: "Made:", Value: args[0]},
				{Name: "Look at it:", Value: "webjobctl job lint " + args[0]},
				{Name: "Try it here:", Value: "webjobctl job test " + args[0]},
				{Name: "Publish it:", Value: "webjobctl job publish " + args[0]},
			})
		},
	}
	c.Flags().StringVar(&kind, "kind", "sh", "what runs it: "+strings.Join(operator.ScaffoldKinds(), ", "))
	return c
}

func jobLintCommand() *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use: "lint FILE|DIR", Short: "Look for faults and dangers in a job before it is signed", Args: cobra.ExactArgs(1),
		Long: `Lint checks the description as publish does, and looks at every script: first line, line
ends, syntax (sh, bash, Lua), what shellcheck says where it is installed, and commands that
harm a host when something is not as the author thought. The exit status is 1 when it finds
an error; with --strict also when it finds a warning.`,
		RunE: func(c *cobra.Command, args []string) error {
			findings, err := operator.Lint(c.Context(), args[0])
			if err != nil {
				return fmt.Errorf("job lint: %w", err)
			}
			failed := 0
			for _, f := range findings {
				if strict || f.Level == operator.LintError {
					failed++
				}
			}
			if len(findings) == 0 && cli.FormatOf(c) == cli.Table {
				cli.Say(c, "nothing to mend in %s", args[0])
				return nil
			}
			err = cli.List(c, findings, []cli.Column[operator.Finding]{
				{Title: "LEVEL", Cell: func(f operator.Finding) string { return f.Level }},
				{Title: "PLACE", Cell: func(f operator.Finding) string {
					if f.Line == 0 {
						return f.File
					}
					return f.File + ":" + strconv.Itoa(f.Line)
				}},
				{Title: "WHAT", Cell: func(f operator.Finding) string { return f.Text }},
			})
			if err == nil && failed > 0 {
				err = fmt.Errorf("job lint: %d to mend in %s", failed, args[0])
			}
			return err
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "count warnings as errors")
	return c
}

func jobTestCommand() *cobra.Command {
	var data, keep string
	c := &cobra.Command{
		Use: "test FILE|DIR [-- ARG...]", Short: "Run a job on this machine as an endpoint would, unsigned",
		Long: `Test runs the job here, with webjob try: the same limits, the same environment, the same
collected files, without a server. WEBJOB_CONTEXT names the file of --context, as when hooks
of a server hand something over. The exit status is that of webjob run.

The program webjob is taken from beside this one, else from PATH.`,
		Example: `  webjobctl job test check-disks
  webjobctl job test inventory --context context.json --keep out -- --verbose /srv`,
		Args: func(c *cobra.Command, args []string) error {
			if dash := c.ArgsLenAtDash(); dash != 1 && (dash != -1 || len(args) != 1) {
				return cli.Usagef("name one job, then -- and its arguments")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			err := tryJob(c, data, keep, args[0], args[1:])
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return &cli.ExitError{Status: exit.ExitCode()}
			}
			if err != nil {
				return fmt.Errorf("job test: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "context", "", "file with JSON that hooks of a server would hand to the job")
	c.Flags().StringVar(&keep, "keep", "", "new folder for the record, the streams and the collected files")
	return c
}

func tryJob(c *cobra.Command, data, keep, path string, args []string) error {
	d, err := operator.ReadDescription(path)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "webjob-test-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // only copies
	trial, err := operator.NewTrial(d, dir)
	if err != nil {
		return err
	}
	program, err := findClient()
	if err != nil {
		return err
	}
	words := []string{"try", "-o", string(cli.FormatOf(c))}
	if data != "" {
		words = append(words, "--context", data)
	}
	if keep != "" {
		words = append(words, "--keep", keep)
	}
	words = append(append(words, trial.Manifest, trial.Payload, "--"), args...)
	client := exec.CommandContext(c.Context(), program, words...) //nolint:gosec // our own program
	client.Stdin, client.Stdout, client.Stderr = os.Stdin, c.OutOrStdout(), c.ErrOrStderr()
	return client.Run()
}

// findClient finds the endpoint program.
func findClient() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "webjob"+filepath.Ext(self))
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	program, err := exec.LookPath("webjob")
	if err != nil {
		return "", webjob.Errorf(webjob.NotFound, "the program webjob is neither beside this one nor in PATH; install it")
	}
	return program, nil
}
