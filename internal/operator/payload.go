package operator

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/bundle"
)

// describe describes one payload and returns the file that holds it: for a folder that
// is a bundle, which is written to packed.
func (d *Description) describe(p DescriptionPayload, packed string) (webjob.Payload, string, error) {
	file := filepath.Join(d.dir, p.File)
	info, err := os.Stat(file)
	if err != nil {
		return webjob.Payload{}, "", webjob.Errorf(webjob.Invalid, "payload for %s: %w", p.Platform, err)
	}
	var contents *bundle.Contents
	switch {
	case info.IsDir() && p.Run == "":
		return webjob.Payload{}, "", webjob.Errorf(webjob.Invalid, "payload for %s: %s is a folder; say with run = \"FILE\" which of its files to run", p.Platform, file)
	case info.IsDir():
		if contents, err = packFolder(packed, file, p); err != nil {
			return webjob.Payload{}, "", err
		}
		file = packed
	case p.Run != "":
		if contents, err = inspectBundle(file, p); err != nil {
			return webjob.Payload{}, "", err
		}
	}
	digest, size, err := digestFile(file)
	if err != nil {
		return webjob.Payload{}, "", webjob.Errorf(webjob.Invalid, "payload for %s: %w", p.Platform, err)
	}
	if size == 0 {
		return webjob.Payload{}, "", webjob.Errorf(webjob.Invalid, "payload for %s: %s is empty", p.Platform, file)
	}
	described := webjob.Payload{Platform: p.Platform, Digest: digest, Size: size}
	if contents != nil {
		described.Bundle = &webjob.Bundle{Run: p.Run, Bytes: contents.Bytes}
	}
	return described, file, nil
}

func digestFile(file string) (webjob.Digest, int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	digest, size, err := webjob.DigestReader(f)
	return digest, size, errors.Join(err, f.Close())
}

func packFolder(packed, dir string, p DescriptionPayload) (*bundle.Contents, error) {
	if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(p.Run))); err != nil || !info.Mode().IsRegular() {
		return nil, webjob.Errorf(webjob.Invalid, "payload for %s: %s is not a file in %s", p.Platform, p.Run, dir)
	}
	f, err := os.Create(packed)
	if err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	contents, err := bundle.Pack(f, dir, mayBeWindows(p.Platform))
	return &contents, errors.Join(err, f.Close())
}

// inspectBundle checks all of a bundle as a client will.
func inspectBundle(file string, p DescriptionPayload) (*bundle.Contents, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "payload for %s: %w", p.Platform, err)
	}
	contents, found := bundle.Contents{}, false
	err = bundle.Walk(f, webjob.MaxPayloadBytes, func(e bundle.Entry, content io.Reader) error {
		contents.Entries++
		contents.Bytes += e.Size
		found = found || e.Name == p.Run && !e.Mode.IsDir()
		if mayBeWindows(p.Platform) {
			if err := bundle.CheckPortable(e.Name); err != nil {
				return err
			}
		}
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if err == nil && !found {
		err = webjob.Errorf(webjob.Invalid, "%s is not a file in it", p.Run)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "payload for %s: %s: %w", p.Platform, file, err)
	}
	return &contents, nil
}

func mayBeWindows(p webjob.Platform) bool {
	return p == "any" || p == "windows" || len(p) > 8 && p[:8] == "windows/"
}
