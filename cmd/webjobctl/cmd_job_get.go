package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

func jobGetCommand(open openHome) *cobra.Command {
	q := operator.JobRequest{}
	var platform string
	c := &cobra.Command{
		Use: "get NAME[@VERSION] --to DIR", Short: "Write what a version runs to a folder, checked", Args: cobra.ExactArgs(1),
		Long: `Get writes the manifest and the payloads of a job version to new files in a folder. A
published version is checked against the signed job repository: its index names the manifest
by digest, and the manifest the payloads. With --draft it is the version that a draft
proposes, checked against the draft: that is what would be signed, and nobody vouches for it
yet. Nothing is overwritten, nothing is executable but what a bundle unpacks to, and all of
it is yours alone to read.`,
		Example: `  webjobctl job get inventory@3 --to look
  webjobctl job get inventory --draft 3f2a9c01 --to look --unpack
  webjobctl job get inventory --platform linux/arm64 --to look`,
		RunE: func(c *cobra.Command, args []string) error {
			if q.To == "" {
				return cli.Usagef("no --to; say which folder, such as --to look")
			}
			var err error
			if q.Name, q.Version, err = parseJob(args[0]); err != nil {
				return fmt.Errorf("job get: %w", err)
			}
			if q.Platform = webjob.Platform(platform); platform != "" {
				if err := q.Platform.Check(); err != nil {
					return fmt.Errorf("job get: %w", err)
				}
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			saved, err := s.Jobs().Save(c.Context(), q)
			if err != nil {
				return fmt.Errorf("job get: %w", err)
			}
			by := "nobody vouches for it: draft " + saved.Draft + " proposes it"
			if saved.Draft == "" {
				by = strings.Join(saved.SignedBy, ", ")
			}
			return cli.Show(c, saved, []cli.Field{
				{Name: "Job:", Value: fmt.Sprintf("%s version %d", saved.Name, saved.Version)},
				{Name: "Manifest:", Value: string(saved.Manifest)},
				{Name: "Signed by:", Value: by},
				{Name: "Written:", Value: strings.Join(saved.Files, " ")},
			})
		},
	}
	c.Flags().StringVar(&q.To, "to", "", "folder to write to; it is made when it is not there")
	c.Flags().StringVar(&q.Draft, "draft", "", "what this draft proposes, instead of what is published")
	c.Flags().StringVar(&platform, "platform", "", "the payload that this platform gets, such as linux/amd64 (default: all payloads)")
	c.Flags().BoolVar(&q.Unpack, "unpack", false, "unpack bundles")
	return c
}

func jobWithdrawCommand(open openHome) *cobra.Command {
	var names []string
	c := &cobra.Command{
		Use: "withdraw NAME[@VERSION]", Short: "Stop giving out a version, or all versions of a job", Args: cobra.ExactArgs(1),
		Long: `Withdraw proposes to take a version, or all versions when none is named, out of the signed
job repository; the version before it counts again. It takes the signatures that the job
takes: until enough people have signed nothing changes for any client. webjobctl job restore
undoes it; a version number is never used twice.`,
		RunE: func(c *cobra.Command, args []string) error {
			name, version, err := parseJob(args[0])
			if err != nil {
				return fmt.Errorf("job withdraw: %w", err)
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			handed, err := s.Jobs().Withdraw(c.Context(), name, version, names)
			if err != nil {
				return fmt.Errorf("job withdraw: %w", err)
			}
			what := "all versions of " + name
			if version > 0 {
				what = fmt.Sprintf("%s version %d", name, version)
			}
			return showHanded(c, map[string]any{"name": name, "version": version, "draft": handed}, handed, "Withdrawn:", "Proposed to withdraw:", what)
		},
	}
	addKeyFlag(c, &names)
	return c
}

func jobRestoreCommand(open openHome) *cobra.Command {
	var names []string
	c := &cobra.Command{
		Use: "restore NAME@VERSION...", Short: "Give out versions of a job again that were withdrawn", Args: cobra.MinimumNArgs(1),
		Long: `Restore proposes to list versions again that were withdrawn, as they were: it takes the
signatures that the job takes, and who signs is shown what would run. Several versions of one
job can be restored at once.`,
		Example: `  webjobctl job restore inventory@3`,
		RunE: func(c *cobra.Command, args []string) error {
			var name string
			var versions []int64
			for _, arg := range args {
				job, version, err := parseJob(arg)
				if err != nil {
					return fmt.Errorf("job restore: %w", err)
				}
				if version == 0 || name != "" && job != name {
					return cli.Usagef("%q: name versions of one job, as NAME@VERSION", arg)
				}
				name, versions = job, append(versions, version)
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			handed, err := s.Jobs().Restore(c.Context(), name, versions, names)
			if err != nil {
				return fmt.Errorf("job restore: %w", err)
			}
			return showHanded(c, map[string]any{"name": name, "versions": versions, "draft": handed}, handed, "Restored:", "Proposed to restore:", strings.Join(args, " "))
		},
	}
	addKeyFlag(c, &names)
	return c
}

// showHanded says what was done or, when others must sign first, what is proposed.
func showHanded(c *cobra.Command, value any, h operator.Handed, done, proposed, what string) error {
	tellDraft(c, h)
	if !h.Accepted {
		done = proposed
	}
	return cli.Show(c, value, []cli.Field{{Name: done, Value: what}})
}
