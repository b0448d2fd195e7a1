package runner

import (
	"os"
	"runtime"
	"slices"
)

// Environment returns the variables that a job starts with: a fixed set, the same
// for every user, and ours. Nothing of the caller's own environment gets through
// but, on Windows, what says where the system is. docs/guide.md lists them.
func Environment(home string, ours map[string]string) []string {
	var env []string
	add := func(name, value string) { env = append(env, name+"="+value) }
	if runtime.GOOS == "windows" {
		for _, name := range []string{
			"SystemRoot", "SystemDrive", "windir", "ComSpec", "PATHEXT", "ProgramData", "ProgramFiles",
			"ProgramFiles(x86)", "ProgramW6432", "CommonProgramFiles", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "OS",
		} {
			if value, found := os.LookupEnv(name); found {
				add(name, value)
			}
		}
		root := os.Getenv("SystemRoot")
		add("PATH", root+`\System32;`+root+`;`+root+`\System32\Wbem;`+root+`\System32\WindowsPowerShell\v1.0`)
		add("TEMP", home)
		add("TMP", home)
		add("USERPROFILE", home)
	} else {
		add("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
		add("HOME", home)
		add("TMPDIR", home)
		add("LANG", "C.UTF-8")
		add("SHELL", "/bin/sh")
	}
	for name, value := range ours {
		add(name, value)
	}
	slices.Sort(env)
	return env
}
