package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/bundle"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/pad"
)

func padCommand() *cobra.Command {
	c := &cobra.Command{Use: "pad", Short: "Make a payload and its commands into one job (PaD)"}
	c.AddCommand(padBuildCommand(), padInspectCommand())
	return c
}

func padBuildCommand() *cobra.Command {
	var payload, run, out, job string
	c := &cobra.Command{
		Use: "build --payload FILE|DIR --run COMMANDS -O OUT", Short: "Build a PaD", Args: cobra.NoArgs,
		Long: `Build makes a script with the payload behind it. It is a job, and runs by hand on any Unix:
it writes the payload to a private folder, checks its digest, runs the commands, removes
the folder, and ends with the commands' status. In the commands %payload is the file or
folder and %dir the private folder; the script's arguments are theirs.

With --job NAME, OUT is the folder of a job that does the same with a bundle, in the shell
inside of the client: that works on Windows, too, and on hosts without tools.`,
		Example: `  webjobctl pad build --payload app.conf --run 'install -m 644 %payload /etc/app.conf' -O update-app
  webjobctl job publish update-app`,
		RunE: func(c *cobra.Command, _ []string) error {
			if payload == "" || run == "" || out == "" {
				return cli.Usagef("give --payload, --run and -O")
			}
			var p *pad.Pad
			var err error
			if job != "" {
				p, err = pad.BuildFolder(payload, run, out, job)
			} else {
				p, err = pad.Build(payload, run, out)
			}
			if err != nil {
				return fmt.Errorf("pad: %w", err)
			}
			return cli.Show(c, p, []cli.Field{{Name: "PaD:", Value: out}, {Name: "Payload:", Value: p.Name}, {Name: "Next:", Value: "webjobctl job publish " + out}})
		},
	}
	c.Flags().StringVar(&payload, "payload", "", "file or folder that travels")
	c.Flags().StringVar(&run, "run", "", "shell commands, with %payload and %dir")
	c.Flags().StringVarP(&out, "out", "O", "", "new file, or with --job new folder")
	c.Flags().StringVar(&job, "job", "", "make a job folder with a bundle, for a job of this name")
	return c
}

func padInspectCommand() *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE", Short: "Show what is in a PaD and what would run", Args: cobra.ExactArgs(1),
		Long: `Inspect runs nothing. It checks that the payload is whole, and that the script is what
build makes of the commands that it shows.`,
		RunE: func(c *cobra.Command, args []string) error {
			p, entries, err := pad.Inspect(args[0])
			if err != nil {
				return fmt.Errorf("pad: %w", err)
			}
			kind := "file"
			if p.Folder {
				kind = "folder"
			}
			fields := []cli.Field{
				{Name: "Payload:", Value: fmt.Sprintf("%s (%s, %s)", p.Name, kind, cli.Bytes(p.Size))},
				{Name: "Digest:", Value: string(p.Digest)},
				{Name: "Runs:", Value: strings.ReplaceAll(p.Commands, "\n", "; ")},
			}
			for _, e := range entries {
				fields = append(fields, cli.Field{Name: "Holds:", Value: fmt.Sprintf("%s %s %s", e.Mode, cli.Bytes(e.Size), filepath.ToSlash(e.Name))})
			}
			return cli.Show(c, struct {
				*pad.Pad
				Entries []bundle.Entry `json:"entries,omitempty"`
			}{p, entries}, fields)
		},
	}
}
