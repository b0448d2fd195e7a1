package collect

import (
	"io/fs"

	"webjob.dev/webjob"
)

type names struct{}

func newNames() names { return names{} }

// facts knows nothing more on Windows.
func (names) facts(fs.FileInfo) *webjob.UnixFacts { return nil }
