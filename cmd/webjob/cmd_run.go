package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/endpoint"
)

type runFlags struct {
	requirePut     bool
	putURL         string
	get, run, put  time.Duration
	state          *string
	getSet, putSet bool
	file           string
}

func runCommand(state *string) *cobra.Command {
	flags := &runFlags{state: state}
	c := &cobra.Command{
		Use:   "run JOB [-- ARG...]",
		Short: "Get, verify, run and put a job, once",
		Long: `Run gets the version of a job that is meant for this machine, verifies who signed it,
runs it under its limits, keeps the result, and sends it to the server. A result that
cannot be sent now waits in the spool; the next run, or webjob spool flush, sends it.

The exit status is the job's own when it ran; 124 when its RUN limit ended it; 125 for a
wrong command line or configuration; 126 when verification or policy refused it; 127 when
it could not be fetched or started; 128+n when signal n killed it. A result that could not
be sent changes the status only with --require-put, to 123.`,
		Example: `  webjob run host-diagnostics
  webjob run --file /media/stick/check.sh
  webjob run inventory -- --verbose /srv`,
		Args: func(c *cobra.Command, args []string) error {
			if flags.file != "" {
				return nil
			}
			return cobra.MinimumNArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			flags.getSet, flags.putSet = c.Flags().Changed("get-limit"), c.Flags().Changed("put-limit")
			if flags.file != "" {
				if dash := c.ArgsLenAtDash(); dash > 0 || dash == -1 && len(args) > 0 {
					return &cli.ExitError{Status: cli.StatusConfig, Err: errors.New("write --file PATH, then -- and the program's arguments; no job's name goes with it")}
				}
				return runJob(c, flags, endpoint.Request{Job: flags.file, Arguments: args})
			}
			if dash := c.ArgsLenAtDash(); dash != 1 && (dash != -1 || len(args) != 1) {
				return &cli.ExitError{Status: cli.StatusConfig, Err: errors.New("name one job, then -- and its arguments, as in webjob run JOB -- ARG")}
			}
			return runJob(c, flags, endpoint.Request{Job: args[0], Arguments: args[1:]})
		},
	}
	c.Flags().StringVar(&flags.file, "file", "", "run this signed file, with no server; its signature is FILE.sig")
	c.Flags().BoolVar(&flags.requirePut, "require-put", false, "exit with status 123 when the result could not be sent")
	c.Flags().StringVar(&flags.putURL, "put-url", "", "server for the result, one that this client is enrolled with")
	c.Flags().DurationVar(&flags.get, "get-limit", 0, "time limit of GET (default from webjob.toml, else 5m)")
	c.Flags().DurationVar(&flags.run, "run-limit", 0, "time limit of RUN; the job's own holds when it is shorter")
	c.Flags().DurationVar(&flags.put, "put-limit", 0, "time limit of PUT (default from webjob.toml, else 5m)")
	return c
}

// settings reads the configuration and puts the flags over it.
func (f *runFlags) settings(s *endpoint.State) (*endpoint.Settings, error) {
	settings, err := s.Settings()
	if err != nil {
		return nil, err
	}
	if f.putURL != "" {
		settings.PutURL = f.putURL
	}
	if f.getSet {
		settings.GetLimit = config.Duration(f.get)
	}
	if f.putSet {
		settings.PutLimit = config.Duration(f.put)
	}
	if f.run != 0 && (settings.Limits.Run == 0 || f.run < time.Duration(settings.Limits.Run)) {
		settings.Limits.Run = config.Duration(f.run)
	}
	return settings, settings.Check()
}

func runJob(c *cobra.Command, flags *runFlags, request endpoint.Request) error {
	fail := func(status int, err error) error {
		return &cli.ExitError{Status: status, Err: fmt.Errorf("run %s: %w", request.Job, err)}
	}
	open := endpoint.OpenState
	if flags.file != "" {
		open = endpoint.CreateState
	}
	s, err := open(*flags.state)
	if err != nil {
		return fail(cli.StatusConfig, err)
	}
	settings, err := flags.settings(s)
	if err != nil {
		return fail(cli.StatusConfig, err)
	}
	var ran *endpoint.Ran
	if flags.file != "" {
		ran, err = endpoint.RunFile(c.Context(), s, settings, flags.file, request.Arguments, defaultID())
	} else {
		if _, err := s.Enrolments.With(endpoint.TargetGet); err != nil {
			return fail(cli.StatusConfig, err)
		}
		ran, err = endpoint.Run(c.Context(), s, settings, request)
	}
	if err != nil {
		return fail(cli.RunStatus(err), err)
	}
	tellRun(c, ran)
	if ran.Refused != nil {
		return fail(cli.StatusRefused, ran.Refused)
	}
	if ran.RenewError != nil {
		cli.Say(c, "webjob: warning: the certificate is due for renewal: %v", ran.RenewError)
	}
	if ran.PutError != nil && flags.requirePut {
		return &cli.ExitError{Status: cli.StatusPutFailed}
	}
	if status := jobStatus(ran.Record); status != 0 {
		return &cli.ExitError{Status: status}
	}
	return nil
}

// tellRun says on stderr what became of the run and of its result.
func tellRun(c *cobra.Command, ran *endpoint.Ran) {
	r := ran.Record
	if cli.FormatOf(c) != cli.Table {
		_ = cli.Show(c, r, nil) // stdout that is closed has no reader
	}
	what := string(r.Outcome)
	if r.ExitStatus != nil && *r.ExitStatus != 0 {
		what = fmt.Sprintf("%s with status %d", what, *r.ExitStatus)
	}
	if r.Reason != "" && ran.Refused == nil {
		what += ": " + r.Reason
	}
	say := func(format string, args ...any) { cli.Say(c, "webjob: "+format, args...) }
	say("run %s of %s version %d %s", r.Run, r.Job, r.Version, what)
	if ran.PutError != nil {
		say("result of run %s waits in the spool: %v; webjob spool flush sends it", r.Run, ran.PutError)
	} else {
		say("result of run %s is stored at %s", r.Run, r.PutURL)
	}
	tellFlushed(c, ran.Others)
}

func tellFlushed(c *cobra.Command, flushed endpoint.Flushed) {
	for _, run := range flushed.Sent {
		cli.Say(c, "webjob: result of run %s is stored", run)
	}
	for _, run := range slices.Sorted(maps.Keys(flushed.Kept)) {
		cli.Say(c, "webjob: result of run %s still waits in the spool: %v", run, flushed.Kept[run])
	}
}

// jobStatus translates a record to an exit status.
func jobStatus(r *webjob.Record) int {
	switch {
	case r.Outcome == webjob.TimedOut:
		return cli.StatusTimedOut
	case r.Outcome == webjob.NotStarted:
		return cli.StatusNoJob
	case r.ExitStatus != nil && r.Outcome != webjob.Interrupted:
		return *r.ExitStatus
	case r.Signal != "":
		return cli.StatusSignal + signalNumber(r.Signal)
	}
	return cli.StatusFailed
}
