package trust

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// Published is a whole job repository as a server has it: the view of now, and the root of
// every version, from the first one on, for those who hold an older one. The zero value is
// one for which nothing was signed yet.
type Published struct {
	View  *View
	Roots [][]byte
}

// Names of a repository's files, as a server keeps them.
const (
	rootFiles     = "root/" // + version, ascending
	roleFiles     = "role/"
	contentFiles  = "content/"
	timestampFile = "timestamp"
	snapshotFile  = "snapshot"
)

// PublishedFromFiles puts a job repository together from the files that
// [Published.Files] named, as of the last time at which nothing had expired. Without a
// root it is the zero value.
func PublishedFromFiles(files map[string][]byte, now time.Time) (Published, error) {
	var p Published
	h := held{Roles: map[string][]byte{}, Contents: map[string][]byte{}, Timestamp: files[timestampFile], Snapshot: files[snapshotFile]}
	for version := 1; files[rootFiles+strconv.Itoa(version)] != nil; version++ {
		p.Roots = append(p.Roots, files[rootFiles+strconv.Itoa(version)])
	}
	if len(p.Roots) == 0 {
		return p, nil
	}
	h.Root = p.Roots[len(p.Roots)-1]
	for name, content := range files {
		if role, found := strings.CutPrefix(name, roleFiles); found {
			h.Roles[role] = content
		}
		if path, found := strings.CutPrefix(name, contentFiles); found {
			h.Contents[path] = content
		}
	}
	var err error
	if p.View, err = openView(h, h.lastGood(now)); err != nil {
		return Published{}, err
	}
	for name := range h.Roles {
		if err := p.View.loadNamed(name); err != nil {
			return Published{}, err
		}
	}
	return p, nil
}

// Files returns the files in which p differs from the repository before it; empty ones
// are to be removed.
func (p Published) Files(before Published) map[string][]byte {
	old := held{}
	if before.View != nil {
		old = before.View.held
	}
	v := p.View
	files := map[string][]byte{}
	set := func(name string, was, is []byte) {
		if !bytes.Equal(was, is) {
			files[name] = is
		}
	}
	set(rootFiles+strconv.FormatInt(v.RootVersion(), 10), old.Root, v.held.Root)
	set(timestampFile, old.Timestamp, v.held.Timestamp)
	set(snapshotFile, old.Snapshot, v.held.Snapshot)
	for prefix, pair := range map[string][2]map[string][]byte{roleFiles: {old.Roles, v.held.Roles}, contentFiles: {old.Contents, v.held.Contents}} {
		for name, is := range pair[1] {
			set(prefix+name, pair[0][name], is)
		}
		for name := range pair[0] {
			if _, found := pair[1][name]; !found {
				files[prefix+name] = nil
			}
		}
	}
	return files
}

// Bundle returns what somebody who holds have needs to look the paths up.
func (p Published) Bundle(have webjob.RepositoryHave, paths ...string) webjob.RepositoryBundle {
	v := p.View
	var b webjob.RepositoryBundle
	if have.Roles[RoleTimestamp] < v.Timestamp() {
		b.Timestamp = v.held.Timestamp
	}
	if from := have.Roles[RoleRoot]; from >= 1 && from < int64(len(p.Roots)) {
		b.Roots = p.Roots[from:]
	}
	if have.Roles[RoleSnapshot] < v.set.Snapshot.Signed.Version {
		b.Snapshot = v.held.Snapshot
	}
	for _, path := range paths {
		p.bundlePath(&b, have, path)
	}
	return b
}

// Has reports whether the repository has a target at the path.
func (p Published) Has(path string) bool {
	if p.View == nil {
		return false
	}
	_, found := p.View.held.Contents[path]
	return found
}

// Everything returns the whole repository to somebody who holds have.
func (p Published) Everything(have webjob.RepositoryHave) webjob.RepositoryBundle {
	b := p.Bundle(have)
	b.Contents = p.View.held.Contents
	for name := range p.View.held.Roles {
		p.bundleRole(&b, have, name)
	}
	return b
}

func (p Published) bundleRole(b *webjob.RepositoryBundle, have webjob.RepositoryHave, name string) {
	if named := p.View.set.Snapshot.Signed.Meta[name+".json"]; named == nil || have.Roles[name] >= named.Version {
		return
	}
	if b.Roles == nil {
		b.Roles = map[string][]byte{}
	}
	b.Roles[name] = p.View.held.Roles[name]
}

// bundlePath adds the roles on the way to a path, and its content.
func (p Published) bundlePath(b *webjob.RepositoryBundle, have webjob.RepositoryHave, path string) {
	for name := RoleTargets; ; {
		p.bundleRole(b, have, name)
		role := p.View.set.Targets[name]
		if role == nil {
			break // a bin that nobody has used
		}
		if role.Signed.Targets[path] != nil || role.Signed.Delegations == nil {
			break
		}
		below := role.Signed.Delegations.GetRolesForTarget(path)
		if len(below) == 0 {
			break
		}
		name = below[0].Name
	}
	content, found := p.View.held.Contents[path]
	if !found || slices.Contains(have.Contents, webjob.DigestOf(content)) {
		return
	}
	if b.Contents == nil {
		b.Contents = map[string][]byte{}
	}
	b.Contents[path] = content
}

// File returns one metadata file in the layout of The Update Framework with consistent
// snapshots, such as "timestamp.json" or "3.common-2a.json".
func (p Published) File(name string) ([]byte, bool) {
	v := p.View
	if name == RoleTimestamp+".json" {
		return v.held.Timestamp, true
	}
	number, role, found := strings.Cut(strings.TrimSuffix(name, ".json"), ".")
	version, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil {
		return nil, false
	}
	switch {
	case role == RoleRoot && version >= 1 && version <= int64(len(p.Roots)):
		return p.Roots[version-1], true
	case role == RoleSnapshot && version == v.set.Snapshot.Signed.Version:
		return v.held.Snapshot, true
	}
	named := v.set.Snapshot.Signed.Meta[role+".json"]
	return v.held.Roles[role], named != nil && named.Version == version
}
