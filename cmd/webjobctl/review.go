package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/review"
)

// addDepthFlags lets people say how much they want to see of what they sign.
func addDepthFlags(c *cobra.Command, depth *operator.Depth) {
	c.Flags().BoolVar(&depth.Brief, "brief", false, "show the summary alone, not what would run")
	c.Flags().BoolVar(&depth.Whole, "full", false, "show whole texts, not only where they differ from the version before")
	c.Flags().BoolVar(&depth.Details, "details", false, "show each role of the job repository, and exact manifests")
}

// showReview writes a review: the summary, then what would run, which goes through a pager
// when a person is there and it is longer than the screen, then what was not shown.
func showReview(c *cobra.Command, out io.Writer, r *operator.Review, paged bool) error {
	if err := writeLines(out, r.Changes); err != nil {
		return err
	}
	if err := writePaged(c, out, r.Shown, paged); err != nil {
		return err
	}
	return tellNotShown(out, r)
}

func tellNotShown(out io.Writer, r *operator.Review) error {
	if len(r.NotShown) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(out, "NOT SHOWN (webjobctl job get writes it to a folder, checked):"); err != nil {
		return err
	}
	lines := make([]string, len(r.NotShown))
	for i, line := range r.NotShown {
		lines[i] = "  " + line
	}
	return writeLines(out, lines)
}

func writeLines(out io.Writer, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	width, _ := screenSize(out)
	_, err := io.WriteString(out, strings.Join(review.Fold(lines, width), "\n")+"\n")
	return err
}

// writePaged writes lines through a pager when out is a terminal that they do not fit on.
func writePaged(c *cobra.Command, out io.Writer, lines []string, paged bool) error {
	width, height := screenSize(out)
	folded := review.Fold(lines, width)
	if paged && height > 0 && len(folded) >= height-1 {
		pager := pagerCommand(os.Getenv("PAGER"))
		if pager != nil && page(c, out.(*os.File), folded, pager) == nil {
			return nil
		}
	}
	return writeLines(out, lines)
}

// screenSize returns the columns and lines of the terminal that out is, 0 when it is none.
// Columns that are not known are 0, too.
func screenSize(out io.Writer) (width, height int) {
	terminal, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(terminal.Fd())) {
		return 0, 0
	}
	width, height, err := term.GetSize(int(terminal.Fd()))
	if err != nil || height <= 0 {
		return 0, 25
	}
	return width, height
}

// pagerCommand returns the words of the pager: that of the user, else less if it is there.
// less is told not to cut long lines off, whatever LESS says: the end of a line would be
// a place to hide something.
func pagerCommand(wish string) []string {
	pager := strings.Fields(wish)
	if len(pager) == 0 {
		pager = []string{"less"}
	}
	if name := strings.TrimSuffix(filepath.Base(pager[0]), ".exe"); name == "less" {
		pager = append(pager, "-R", "-+S")
	}
	if _, err := exec.LookPath(pager[0]); err != nil {
		return nil
	}
	return pager
}

// page shows lines in the pager. An error says that it did not show them.
func page(c *cobra.Command, terminal *os.File, lines, pager []string) error {
	run := exec.CommandContext(c.Context(), pager[0], pager[1:]...)
	run.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	run.Stdout, run.Stderr = terminal, c.ErrOrStderr()
	err := run.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil // who leaves the pager early has seen what they wanted to see
	}
	return err
}

// confirmReview asks whether to sign what was shown, and says when not all was.
func confirmReview(c *cobra.Command, question string, r *operator.Review) bool {
	if len(r.NotShown) > 0 {
		question = "Not all of it was shown. " + question
	}
	return confirm(c, question)
}

// signedDraft is what repo sign prints of a draft as JSON.
type signedDraft struct {
	*operator.Review
	Accepted bool     `json:"landed"`
	Missing  int64    `json:"missing,omitempty"` // signatures still to come
	MaySign  []string `json:"may_sign,omitempty"`
}

func newSignedDraft(r *operator.Review, h operator.Handed) signedDraft {
	return signedDraft{Review: r, Accepted: h.Accepted, Missing: h.Missing, MaySign: h.MaySign}
}
