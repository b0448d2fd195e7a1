package trust

import (
	"crypto"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"webjob.dev/webjob"
)

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
func (d *Draft) Sign(base *View, keys ...*PrivateKey) (added int, err error) {
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
func (d *Draft) Needs(base *View) ([]Need, error) {
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
func (d *Draft) delegators(base *View, name string) ([]delegator, error) {
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
func (d *Draft) role(base *View, name string) (*metadata.Metadata[metadata.TargetsType], error) {
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
func (d *Draft) Complete(base *View) (bool, error) {
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
