// Package review turns what people are about to sign into lines that they can read: the
// manifest of a job version and its payloads, with the difference from the version before.
// Everything in it is the word of an author who may be hostile, so no byte reaches a
// terminal that could move its cursor, reorder a line or hide a part of it, and whatever is
// left out is named. It reads payloads that its caller has verified, and decides nothing.
package review

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"webjob.dev/webjob"
)

// Bounds of what is shown. What is beyond them is told by [Page.NotShown].
const (
	maxLines     = 20_000  // of texts, all together
	maxLineRunes = 2_000   // of one line
	maxTextBytes = 8 << 20 // of one text
	maxHidden    = 100     // of what is not shown, named one by one
)

// Page gathers what people read before they sign.
type Page struct {
	Lines []string // safe for a terminal
	// Known has payloads left out that are as in the version before: whoever signs has seen
	// them when that one was signed.
	Known bool

	hidden []string
	more   int              // beyond hidden
	whole  bool             // show texts also where a difference would do
	left   int              // lines of texts that may still come
	shown  map[sight]string // payloads that were shown, and where
}

// sight is a payload as it is shown, which depends on how it is run.
type sight struct {
	digest webjob.Digest
	way    way
}

// NewPage returns an empty page. With whole, texts are shown from beginning to end, not
// only where they differ from the version before.
func NewPage(whole bool) *Page {
	return &Page{Known: true, whole: whole, left: maxLines, shown: map[sight]string{}}
}

// Say adds a line of ours; what it quotes may be anybody's.
func (p *Page) Say(format string, values ...any) {
	p.Lines = append(p.Lines, Visible(fmt.Sprintf(format, values...)))
}

// hide notes that something is not shown, in its place and at the end.
func (p *Page) hide(format string, values ...any) {
	if len(p.hidden) == maxHidden {
		p.more++
		return
	}
	line := Visible(fmt.Sprintf(format, values...))
	p.hidden = append(p.hidden, line)
	p.Lines = append(p.Lines, "  ! NOT SHOWN: "+line)
}

// NotShown names what people do not see on the page.
func (p *Page) NotShown() []string {
	if p.more == 0 {
		return p.hidden
	}
	return append(slices.Clone(p.hidden), fmt.Sprintf("%d things more", p.more))
}

// margin stands before each line of a text, so that no text can pass for a line of ours.
const margin = "  | "

// text shows a text from its beginning.
func (p *Page) text(name string, content []byte) {
	content = p.lineEnds(content)
	p.foreign(name, "lines", strings.Split(strings.TrimSuffix(string(content), "\n"), "\n"), content)
}

// lineEnds takes the line ends of Windows away where every line has them.
func (p *Page) lineEnds(content []byte) []byte {
	crlf := bytes.Count(content, []byte("\r\n"))
	if crlf == 0 || crlf != bytes.Count(content, []byte("\n")) || crlf != bytes.Count(content, []byte("\r")) {
		return content
	}
	p.Say("  (every line ends with CR LF)")
	return bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
}

// foreign shows lines that others wrote; all is what they are of.
func (p *Page) foreign(name, what string, lines []string, all []byte) {
	escaped, cut := 0, 0
	over := lines[min(len(lines), p.left):]
	for _, line := range lines[:len(lines)-len(over)] {
		shown, n, more := visible(line, maxLineRunes)
		escaped += n
		if more > 0 {
			shown = fmt.Sprintf("%s ‹%d more characters in this line›", shown, more)
			cut++
		}
		p.Lines = append(p.Lines, margin+shown)
	}
	p.left -= len(lines) - len(over)
	if escaped > 0 {
		p.Lines = append(p.Lines, fmt.Sprintf("  ! %d characters that a terminal would obey or not show are written as ‹…› in %s", escaped, Visible(name)))
	}
	if bytes.ContainsFunc(all, fromRightToLeft) {
		p.Say("  ! %s has letters that are written from right to left; a terminal may show parts of such a line in another order", name)
	}
	if cut > 0 {
		p.hide("the ends of %d long lines of %s", cut, name)
	}
	if len(over) > 0 {
		p.hide("the last %d %s of %s (of %d)", len(over), what, name, len(lines))
	}
}

// fromRightToLeft is true for the blocks whose characters have the class R or AL, assigned
// or not (Unicode, DerivedBidiClass.txt, @missing).
func fromRightToLeft(r rune) bool {
	return r >= 0x590 && r <= 0x8ff || r >= 0xfb1d && r <= 0xfdff || r >= 0xfe70 && r <= 0xfeff ||
		r >= 0x10800 && r <= 0x10fff || r >= 0x1e800 && r <= 0x1efff
}
