package review

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/bundle"
)

// Bounds of a folder that is looked into.
const (
	maxUnpacked   = 16 << 30 // bytes that it unpacks to
	maxFolderText = 64 << 20 // bytes of texts that are held to be shown or compared
	maxFileText   = 1 << 20  // bytes of one of them
)

// entry is one thing in a folder.
type entry struct {
	bundle.Entry
	digest webjob.Digest // of a file
	text   []byte        // of a file that is a text; nil when it is none or too large
	binary string        // of a file that is none, what it is
}

// folder is what is in a bundle.
type folder struct {
	names   []string // in its order
	entries map[string]*entry
	held    int64
}

// errTooLarge ends the reading of a bundle that is too large to look into.
var errTooLarge = errors.New("too large")

// readFolder reads a bundle, which must not unpack to more bytes than was signed. With an
// interpreter the file that is run is a text, whatever else is in it.
func readFolder(f io.Reader, signed *webjob.Bundle, interpreted bool) (*folder, error) {
	if signed.Bytes > maxUnpacked {
		return nil, errTooLarge
	}
	x := &folder{entries: map[string]*entry{}}
	err := bundle.Walk(f, signed.Bytes, func(e bundle.Entry, content io.Reader) error {
		found := &entry{Entry: e}
		x.names, x.entries[e.Name] = append(x.names, e.Name), found
		if !e.Mode.IsRegular() {
			return nil
		}
		return x.read(found, content, interpreted && e.Name == signed.Run)
	})
	return x, err
}

// read takes the digest of a file, and holds it when it can be shown.
func (x *folder) read(e *entry, content io.Reader, isScript bool) error {
	digester := webjob.NewDigester()
	content = io.TeeReader(content, digester)
	start, err := io.ReadAll(io.LimitReader(content, maxFileText))
	if err == nil {
		_, err = io.Copy(io.Discard, content)
	}
	if err != nil {
		return err
	}
	e.digest = digester.Digest()
	about := program(bytes.NewReader(start))
	switch {
	case isScript, about == nil && isText(start):
		if e.Size <= maxFileText && x.held+e.Size <= maxFolderText {
			e.text = start
			x.held += e.Size
		} else {
			e.binary = "a text that is too large to show"
		}
	case about != nil:
		e.binary = about[0]
	default:
		e.binary = "neither a text nor a known program"
	}
	return nil
}

// line describes an entry.
func (e *entry) line() string {
	switch {
	case e.Mode.IsDir():
		return fmt.Sprintf("%s %12s  %s/", e.Mode, "", e.Name)
	case e.Mode&fs.ModeSymlink != 0:
		return fmt.Sprintf("%s %12s  %s -> %s", e.Mode, "", e.Name, e.Link)
	}
	return fmt.Sprintf("%s %12d  %s  %s", e.Mode, e.Size, e.Name, e.digest)
}

// same reports whether two entries are the same but for their time.
func (e *entry) same(old *entry) bool {
	return old != nil && e.Mode == old.Mode && e.digest == old.digest && e.Link == old.Link
}

// bundle shows what is in a folder, and the texts that are new or changed.
func (v *view) bundle(f io.Reader) error {
	p := v.page
	now, err := readFolder(f, v.payload.Bundle, len(v.manifest.Interpreter) > 0)
	if errors.Is(err, errTooLarge) {
		p.hide("%s: it unpacks to %d bytes", v.name, v.payload.Bundle.Bytes)
		return nil
	}
	if err != nil {
		return err
	}
	before := v.oldFolder()
	p.list(now, before, v.name)
	for _, name := range now.names {
		e, old := now.entries[name], before.entries[name]
		if !e.Mode.IsRegular() || e.same(old) || old != nil && e.digest == old.digest {
			continue
		}
		file := fmt.Sprintf("%q of %s", name, v.name)
		switch {
		case e.text == nil:
			p.hide("%s: %s, %d bytes, %s", file, e.binary, e.Size, e.digest)
		case old != nil && old.text != nil:
			p.Say("  %s, since version %d:", file, v.before.Version)
			p.difference(file, old.text, e.text)
		case len(e.text) > 0:
			p.Say("  %s:", file)
			p.text(file, e.text)
		}
	}
	return nil
}

// oldFolder returns what is compared, an empty folder when there is nothing.
func (v *view) oldFolder() *folder {
	none := &folder{entries: map[string]*entry{}}
	if v.old == nil || v.old.Bundle == nil {
		return none
	}
	f := v.openOld()
	if f == nil {
		return none
	}
	defer func() { _ = f.Close() }() // only read
	old, err := readFolder(f, v.old.Bundle, len(v.before.Interpreter) > 0)
	if err != nil {
		v.page.Say("  ! the folder of version %d cannot be compared, so all is shown: %s", v.before.Version, err)
		return none
	}
	return old
}

// list shows the entries of a folder: + came, - went, ~ changed. Those that are as before
// are only counted, so that they cannot crowd out the others.
func (p *Page) list(now, before *folder, name string) {
	var lines []string
	same := 0
	for _, name := range now.names {
		e, old := now.entries[name], before.entries[name]
		switch {
		case e.same(old):
			same++
		case old == nil:
			lines = append(lines, "+ "+e.line())
		default:
			lines = append(lines, "~ "+e.line())
		}
	}
	for _, name := range before.names {
		if now.entries[name] == nil {
			lines = append(lines, "- "+before.entries[name].line())
		}
	}
	p.foreign("the list of "+name, "entries", lines, nil)
	if same > 0 {
		p.Say("  and %d entries as they were", same)
	}
}
