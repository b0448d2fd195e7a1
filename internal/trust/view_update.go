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
	next := &View{set: set, held: held{Root: v.held.Root, Timestamp: v.held.Timestamp, Snapshot: v.held.Snapshot}}
	for _, root := range b.Roots {
		if _, err := set.UpdateRoot(root); err != nil {
			return nil, explain("root", err)
		}
		next.held.Root = root
	}
	if err := next.updateTimestamp(b.Timestamp); err != nil {
		return nil, err
	}
	if err := next.updateSnapshot(b.Snapshot); err != nil {
		return nil, err
	}
	next.held.Roles = map[string][]byte{}
	for name, content := range v.held.Roles {
		next.keepRole(name, content)
	}
	maps.Copy(next.held.Roles, b.Roles)
	next.held.Contents = map[string][]byte{}
	for _, contents := range []map[string][]byte{v.held.Contents, b.Contents} {
		for path, content := range contents {
			if err := next.takeContent(path, content); err != nil {
				return nil, err
			}
		}
	}
	// What came must be good, also where nobody looks now. Roles that nothing leads to
	// any more are dropped.
	for name, content := range next.held.Roles {
		if len(content) > MaxRepositoryFile {
			return nil, webjob.Errorf(webjob.TooLarge, "job repository: role %.80q has %d bytes; at most %d", name, len(content), MaxRepositoryFile)
		}
		if err := next.loadNamed(name); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// updateTimestamp loads the old timestamp, so that the library sees a step back, then
// the new one.
func (v *View) updateTimestamp(sent []byte) error {
	if v.held.Timestamp != nil {
		// One that a newer root's keys did not sign does not count any more.
		if _, err := v.set.UpdateTimestamp(v.held.Timestamp); err != nil && !isExpired(err) {
			v.held.Timestamp, v.held.Snapshot = nil, nil
		}
	}
	if sent == nil {
		if v.set.Timestamp == nil {
			return webjob.Errorf(webjob.Refused, "job repository: no timestamp came; the server hides it or is no WebJob server")
		}
		return explain("timestamp", v.expired())
	}
	var equal *metadata.ErrEqualVersionNumber
	switch _, err := v.set.UpdateTimestamp(sent); {
	case errors.As(err, &equal):
		return explain("timestamp", v.expired())
	case err != nil:
		return explain("timestamp", err)
	}
	v.held.Timestamp = sent
	return nil
}

func (v *View) expired() error {
	if v.set.Timestamp.Signed.IsExpired(v.set.RefTime) {
		return &metadata.ErrExpiredMetadata{Msg: "timestamp.json is expired"}
	}
	return nil
}

func (v *View) updateSnapshot(sent []byte) error {
	if v.held.Snapshot != nil {
		_, err := v.set.UpdateSnapshot(v.held.Snapshot, true)
		if err == nil {
			return nil // the timestamp still names this one
		}
		if v.set.Snapshot == nil && !isExpired(err) {
			v.held.Snapshot = nil // not signed by the keys of the newer root
		}
	}
	if sent == nil {
		return webjob.Errorf(webjob.Refused, "job repository: the snapshot that the timestamp names did not come")
	}
	if _, err := v.set.UpdateSnapshot(sent, false); err != nil {
		return explain("snapshot", err)
	}
	v.held.Snapshot = sent
	return nil
}

// keepRole keeps a role that was held before when the snapshot still names its version.
func (v *View) keepRole(name string, content []byte) {
	var m struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	named := v.set.Snapshot.Signed.Meta[name+".json"]
	if json.Unmarshal(content, &m) == nil && named != nil && m.Signed.Version == named.Version {
		v.held.Roles[name] = content
	}
}

func (v *View) takeContent(path string, content []byte) error {
	if len(content) > maxContentBytes {
		return webjob.Errorf(webjob.TooLarge, "job repository: %.80q has %d bytes; at most %d", path, len(content), maxContentBytes)
	}
	target, err := v.find(path)
	if webjob.KindOf(err) == webjob.Unavailable {
		return nil // its role is not here: dropped, and asked for when it is needed
	}
	if err != nil {
		return err
	}
	if target != nil && target.VerifyLengthHashes(content) == nil {
		v.held.Contents[path] = content
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
