package trust

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// ViewFromFiles puts a whole repository together from the files that
// [View.Files] named, as of the last time at which nothing had expired, and
// returns all its roots. Without a root it returns nil.
func ViewFromFiles(files map[string][]byte, now time.Time) (v *View, roots [][]byte, err error) {
	h := held{Roles: map[string][]byte{}, Contents: map[string][]byte{}, Timestamp: files[timestampFile], Snapshot: files[snapshotFile]}
	for version := 1; files[rootFiles+strconv.Itoa(version)] != nil; version++ {
		roots = append(roots, files[rootFiles+strconv.Itoa(version)])
	}
	if len(roots) == 0 {
		return nil, nil, nil
	}
	h.Root = roots[len(roots)-1]
	for name, content := range files {
		if role, found := strings.CutPrefix(name, roleFiles); found {
			h.Roles[role] = content
		}
		if path, found := strings.CutPrefix(name, contentFiles); found {
			h.Contents[path] = content
		}
	}
	if v, err = openView(h, h.lastGood(now)); err != nil {
		return nil, nil, err
	}
	for name := range h.Roles {
		if err := v.loadNamed(name); err != nil {
			return nil, nil, err
		}
	}
	return v, roots, nil
}

// Files returns the files in which v differs from the repository before it, which may
// be nil; empty ones are to be removed.
func (v *View) Files(before *View) map[string][]byte {
	old := held{}
	if before != nil {
		old = before.held
	}
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

// Bundle returns what somebody who holds have needs to look the paths up: roots is the
// root of every version, from the first one on.
func (v *View) Bundle(have webjob.RepositoryHave, roots [][]byte, paths ...string) webjob.RepositoryBundle {
	var b webjob.RepositoryBundle
	if have.Roles[RoleTimestamp] < v.Timestamp() {
		b.Timestamp = v.held.Timestamp
	}
	if from := have.Roles[RoleRoot]; from >= 1 && from < int64(len(roots)) {
		b.Roots = roots[from:]
	}
	if have.Roles[RoleSnapshot] < v.set.Snapshot.Signed.Version {
		b.Snapshot = v.held.Snapshot
	}
	for _, path := range paths {
		v.bundlePath(&b, have, path)
	}
	return b
}

// Has reports whether the repository has a target at the path.
func (v *View) Has(path string) bool {
	_, found := v.held.Contents[path]
	return found
}

// Everything returns the whole repository to somebody who holds have.
func (v *View) Everything(have webjob.RepositoryHave, roots [][]byte) webjob.RepositoryBundle {
	b := v.Bundle(have, roots)
	b.Contents = v.held.Contents
	for name := range v.held.Roles {
		v.bundleRole(&b, have, name)
	}
	return b
}

func (v *View) bundleRole(b *webjob.RepositoryBundle, have webjob.RepositoryHave, name string) {
	if named := v.set.Snapshot.Signed.Meta[name+".json"]; named == nil || have.Roles[name] >= named.Version {
		return
	}
	if b.Roles == nil {
		b.Roles = map[string][]byte{}
	}
	b.Roles[name] = v.held.Roles[name]
}

// bundlePath adds the roles on the way to a path, and its content.
func (v *View) bundlePath(b *webjob.RepositoryBundle, have webjob.RepositoryHave, path string) {
	for name := RoleTargets; ; {
		v.bundleRole(b, have, name)
		role := v.set.Targets[name]
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
	content, found := v.held.Contents[path]
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
func (v *View) File(name string, roots [][]byte) ([]byte, bool) {
	if name == RoleTimestamp+".json" {
		return v.held.Timestamp, true
	}
	number, role, found := strings.Cut(strings.TrimSuffix(name, ".json"), ".")
	version, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil {
		return nil, false
	}
	switch {
	case role == RoleRoot && version >= 1 && version <= int64(len(roots)):
		return roots[version-1], true
	case role == RoleSnapshot && version == v.set.Snapshot.Signed.Version:
		return v.held.Snapshot, true
	}
	named := v.set.Snapshot.Signed.Meta[role+".json"]
	return v.held.Roles[role], named != nil && named.Version == version
}
