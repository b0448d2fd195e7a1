package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua/parse"
	"mvdan.cc/sh/v3/syntax"

	"webjob.dev/webjob"
)

// Finding is something about a job that its author should look at.
type Finding struct {
	Level string `json:"level"` // LintError: it will not work; LintWarning: it may not, or is dangerous
	File  string `json:"file"`
	Line  int    `json:"line,omitempty"` // from 1; 0 for the whole file
	Text  string `json:"text"`
}

// Levels of findings.
const (
	LintError   = "error"
	LintWarning = "warning"
)

// Lint looks at a job as its author wrote it, and at its scripts. An error says that the
// job cannot be read at all.
func Lint(ctx context.Context, path string) ([]Finding, error) {
	d, err := ReadDescription(path)
	if err != nil {
		return nil, err
	}
	l := &lint{Description: d, described: path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		l.described = filepath.Join(path, DescriptionFile)
	}
	l.description()
	for _, p := range d.Payloads {
		l.payload(ctx, p)
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return slices.Compact(l.findings), nil
}

type lint struct {
	*Description
	described string // file of the description
	findings  []Finding
}

func (l *lint) say(level, file string, line int, format string, args ...any) {
	l.findings = append(l.findings, Finding{Level: level, File: file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// description looks at what is signed beside the payloads.
func (l *lint) description() {
	warn := func(format string, args ...any) { l.say(LintWarning, l.described, 0, format, args...) }
	temporary, err := os.MkdirTemp("", "webjob-lint-")
	if err != nil {
		l.say(LintError, l.described, 0, "%s", err)
		return
	}
	defer func() { _ = os.RemoveAll(temporary) }() // only copies
	if _, _, _, err := l.manifest(temporary, 1, webjob.ScopeCommon); err != nil {
		l.say(LintError, l.described, 0, "%s", err)
	}
	if l.Text == "" {
		warn("it has no description: who approves an order reads it")
	}
	for _, pattern := range l.Arguments {
		if pattern == ".*" || pattern == ".+" {
			warn("the pattern %q allows every argument; say what the job needs", pattern)
		}
	}
	if l.Collect != nil {
		for _, pattern := range l.Collect.Files {
			if pattern == "/**" || pattern == "C:/**" {
				warn("collect names the whole machine (%s); name what you need", pattern)
			}
		}
	}
}

// payload looks at every script of a payload.
func (l *lint) payload(ctx context.Context, p DescriptionPayload) {
	file := filepath.Join(l.dir, p.File)
	info, err := os.Stat(file)
	if err != nil {
		return // told with the manifest
	}
	if !info.IsDir() {
		if p.Run == "" { // else it is a packed bundle
			l.file(ctx, p, file, true)
		}
		return
	}
	err = filepath.WalkDir(file, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		l.file(ctx, p, name, name == filepath.Join(file, filepath.FromSlash(p.Run)))
		return nil
	})
	if err != nil {
		l.say(LintError, file, 0, "%s", err)
	}
}

// maxLintedBytes bounds the scripts that are looked at; larger files are data.
const maxLintedBytes = 4 << 20

// file looks at one file; first says that it is the one that runs.
func (l *lint) file(ctx context.Context, p DescriptionPayload, name string, first bool) {
	f, err := os.Open(name)
	if err != nil {
		l.say(LintError, name, 0, "%s", err)
		return
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLintedBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		l.say(LintError, name, 0, "%s", err)
		return
	}
	language := l.languageOf(name, text, first)
	if language == "" || len(text) > maxLintedBytes {
		return
	}
	if at := bytes.IndexByte(text, 0); at >= 0 {
		l.say(LintError, name, 1+bytes.Count(text[:at], []byte("\n")), "it holds a NUL byte: no interpreter reads on behind it")
		return
	}
	windows := strings.HasPrefix(string(p.Platform), "windows")
	if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) && !windows {
		l.say(LintError, name, 1, "it begins with a byte order mark, which hides #! from the system; save it as UTF-8 without one")
	}
	if at := bytes.Index(text, []byte("\r\n")); at >= 0 && !windows {
		l.say(LintError, name, 1+bytes.Count(text[:at], []byte("\n")), "it has line ends of Windows, which a Unix shell takes for part of the commands; save it with LF")
	}
	if first && len(l.Interpreter) == 0 && !windows {
		l.shebang(name, text)
	}
	l.syntax(ctx, language, name, text)
	l.dangers(name, text)
}

// languageOf tells by interpreter, first line or ending what a file is; empty for data
// and programs.
func (l *lint) languageOf(name string, text []byte, first bool) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words := strings.Fields(string(bytes.TrimPrefix(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")), []byte("#!"))))
	switch {
	case first && len(l.Interpreter) > 1 && l.Interpreter[0] == "webjob":
		return map[string]string{"sh": "builtin", "lua": "lua"}[l.Interpreter[1]]
	case first && len(l.Interpreter) > 0:
		words = l.Interpreter
	case !bytes.Contains(line, []byte("#!")):
		return map[string]string{".sh": "sh", ".lua": "lua", ".ps1": "powershell", ".cmd": "cmd", ".bat": "cmd"}[strings.ToLower(filepath.Ext(name))]
	}
	if len(words) > 1 && filepath.Base(words[0]) == "env" {
		words = words[1:]
	}
	if len(words) == 0 {
		return ""
	}
	switch base := filepath.Base(words[0]); base {
	case "sh", "dash", "ash", "ksh":
		return "sh"
	default:
		return strings.TrimSuffix(base, ".exe")
	}
}

var absoluteInterpreter = regexp.MustCompile(`^#!\s*/\S+`)

func (l *lint) shebang(name string, text []byte) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.HasPrefix(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")), []byte("#!")) {
		l.say(LintError, name, 1, "it has no first line such as #!/bin/sh, and the description names no interpreter")
		return
	}
	if !absoluteInterpreter.Match(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))) {
		l.say(LintError, name, 1, "%q does not name an interpreter by its whole path", line)
	}
	if bytes.Contains(line, []byte("/env ")) && len(bytes.Fields(line)) > 2 {
		l.say(LintWarning, name, 1, "most systems hand all that follows env over as one word")
	}
}

// syntax parses what it can, and asks shellcheck when it is there.
func (l *lint) syntax(ctx context.Context, language, name string, text []byte) {
	switch language {
	case "sh", "bash", "builtin":
		variant := syntax.LangPOSIX
		if language == "bash" {
			variant = syntax.LangBash
		}
		_, err := syntax.NewParser(syntax.Variant(variant)).Parse(bytes.NewReader(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))), "")
		var wrong syntax.ParseError
		var foreign syntax.LangError
		switch {
		case errors.As(err, &wrong):
			l.say(LintError, name, int(wrong.Pos.Line()), "%s", wrong.Text) //nolint:gosec // a line number
		case errors.As(err, &foreign):
			l.say(LintError, name, int(foreign.Pos.Line()), "%s is not in the shell that runs it", foreign.Feature) //nolint:gosec // as above
		case err == nil:
			l.shellcheck(ctx, language, name)
		}
	case "lua":
		if _, err := lua.Parse(bytes.NewReader(text), filepath.Base(name)); err != nil {
			line := 0
			var wrong *lua.Error
			if errors.As(err, &wrong) {
				line = wrong.Pos.Line
			}
			l.say(LintError, name, line, "%s", strings.Join(strings.Fields(err.Error()), " "))
		}
	}
}

