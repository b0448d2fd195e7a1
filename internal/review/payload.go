package review

import (
	"bytes"
	"io"
	"path"
	"slices"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"webjob.dev/webjob"
)

// maxFetched bounds a payload that is got to be shown, in bytes.
const maxFetched = 4 << 30

// File is a payload whose digest was checked.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// Opener gets a payload and checks its digest.
type Opener func(webjob.Payload) (File, error)

// Version shows what a version of a job runs: what its manifest says and its payloads,
// compared with the version before, which may be nil. Without an opener the payloads are
// not shown, and that is said.
func (p *Page) Version(m, before *webjob.Manifest, open Opener) error {
	p.manifest(m, before)
	for _, payload := range m.Payloads {
		v := view{page: p, manifest: m, payload: payload, name: "the payload for " + string(payload.Platform), open: open}
		v.before, v.old = counterpart(before, payload)
		if err := v.show(); err != nil {
			return webjob.Errorf(webjob.KindOf(err), "%s of %s version %d: %w", v.name, m.Name, m.Version, err)
		}
	}
	return nil
}

// counterpart finds what a payload takes the place of: that for the same platform or, when
// there is only one, that one.
func counterpart(before *webjob.Manifest, payload webjob.Payload) (*webjob.Manifest, *webjob.Payload) {
	if before == nil {
		return nil, nil
	}
	i := slices.IndexFunc(before.Payloads, func(old webjob.Payload) bool { return old.Platform == payload.Platform })
	if i < 0 && len(before.Payloads) == 1 {
		i = 0
	}
	if i < 0 {
		return nil, nil
	}
	return before, &before.Payloads[i]
}

// way is how a payload is run. The same bytes may be a program in one way, of which only
// the digest is shown, and a script in another.
type way struct {
	interpreter, run string
	folder           bool
}

func wayOf(m *webjob.Manifest, payload webjob.Payload) way {
	w := way{interpreter: words(m.Interpreter)}
	if payload.Bundle != nil {
		w.folder, w.run = true, payload.Bundle.Run
	}
	return w
}

// view is one payload on its way to a page.
type view struct {
	page     *Page
	manifest *webjob.Manifest
	payload  webjob.Payload
	name     string
	open     Opener
	before   *webjob.Manifest // with old, what is compared; nil for nothing
	old      *webjob.Payload
}

func (v *view) show() error {
	p := v.page
	kind := "a file"
	if v.payload.Bundle != nil {
		kind = "a folder"
	}
	p.Say("%s: %s, %d bytes, %s", capital(v.name), kind, v.payload.Size, v.payload.Digest)
	seen := sight{v.payload.Digest, wayOf(v.manifest, v.payload)}
	if earlier, found := p.shown[seen]; found {
		p.Say("  the same as %s", earlier)
		return nil
	}
	same := v.old != nil && v.old.Digest == v.payload.Digest
	switch {
	case v.old == nil:
	case wayOf(v.before, *v.old) != seen.way:
		p.Say("  it is run in another way than in version %d, so it is not compared", v.before.Version)
		v.before, v.old = nil, nil
	case same && !p.whole && !p.Known:
		p.Say("  the same as in version %d, which reads", v.before.Version)
		v.before, v.old = nil, nil
	}
	switch {
	case v.open == nil:
		p.hide("%s", v.name)
		return nil
	case v.old != nil && same && !p.whole:
		p.Say("  the same as in version %d", v.before.Version)
		return nil
	case v.payload.Size > maxFetched:
		p.hide("%s: it is larger than %d bytes", v.name, int64(maxFetched))
		return nil
	}
	f, err := v.open(v.payload)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	p.shown[seen] = v.name
	if v.payload.Bundle != nil {
		return v.bundle(f)
	}
	return v.file(f)
}

// openOld opens what is compared, nil when there is nothing, or it is not to be had.
func (v *view) openOld() File {
	if v.old == nil || v.page.whole || v.old.Size > maxFetched {
		return nil
	}
	f, err := v.open(*v.old)
	if err != nil {
		v.page.Say("  ! version %d cannot be compared, so all is shown: %s", v.before.Version, err)
		return nil
	}
	return f
}

// file shows a script as text and a program by what it says of itself. With an
// interpreter, or a first line that names one, it is text whatever else is in it.
func (v *view) file(f File) error {
	p := v.page
	if len(v.manifest.Interpreter) == 0 || isWebAssembly(v.manifest.Interpreter, f) {
		if about := program(f); about != nil {
			for _, line := range about {
				p.Say("  %s", line)
			}
			p.Say("  a program cannot be read: compare its digest with that of a build that you trust")
			return nil
		}
	}
	content, err := head(f)
	if err != nil {
		return err
	}
	if len(v.manifest.Interpreter) == 0 && !isText(content) {
		p.hide("%s: it is neither a text nor a known program", v.name)
		return nil
	}
	if v.payload.Size <= maxTextBytes {
		if before := v.oldText(); before != nil {
			p.Say("  lines that went (-) and came (+) since version %d:", v.before.Version)
			p.difference(v.name, before, content)
			return nil
		}
	}
	p.text(v.name, content)
	if int64(len(content)) < v.payload.Size {
		p.hide("all of %s but its first %d bytes (of %d)", v.name, len(content), v.payload.Size)
	}
	return nil
}

// oldText returns the text that is compared, nil when there is none.
func (v *view) oldText() []byte {
	if v.old == nil || v.old.Bundle != nil || v.old.Size > maxTextBytes {
		return nil
	}
	f := v.openOld()
	if f == nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	text, err := head(f)
	if err != nil || program(f) != nil {
		return nil
	}
	return text
}

// head returns the beginning of a file, as much as is shown at most.
func head(f io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(f, maxTextBytes))
	if err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	return content, nil
}

// difference shows how a text changed.
func (p *Page) difference(name string, before, after []byte) {
	text := bytes.TrimSuffix(diff.Diff("before", before, "after", after), []byte("\n"))
	lines := bytes.Split(text, []byte("\n"))
	if len(lines) < 3 {
		return // no difference
	}
	list := make([]string, 0, len(lines))
	for _, line := range lines[3:] { // after the names
		list = append(list, string(line))
	}
	p.foreign(name, "lines of the difference", list, text)
}

// isText reports whether a file that is not run by itself shall be shown.
func isText(content []byte) bool {
	return bytes.HasPrefix(content, []byte("#!")) || utf8.Valid(content) && !bytes.ContainsRune(content, 0)
}

// isWebAssembly is true only for the interpreter that takes WebAssembly and nothing else:
// a shell would run what follows the magic number.
func isWebAssembly(interpreter []string, f io.ReaderAt) bool {
	if len(interpreter) < 2 || path.Base(interpreter[0]) != "webjob" || interpreter[1] != "wasm" {
		return false
	}
	var magic [4]byte
	_, err := f.ReadAt(magic[:], 0)
	return err == nil && string(magic[:]) == "\x00asm"
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
