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
func ProposeSigners(base *View, people []NamedKey, threshold int, online *PublicKey, policy *Policy, now time.Time) (*Draft, error) {
	r := newRevision(base, now)
	root, err := r.newRoot()
	if err != nil {
		return nil, err
	}
	if online == nil {
		if online, err = fromLibrary(root.Keys[root.Roles[RoleTimestamp].KeyIDs[0]]); err != nil {
			return nil, err
		}
	}
	if err := setRootKeys(root, people, threshold, online); err != nil {
		return nil, err
	}
	content, err := policy.Encode()
	if err != nil {
		return nil, err
	}
	if err := r.put(PolicyPath, content); err != nil {
		return nil, err
	}
	targets, err := r.role(RoleTargets)
	if err != nil {
		return nil, err
	}
	keys := keysOf(people)
	if err := delegate(targets.Signed.Delegations, RoleCommon, keys, threshold, "jobs/*", "clients/*"); err != nil {
		return nil, err
	}
	pruneKeys(targets.Signed.Delegations)
	common, err := r.role(RoleCommon)
	if err != nil {
		return nil, err
	}
	if common.Signed.Delegations, err = bins(RoleCommon, keys, threshold); err != nil {
		return nil, err
	}
	if err := r.bins(RoleCommon); err != nil {
		return nil, err
	}
	return r.draft("other people sign", map[string][]byte{PolicyPath: content})
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
func ProposeTeam(base *View, name string, globs []string, keys []*PublicKey, threshold int, now time.Time) (*Draft, error) {
	if err := CheckTeamName(name); err != nil {
		return nil, err
	}
	if threshold < 1 || threshold > len(keys) {
		return nil, webjob.Errorf(webjob.Invalid, "threshold is %d; with %d keys it must be 1 to %d", threshold, len(keys), len(keys))
	}
	var paths []string
	for _, glob := range globs {
		if strings.ContainsAny(glob, "/\\") || glob == "" {
			return nil, webjob.Errorf(webjob.Invalid, "%.80q is no glob of job names; write such as web-*", glob)
		}
		paths = append(paths, JobPath(glob))
	}
	r := newRevision(base, now)
	targets, err := r.role(RoleTargets)
	if err != nil {
		return nil, err
	}
	if err := delegate(targets.Signed.Delegations, name, keys, threshold, paths...); err != nil {
		return nil, err
	}
	pruneKeys(targets.Signed.Delegations)
	if err := r.bins(name); err != nil { // of a team that had other keys: they are signed anew
		return nil, err
	}
	role, err := r.role(name)
	if err != nil {
		return nil, err
	}
	if role.Signed.Delegations, err = bins(name, keys, threshold); err != nil {
		return nil, err
	}
	if err := r.move(name, targets.Signed.Delegations); err != nil {
		return nil, err
	}
	return r.draft("team "+name, nil)
}

// ProposeRenewal returns a draft of new versions of the roles that expire before the
// time, and of the root when it does; nil when none does.
func ProposeRenewal(base *View, before, now time.Time) (*Draft, error) {
	r := newRevision(base, now)
	for name := range base.held.Roles {
		if base.set.Targets[name].Signed.Expires.After(before) {
			continue
		}
		if _, err := r.role(name); err != nil {
			return nil, err
		}
	}
	if !base.set.Root.Signed.Expires.After(before) {
		if _, err := r.newRoot(); err != nil {
			return nil, err
		}
	}
	d, err := r.draft("renewal", nil)
	if err != nil || len(d.Roles) == 0 {
		return nil, err
	}
	return d, nil
}
