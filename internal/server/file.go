package server

import (
	"errors"
	"os"

	"webjob.dev/webjob"
)

// readFile reads a file of the server folder.
func readFile(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, webjob.Errorf(webjob.NotFound, "%s does not exist; is this a folder made by webjobd init?", file)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return content, nil
}
