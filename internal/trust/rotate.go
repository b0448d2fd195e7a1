package trust

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"webjob.dev/webjob"
)

// ProposeSigners returns a draft that gives the repository to other people: the root,
// the policy's rule for all if they held it, and everything that the people before
// have signed. Enough of the people before and of the new ones must sign. A nil online
// key leaves the server's as it is.
func (v *View) ProposeSigners(people []NamedKey, threshold int, online *PublicKey, policy *Policy, now time.Time) (*Draft, error) {
	root, err := metadata.Root().FromBytes(v.held.Root)
	if err != nil {
		return nil, explain("root", err)
	}
	if online == nil {
		id := root.Signed.Roles[RoleTimestamp].KeyIDs[0]
		if online, err = fromLibrary(root.Signed.Keys[id]); err != nil {
			return nil, err
		}
	}
	root.ClearSignatures()
	root.Signed.Version++
	root.Signed.Expires = now.UTC().Truncate(time.Second).Add(OfflineLifetime)
	if err := setRootKeys(&root.Signed, people, threshold, online); err != nil {
		return nil, err
	}
	content, err := policy.Encode()
	if err != nil {
		return nil, err
	}
	d, err := v.Propose("other people sign", map[string][]byte{PolicyPath: content}, now)
	if err != nil {
		return nil, err
	}
	if d.Roles[RoleRoot], err = root.ToBytes(false); err != nil {
		return nil, err
	}
	targets, err := metadata.Targets().FromBytes(d.Roles[RoleTargets])
	if err != nil {
		return nil, err
	}
	keys := keysOf(people)
	if err := delegate(targets.Signed.Delegations, RoleCommon, keys, threshold, "jobs/*", "clients/*"); err != nil {
		return nil, err
	}
	pruneKeys(targets.Signed.Delegations)
	roles := map[string]*metadata.Metadata[metadata.TargetsType]{RoleTargets: targets}
	for name := range v.held.Roles {
		if team, isBin := cutBin(name); name != RoleCommon && (!isBin || team != RoleCommon) {
			continue
		}
		if roles[name], err = v.renewed(name, now); err != nil {
			return nil, err
		}
	}
	if roles[RoleCommon].Signed.Delegations, err = bins(RoleCommon, keys, threshold); err != nil {
		return nil, err
	}
	return d, d.setTargets(roles)
}

// pruneKeys drops the keys that no role names any more.
func pruneKeys(d *metadata.Delegations) {
	for id := range d.Keys {
		if !slices.ContainsFunc(d.Roles, func(r metadata.DelegatedRole) bool { return slices.Contains(r.KeyIDs, id) }) {
			delete(d.Keys, id)
		}
	}
}

var teamForm = regexp.MustCompile(`^[a-z][a-z0-9]{1,30}$`)

// CheckTeamName accepts 2 to 31 lower-case letters and digits that are no role's name.
func CheckTeamName(s string) error {
	if !teamForm.MatchString(s) || slices.Contains([]string{RoleRoot, RoleTimestamp, RoleSnapshot, RoleTargets, RoleCommon}, s) {
		return webjob.Errorf(webjob.Invalid, "team name %.80q is not allowed; use 2 to 31 lower-case letters and digits, other than root, timestamp, snapshot, targets and common", s)
	}
	return nil
}

// ProposeTeam returns a draft that lets so many of the keys sign the jobs whose names
// match the globs, and nobody else sign these. Those above sign it, and the team its
// own part. Jobs of these names that are there already move to the team.
func (v *View) ProposeTeam(name string, globs []string, keys []*PublicKey, threshold int, now time.Time) (*Draft, error) {
	if err := CheckTeamName(name); err != nil {
		return nil, err
	}
	if threshold < 1 || threshold > len(keys) {
		return nil, webjob.Errorf(webjob.Invalid, "threshold is %d; with %d keys it must be 1 to %d", threshold, len(keys), len(keys))
	}
	targets, err := v.renewed(RoleTargets, now)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, glob := range globs {
		if strings.ContainsAny(glob, "/\\") || glob == "" {
			return nil, webjob.Errorf(webjob.Invalid, "%.80q is no glob of job names; write such as web-*", glob)
		}
		paths = append(paths, JobPath(glob))
	}
	if err := delegate(targets.Signed.Delegations, name, keys, threshold, paths...); err != nil {
		return nil, err
	}
	pruneKeys(targets.Signed.Delegations)
	roles := map[string]*metadata.Metadata[metadata.TargetsType]{RoleTargets: targets}
	// The bins of a team that had other keys are signed anew.
	for role := range v.held.Roles {
		if team, isBin := cutBin(role); isBin && team == name {
			if roles[role], err = v.renewed(role, now); err != nil {
				return nil, err
			}
		}
	}
	if roles[name], err = v.renewed(name, now); err != nil {
		return nil, err
	}
	if roles[name].Signed.Delegations, err = bins(name, keys, threshold); err != nil {
		return nil, err
	}
	moved := v.move(name, targets.Signed.Delegations, roles, now)
	if moved != nil {
		return nil, moved
	}
	d := &Draft{Created: now.UTC().Truncate(time.Second), Summary: "team " + name, Roles: map[string][]byte{}}
	return d, d.setTargets(roles)
}

