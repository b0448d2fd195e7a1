package operator

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"webjob.dev/webjob"
)

// scaffold is what a new job of one kind begins with.
type scaffold struct{ platform, interpreter, file, run, script string }

var scaffolds = map[string]scaffold{
	"sh": {platform: "unix", file: "run.sh", script: `#!/bin/sh
# What it does, and for whom.
set -eu

echo "hello from $(uname -n), run $WEBJOB_RUN_ID"
`},
	"builtin": {platform: "any", interpreter: `["webjob", "sh"]`, file: "run.sh", script: `# Runs in the shell inside of webjob: nothing of the host is started.
set -eu

echo "hello from $(hostname), run $WEBJOB_RUN_ID"
`},
	"lua": {platform: "any", interpreter: `["webjob", "lua"]`, file: "run.lua", script: `-- Runs in the Lua inside of webjob; webjob lua --help lists the module webjob.
local host = webjob.host()
print("hello from " .. host.name .. ", run " .. host.run)
`},
	"powershell": {
		platform: "windows", interpreter: `["powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"]`,
		file: "tree", run: "run.ps1", script: "$ErrorActionPreference = 'Stop'\r\n\"hello from $env:COMPUTERNAME, run $env:WEBJOB_RUN_ID\"\r\n",
	},
}

// ScaffoldKinds returns the kinds of new jobs, in order.
func ScaffoldKinds() []string {
	var kinds []string
	for kind := range scaffolds {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Scaffold makes a new job of a kind in dir, which must not exist; its name is the job's.
func Scaffold(dir, kind string) error {
	s, found := scaffolds[kind]
	if !found {
		return webjob.Errorf(webjob.Invalid, "kind %.40q is unknown; use %s", kind, strings.Join(ScaffoldKinds(), ", "))
	}
	name := filepath.Base(dir)
	if err := webjob.CheckJobName(name); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return webjob.Errorf(webjob.Conflict, "%w; name a new folder", err)
	}
	script := filepath.Join(dir, s.file)
	if s.run != "" {
		if err := os.Mkdir(script, 0o755); err != nil {
			return webjob.Errorf(webjob.Invalid, "%w", err)
		}
		script = filepath.Join(script, s.run)
	}
	if err := os.WriteFile(script, []byte(s.script), 0o755); err != nil { //nolint:gosec // a script
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, DescriptionFile), []byte(s.describe(name)), 0o644); err != nil { //nolint:gosec // for everybody
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return nil
}

func (s scaffold) describe(name string) string {
	text := fmt.Sprintf("name = %q\ndescription = \"Say hello\"\n", name)
	if s.interpreter != "" {
		text += "interpreter = " + s.interpreter + "\n"
	}
	text += `
# Arguments that a run may have: patterns (RE2), each for a whole argument. None: no arguments.
# arguments = ["--[a-z]+"]

[limits]
run = "5m"
stdout = "16MiB"
# memory = "512MiB"
# collect = "128MiB"

# Files to bring back: globs, or files that the job writes.
# [collect]
# files = ["out/**"]

[[payload]]
`
	text += fmt.Sprintf("platform = %q\nfile = %q\n", s.platform, s.file)
	if s.run != "" {
		text += fmt.Sprintf("run = %q\n", s.run)
	}
	return text
}
