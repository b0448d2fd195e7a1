package trust

import (
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"webjob.dev/webjob"
)

// Update returns the view that comes of this one and what a server sent: newer roots,
// then the timestamp, the snapshot, and the roles that the bundle has, each verified
// as The Update Framework demands (specification 1.0.31, sections 5.3 to 5.6). The
// error is Refused, names the check that failed, and leaves v as it was.
func (v *View) Update(b webjob.RepositoryBundle, now time.Time) (*View, error) {
	set, err := trustedmetadata.New(v.held.Root)
	if err != nil {
		return nil, explain("root", err)
	}
	set.RefTime = now.UTC()
	u := update{&View{set: set, held: held{
		Root: v.held.Root, Timestamp: v.held.Timestamp, Snapshot: v.held.Snapshot, Roles: map[string][]byte{}, Contents: map[string][]byte{},
	}}}
	for _, root := range b.Roots {
		if _, err := set.UpdateRoot(root); err != nil {
			return nil, explain("root", err)
		}
		u.next.held.Root = root
	}
	if err := u.next.Expired(now); err != nil {
		return nil, err
	}
	if err := u.timestamp(b.Timestamp); err != nil {
		return nil, err
	}
	if err := u.snapshot(b.Snapshot); err != nil {
		return nil, err
	}
	for name, content := range v.held.Roles {
		u.keepRole(name, content)
	}
	maps.Copy(u.next.held.Roles, b.Roles)
	for _, contents := range []map[string][]byte{v.held.Contents, b.Contents} {
		for path, content := range contents {
			if err := u.takeContent(path, content); err != nil {
				return nil, err
			}
		}
	}
	if err := u.verifyRoles(); err != nil {
		return nil, err
	}
	return u.next, nil
}

// UpdateAsSeen is Update at the last time at which nothing of it had expired, for those
// who renew what has.
func (v *View) UpdateAsSeen(b webjob.RepositoryBundle, now time.Time) (*View, error) {
	h := held{Root: v.held.Root, Timestamp: b.Timestamp, Snapshot: b.Snapshot, Roles: b.Roles}
	if len(b.Roots) > 0 {
		h.Root = b.Roots[len(b.Roots)-1]
	}
	return v.Update(b, h.lastGood(now))
}

// update is a view in the making: what was held is taken over or replaced, one part after
// another, until it is handed out and does not change any more.
type update struct{ next *View }

// timestamp loads the old timestamp, so that the library sees a step back, then
// the new one.
func (u update) timestamp(sent []byte) error {
	if u.next.held.Timestamp != nil {
		// One that a newer root's keys did not sign does not count any more.
		if _, err := u.next.set.UpdateTimestamp(u.next.held.Timestamp); err != nil && !isExpired(err) {
			u.next.held.Timestamp, u.next.held.Snapshot = nil, nil
		}
	}
	if sent == nil {
		if u.next.set.Timestamp == nil {
			return webjob.Errorf(webjob.Refused, "job repository: no timestamp came; the server hides it or is no WebJob server")
		}
		return explain("timestamp", u.expired())
	}
	var equal *metadata.ErrEqualVersionNumber
	switch _, err := u.next.set.UpdateTimestamp(sent); {
	case errors.As(err, &equal):
		return explain("timestamp", u.expired())
	case err != nil:
		return explain("timestamp", err)
	}
	u.next.held.Timestamp = sent
	return nil
}

func (u update) expired() error {
	if u.next.set.Timestamp.Signed.IsExpired(u.next.set.RefTime) {
		return &metadata.ErrExpiredMetadata{Msg: "timestamp.json is expired"}
	}
	return nil
}

// snapshot keeps the old one while the timestamp still names it.
func (u update) snapshot(sent []byte) error {
	if u.next.held.Snapshot != nil {
		_, err := u.next.set.UpdateSnapshot(u.next.held.Snapshot, true)
		if err == nil {
			return nil // the timestamp still names this one
		}
		if u.next.set.Snapshot == nil && !isExpired(err) {
			u.next.held.Snapshot = nil // not signed by the keys of the newer root
		}
	}
	if sent == nil {
		return webjob.Errorf(webjob.Refused, "job repository: the snapshot that the timestamp names did not come")
	}
	if _, err := u.next.set.UpdateSnapshot(sent, false); err != nil {
		return explain("snapshot", err)
	}
	u.next.held.Snapshot = sent
	return nil
}

// keepRole keeps a role that was held before when the snapshot still names its version.
func (u update) keepRole(name string, content []byte) {
	var m struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	named := u.next.set.Snapshot.Signed.Meta[name+".json"]
	if json.Unmarshal(content, &m) == nil && named != nil && m.Signed.Version == named.Version {
		u.next.held.Roles[name] = content
	}
}

// takeContent keeps a content that its target names.
func (u update) takeContent(path string, content []byte) error {
	if len(content) > maxContentBytes {
		return webjob.Errorf(webjob.TooLarge, "job repository: %.80q has %d bytes; at most %d", path, len(content), maxContentBytes)
	}
	target, err := u.next.find(path)
	if webjob.KindOf(err) == webjob.Unavailable {
		return nil // its role is not here: dropped, and asked for when it is needed
	}
	if err != nil {
		return err
	}
	if target != nil && target.VerifyLengthHashes(content) == nil {
		u.next.held.Contents[path] = content
	}
	return nil
}

// verifyRoles verifies every role: what came must be good, also where nobody looks now.
// Roles that nothing leads to any more are dropped.
func (u update) verifyRoles() error {
	for name, content := range u.next.held.Roles {
		if len(content) > MaxRepositoryFile {
			return webjob.Errorf(webjob.TooLarge, "job repository: role %.80q has %d bytes; at most %d", name, len(content), MaxRepositoryFile)
		}
		if err := u.next.loadNamed(name); err != nil {
			return err
		}
	}
	return nil
}

func isExpired(err error) bool {
	var expired *metadata.ErrExpiredMetadata
	return errors.As(err, &expired)
}

// explain says which check of the library failed, and what to do.
func explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var (
		expired  *metadata.ErrExpiredMetadata
		version  *metadata.ErrBadVersionNumber
		unsigned *metadata.ErrUnsignedMetadata
		hash     *metadata.ErrLengthOrHashMismatch
	)
	advice := "the server's answer is not used"
	switch {
	case errors.As(err, &expired):
		advice = "the server hides newer ones, its operators must renew them (webjobctl repo status), or this clock is wrong"
	case errors.As(err, &version):
		advice = "the server went back to older files or mixes them"
	case errors.As(err, &unsigned):
		advice = "it was changed, or too few of the people that this client trusts have signed it"
	case errors.As(err, &hash):
		advice = "the server mixes files of different releases"
	}
	return webjob.Errorf(webjob.Refused, "job repository: %s: %w; %s", what, err, advice)
}
