package review

import (
	"testing"

	"webjob.dev/webjob"
)

// What was a program, or only lay in a folder, is shown when an interpreter runs it now:
// nobody has read it yet, though its bytes are known.
func TestSameBytesRunInAnotherWayAreShown(t *testing.T) {
	s := store{}
	program := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00\necho evil\n")
	before, after := s.version(1, program), s.version(2, program)
	after.Interpreter = []string{"/bin/sh"}
	if p := show(t, s, after, before); !p.has(margin+"echo evil") || p.mentions("the same as") {
		t.Errorf("a program that a shell runs now: %q", p.Lines)
	}
	changed := s.version(2, []byte("\x00\necho evil\necho more\n"))
	changed.Interpreter = after.Interpreter
	if p := show(t, s, changed, s.version(1, []byte("\x00\necho evil\n"))); !p.has(margin + "echo evil") {
		t.Errorf("bytes that a shell runs now, with another line: %q", p.Lines)
	}
	p := NewPage(false) // two jobs in one draft
	must(t, p.Version(before, nil, s.open))
	must(t, p.Version(after, nil, s.open))
	if !p.has(margin + "echo evil") {
		t.Errorf("a program that another job runs with a shell: %q", p.Lines)
	}

	files := map[string]string{"run.sh": "#!/bin/sh\n", "data": "\x00\necho evil\n"}
	before, after = s.folder(t, 1, files), s.folder(t, 2, files)
	before.Interpreter, after.Interpreter = []string{"/bin/sh"}, []string{"/bin/sh"}
	after.Payloads[0].Bundle.Run = "data"
	if p := show(t, s, after, before); !p.has(margin + "echo evil") {
		t.Errorf("another file of the same folder is run: %q", p.Lines)
	}
}

// Who signs an order may never have seen the version before: a payload that did not change
// is shown beside one that did.
func TestUnchangedPayloadsOfOrdersAreShown(t *testing.T) {
	s := store{}
	before, after := s.version(1, []byte("#!/bin/sh\necho one\n")), s.version(2, []byte("#!/bin/sh\necho two\n"))
	for _, m := range []*webjob.Manifest{before, after} {
		m.Payloads = append(m.Payloads, s.version(1, []byte("#!/bin/sh\necho always\n")).Payloads...)
		m.Payloads[1].Platform = "linux"
	}
	for _, known := range []bool{true, false} {
		p := NewPage(false)
		p.Known = known
		must(t, p.Version(after, before, s.open))
		if !p.has(margin+"+echo two") || p.has(margin+"echo always") == known {
			t.Errorf("known %t: %q", known, p.Lines)
		}
	}
}
