package review

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"webjob.dev/webjob"
)

// store is where the payloads of a test are.
type store map[webjob.Digest][]byte

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func (s store) open(p webjob.Payload) (File, error) {
	if b, found := s[p.Digest]; found {
		return content{bytes.NewReader(b)}, nil
	}
	return nil, errors.New("it is withheld")
}

// version is a manifest with one payload of these bytes.
func (s store) version(n int64, payload []byte) *webjob.Manifest {
	d := webjob.DigestOf(payload)
	s[d] = payload
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &webjob.Manifest{
		Format: webjob.JobFormat, Name: "job", Version: n, Scope: webjob.ScopeCommon, Created: at, Expires: at.Add(time.Hour),
		Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(), Payloads: []webjob.Payload{{Platform: "unix", Digest: d, Size: int64(len(payload))}},
	}
}

// folder is a manifest whose payload is a folder with these files.
func (s store) folder(t *testing.T, n int64, files map[string]string) *webjob.Manifest {
	t.Helper()
	var packed bytes.Buffer
	compressed, err := zstd.NewWriter(&packed)
	must(t, err)
	archive, size := tar.NewWriter(compressed), int64(0)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		must(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name]))}))
		_, err := archive.Write([]byte(files[name]))
		must(t, err)
		size += int64(len(files[name]))
	}
	must(t, archive.Close())
	must(t, compressed.Close())
	m := s.version(n, packed.Bytes())
	m.Payloads[0].Bundle = &webjob.Bundle{Run: "run.sh", Bytes: size}
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func show(t testing.TB, s store, m, before *webjob.Manifest) *Page {
	t.Helper()
	p := NewPage(false)
	if err := p.Version(m, before, s.open); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Page) has(line string) bool { return slices.Contains(p.Lines, line) }

func (p *Page) mentions(text string) bool { return strings.Contains(strings.Join(p.Lines, "\n"), text) }

// texts are the lines of others on a page.
func (p *Page) texts() []string {
	var lines []string
	for _, line := range p.Lines {
		if text, found := strings.CutPrefix(line, margin); found {
			lines = append(lines, text)
		}
	}
	return lines
}

// checkSafe fails for a line that a terminal would not show as it is.
func checkSafe(t rapid.TB, lines []string) {
	t.Helper()
	for _, line := range lines {
		for _, r := range line {
			if r != '\t' && (!unicode.IsPrint(r) || unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)) {
				t.Fatalf("%U reached the terminal in %q", r, line)
			}
		}
	}
}

// Whatever is in a script, in a description or in an argument, a terminal only shows it.
func TestNothingIsObeyed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hostile := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }))
		s := store{}
		before := s.version(1, append([]byte("#!/bin/sh\n"), hostile.Draw(t, "before")...))
		m := s.version(2, append([]byte("#!/bin/sh\n"), hostile.Draw(t, "after")...))
		m.Description, m.Interpreter = string(hostile.Draw(t, "description")), []string{"sh", string(hostile.Draw(t, "interpreter"))}
		for _, base := range []*webjob.Manifest{nil, before} {
			p := NewPage(false)
			if err := p.Version(m, base, s.open); err != nil {
				t.Fatal(err)
			}
			p.Order(&webjob.Order{On: string(hostile.Draw(t, "on")), Arguments: []string{string(hostile.Draw(t, "argument"))}, Tag: string(hostile.Draw(t, "tag"))})
			checkSafe(t, p.Lines)
		}
	})
}

