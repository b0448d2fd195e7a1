package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/endpoint"
)

func tryCommand() *cobra.Command {
	var data, keep string
	c := &cobra.Command{
		Use: "try MANIFEST PAYLOAD [-- ARG...]", Short: "Run an unsigned job of your own here, as an endpoint would",
		Long: `Try runs a job that you are writing: webjobctl job test calls it. The payload is placed,
limited and given its environment as on an endpoint, and files are collected. Its output
goes to standard output and error, the status is that of webjob run. No state folder and no
server take part, and nothing is kept, unless --keep names a folder for the record, the
streams and the collected files.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			fail := func(err error) error {
				return &cli.ExitError{Status: cli.RunStatus(err), Err: fmt.Errorf("try: %w", err)}
			}
			dir, err := os.MkdirTemp("", "webjob-try-")
			if err != nil {
				return fail(err)
			}
			defer func() { _ = os.RemoveAll(dir) }() // nothing is kept
			record, err := try(c, dir, data, args)
			if err != nil {
				return fail(err)
			}
			if keep != "" {
				if err := record.keep(keep); err != nil {
					return fail(fmt.Errorf("--keep: %w", err))
				}
			}
			if status := jobStatus(record.Record); status != 0 {
				return &cli.ExitError{Status: status}
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "context", "", "file with JSON that hooks of a server would hand to the job")
	c.Flags().StringVar(&keep, "keep", "", "new folder for the result")
	return c
}

type tried struct {
	*webjob.Record
	parts string
}

// keep copies the record and the parts to a new folder.
func (t tried) keep(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	names := []string{"record.json"}
	for _, part := range t.Parts {
		names = append(names, part.Name)
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(t.parts, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from) //nolint:gosec // the author's own
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()                                     // only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// try runs the job and tells what it said.
func try(c *cobra.Command, dir, data string, args []string) (tried, error) {
	manifest, err := os.ReadFile(args[0])
	if err != nil {
		return tried{}, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	var handed []byte
	if data != "" {
		if handed, err = os.ReadFile(data); err != nil {
			return tried{}, webjob.Errorf(webjob.Invalid, "--context: %w", err)
		}
	}
	record, parts, err := endpoint.Try(c.Context(), dir, manifest, args[1], handed, args[2:])
	if err != nil {
		return tried{}, err
	}
	if cli.FormatOf(c) != cli.Table {
		return tried{record, parts}, cli.Show(c, record, nil)
	}
	for _, stream := range []struct {
		name string
		w    io.Writer
	}{{webjob.Stdout, c.OutOrStdout()}, {webjob.Stderr, c.ErrOrStderr()}} {
		f, err := os.Open(filepath.Join(parts, stream.name)) //nolint:gosec // the author's own
		if err != nil {
			return tried{}, err
		}
		_, err = io.Copy(stream.w, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return tried{}, err
		}
	}
	for _, field := range cli.RecordFields(record) {
		switch field.Name {
		case "Outcome:", "Reason:", "RUN:", "CPU:", "Peak memory:", "RUN limit:", "Enforced:", "Leftovers:", "stdout:", "stderr:", "Collected:", "Error:":
			if field.Value != "" {
				cli.Say(c, "webjob: %s %s", field.Name, field.Value)
			}
		}
	}
	return tried{record, parts}, nil
}
