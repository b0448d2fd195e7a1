package endpoint

import "io/fs"

// checkPrivate accepts every folder on Windows: below ProgramData the folder that
// enrolment makes inherits its rights, and docs/platforms.md says how to close it.
func checkPrivate(string, fs.FileInfo) error { return nil }
