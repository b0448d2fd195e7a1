package trust

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"webjob.dev/webjob"
)

// How long signed metadata hold. The online ones bound for how long a server can hide
// that something changed; the others when people must sign again.
const (
	OfflineLifetime   = 365 * 24 * time.Hour
	SnapshotLifetime  = 7 * 24 * time.Hour
	TimestampLifetime = 24 * time.Hour
)

// binBits is the number of bits of a path's hash that choose its bin. With 128 bins for
// each delegated role, a client of a repository of 10,000 jobs verifies about 80 of them
// to run one, and a change of signers is not too many signatures.
const (
	binBits   = 7
	binDigits = 2 // of a bin's number, hexadecimal
)

// Draft is a change of the job repository that waits for signatures.
type Draft struct {
	ID        string            `json:"id"`
	Created   time.Time         `json:"created"`
	By        string            `json:"by"`                  // operator who proposed it
	Summary   string            `json:"summary"`             // one line for people
	Roles     map[string][]byte `json:"roles"`               // new metadata with the signatures so far, by role
	Contents  map[string][]byte `json:"contents,omitempty"`  // of targets, by path; empty takes the target away
	Manifests [][]byte          `json:"manifests,omitempty"` // canonical JSON, of versions that are new
}

// Need says how far the signatures of one role are.
type Need struct {
	Role      string   `json:"role"`
	Have      []string `json:"have"` // ids of keys whose signatures are good
	Threshold int      `json:"threshold"`
	Keys      []string `json:"keys"` // ids of keys that may sign
}

// Missing returns how many signatures are still to come.
func (n Need) Missing() int { return max(0, n.Threshold-len(n.Have)) }

// NewDraft returns the first draft of a repository: so many of the people must sign
// its root, its targets and everything common; the server's online key keeps it fresh.
func NewDraft(people []NamedKey, threshold int, online *PublicKey, now time.Time) (*Draft, error) {
	policy, err := NewPolicy(threshold, people...)
	if err != nil {
		return nil, err
	}
	content, err := policy.Encode()
	if err != nil {
		return nil, err
	}
	expires := now.UTC().Truncate(time.Second).Add(OfflineLifetime)
	root := metadata.Root(expires)
	if err := setRootKeys(&root.Signed, people, threshold, online); err != nil {
		return nil, err
	}
	targets, common := metadata.Targets(expires), metadata.Targets(expires)
	file, err := metadata.TargetFile().FromBytes(PolicyPath, content, "sha256")
	if err != nil {
		return nil, err
	}
	targets.Signed.Targets[PolicyPath] = file
	keys := keysOf(people)
	delegations, err := newDelegations(keys)
	if err != nil {
		return nil, err
	}
	targets.Signed.Delegations = delegations
	if err := delegate(delegations, RoleCommon, keys, threshold, "jobs/*", "clients/*"); err != nil {
		return nil, err
	}
	if common.Signed.Delegations, err = bins(RoleCommon, keys, threshold); err != nil {
		return nil, err
	}
	d := &Draft{Created: now.UTC().Truncate(time.Second), Summary: "new repository", Roles: map[string][]byte{}, Contents: map[string][]byte{PolicyPath: content}}
	if d.Roles[RoleRoot], err = root.ToBytes(false); err != nil {
		return nil, err
	}
	return d, d.setTargets(map[string]*metadata.Metadata[metadata.TargetsType]{RoleTargets: targets, RoleCommon: common})
}

func keysOf(people []NamedKey) []*PublicKey {
	var keys []*PublicKey
	for _, person := range people {
		keys = append(keys, person.key)
	}
	return keys
}

func (d *Draft) setTargets(roles map[string]*metadata.Metadata[metadata.TargetsType]) error {
	for name, role := range roles {
		content, err := role.ToBytes(false)
		if err != nil {
			return err
		}
		d.Roles[name] = content
	}
	return nil
}

// setRootKeys gives the root and the targets role to people, the others to the server.
func setRootKeys(root *metadata.RootType, people []NamedKey, threshold int, online *PublicKey) error {
	root.ConsistentSnapshot = true
	root.Keys = map[string]*metadata.Key{}
	onlineKey, onlineID, err := online.libraryKey()
	if err != nil {
		return err
	}
	root.Keys[onlineID] = onlineKey
	var ids []string
	for _, person := range people {
		key, id, err := person.key.libraryKey()
		if err != nil {
			return err
		}
		if id == onlineID {
			return webjob.Errorf(webjob.Invalid, "key %s is the server's own; people sign with theirs", person.Name)
		}
		root.Keys[id] = key
		ids = append(ids, id)
	}
	slices.Sort(ids)
	root.Roles = map[string]*metadata.Role{
		RoleRoot: {KeyIDs: ids, Threshold: threshold}, RoleTargets: {KeyIDs: ids, Threshold: threshold},
		RoleSnapshot: {KeyIDs: []string{onlineID}, Threshold: 1}, RoleTimestamp: {KeyIDs: []string{onlineID}, Threshold: 1},
	}
	return nil
}

func newDelegations(keys []*PublicKey) (*metadata.Delegations, error) {
	d := &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	for _, key := range keys {
		k, id, err := key.libraryKey()
		if err != nil {
			return nil, err
		}
		d.Keys[id] = k
	}
	return d, nil
}

