// Package pad makes a payload and the commands that are run on it into one file: a POSIX
// shell script with the payload behind it, which is a job and also runs by hand, with
// nothing but the tools of any Unix.
package pad

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/bundle"
)

// Bounds of a PaD.
const (
	maxCommands = 64 << 10
	maxHeader   = 128 << 10
)

// Pad is what a PaD holds.
type Pad struct {
	Name     string        `json:"name"`     // of the file or folder that travels
	Folder   bool          `json:"folder"`   // it is a folder, as a tar archive with gzip
	Commands string        `json:"commands"` // as its author wrote them
	Size     int64         `json:"size"`     // of what travels, bytes
	Digest   webjob.Digest `json:"digest"`   // of the same
}

// nameOK are names that no shell takes for anything else.
var nameOK = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}$`)

// Build writes a PaD of the file or folder at path to a new file.
func Build(path, commands, out string) (*Pad, error) {
	p := &Pad{Name: filepath.Base(path), Commands: strings.TrimSpace(commands)}
	shell, err := p.check()
	if err != nil {
		return nil, err
	}
	payload, err := os.CreateTemp(filepath.Dir(out), ".pad-*")
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	defer func() { _ = errors.Join(payload.Close(), os.Remove(payload.Name())) }() // a copy
	info, err := os.Stat(path)
	if err == nil {
		if p.Folder = info.IsDir(); p.Folder {
			err = packFolder(payload, path)
		} else {
			err = copyFile(payload, path)
		}
	}
	if err == nil {
		_, err = payload.Seek(0, io.SeekStart)
	}
	if err == nil {
		p.Digest, p.Size, err = webjob.DigestReader(payload)
	}
	if err == nil {
		_, err = payload.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "the payload cannot be read: %w", err)
	}
	f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) //nolint:gosec // it is a program
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	_, err = io.Copy(f, io.MultiReader(strings.NewReader(p.header(shell)), payload))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", errors.Join(err, os.Remove(out)))
	}
	return p, nil
}

// BuildFolder makes the same as a job folder whose payload is a bundle. Its commands run
// in the shell inside of the client, so that it works on Windows, too.
func BuildFolder(path, commands, out, job string) (*Pad, error) {
	p := &Pad{Name: filepath.Base(path), Commands: strings.TrimSpace(commands)}
	shell, err := p.check()
	if err != nil {
		return nil, err
	}
	if err := webjob.CheckJobName(job); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "the payload cannot be read: %w", err)
	}
	if err := os.Mkdir(out, 0o755); err != nil { //nolint:gosec // no secrets
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	tree := filepath.Join(out, "tree", "payload")
	err = os.MkdirAll(tree, 0o755) //nolint:gosec // no secrets
	if p.Folder = info.IsDir(); err == nil && p.Folder {
		err = os.CopyFS(filepath.Join(tree, p.Name), os.DirFS(path))
	} else if err == nil {
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(tree, p.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()); err == nil {
			err = errors.Join(copyFile(f, path), f.Close())
		}
	}
	run := "#!/bin/sh\npad_dir=$PWD\npad_payload=$PWD/payload/" + p.Name + "\n" + shell + "\n"
	description := fmt.Sprintf("name = %q\ninterpreter = [\"webjob\", \"sh\"]\n\n[[payload]]\nplatform = \"any\"\nfile = \"tree\"\nrun = \"run.sh\"\n", job)
	err = errors.Join(err, os.WriteFile(filepath.Join(out, "tree", "run.sh"), []byte(run), 0o755), //nolint:gosec // a program
		os.WriteFile(filepath.Join(out, "job.toml"), []byte(description), 0o644)) //nolint:gosec // no secrets
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", errors.Join(err, os.RemoveAll(out)))
	}
	return p, nil
}

// check accepts the name and the commands, and returns these as the shell gets them.
func (p *Pad) check() (string, error) {
	switch {
	case !nameOK.MatchString(p.Name):
		return "", webjob.Errorf(webjob.Invalid, "payload name %.120q: use at most 100 letters, digits and . _ + -", p.Name)
	case p.Commands == "":
		return "", webjob.Errorf(webjob.Invalid, "no commands; give what to run, with %%payload and %%dir, with --run")
	case len(p.Commands) > maxCommands:
		return "", webjob.Errorf(webjob.Invalid, "the commands have %d bytes; at most %d", len(p.Commands), maxCommands)
	case strings.ContainsAny(p.Commands, "\x00\r"):
		return "", webjob.Errorf(webjob.Invalid, "the commands hold a NUL byte or a line end of Windows")
	}
	return expand(p.Commands)
}

// expand puts shell variables in place of %payload and %dir, quoted where they are not.
func expand(commands string) (string, error) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(commands); i++ {
		ch := commands[i]
		if word, variable := placeholder(commands[i:]); word != "" {
			switch quote {
			case '\'':
				return "", webjob.Errorf(webjob.Invalid, "%s stands in single quotes, where a shell replaces nothing; use double quotes, or none", word)
			case '"':
				b.WriteString("${" + variable + "}")
			default:
				b.WriteString(`"$` + variable + `"`)
			}
			i += len(word) - 1
			continue
		}
		switch {
		case ch == '\\' && quote != '\'' && i+1 < len(commands):
			b.WriteByte(ch)
			i++
		case quote == 0 && (ch == '\'' || ch == '"'):
			quote = ch
		case ch == quote:
			quote = 0
		}
		b.WriteByte(commands[i])
	}
	if quote != 0 {
		return "", webjob.Errorf(webjob.Invalid, "a quote (%c) in the commands is not closed", quote)
	}
	return b.String(), nil
}

func placeholder(text string) (word, variable string) {
	for word, variable := range map[string]string{"%payload": "pad_payload", "%dir": "pad_dir"} {
		rest, found := strings.CutPrefix(text, word)
		if found && (rest == "" || !isWord(rest[0])) {
			return word, variable
		}
	}
	return "", ""
}

func isWord(ch byte) bool {
	return ch == '_' || ch >= '0' && ch <= '9' || ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z'
}

// mark is the second line of every PaD.
const mark = "# webjob-pad/1: a payload and the commands that are run on it; webjobctl pad inspect shows both"

// header is the script before the payload. Its own length is written in it, with ten
// digits, whatever it is.
func (p *Pad) header(shell string) string {
	var comment strings.Builder
	for line := range strings.SplitSeq(p.Commands, "\n") {
		comment.WriteString("#| " + line + "\n")
	}
	text := "#!/bin/sh\n" + mark + "\n" + fmt.Sprintf("# name=%s folder=%t size=%d digest=%s start=0000000000\n", p.Name, p.Folder, p.Size, p.Digest.Hex()) +
		comment.String() + strings.NewReplacer("@NAME@", p.Name, "@FOLDER@", strconv.FormatBool(p.Folder), "@DIGEST@", p.Digest.Hex(), "@COMMANDS@", shell).Replace(script)
	return strings.ReplaceAll(text, "0000000000", fmt.Sprintf("%010d", len(text)+1))
}

// script uses what POSIX has, and one of the programs that compute SHA-256.
const script = `
umask 077
pad_fail() { echo "pad: $*" >&2; exit 125; }
pad_dir=${TMPDIR:-/tmp}/pad.$$
mkdir "$pad_dir" || pad_fail "cannot make $pad_dir"
trap 'rm -rf "$pad_dir"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$pad_dir/payload" || pad_fail "cannot make $pad_dir/payload"
pad_payload=$pad_dir/payload/@NAME@
pad_file=$pad_dir/file
tail -c +0000000000 "$0" >"$pad_file" || pad_fail "cannot write $pad_file"
pad_digest() {
    if command -v sha256sum; then sha256sum <"$1"
    elif command -v shasum; then shasum -a 256 <"$1"
    elif command -v sha256; then sha256 <"$1"
    elif command -v digest; then digest -a sha256 <"$1"
    elif command -v openssl; then openssl dgst -sha256 -r <"$1"
    else pad_fail "no program that computes SHA-256 is on this host"
    fi
}
pad_got=$(pad_digest "$pad_file" | tail -n 1)
case $pad_got in
@DIGEST@*) ;;
*) pad_fail "the payload is damaged or cut short: its SHA-256 is ${pad_got%% *} and not @DIGEST@" ;;
esac
if @FOLDER@; then
    mkdir "$pad_payload" && gzip -dc <"$pad_file" | (cd "$pad_payload" && tar -xf -) && rm "$pad_file" || pad_fail "cannot unpack"
