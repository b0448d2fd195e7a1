package coreutils

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// minusMode lets a mode begin with "-", such as -x.
func minusMode(args []string) []string {
	for i, a := range args {
		if a == "--" || !strings.HasPrefix(a, "-") {
			return args
		}
		if len(a) > 1 && a[1] != '-' && strings.Trim(a[1:], "rwxXst,ugoa+=-") == "" {
			return append(append(append([]string(nil), args[:i]...), "--"), args[i:]...)
		}
	}
	return args
}

// chmod changes the modes of files.
func chmod(c *call) error {
	reference, given := c.value("reference")
	var changes []modeChange
	var err error
	if given {
		info, err := os.Stat(c.path(reference))
		if err != nil {
			return err
		}
		changes = []modeChange{{exact: true, bits: info.Mode() & modeBits}}
	} else {
		if len(c.args) < 2 {
			return usageError{errors.New("give a mode and a file")}
		}
		if changes, err = parseMode(c.args[0]); err != nil {
			return usageError{err}
		}
		c.args = c.args[1:]
	}
	for _, name := range c.args {
		if err := c.changeMode(name, changes); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) changeMode(name string, changes []modeChange) error {
	change := func(name string) {
		info, err := os.Stat(c.path(name))
		if err == nil {
			err = os.Chmod(c.path(name), changed(info.Mode(), changes))
		}
		if err != nil {
			c.complain(err)
		}
	}
	if !c.has("R") {
		change(name)
		return nil
	}
	if info, err := os.Stat(c.path(name)); err == nil && info.IsDir() {
		name = strings.TrimSuffix(name, "/") + "/" // a link that is named is followed
	}
	return c.walk(name, func(name string, entry fs.DirEntry, depth int) error {
		if entry.Type()&fs.ModeSymlink != 0 && depth > 0 {
			return nil // what it leads to may be anywhere
		}
		change(name)
		return nil
	})
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// modeChange is one step of a mode such as u+x.
type modeChange struct {
	exact    bool // bits are the new mode
	who      fs.FileMode
	operator byte
	bits     fs.FileMode // of all three who
	ifSome   bool        // X: x for folders and what somebody may run
	like     byte        // u, g or o: what these may already
}

// changed returns a mode after changes.
func changed(mode fs.FileMode, changes []modeChange) fs.FileMode {
	for _, ch := range changes {
		bits := ch.bits
		if shift, copies := map[byte]int{'u': 6, 'g': 3, 'o': 0}[ch.like]; copies {
			bits = mode >> shift & 0o7 * 0o111
		}
		if ch.ifSome && (mode.IsDir() || mode&0o111 != 0) {
			bits |= 0o111
		}
		switch {
		case ch.exact:
			keep := fs.FileMode(0)
			if mode.IsDir() { // a number leaves these of folders alone
				keep = mode & (fs.ModeSetuid | fs.ModeSetgid)
			}
			mode = mode&^modeBits | bits | keep
		case ch.operator == '+':
			mode |= bits & ch.who
		case ch.operator == '-':
			mode &^= bits & ch.who
		default:
			mode = mode&^ch.who | bits&ch.who
		}
	}
	return mode & (modeBits | fs.ModeType)
}

// parseMode reads an octal mode, or one such as u=rwx,go-w. Without u, g, o or a it is for
// all three, whatever the umask.
func parseMode(text string) ([]modeChange, error) {
	wrong := fmt.Errorf("%.40q is not a mode such as 755 or u+x,go-w", text)
	if text != "" && strings.Trim(text, "01234567") == "" {
		n, err := strconv.ParseUint(text, 8, 12)
		if err != nil {
			return nil, wrong
		}
		bits := fs.FileMode(n & 0o777)
		for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
			if n&bit != 0 {
				bits |= flag
			}
		}
		return []modeChange{{exact: true, bits: bits}}, nil
	}
	var changes []modeChange
	for clause := range strings.SplitSeq(text, ",") {
		operators := strings.TrimLeft(clause, "ugoa")
		who := whoBits(clause[:len(clause)-len(operators)])
		if operators == "" {
			return nil, wrong
		}
		for operators != "" {
			ch := modeChange{who: who, operator: operators[0]}
			rest := operators[1:]
			if rest != "" && strings.IndexByte("ugo", rest[0]) >= 0 {
				ch.like, rest = rest[0], rest[1:]
			} else {
				rest = strings.TrimLeft(rest, "rwxXst")
				ch.bits, ch.ifSome = letterBits(operators[1 : len(operators)-len(rest)])
			}
			if strings.IndexByte("+-=", ch.operator) < 0 {
				return nil, wrong
			}
			changes, operators = append(changes, ch), rest
		}
	}
	return changes, nil
}

func whoBits(who string) fs.FileMode {
	if who == "" || strings.Contains(who, "a") {
		return modeBits
	}
	var bits fs.FileMode
	for letter, mask := range map[string]fs.FileMode{"u": 0o700 | fs.ModeSetuid, "g": 0o070 | fs.ModeSetgid, "o": 0o007 | fs.ModeSticky} {
		if strings.Contains(who, letter) {
			bits |= mask
		}
	}
	return bits
}

func letterBits(letters string) (bits fs.FileMode, ifSome bool) {
	for _, l := range letters {
		switch l {
		case 'r':
			bits |= 0o444
		case 'w':
			bits |= 0o222
		case 'x':
			bits |= 0o111
		case 'X':
			ifSome = true
		case 's':
			bits |= fs.ModeSetuid | fs.ModeSetgid
		case 't':
			bits |= fs.ModeSticky
		}
	}
	return bits, ifSome
}
