package endpoint

import (
	"os"
	"path/filepath"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/runner"
	"webjob.dev/webjob/internal/trust"
)

// commandLine returns the program to start and its argv. Without an interpreter
// that is the payload under the job's name; with one it is the interpreter, its
// options, the payload's path, and the arguments. No shell sees any of it.
func commandLine(m *trust.SignedManifest, path string, arguments []string) (string, []string, error) {
	if len(m.Interpreter) == 0 {
		return path, append([]string{m.Name}, arguments...), nil
	}
	program, err := lookUp(m.Interpreter[0])
	if err != nil {
		return "", nil, err
	}
	argv := append(append([]string{}, m.Interpreter...), path)
	return program, append(argv, arguments...), nil
}

// ownName is the interpreter that stands for this program itself, as in "webjob sh",
// wherever it lies and whatever it is called.
const ownName = "webjob"

// lookUp finds an interpreter in the path that jobs get, not in the caller's.
func lookUp(program string) (string, error) {
	if program == ownName {
		self, err := os.Executable()
		if err != nil {
			return "", webjob.Errorf(webjob.Unavailable, "this program cannot find itself: %w", err)
		}
		return self, nil
	}
	if filepath.IsAbs(program) {
		return program, nil
	}
	if strings.ContainsAny(program, `/\`) {
		return "", webjob.Errorf(webjob.Invalid, "interpreter %q is a relative path; name a program, or write its whole path", program)
	}
	var path string
	for _, variable := range runner.Environment("", nil) {
		if value, found := strings.CutPrefix(variable, "PATH="); found {
			path = value
		}
	}
	for _, dir := range filepath.SplitList(path) {
		for _, suffix := range executableSuffixes {
			candidate := filepath.Join(dir, program+suffix)
			if info, err := os.Stat(candidate); err == nil && !info.IsDir() && (info.Mode().Perm()&0o111 != 0 || suffix != "") {
				return candidate, nil
			}
		}
	}
	return "", webjob.Errorf(webjob.NotFound, "interpreter %q is not on this host (looked in %s)", program, path)
}