else
    mv "$pad_file" "$pad_payload" || pad_fail "cannot place the payload"
fi
export pad_dir pad_payload
(
@COMMANDS@
)
exit $?
`

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}

// packFolder writes a tar archive that every tar reads, with gzip.
func packFolder(w io.Writer, dir string) error {
	z := gzip.NewWriter(w)
	archive := tar.NewWriter(z)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only read
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = root.Readlink(name); err != nil {
				return err
			}
		}
		header, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		header.Name, header.Uid, header.Gid, header.Uname, header.Gname = name, 0, 0, "", ""
		if err := archive.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(archive, f)
		return errors.Join(err, f.Close())
	})
	return errors.Join(err, archive.Close(), z.Close())
}

var facts = regexp.MustCompile(`(?m)^# name=(\S+) folder=(true|false) size=(\d+) digest=([0-9a-f]{64}) start=(\d{10})$`)

// Inspect reads a PaD and checks its payload, without running anything. The entries are
// those of a folder, or of a tar archive that travels as a file.
func Inspect(path string) (*Pad, []bundle.Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, webjob.Errorf(webjob.NotFound, "%w", err)
	}
	defer func() { _ = f.Close() }() // only read
	head := make([]byte, maxHeader)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s: %w", path, err)
	}
	m := facts.FindSubmatch(head[:n])
	if m == nil || !bytes.HasPrefix(head, []byte("#!/bin/sh\n"+mark+"\n")) {
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s is not a PaD", path)
	}
	p := &Pad{Name: string(m[1]), Folder: string(m[2]) == "true", Digest: webjob.Digest("sha256:" + string(m[4]))}
	start, err1 := strconv.ParseInt(string(m[5]), 10, 64)
	var err2 error
	p.Size, err2 = strconv.ParseInt(string(m[3]), 10, 64)
	if err := errors.Join(err1, err2); err != nil || start < 1 || start-1 > int64(n) {
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s is not a readable PaD", path)
	}
	for line := range strings.Lines(string(head[:start-1])) {
		if text, found := strings.CutPrefix(line, "#| "); found {
			p.Commands += text
		}
	}
	p.Commands = strings.TrimSuffix(p.Commands, "\n")
	shell, err := p.check()
	if err != nil {
		return nil, nil, err
	}
	if p.header(shell) != string(head[:start-1]) {
		return nil, nil, webjob.Errorf(webjob.Refused, "%s is a PaD that was changed: its script is not the one that belongs to its commands; read it before you run it", path)
	}
	if _, err := f.Seek(start-1, io.SeekStart); err != nil {
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s: %w", path, err)
	}
	digest, size, err := webjob.DigestReader(f)
	if err != nil || digest != p.Digest || size != p.Size {
		return nil, nil, webjob.Errorf(webjob.Refused, "%s: the payload is damaged or cut short: it has %d of %d bytes", path, size, p.Size)
	}
	if _, err := f.Seek(start-1, io.SeekStart); err != nil {
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s: %w", path, err)
	}
	return p, list(f), nil
}

// list returns what a tar archive holds, with gzip or without; nothing when it is none.
func list(r io.Reader) []bundle.Entry {
	var b bytes.Buffer
	z, err := gzip.NewReader(io.TeeReader(r, &b))
	if err == nil {
		r = z
	} else {
		r = io.MultiReader(&b, r)
	}
	var entries []bundle.Entry
	archive := tar.NewReader(r)
	for len(entries) < bundle.MaxEntries {
		h, err := archive.Next()
		if err != nil {
			break
		}
		entries = append(entries, bundle.Entry{Name: h.Name, Mode: h.FileInfo().Mode(), Size: h.Size, Link: h.Linkname, Time: h.ModTime})
	}
	return entries
}