// shellcheck asks shellcheck(1), which knows far more than a parser.
func (l *lint) shellcheck(ctx context.Context, language, name string) {
	program, err := exec.LookPath("shellcheck")
	if err != nil {
		return
	}
	dialect := "sh"
	if language == "bash" {
		dialect = "bash"
	}
	// Its status is 1 when it found something, and 2 or more when it could not look.
	out, err := exec.CommandContext(ctx, program, "--format=json", "--shell="+dialect, "--severity=warning", "--", name).Output() //nolint:gosec // the author's own file
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		l.say(LintWarning, name, 0, "shellcheck could not look at it: %s", err)
		return
	}
	var said []struct {
		Line    int    `json:"line"`
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(out, &said); err != nil {
		l.say(LintWarning, name, 0, "shellcheck said what is no JSON: %s", err)
	}
	for _, s := range said {
		l.say(LintWarning, name, s.Line, "%s (shellcheck SC%d)", s.Message, s.Code)
	}
}

// dangers are patterns of commands that harm a host when something is not as the author
// thought.
var dangers = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\brm\s+(-\w+\s+)*-\w*r\w*\s+(-\w+\s+)*("?/"?|/\*|~)(\s|$|;)`), "it removes the whole file system"},
	{regexp.MustCompile(`\brm\s+(-\w+\s+)*-\w*r\w*\s+(-\w+\s+)*"?\$\{?\w+\}?"?/`), "when the variable is empty it removes from the root; write ${NAME:?}"},
	{regexp.MustCompile(`\b(curl|wget)\b[^|\n]*\|\s*(sudo\s+)?(ba|da|k|z)?sh\b`), "it runs what a server says, unsigned; put the script into the job, or get it by webjob get with a digest"},
	{regexp.MustCompile(`\beval\b.*\$`), "eval runs what a variable holds; arguments and files may hold commands"},
	{regexp.MustCompile(`\bchmod\s+(-\w+\s+)*(0?777|a\+rwx|o\+w)\b`), "everybody may change the file after this"},
	{regexp.MustCompile(`\bdd\b[^\n]*\bof=/dev/(sd|hd|vd|nvme|xvd|disk|mmcblk)`), "it overwrites a disk"},
	{regexp.MustCompile(`\bmkfs(\.\w+)?\s`), "it makes a file system where another may be"},
	{regexp.MustCompile(`\bkill\s+(-\w+\s+)*-1\b`), "it ends every process of the machine"},
	{regexp.MustCompile(`>\s*/tmp/[A-Za-z0-9._-]+(\s|$|;)`), "other users can place a link under this name first; jobs have a private folder, or use mktemp"},
	{regexp.MustCompile(`(?i)\b(password|passwd|secret|token|api_?key)\s*=\s*["']?[^\s"'$]{6,}`), "it seems to hold a secret, which every client and the server can read"},
	{regexp.MustCompile(`(?i)Invoke-Expression|\biex\s`), "it runs text as commands"},
	{regexp.MustCompile(`\b(systemctl|service)\s+\S*\s*(restart|stop)\s+webjob|\bpkill\b[^\n]*webjob`), "it ends the agent that runs it"},
	{regexp.MustCompile(`\b(shutdown|reboot|halt|poweroff)\b\s*(-|now|\d|$)`), "the result is lost unless it is sent before the machine goes down; use a delay"},
}

func (l *lint) dangers(name string, text []byte) {
	for i, line := range strings.Split(string(text), "\n") {
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, "--") {
			continue
		}
		for _, d := range dangers {
			if d.pattern.MatchString(line) {
				l.say(LintWarning, name, i+1, "%s", d.text)
			}
		}
	}
}