// move copies the jobs that now belong to the team from where they are into its bins.
func (v *View) move(team string, above *metadata.Delegations, roles map[string]*metadata.Metadata[metadata.TargetsType], now time.Time) error {
	for path := range v.held.Contents {
		below := above.GetRolesForTarget(path)
		if len(below) == 0 || below[0].Name != team {
			continue
		}
		target, err := v.find(path)
		if err != nil || target == nil {
			return err
		}
		bin := roles[team].Signed.Delegations.GetRolesForTarget(path)[0].Name
		if roles[bin] == nil {
			if roles[bin], err = v.renewed(bin, now); err != nil {
				return err
			}
		}
		roles[bin].Signed.Targets[path] = target
	}
	return nil
}

// ProposeRenewal returns a draft of new versions of the roles that expire before the
// time, and of the root when it does; nil when none does.
func (v *View) ProposeRenewal(before, now time.Time) (*Draft, error) {
	d := &Draft{Created: now.UTC().Truncate(time.Second), Summary: "renewal", Roles: map[string][]byte{}}
	roles := map[string]*metadata.Metadata[metadata.TargetsType]{}
	for name := range v.held.Roles {
		if v.set.Targets[name].Signed.Expires.After(before) {
			continue
		}
		var err error
		if roles[name], err = v.renewed(name, now); err != nil {
			return nil, err
		}
	}
	if !v.set.Root.Signed.Expires.After(before) {
		root, err := metadata.Root().FromBytes(v.held.Root)
		if err != nil {
			return nil, explain("root", err)
		}
		root.ClearSignatures()
		root.Signed.Version++
		root.Signed.Expires = now.UTC().Truncate(time.Second).Add(OfflineLifetime)
		if d.Roles[RoleRoot], err = root.ToBytes(false); err != nil {
			return nil, err
		}
	}
	if err := d.setTargets(roles); err != nil || len(d.Roles) == 0 {
		return nil, err
	}
	return d, nil
}

// RoleStatus describes one role for people.
type RoleStatus struct {
	Role      string    `json:"role"`
	Version   int64     `json:"version"`
	Expires   time.Time `json:"expires"`
	Threshold int       `json:"threshold,omitempty"`
	Keys      []string  `json:"keys,omitempty"`  // ids of keys
	Paths     []string  `json:"paths,omitempty"` // of a delegated role
	Targets   int       `json:"targets,omitempty"`
}

// Status describes the roles, those of bins together with the role above them.
func (v *View) Status() ([]RoleStatus, error) {
	keyIDs := func(keys map[string]*metadata.Key, ids []string) (list []string, err error) {
		for _, id := range ids {
			key, err := fromLibrary(keys[id])
			if err != nil {
				return nil, err
			}
			list = append(list, key.ID())
		}
		return list, nil
	}
	root := v.set.Root.Signed
	var list []RoleStatus
	add := func(s RoleStatus, keys map[string]*metadata.Key, ids []string, threshold int) (err error) {
		s.Threshold = threshold
		s.Keys, err = keyIDs(keys, ids)
		list = append(list, s)
		return err
	}
	for _, s := range []RoleStatus{
		{Role: RoleRoot, Version: root.Version, Expires: root.Expires},
		{Role: RoleTimestamp, Version: v.Timestamp(), Expires: v.set.Timestamp.Signed.Expires},
		{Role: RoleSnapshot, Version: v.set.Snapshot.Signed.Version, Expires: v.set.Snapshot.Signed.Expires},
		{Role: RoleTargets, Version: v.set.Targets[RoleTargets].Signed.Version, Expires: v.set.Targets[RoleTargets].Signed.Expires, Targets: 1},
	} {
		if err := add(s, root.Keys, root.Roles[s.Role].KeyIDs, root.Roles[s.Role].Threshold); err != nil {
			return nil, err
		}
	}
	delegations := v.set.Targets[RoleTargets].Signed.Delegations
	for _, d := range delegations.Roles {
		s := RoleStatus{Role: d.Name, Paths: d.Paths}
		for name, role := range v.set.Targets {
			if team, isBin := cutBin(name); name != d.Name && (!isBin || team != d.Name) {
				continue
			}
			s.Targets += len(role.Signed.Targets)
			if s.Expires.IsZero() || role.Signed.Expires.Before(s.Expires) {
				s.Expires = role.Signed.Expires
			}
			if name == d.Name {
				s.Version = role.Signed.Version
			}
		}
		if err := add(s, delegations.Keys, d.KeyIDs, d.Threshold); err != nil {
			return nil, err
		}
	}
	return list, nil
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

// SignedBy returns the ids of the keys whose signatures vouch for a target.
func (v *View) SignedBy(path string) ([]string, error) {
	name, err := v.holder(path)
	if err != nil {
		return nil, err
	}
	d := &Draft{Roles: map[string][]byte{name: v.held.Roles[name]}}
	needs, err := d.Needs(v)
	if err != nil || len(needs) == 0 {
		return nil, err
	}
	return needs[0].Have, nil
}

// SameRoot reports whether a root holds exactly what the draft's root does, whoever has
// signed it since.
func (d *Draft) SameRoot(root []byte) bool {
	other := &Draft{Roles: map[string][]byte{RoleRoot: root}}
	mine := &Draft{Roles: map[string][]byte{RoleRoot: d.Roles[RoleRoot]}}
	return len(root) > 0 && mine.Merge(other) == nil
}
