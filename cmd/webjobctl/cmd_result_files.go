package main

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
)

func resultFilesCommand(open openHome) *cobra.Command {
	var to, match string
	c := &cobra.Command{
		Use: "files RUN [PATH]", Short: "List the files that a run collected, write one to standard output, or all to a folder",
		Long: `Files lists what a run collected, with owners, times and digests; -o jsonl shows all that
is known of each. With PATH it writes that file to standard output, exactly as it was.
With --to it writes the contents below a folder, each under its own path, readable by
you alone and never executable. Everything is checked against the digests in the record.`,
		Example: `  webjobctl result files 0197...
  webjobctl result files 0197... /var/log/auth.log
  webjobctl result files 0197... --match '/home/**' --to evidence/web1`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if !doublestar.ValidatePattern(match) {
				return cli.Usagef("--match %q is not a glob", match)
			}
			if len(args) == 2 && (to != "" || match != "") {
				return cli.Usagef("PATH excludes --to and --match")
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			results := s.Results()
			_, record, err := results.Get(c.Context(), args[0])
			if err != nil {
				return fmt.Errorf("result files: %w", err)
			}
			want := func(f *webjob.CollectedFile) bool {
				return match == "" || doublestar.MatchUnvalidated(match, f.Path)
			}
			if to != "" {
				restored, err := results.RestoreFiles(c.Context(), record, to, want)
				if err != nil {
					return fmt.Errorf("result files: %w", err)
				}
				return cli.Show(c, restored, []cli.Field{
					{Name: "Written:", Value: fmt.Sprintf("%d files, %s", restored.Files, cli.Bytes(restored.Bytes))},
					{Name: "Folder:", Value: to},
				})
			}
			var list []*webjob.CollectedFile
			if err := results.Files(c.Context(), record, func(f *webjob.CollectedFile) error {
				if len(args) == 2 && f.Path == args[1] && f.Type != webjob.NoFile || len(args) == 1 && want(f) {
					list = append(list, f)
				}
				return nil
			}); err != nil {
				return fmt.Errorf("result files: %w", err)
			}
			if len(args) == 1 {
				return listCollected(c, list)
			}
			if len(list) == 0 {
				return fmt.Errorf("result files: run %s has no file %q in its list", args[0], args[1])
			}
			if err := results.WriteFile(c.Context(), record, list[0], c.OutOrStdout()); err != nil {
				return fmt.Errorf("result files: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&to, "to", "", "folder to write the contents to")
	c.Flags().StringVar(&match, "match", "", "only files whose path matches this glob")
	return c
}

func listCollected(c *cobra.Command, list []*webjob.CollectedFile) error {
	return cli.List(c, list, []cli.Column[*webjob.CollectedFile]{
		{Title: "TYPE", Cell: func(f *webjob.CollectedFile) string { return string(f.Type) }},
		{Title: "MODE", Cell: func(f *webjob.CollectedFile) string { return f.Mode }},
		{Title: "OWNER", Cell: func(f *webjob.CollectedFile) string {
			switch {
			case f.Unix == nil:
				return ""
			case f.Unix.User == "":
				return fmt.Sprint(f.Unix.UID)
			}
			return f.Unix.User
		}},
		{Title: "SIZE", Cell: func(f *webjob.CollectedFile) string {
			if f.Type != webjob.RegularFile {
				return ""
			}
			return cli.Bytes(f.Size)
		}},
		{Title: "MODIFIED", Cell: func(f *webjob.CollectedFile) string { return cli.Time(f.Modified) }},
		{Title: "SHA-256", Cell: func(f *webjob.CollectedFile) string { return f.Digest.Short() }},
		{Title: "PATH", Cell: func(f *webjob.CollectedFile) string {
			if f.Target != "" {
				return f.Path + " -> " + f.Target
			}
			return f.Path
		}},
		{Title: "NOTE", Cell: func(f *webjob.CollectedFile) string {
			var notes []string
			if f.Altered {
				notes = append(notes, "changed while it was read")
			}
			return strings.Join(append(notes, strings.TrimSpace(f.Skipped+" "+f.Error)), "; ")
		}},
	})
}