// delegate adds or replaces a role for paths. The common role stays the last one.
func delegate(d *metadata.Delegations, name string, keys []*PublicKey, threshold int, paths ...string) error {
	role := metadata.DelegatedRole{Name: name, Threshold: threshold, Terminating: true, Paths: paths}
	for _, key := range keys {
		k, id, err := key.libraryKey()
		if err != nil {
			return err
		}
		d.Keys[id] = k
		role.KeyIDs = append(role.KeyIDs, id)
	}
	d.Roles = slices.DeleteFunc(d.Roles, func(r metadata.DelegatedRole) bool { return r.Name == name })
	at := len(d.Roles)
	if i := slices.IndexFunc(d.Roles, func(r metadata.DelegatedRole) bool { return r.Name == RoleCommon }); i >= 0 {
		at = i
	}
	d.Roles = slices.Insert(d.Roles, at, role)
	return nil
}

// bins is how a delegated role spreads its targets.
func bins(name string, keys []*PublicKey, threshold int) (*metadata.Delegations, error) {
	d, err := newDelegations(keys)
	if err != nil {
		return nil, err
	}
	d.SuccinctRoles = &metadata.SuccinctRoles{KeyIDs: slices.Sorted(maps.Keys(d.Keys)), Threshold: threshold, BitLength: binBits, NamePrefix: name}
	return d, nil
}

// Propose returns a draft that changes the contents of targets; empty content takes a
// target away. It holds the roles concerned, without signatures.
func (v *View) Propose(summary string, changes map[string][]byte, now time.Time) (*Draft, error) {
	d := &Draft{Created: now.UTC().Truncate(time.Second), Summary: summary, Roles: map[string][]byte{}, Contents: changes}
	roles := map[string]*metadata.Metadata[metadata.TargetsType]{}
	for path, content := range changes {
		name, err := v.holder(path)
		if err != nil {
			return nil, err
		}
		if roles[name] == nil {
			if roles[name], err = v.renewed(name, now); err != nil {
				return nil, err
			}
		}
		if len(content) == 0 {
			delete(roles[name].Signed.Targets, path)
			continue
		}
		if len(content) > maxContentBytes {
			return nil, webjob.Errorf(webjob.TooLarge, "%s has %d bytes; at most %d", path, len(content), maxContentBytes)
		}
		file, err := metadata.TargetFile().FromBytes(path, content, "sha256")
		if err != nil {
			return nil, err
		}
		roles[name].Signed.Targets[path] = file
	}
	return d, d.setTargets(roles)
}

// holder returns the name of the role whose targets the path belongs to.
func (v *View) holder(path string) (string, error) {
	if path == PolicyPath {
		return RoleTargets, nil
	}
	name, parent := RoleTargets, RoleRoot
	for range maxDelegations {
		role, err := v.load(name, parent)
		if err != nil {
			return "", err
		}
		if role.Signed.Delegations == nil {
			return name, nil
		}
		below := role.Signed.Delegations.GetRolesForTarget(path)
		if len(below) == 0 {
			return "", webjob.Errorf(webjob.Invalid, "no role of the job repository is for %.80q", path)
		}
		if role.Signed.Delegations.SuccinctRoles != nil {
			return below[0].Name, nil
		}
		name, parent = below[0].Name, name
	}
	return "", webjob.Errorf(webjob.Refused, "job repository: %.80q is delegated more than %d times", path, maxDelegations)
}

// renewed returns a copy of a role as its next version, without signatures. A bin that
// nobody has used is new.
func (v *View) renewed(name string, now time.Time) (*metadata.Metadata[metadata.TargetsType], error) {
	expires := now.UTC().Truncate(time.Second).Add(OfflineLifetime)
	if v.set.Snapshot.Signed.Meta[name+".json"] == nil {
		return metadata.Targets(expires), nil
	}
	role, err := metadata.Targets().FromBytes(v.held.Roles[name])
	if err != nil {
		return nil, explain("role "+name, err)
	}
	role.ClearSignatures()
	role.Signed.Version++
	role.Signed.Expires = expires
	return role, nil
}

// Accept returns the repository that a complete draft makes of base (nil for a new one),
// with a new snapshot and timestamp by the online key. It is verified as a client
// would.
func (d *Draft) Accept(base *View, online *PrivateKey, now time.Time) (*View, error) {
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
					return nil, err
				}
			} else {
				b.Roots = [][]byte{content}
			}
			continue
		}
		role, err := metadata.Targets().FromBytes(content)
		if err != nil {
			return nil, explain("role "+name, err)
		}
		if role.Signed.Version != versions[name]+1 {
			return nil, webjob.Errorf(webjob.Conflict, "role %s is at version %d and the draft has version %d; something else was signed since: propose it again", name, versions[name], role.Signed.Version)
		}
		versions[name] = role.Signed.Version
		b.Roles[name] = content
	}
	return base.freshen(b, versions, online, now)
}

// Freshen returns the repository with a new timestamp and, when the old one is half
// over, a new snapshot.
func (v *View) Freshen(online *PrivateKey, now time.Time) (*View, error) {
	versions := map[string]int64{}
	for name, meta := range v.set.Snapshot.Signed.Meta {
		versions[strings.TrimSuffix(name, ".json")] = meta.Version
	}
	return v.freshen(webjob.RepositoryBundle{}, versions, online, now)
}

func (v *View) freshen(b webjob.RepositoryBundle, versions map[string]int64, online *PrivateKey, now time.Time) (*View, error) {
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
			return nil, err
		}
		var err error
		if b.Snapshot, err = snapshot.ToBytes(false); err != nil {
			return nil, err
		}
	} else {
		snapshot = v.set.Snapshot
	}
	timestamp.Signed.Meta = map[string]*metadata.MetaFiles{RoleSnapshot + ".json": metadata.MetaFile(snapshot.Signed.Version)}
	if _, err := timestamp.Sign(librarySigner{online}); err != nil {
		return nil, err
	}
	var err error
	if b.Timestamp, err = timestamp.ToBytes(false); err != nil {
		return nil, err
	}
	return v.Update(b, now)
}
