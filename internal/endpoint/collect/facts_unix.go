//go:build unix

package collect

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"

	"webjob.dev/webjob"
)

// names remembers what owners and groups are called.
type names struct{ users, groups map[uint64]string }

func newNames() names { return names{users: map[uint64]string{}, groups: map[uint64]string{}} }

func (n names) facts(info fs.FileInfo) *webjob.UnixFacts {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	facts := &webjob.UnixFacts{
		UID: uint64(s.Uid), GID: uint64(s.Gid), Device: uint64(s.Dev), Inode: uint64(s.Ino), Links: uint64(s.Nlink), //nolint:unconvert,gosec // other widths on other systems
	}
	facts.User = remember(n.users, facts.UID, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
	facts.Group = remember(n.groups, facts.GID, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
	return facts
}

// remember looks a name up once; an id without a name has an empty one.
func remember(known map[uint64]string, id uint64, lookUp func(string) (string, error)) string {
	name, found := known[id]
	if !found {
		name, _ = lookUp(strconv.FormatUint(id, 10))
		known[id] = name
	}
	return name
}
