package trust

import (
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"webjob.dev/webjob"
)

// Accept returns the repository that a complete draft makes of this one, with a new
// snapshot and timestamp by the online key. It is verified as a client would.
func (p Published) Accept(d *Draft, online *PrivateKey, now time.Time) (Published, error) {
	base := p.View
	b := webjob.RepositoryBundle{Roles: map[string][]byte{}, Contents: map[string][]byte{}}
	for path, content := range d.Contents {
		if len(content) > 0 {
			b.Contents[path] = content
		}
	}
	versions := map[string]int64{}
	if base != nil && base.set.Snapshot != nil {
		for name, meta := range base.set.Snapshot.Signed.Meta {
			versions[strings.TrimSuffix(name, ".json")] = meta.Version
		}
	}
	for name, content := range d.Roles {
		if name == RoleRoot {
			if base == nil {
				var err error
				if base, err = NewView(content); err != nil {
					return Published{}, err
				}
			} else {
				b.Roots = [][]byte{content}
			}
			continue
		}
		role, err := metadata.Targets().FromBytes(content)
		if err != nil {
			return Published{}, explain("role "+name, err)
		}
		if role.Signed.Version != versions[name]+1 {
			return Published{}, webjob.Errorf(webjob.Conflict, "role %s is at version %d and the draft has version %d; something else was signed since: propose it again", name, versions[name], role.Signed.Version)
		}
		versions[name] = role.Signed.Version
		b.Roles[name] = content
	}
	if base == nil {
		return Published{}, webjob.Errorf(webjob.Invalid, "the first draft of a job repository names no root")
	}
	return p.with(base, b, versions, online, now)
}

// Freshen returns the repository with a new timestamp and, when the old one is half
// over, a new snapshot.
func (p Published) Freshen(online *PrivateKey, now time.Time) (Published, error) {
	versions := map[string]int64{}
	for name, meta := range p.View.set.Snapshot.Signed.Meta {
		versions[strings.TrimSuffix(name, ".json")] = meta.Version
	}
	return p.with(p.View, webjob.RepositoryBundle{}, versions, online, now)
}

// with returns the repository after base and what is new in b, of which the roles have
// the versions.
func (p Published) with(base *View, b webjob.RepositoryBundle, versions map[string]int64, online *PrivateKey, now time.Time) (Published, error) {
	if err := base.signOnline(&b, versions, online, now); err != nil {
		return Published{}, err
	}
	next, err := base.Update(b, now)
	if err != nil {
		return Published{}, err
	}
	roots := p.Roots
	if p.View == nil || next.RootVersion() != p.View.RootVersion() {
		roots = append(slices.Clone(roots), next.Root())
	}
	return Published{View: next, Roots: roots}, nil
}

// signOnline adds to b what the online key signs: the next timestamp and, when something
// changed or the old one is half over, the next snapshot.
func (v *View) signOnline(b *webjob.RepositoryBundle, versions map[string]int64, online *PrivateKey, now time.Time) error {
	at := now.UTC().Truncate(time.Second)
	snapshot, timestamp := metadata.Snapshot(at.Add(SnapshotLifetime)), metadata.Timestamp(at.Add(TimestampLifetime))
	if v.set.Snapshot != nil {
		snapshot.Signed.Version = v.set.Snapshot.Signed.Version + 1
	}
	if v.set.Timestamp != nil {
		timestamp.Signed.Version = v.set.Timestamp.Signed.Version + 1
	}
	changed := len(b.Roles) > 0 || len(b.Roots) > 0 || v.set.Snapshot == nil
	if changed || v.set.Snapshot.Signed.Expires.Sub(at) < SnapshotLifetime/2 {
		snapshot.Signed.Meta = map[string]*metadata.MetaFiles{}
		for name, version := range versions {
			snapshot.Signed.Meta[name+".json"] = metadata.MetaFile(version)
		}
		if _, err := snapshot.Sign(librarySigner{online}); err != nil {
			return err
		}
		var err error
		if b.Snapshot, err = snapshot.ToBytes(false); err != nil {
			return err
		}
	} else {
		snapshot = v.set.Snapshot
	}
	timestamp.Signed.Meta = map[string]*metadata.MetaFiles{RoleSnapshot + ".json": metadata.MetaFile(snapshot.Signed.Version)}
	if _, err := timestamp.Sign(librarySigner{online}); err != nil {
		return err
	}
	var err error
	b.Timestamp, err = timestamp.ToBytes(false)
	return err
}
