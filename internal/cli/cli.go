// Package cli is the command contract that the three programs share: flags from
// the environment, one-line errors, exit statuses, and output as tables or JSON.
// It knows nothing of what the commands do.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"webjob.dev/webjob"
)

// Exit statuses that every command uses. webjob run adds those of RunStatus.
const (
	StatusFailed = 1
	StatusUsage  = 2
)

// Exit statuses of webjob run when the job's own status is not there to be passed on.
const (
	StatusPutFailed = 123 // with --require-put
	StatusTimedOut  = 124
	StatusConfig    = 125
	StatusRefused   = 126
	StatusNoJob     = 127
	StatusSignal    = 128 // plus the signal's number
)

// ExitError ends a program with a status. A nil Err says nothing: all was said.
type ExitError struct {
	Status int
	Err    error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// RunStatus returns the exit status of a webjob run that failed with err.
func RunStatus(err error) int {
	switch webjob.KindOf(err) {
	case webjob.Invalid:
		return StatusConfig
	case webjob.Refused, webjob.Unauthorized:
		return StatusRefused
	default:
		return StatusNoJob
	}
}

// usageError marks errors of the command line.
type usageError struct{ error }

// Run executes the root command and returns the program's exit status, usageStatus
// for a wrong command line. SIGINT and SIGTERM end the command's context; a second
// one ends the program.
func Run(root *cobra.Command, args []string, usageStatus int) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from here on signals act as if never caught
	prepare(root)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		if exit.Err != nil {
			printError(root, exit.Err)
		}
		return exit.Status
	}
	printError(root, err)
	var usage usageError
	if errors.As(err, &usage) {
		return usageStatus
	}
	return StatusFailed
}

func printError(root *cobra.Command, err error) {
	fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), OneLine(err.Error()))
}

// OneLine folds a text into one line of characters that a terminal shows: what it quotes
// may be anybody's.
func OneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }), "; ")
}

// Say writes one line for people to the command's stderr. What it quotes may be anybody's,
// also a server's in the wrong hands.
func Say(c *cobra.Command, format string, values ...any) {
	fmt.Fprintln(c.ErrOrStderr(), OneLine(fmt.Sprintf(format, values...)))
}

// prepare sets what every command shares.
func prepare(root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return flagsFromEnvironment(c) }
	addManCommand(root)
	walk(root, func(c *cobra.Command) {
		if check := c.Args; check != nil {
			c.Args = func(c *cobra.Command, args []string) error {
				if err := check(c, args); err != nil {
					return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
				}
				return nil
			}
		}
		if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
			c.Args = cobra.ArbitraryArgs
			c.RunE = func(c *cobra.Command, args []string) error {
				if len(args) == 0 {
					return c.Help()
				}
				return usageError{fmt.Errorf("there is no command %q; see %s --help", args[0], c.CommandPath())}
			}
		}
	})
	addVersionFlag(root)
}

// addVersionFlag does what cobra's own flag does, without a template: the packages behind
// templates would make each program 2 MB larger.
func addVersionFlag(root *cobra.Command) {
	version := root.Flags().BoolP("version", "v", false, "print the version")
	run, check := root.RunE, root.Args
	root.Args = func(c *cobra.Command, args []string) error {
		if *version || check == nil {
			return nil
		}
		return check(c, args)
	}
	root.RunE = func(c *cobra.Command, args []string) error {
		if *version {
			_, err := fmt.Fprintln(c.OutOrStdout(), root.Name(), webjob.Version(), webjob.ThisPlatform)
			return err
		}
		return run(c, args)
	}
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, child := range c.Commands() {
		walk(child, visit)
	}
}

// flagsFromEnvironment sets every flag that was not given from its variable:
// --run-limit from WEBJOB_RUN_LIMIT.
func flagsFromEnvironment(c *cobra.Command) error {
	var failed error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		name := "WEBJOB_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, found := os.LookupEnv(name); found && failed == nil {
			if err := c.Flags().Set(f.Name, value); err != nil {
				failed = usageError{fmt.Errorf("variable %s: %w", name, err)}
			}
		}
	})
	return failed
}

// Usagef returns an error of the command line.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Secret returns a value that may be given as "-" to be read from standard input,
// so that it need not stand on the command line.
func Secret(c *cobra.Command, value string) (string, error) {
	if value != "-" {
		return value, nil
	}
	text, err := io.ReadAll(io.LimitReader(c.InOrStdin(), 64<<10))
	return strings.TrimSpace(string(text)), err
}