func TestVisible(t *testing.T) {
	for line, want := range map[string]string{
		"echo \"grün\"\t# 日本語":       "echo \"grün\"\t# 日本語",
		"a\x1b[2Kb":                  "a‹U+001B›[2Kb",
		"evil\rgood":                 "evil‹U+000D›good",
		"\u202egnp.exe\u2066":        "‹U+202E›gnp.exe‹U+2066›",
		"a\x9b2K\xff":                "a‹9B›2K‹FF›",
		"zero\u200bwidth\ufeff":      "zero‹U+200B›width‹U+FEFF›",
		"x\ufe0fy\U000e0100\u3164":   "x‹U+FE0F›y‹U+E0100›‹U+3164›",
		"no\u00a0break\u2028line":    "no‹U+00A0›break‹U+2028›line",
		"‹U+001B›":                   "‹U+2039›U+001B‹U+203A›",
		"e\u0301 \u0336hidden":       "e\u0301 ‹U+0336›hidden",
		"z\u0301\u0301\u0301\u0301x": "z\u0301\u0301\u0301‹U+0301›x",
	} {
		if got := Visible(line); got != want {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
	}
}

// What is shown as a difference, carried out on the text before, gives the text after.
func TestDifferencesAreWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) []byte {
			lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "", "d", "e", "+", "-x", "@@ -1,2 +3,4 @@"}), 1, 60).Draw(t, name)
			end := rapid.SampledFrom([]string{"", "\n"}).Draw(t, "end of "+name)
			return []byte("#!/bin/sh\n" + strings.Join(lines, "\n") + end)
		}
		s := store{}
		before, after := text("before"), text("after")
		p := NewPage(false)
		if err := p.Version(s.version(2, after), s.version(1, before), s.open); err != nil {
			t.Fatal(err)
		}
		if got := apply(t, string(before), p.texts()); got != string(after) {
			t.Fatalf("%q with %q becomes %q, want %q", before, p.texts(), got, after)
		}
	})
}

