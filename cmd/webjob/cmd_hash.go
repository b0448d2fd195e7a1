package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/tools/hash"
)

func hashCommand() *cobra.Command {
	var algorithms []string
	var check, quiet bool
	c := &cobra.Command{
		Use: "hash [FILE|FOLDER|-]...", Short: "Print or check digests of files",
		Long: `Hash prints a digest of each file, and of all files in folders, as sha256sum does; of
several kinds it computes all in one pass and names the kind in each line. Links in
folders are not followed, and access times do not change where this user may read so.

With --check it reads lists that it, sha256sum or a relative wrote, and compares.`,
		Example: `  webjob hash -t sha256,md5 /usr/bin >known
  webjob hash --check --quiet known`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"-"}
			}
			out := bufio.NewWriter(c.OutOrStdout())
			h := &hasher{command: c, out: out, quiet: quiet, algorithms: algorithms}
			work := h.print
			if check {
				work = h.check
			}
			err := work(args)
			if err = errors.Join(err, out.Flush()); err == nil && h.failed > 0 {
				err = fmt.Errorf("%d files could not be read or did not match", h.failed)
			}
			return err
		},
	}
	c.Flags().StringSliceVarP(&algorithms, "type", "t", []string{"sha256"}, "kinds of digest: "+strings.Join(hash.Algorithms(), ", "))
	c.Flags().BoolVarP(&check, "check", "c", false, "read lists of digests and check them")
	c.Flags().BoolVar(&quiet, "quiet", false, "with --check, say nothing of files that match")
	return c
}

type hasher struct {
	command    *cobra.Command
	out        io.Writer
	quiet      bool
	algorithms []string
	failed     int
}

func (h *hasher) print(names []string) error {
	set, err := hash.New(h.algorithms...)
	if err != nil {
		return err
	}
	one := func(name string, sum func() ([]string, int64, error)) error {
		digests, _, err := sum()
		if err != nil {
			h.complain(err)
			return nil
		}
		for i, digest := range digests {
			if _, err := fmt.Fprintln(h.out, hash.Format(h.algorithms[i], digest, name, len(digests) > 1)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range names {
		if name == "-" {
			if err := one(name, func() ([]string, int64, error) { return set.Sum(h.command.InOrStdin()) }); err != nil {
				return err
			}
			continue
		}
		err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				h.complain(err)
				return nil
			}
			if entry.IsDir() || path != name && !entry.Type().IsRegular() {
				return nil
			}
			return one(path, func() ([]string, int64, error) { return set.SumFile(path) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *hasher) complain(err error) {
	h.failed++
	cli.Say(h.command, "webjob: %s", err)
}

func (h *hasher) check(lists []string) error {
	for _, list := range lists {
		r, closeList := h.command.InOrStdin(), func() error { return nil }
		if list != "-" {
			f, err := os.Open(list)
			if err != nil {
				return webjob.Errorf(webjob.NotFound, "%w", err)
			}
			r, closeList = f, f.Close
		}
		err := h.checkList(list, r)
		if err = errors.Join(err, closeList()); err != nil {
			return err
		}
	}
	return nil
}

func (h *hasher) checkList(list string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	number := 0
	for lines.Scan() {
		number++
		line, err := hash.ParseLine(lines.Text())
		if err != nil {
			return webjob.Errorf(webjob.Invalid, "%s:%d: %w", list, number, err)
		}
		if line.Algorithm == "" {
			line.Algorithm = map[int]string{32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}[len(line.Digest)]
		}
		set, err := hash.New(line.Algorithm)
		if err != nil {
			return err
		}
		verdict := "OK"
		if digests, _, err := set.SumFile(line.Name); err != nil {
			h.complain(err)
			verdict = "FAILED open or read"
		} else if digests[0] != line.Digest {
			h.failed++
			verdict = "FAILED"
		}
		if h.quiet && verdict == "OK" {
			continue
		}
		if _, err := fmt.Fprintf(h.out, "%s: %s\n", line.Name, verdict); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return webjob.Errorf(webjob.Invalid, "%s:%d: %w", list, number+1, err)
	}
	if number == 0 {
		return webjob.Errorf(webjob.Invalid, "%s holds no digests", list)
	}
	return nil
}
