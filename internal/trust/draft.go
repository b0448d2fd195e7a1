package trust

import (
	"maps"
	"slices"
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

// SameRoot reports whether a root holds exactly what the draft's root does, whoever has
// signed it since.
func (d *Draft) SameRoot(root []byte) bool {
	other := &Draft{Roles: map[string][]byte{RoleRoot: root}}
	mine := &Draft{Roles: map[string][]byte{RoleRoot: d.Roles[RoleRoot]}}
	return len(root) > 0 && mine.Merge(other) == nil
}
