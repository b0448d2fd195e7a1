package server

import (
	"errors"
	"os"
	"path/filepath"

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

// writeFile writes a private file durably: whole or not at all.
func writeFile(file string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".write-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // renamed already on success
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(file))
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
