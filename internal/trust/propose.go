package trust

import (
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"webjob.dev/webjob"
)

// Propose returns a draft that changes the contents of targets; empty content takes a
// target away. It holds the roles concerned, without signatures.
func Propose(base *View, summary string, contents map[string][]byte, now time.Time) (*Draft, error) {
	r := newRevision(base, now)
	for path, content := range contents {
		if err := r.put(path, content); err != nil {
			return nil, err
		}
	}
	return r.draft(summary, contents)
}

// revision is a change of the job repository in the making: the next version of each role
// that it concerns, without signatures.
type revision struct {
	base  *View
	now   time.Time // to the second
	roles map[string]*metadata.Metadata[metadata.TargetsType]
	root  *metadata.Metadata[metadata.RootType] // nil while it stays
}

func newRevision(base *View, now time.Time) *revision {
	return &revision{base: base, now: now.UTC().Truncate(time.Second), roles: map[string]*metadata.Metadata[metadata.TargetsType]{}}
}

// role returns the next version of a role. A bin that nobody has used is new.
func (r *revision) role(name string) (*metadata.Metadata[metadata.TargetsType], error) {
	if role, found := r.roles[name]; found {
		return role, nil
	}
	expires := r.now.Add(OfflineLifetime)
	if r.base.set.Snapshot.Signed.Meta[name+".json"] == nil {
		r.roles[name] = metadata.Targets(expires)
		return r.roles[name], nil
	}
	role, err := metadata.Targets().FromBytes(r.base.held.Roles[name])
	if err != nil {
		return nil, explain("role "+name, err)
	}
	role.ClearSignatures()
	role.Signed.Version++
	role.Signed.Expires = expires
	r.roles[name] = role
	return role, nil
}

// bins takes in the next version of every bin of a role that was used.
func (r *revision) bins(role string) error {
	for name := range r.base.held.Roles {
		if above, isBin := cutBin(name); isBin && above == role {
			if _, err := r.role(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// newRoot returns the next version of the root.
func (r *revision) newRoot() (*metadata.RootType, error) {
	root, err := metadata.Root().FromBytes(r.base.held.Root)
	if err != nil {
		return nil, explain("root", err)
	}
	root.ClearSignatures()
	root.Signed.Version++
	root.Signed.Expires = r.now.Add(OfflineLifetime)
	r.root = root
	return &root.Signed, nil
}

// put gives a target new content, in the role that it belongs to.
func (r *revision) put(path string, content []byte) error {
	name, err := r.base.holder(path)
	if err != nil {
		return err
	}
	role, err := r.role(name)
	if err != nil {
		return err
	}
	if len(content) == 0 {
		delete(role.Signed.Targets, path)
		return nil
	}
	if len(content) > maxContentBytes {
		return webjob.Errorf(webjob.TooLarge, "%s has %d bytes; at most %d", path, len(content), maxContentBytes)
	}
	file, err := metadata.TargetFile().FromBytes(path, content, "sha256")
	if err != nil {
		return err
	}
	role.Signed.Targets[path] = file
	return nil
}

// move copies the jobs that now belong to a team from where they are into its bins.
func (r *revision) move(team string, above *metadata.Delegations) error {
	for path := range r.base.held.Contents {
		below := above.GetRolesForTarget(path)
		if len(below) == 0 || below[0].Name != team {
			continue
		}
		target, err := r.base.find(path)
		if err != nil || target == nil {
			return err
		}
		bin, err := r.role(r.roles[team].Signed.Delegations.GetRolesForTarget(path)[0].Name)
		if err != nil {
			return err
		}
		bin.Signed.Targets[path] = target
	}
	return nil
}

// draft returns the change as a draft.
func (r *revision) draft(summary string, contents map[string][]byte) (*Draft, error) {
	d := &Draft{Created: r.now, Summary: summary, Roles: map[string][]byte{}, Contents: contents}
	if r.root != nil {
		var err error
		if d.Roles[RoleRoot], err = r.root.ToBytes(false); err != nil {
			return nil, err
		}
	}
	return d, d.setTargets(r.roles)
}