// apply carries a difference out.
func apply(t *rapid.T, before string, diff []string) string {
	old := strings.SplitAfter(before, "\n")
	var out strings.Builder
	at, left := 0, 0 // line of old, and lines of the chunk to come
	for i, line := range diff {
		end := "\n"
		if i+1 < len(diff) && strings.HasPrefix(diff[i+1], `\ No newline`) {
			end = ""
		}
		switch {
		case left == 0 && strings.HasPrefix(line, "@@ "):
			var from, n, to, m int
			if _, err := fmt.Sscanf(line, "@@ -%d,%d +%d,%d @@", &from, &n, &to, &m); err != nil {
				t.Fatal(err)
			}
			for left = n + m; at < max(from-1, 0); at++ {
				out.WriteString(old[at])
			}
		case strings.HasPrefix(line, "+"):
			out.WriteString(line[1:] + end)
			left--
		case strings.HasPrefix(line, "-"):
			at++
			left--
		case strings.HasPrefix(line, " "):
			out.WriteString(old[at])
			at++
			left -= 2
		case !strings.HasPrefix(line, `\`):
			t.Fatalf("a line of a difference is %q", line)
		}
	}
	for ; at < len(old); at++ {
		out.WriteString(old[at])
	}
	return out.String()
}

// However much there is, what is shown is bounded, and what is not shown is named.
func TestBounds(t *testing.T) {
	s := store{}
	p := show(t, s, s.version(1, []byte("#!/bin/sh\n"+strings.Repeat("true\n", 100_000)+"rm -rf /\n")), nil)
	if len(p.texts()) != maxLines || !p.mentions("NOT SHOWN: the last 80002 lines of the payload for unix (of 100002)") || len(p.NotShown()) != 1 {
		t.Errorf("100,000 lines: %d lines, not shown %q", len(p.texts()), p.NotShown())
	}
	p = show(t, s, s.version(1, []byte("#!/bin/sh\ntrue "+strings.Repeat(" ", 1<<20)+"; rm -rf /\n")), nil)
	if !p.mentions("more characters in this line›") || !slices.Equal(p.NotShown(), []string{"the ends of 1 long lines of the payload for unix"}) {
		t.Errorf("a long line: not shown %q", p.NotShown())
	}
	for _, line := range p.Lines {
		if len(line) > 10*maxLineRunes {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	p = show(t, s, s.version(1, append([]byte("#!/bin/sh\n"), make([]byte, maxTextBytes)...)), nil)
	if !strings.Contains(fmt.Sprint(p.NotShown()), "but its first 8388608 bytes") {
		t.Errorf("a large text: not shown %q", p.NotShown())
	}
	two := s.version(1, []byte("#!/bin/sh\n"+strings.Repeat("true\n", maxLines-10)))
	two.Payloads = append(two.Payloads, s.version(1, []byte("#!/bin/sh\n"+strings.Repeat("false\n", 50))).Payloads...)
	two.Payloads[1].Platform = "linux"
	if p = show(t, s, two, nil); len(p.texts()) != maxLines || len(p.NotShown()) != 1 {
		t.Errorf("two texts: %d lines, not shown %q", len(p.texts()), p.NotShown())
	}
	large := s.version(1, []byte("x"))
	large.Payloads[0].Size = maxFetched + 1
	if p = show(t, s, large, nil); !strings.Contains(fmt.Sprint(p.NotShown()), "it is larger than") {
		t.Errorf("a payload that is too large: not shown %q", p.NotShown())
	}
	p = NewPage(false)
	must(t, p.Version(s.version(1, []byte("#!/bin/sh\n")), nil, nil))
	if !slices.Equal(p.NotShown(), []string{"the payload for unix"}) {
		t.Errorf("without payloads: not shown %q", p.NotShown())
	}
	for i := range 5000 {
		p.hide("thing %d", i)
	}
	if n := len(p.NotShown()); n != maxHidden+1 || !strings.Contains(p.NotShown()[maxHidden], "4901 things more") {
		t.Errorf("%d are named, the last as %q", n, p.NotShown()[n-1])
	}
}

// A text is compared with the version before; when that is withheld, or has another form,
// all is shown.
func TestVersionsAreCompared(t *testing.T) {
	s := store{}
	before, after := s.version(1, []byte("#!/bin/sh\necho one\n")), s.version(2, []byte("#!/bin/sh\necho two\n"))
	p := show(t, s, after, before)
	if !p.has(margin+"-echo one") || !p.has(margin+"+echo two") {
		t.Errorf("a changed script: %q", p.Lines)
	}
	if p = show(t, s, s.version(2, []byte("#!/bin/sh\necho one\n")), before); !p.has("  the same as in version 1") {
		t.Errorf("the same script: %q", p.Lines)
	}
	p = NewPage(true)
	must(t, p.Version(after, before, s.open))
	if !p.has(margin + "echo two") {
		t.Errorf("as a whole: %q", p.Lines)
	}
	delete(s, before.Payloads[0].Digest)
	if p = show(t, s, after, before); !p.has(margin+"echo two") || !p.mentions("version 1 cannot be compared, so all is shown: it is withheld") {
		t.Errorf("the version before is withheld: %q", p.Lines)
	}
	delete(s, after.Payloads[0].Digest)
	if err := NewPage(false).Version(after, before, s.open); err == nil || !strings.Contains(err.Error(), "it is withheld") {
		t.Errorf("the version is withheld: %v", err)
	}
	crlf := s.version(1, []byte("@echo off\r\ndir\r\n"))
	crlf.Interpreter = []string{"cmd", "/c"}
	if p = show(t, s, crlf, nil); !p.has(margin+"dir") || !p.has("  (every line ends with CR LF)") {
		t.Errorf("line ends of Windows: %q", p.Lines)
	}
	for _, letters := range []string{"שלום", "ܫ", "\u0800", "\ufb2a", "\U00010a00", "\U0001e800"} {
		if p = show(t, s, s.version(1, []byte("#!/bin/sh\n# "+letters+"\n")), nil); !p.mentions("from right to left") {
			t.Errorf("letters that are written from right to left: %q", p.Lines)
		}
	}
}

// What looks like a program is shown as text where an interpreter would run the rest.
func TestProgramsAndWhatPassesForOne(t *testing.T) {
	s := store{}
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	p := show(t, s, s.version(1, program), nil)
	if !p.mentions("says of itself that it was built with go1.") || !p.mentions("compare its digest") || len(p.texts()) > 0 {
		t.Errorf("a program: %q", p.Lines)
	}
	// The same with a build information that is made up.
	forged := bytes.ReplaceAll(program, []byte("webjob.dev/webjob/internal/review"), []byte("webjob.dev/\x1b[2K\u202ewebjob/int\rreview"))
	checkSafe(t, show(t, s, s.version(1, forged), nil).Lines)

	evil := "\necho evil\n"
	for name, c := range map[string]struct {
		payload     string
		interpreter []string
		text        bool
	}{
		"ELF that is run":           {"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00" + evil, nil, false},
		"ELF that a shell runs":     {"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00" + evil, []string{"/bin/sh"}, true},
		"WebAssembly":               {"\x00asm\x01\x00\x00\x00" + strings.Repeat("\x00", 20) + evil, []string{"webjob", "wasm"}, false},
		"WebAssembly for a shell":   {"\x00asm\x01\x00\x00\x00" + strings.Repeat("\x00", 20) + evil, []string{"webjob", "sh"}, true},
		"a text that begins so":     {"MZ=1; true " + strings.Repeat(" ", 60) + evil, nil, true},
		"a script with a NUL in it": {"#!/bin/sh\n# \x00" + evil, nil, true},
	} {
		m := s.version(1, []byte(c.payload))
		m.Interpreter = c.interpreter
		if p := show(t, s, m, nil); p.has(margin+"echo evil") != c.text {
			t.Errorf("%s: %q", name, p.Lines)
		}
	}
	if p := show(t, s, s.version(1, []byte("neither\x00nor")), nil); len(p.NotShown()) != 1 {
		t.Errorf("something unknown: %q", p.Lines)
	}
}

func TestFoldersAreCompared(t *testing.T) {
	s := store{}
	files := map[string]string{"run.sh": "#!/bin/sh\n. lib/a\n", "lib/a": "echo one\n", "lib/gone": "x\n", "same": "y\n"}
	before := s.folder(t, 1, files)
	p := show(t, s, before, nil)
	if !p.has(margin+"echo one") || !p.mentions(`| + -rw-r--r--            9  lib/a  sha256:`) {
		t.Errorf("a new folder: %q", p.Lines)
	}
	delete(files, "lib/gone")
	files["lib/a"], files["lib/new"], files["data"] = "echo two\n", "echo new\n", "\x00\x01"
	after := s.folder(t, 2, files)
	p = show(t, s, after, before)
	for _, want := range []string{`| ~ -rw-r--r--            9  lib/a`, `| - -rw-r--r--            2  lib/gone`, `| + -rw-r--r--            9  lib/new`, "| -echo one", "| +echo two", "| echo new", "and 2 entries as they were"} {
		if !p.mentions(want) {
			t.Errorf("%q is not in %q", want, p.Lines)
		}
	}
	if p.mentions("| y") || !strings.Contains(fmt.Sprint(p.NotShown()), `"data" of the payload for unix: neither a text nor a known program`) {
		t.Errorf("not shown %q of %q", p.NotShown(), p.Lines)
	}
	// Many files do not hide one.
	for i := range maxLines + 1 {
		files[fmt.Sprintf("junk/%d", i)] = ""
	}
	many := s.folder(t, 3, files)
	files["zzz"] = "echo evil\n"
	if p = show(t, s, s.folder(t, 4, files), many); !p.has(margin + "echo evil") {
		t.Errorf("not shown %q", p.NotShown())
	}
	// Nor does a bundle that is none, or is larger than was signed.
	broken := s.version(5, []byte("no bundle"))
	broken.Payloads[0].Bundle = &webjob.Bundle{Run: "x", Bytes: 1}
	if err := NewPage(false).Version(broken, nil, s.open); webjob.KindOf(err) != webjob.Refused {
		t.Errorf("no bundle: %v", err)
	}
	after.Payloads[0].Bundle.Bytes = 3
	if err := NewPage(false).Version(after, nil, s.open); webjob.KindOf(err) != webjob.Refused {
		t.Errorf("more than was signed: %v", err)
	}
	before.Payloads[0].Bundle.Bytes = maxUnpacked + 1
	if p = show(t, s, before, nil); len(p.NotShown()) != 1 {
		t.Errorf("a folder that is too large: %q", p.Lines)
	}
}
