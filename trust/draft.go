package trust

import (
	"crypto"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/sigstore/sigstore/pkg/signature"
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
func (r *Repository) Propose(summary string, changes map[string][]byte, now time.Time) (*Draft, error) {
	d := &Draft{Created: now.UTC().Truncate(time.Second), Summary: summary, Roles: map[string][]byte{}, Contents: changes}
	roles := map[string]*metadata.Metadata[metadata.TargetsType]{}
	for path, content := range changes {
		name, err := r.holder(path)
		if err != nil {
			return nil, err
		}
		if roles[name] == nil {
			if roles[name], err = r.renewed(name, now); err != nil {
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
func (r *Repository) holder(path string) (string, error) {
	if path == PolicyPath {
		return RoleTargets, nil
	}
	name, parent := RoleTargets, RoleRoot
	for range maxDelegations {
		role, err := r.load(name, parent)
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
func (r *Repository) renewed(name string, now time.Time) (*metadata.Metadata[metadata.TargetsType], error) {
	expires := now.UTC().Truncate(time.Second).Add(OfflineLifetime)
	if r.set.Snapshot.Signed.Meta[name+".json"] == nil {
		return metadata.Targets(expires), nil
	}
	role, err := metadata.Targets().FromBytes(r.held.Roles[name])
	if err != nil {
		return nil, explain("role "+name, err)
	}
	role.ClearSignatures()
	role.Signed.Version++
	role.Signed.Expires = expires
	return role, nil
}

// librarySigner lets the library sign with our key.
type librarySigner struct{ key *PrivateKey }

// PublicKey implements signature.PublicKeyProvider.
func (s librarySigner) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return s.key.Public(), nil
}

// SignMessage implements signature.Signer.
func (s librarySigner) SignMessage(message io.Reader, _ ...signature.SignOption) ([]byte, error) {
	data, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	return s.key.Sign(nil, data) //nolint:staticcheck // our keys do not look at the context
}

// roleText is the part of every metadata file that this package looks at itself.
type roleText struct {
	Signed     any                  `json:"signed"`
	Signatures []metadata.Signature `json:"signatures"`
}

// signText adds a key's signature to a metadata file.
func signText[T metadata.Roles](m *metadata.Metadata[T], content []byte, key *PrivateKey) ([]byte, error) {
	m, err := m.FromBytes(content)
	if err != nil {
		return nil, explain("draft", err)
	}
	_, id, err := key.libraryKey()
	if err != nil {
		return nil, err
	}
	m.Signatures = slices.DeleteFunc(m.Signatures, func(s metadata.Signature) bool { return s.KeyID == id })
	if _, err := m.Sign(librarySigner{key}); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "sign: %w", err)
	}
	return m.ToBytes(false)
}

func signRole(name string, content []byte, key *PrivateKey) ([]byte, error) {
	if name == RoleRoot {
		return signText(metadata.Root(), content, key)
	}
	return signText(metadata.Targets(), content, key)
}

// Sign adds the signatures of the keys to every role of the draft that they are for;
// base is the repository that the draft changes, nil for a new one. It returns how
// many it added.
func (d *Draft) Sign(base *Repository, keys ...*PrivateKey) (added int, err error) {
	needs, err := d.Needs(base)
	if err != nil {
		return 0, err
	}
	for _, need := range needs {
		for _, key := range keys {
			if !slices.Contains(need.Keys, key.ID()) || slices.Contains(need.Have, key.ID()) {
				continue
			}
			if d.Roles[need.Role], err = signRole(need.Role, d.Roles[need.Role], key); err != nil {
				return added, err
			}
			added++
		}
	}
	return added, nil
}

// Needs returns for each role of the draft who may sign, who has, and how many must; a
// new root appears twice when the root before it has other keys.
func (d *Draft) Needs(base *Repository) ([]Need, error) {
	var needs []Need
	for _, name := range slices.Sorted(maps.Keys(d.Roles)) {
		delegators, err := d.delegators(base, name)
		if err != nil {
			return nil, err
		}
		for _, delegator := range delegators {
			need, err := d.need(name, delegator)
			if err != nil {
				return nil, err
			}
			needs = append(needs, need)
		}
	}
	return needs, nil
}

// delegator is who may sign for a role.
type delegator struct {
	keys      map[string]*metadata.Key
	ids       []string
	threshold int
}

// delegators returns who may sign for a role, with the keys that the draft itself
// gives the roles above. A root answers to itself and to the root before it.
func (d *Draft) delegators(base *Repository, name string) ([]delegator, error) {
	var list []delegator
	of := func(root *metadata.RootType, role string) {
		if r := root.Roles[role]; r != nil {
			list = append(list, delegator{keys: root.Keys, ids: r.KeyIDs, threshold: r.Threshold})
		}
	}
	if name == RoleRoot || name == RoleTargets {
		if content, found := d.Roles[RoleRoot]; found {
			root, err := metadata.Root().FromBytes(content)
			if err != nil {
				return nil, explain("draft", err)
			}
			of(&root.Signed, name)
		}
		if base != nil && (name == RoleRoot || len(list) == 0) {
			of(&base.set.Root.Signed, name)
		}
		return list, nil
	}
	parent := RoleTargets
	team, isBin := cutBin(name)
	if isBin {
		parent = team
	}
	role, err := d.role(base, parent)
	if err != nil {
		return nil, err
	}
	delegations := role.Signed.Delegations
	switch {
	case delegations == nil:
	case isBin && delegations.SuccinctRoles != nil && delegations.SuccinctRoles.IsDelegatedRole(name):
		list = append(list, delegator{keys: delegations.Keys, ids: delegations.SuccinctRoles.KeyIDs, threshold: delegations.SuccinctRoles.Threshold})
	default:
		for _, r := range delegations.Roles {
			if r.Name == name {
				list = append(list, delegator{keys: delegations.Keys, ids: r.KeyIDs, threshold: r.Threshold})
			}
		}
	}
	if len(list) == 0 {
		return nil, webjob.Errorf(webjob.Invalid, "draft: nothing delegates to role %.80q", name)
	}
	return list, nil
}

// role returns a targets role as the draft has it or, when it does not change it, as
// the repository does.
func (d *Draft) role(base *Repository, name string) (*metadata.Metadata[metadata.TargetsType], error) {
	content, found := d.Roles[name]
	if !found && base != nil {
		content, found = base.held.Roles[name]
	}
	if !found {
		return nil, webjob.Errorf(webjob.Invalid, "draft: role %.80q is missing", name)
	}
	role, err := metadata.Targets().FromBytes(content)
	if err != nil {
		return nil, explain("draft: role "+name, err)
	}
	return role, nil
}

func (d *Draft) need(name string, from delegator) (Need, error) {
	need := Need{Role: name, Threshold: from.threshold, Have: []string{}}
	var text roleText
	if err := json.Unmarshal(d.Roles[name], &text); err != nil {
		return need, webjob.Errorf(webjob.Invalid, "draft: role %s is not readable: %w", name, err)
	}
	payload, err := cjson.EncodeCanonical(text.Signed)
	if err != nil {
		return need, webjob.Errorf(webjob.Invalid, "draft: role %s: %w", name, err)
	}
	for _, id := range from.ids {
		key, err := fromLibrary(from.keys[id])
		if err != nil {
			return need, err
		}
		need.Keys = append(need.Keys, key.ID())
		for _, s := range text.Signatures {
			if s.KeyID == id && key.Verify(nil, payload, s.Signature) == nil { //nolint:staticcheck // our keys do not look at the context
				need.Have = append(need.Have, key.ID())
				break
			}
		}
	}
	return need, nil
}

// Complete reports whether no signature is missing.
func (d *Draft) Complete(base *Repository) (bool, error) {
	needs, err := d.Needs(base)
	return err == nil && !slices.ContainsFunc(needs, func(n Need) bool { return n.Missing() > 0 }), err
}

// Merge takes over the signatures that another copy of the draft has. What is signed
// must be the same, byte for byte.
func (d *Draft) Merge(other *Draft) error {
	for name, content := range other.Roles {
		var mine, theirs roleText
		if json.Unmarshal(d.Roles[name], &mine) != nil || json.Unmarshal(content, &theirs) != nil {
			return webjob.Errorf(webjob.Conflict, "draft %s has no role %.80q, or it is not readable", d.ID, name)
		}
		a, err := cjson.EncodeCanonical(mine.Signed)
		b, err2 := cjson.EncodeCanonical(theirs.Signed)
		if err != nil || err2 != nil || string(a) != string(b) {
			return webjob.Errorf(webjob.Conflict, "draft %s was changed since; look at it again and sign anew", d.ID)
		}
		for _, s := range theirs.Signatures {
			if !slices.ContainsFunc(mine.Signatures, func(m metadata.Signature) bool { return m.KeyID == s.KeyID }) {
				mine.Signatures = append(mine.Signatures, s)
			}
		}
		if len(mine.Signatures) > maxSignatures {
			return webjob.Errorf(webjob.Invalid, "role %s of draft %s has more than %d signatures", name, d.ID, maxSignatures)
		}
		if d.Roles[name], err = json.Marshal(mine); err != nil {
			return err
		}
	}
	return nil
}

// Land returns the repository that a complete draft makes of base (nil for a new one),
// with a new snapshot and timestamp by the online key. It is verified as a client
// would.
func (d *Draft) Land(base *Repository, online *PrivateKey, now time.Time) (*Repository, error) {
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
				if base, err = NewRepository(content); err != nil {
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
func (r *Repository) Freshen(online *PrivateKey, now time.Time) (*Repository, error) {
	versions := map[string]int64{}
	for name, meta := range r.set.Snapshot.Signed.Meta {
		versions[strings.TrimSuffix(name, ".json")] = meta.Version
	}
	return r.freshen(webjob.RepositoryBundle{}, versions, online, now)
}

func (r *Repository) freshen(b webjob.RepositoryBundle, versions map[string]int64, online *PrivateKey, now time.Time) (*Repository, error) {
	at := now.UTC().Truncate(time.Second)
	snapshot, timestamp := metadata.Snapshot(at.Add(SnapshotLifetime)), metadata.Timestamp(at.Add(TimestampLifetime))
	if r.set.Snapshot != nil {
		snapshot.Signed.Version = r.set.Snapshot.Signed.Version + 1
	}
	if r.set.Timestamp != nil {
		timestamp.Signed.Version = r.set.Timestamp.Signed.Version + 1
	}
	changed := len(b.Roles) > 0 || len(b.Roots) > 0 || r.set.Snapshot == nil
	if changed || r.set.Snapshot.Signed.Expires.Sub(at) < SnapshotLifetime/2 {
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
		snapshot = r.set.Snapshot
	}
	timestamp.Signed.Meta = map[string]*metadata.MetaFiles{RoleSnapshot + ".json": metadata.MetaFile(snapshot.Signed.Version)}
	if _, err := timestamp.Sign(librarySigner{online}); err != nil {
		return nil, err
	}
	var err error
	if b.Timestamp, err = timestamp.ToBytes(false); err != nil {
		return nil, err
	}
	return r.Update(b, now)
}
