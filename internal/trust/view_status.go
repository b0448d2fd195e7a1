package trust

import (
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

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
