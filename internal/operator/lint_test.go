package operator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/operator"
)

// lintScript lints a job of one script and returns what is said, by line.
func lintScript(t *testing.T, description, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{"job.toml": description, name: script} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	findings, err := operator.Lint(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&said, "%s %s:%d %s\n", f.Level, filepath.Base(f.File), f.Line, f.Text)
	}
	return said.String()
}

const plain = "name = 'j'\ndescription = 'd'\n[[payload]]\nplatform = 'unix'\nfile = 'run.sh'\n"

func TestLint(t *testing.T) {
	for script, want := range map[string]string{
		"#!/bin/sh\necho fine\n":                             "",
		"echo fine\n":                                        "error run.sh:1 it has no first line such as #!/bin/sh",
		"#!sh\necho fine\n":                                  `error run.sh:1 "#!sh" does not name an interpreter by its whole path`,
		"\xef\xbb\xbf#!/bin/sh\n":                            "error run.sh:1 it begins with a byte order mark",
		"#!/bin/sh\necho a\r\necho b\r\n":                    "error run.sh:2 it has line ends of Windows",
		"#!/bin/sh\n\necho \x00\n":                           "error run.sh:3 it holds a NUL byte",
		"#!/bin/sh\nif true; then\n":                         "error run.sh:2 ",
		"#!/bin/sh\nf() {\n":                                 "error run.sh:2 ",
		"#!/bin/bash\na=(1 2); echo \"${a[0]}\"\n":           "",
		"#!/bin/sh\na=(1 2)\n":                               "error run.sh:2 ",
		"#!/bin/sh\nrm -rf /\n":                              "warning run.sh:2 it removes the whole file system",
		"#!/bin/sh\nrm -rf \"$1\"/x\n":                       "warning run.sh:2 when the variable is empty",
		"#!/bin/sh\nrm -rf \"${1:?}\"/x\n":                   "",
		"#!/bin/sh\ncurl -s http://x | sh\n":                 "warning run.sh:2 it runs what a server says, unsigned",
		"#!/bin/sh\neval \"$1\"\n":                           "warning run.sh:2 eval runs what a variable holds",
		"#!/bin/sh\nchmod -R 777 /srv\n":                     "warning run.sh:2 everybody may change",
		"#!/bin/sh\ndd if=/dev/zero of=/dev/sda\n":           "warning run.sh:2 it overwrites a disk",
		"#!/bin/sh\nmkfs.ext4 /dev/sdb1\n":                   "warning run.sh:2 it makes a file system",
		"#!/bin/sh\nkill -9 -1\n":                            "warning run.sh:2 it ends every process",
		"#!/bin/sh\necho x > /tmp/out\n":                     "warning run.sh:2 other users can place a link",
		"#!/bin/sh\nPASSWORD=hunter22\necho \"$PASSWORD\"\n": "warning run.sh:2 it seems to hold a secret",
		"#!/bin/sh\nreboot\n":                                "warning run.sh:2 the result is lost",
		"#!/bin/sh\n# rm -rf /\necho 'reboots: 3'\n":         "",
		"#!/bin/sh\ncd \"$1\"\nls\n":                         "warning run.sh:2 Use 'cd ... || exit'",
	} {
		said := lintScript(t, plain, "run.sh", script)
		if want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%q: said %q, want %q", script, said, want)
		}
	}
	for description, want := range map[string]string{
		strings.Replace(plain, "description = 'd'\n", "", 1):                                                           "warning job.toml:0 it has no description",
		strings.Replace(plain, "[[", "arguments = ['.*']\n[[", 1):                                                      "warning job.toml:0 the pattern \".*\" allows every argument",
		strings.Replace(plain, "run.sh", "gone.sh", 1):                                                                 "error job.toml:0 payload for unix: stat",
		strings.Replace(plain, "[[", "[collect]\nfiles = ['/**']\n[[", 1):                                              "warning job.toml:0 collect names the whole machine",
		strings.Replace(plain, "[[", "interpreter = ['webjob', 'sh']\n[[", 1):                                          "error run.sh:2 ",
		strings.Replace(plain, "[[", "interpreter = ['webjob', 'lua']\n[[", 1):                                         "error run.sh:1 ",
		strings.Replace(strings.Replace(plain, "unix", "windows", 1), "[[", "interpreter = ['powershell.exe']\n[[", 1): "warning run.sh:2 it runs text as commands",
	} {
		script := "#!/bin/sh\necho $(\n"
		if strings.Contains(want, "runs text") {
			script = "x\r\nInvoke-Expression $args\r\n"
		}
		if said := lintScript(t, description, "run.sh", script); !strings.Contains(said, want) {
			t.Errorf("%s said %q, want %q", description, said, want)
		}
	}
	if _, err := operator.Lint(t.Context(), t.TempDir()); err == nil {
		t.Error("an empty folder is a job")
	}
}
