package trust

import (
	"encoding/base64"
	"slices"
	"strings"

	"webjob.dev/webjob"
)

// RootFormat is the value of [Root.Format] that this version reads and writes.
const RootFormat = "webjob-trust/1"

// maxRootKeys bounds a trust root; verification tries every key.
const maxRootKeys = 64

// Root is a trust root: the keys that sign jobs and how many of them must sign.
// A client pins one at enrolment.
type Root struct {
	Format    string       `json:"format"` // RootFormat
	Threshold int          `json:"threshold"`
	Keys      []RootKey    `json:"keys"` // by name, ascending
	parsed    []*PublicKey // of Keys, once they were checked
}

// RootKey is one signing key. The name is for people; only the key counts.
type RootKey struct {
	Name   string `json:"name"`
	Public string `json:"public"` // PKIX DER in standard base64
}

// NewRoot makes a root of the named keys.
func NewRoot(threshold int, keys map[string]*PublicKey) (*Root, error) {
	root := &Root{Format: RootFormat, Threshold: threshold}
	for name, key := range keys {
		root.Keys = append(root.Keys, RootKey{Name: name, Public: base64.StdEncoding.EncodeToString(key.DER())})
	}
	slices.SortFunc(root.Keys, func(a, b RootKey) int { return strings.Compare(a.Name, b.Name) })
	var err error
	root.parsed, err = root.checkKeys()
	return root, err
}

// ParseRoot reads canonical JSON.
func ParseRoot(data []byte) (*Root, error) {
	if len(data) > webjob.MaxManifestBytes {
		return nil, webjob.Errorf(webjob.TooLarge, "trust root has %d bytes; at most %d", len(data), webjob.MaxManifestBytes)
	}
	var root Root
	if err := decodeCanonical("trust root", data, &root); err != nil {
		return nil, err
	}
	var err error
	root.parsed, err = root.checkKeys()
	return &root, err
}

// Encode returns the canonical JSON.
func (r *Root) Encode() ([]byte, error) { return Canonical(r) }

// Digest returns the digest of the canonical JSON: what a token pins and people
// compare.
func (r *Root) Digest() (webjob.Digest, error) {
	data, err := r.Encode()
	if err != nil {
		return "", err
	}
	return webjob.DigestOf(data), nil
}

// publicKeys returns the keys in order. A root that was not made by this package's
// functions is checked first.
func (r *Root) publicKeys() ([]*PublicKey, error) {
	if r.parsed != nil {
		return r.parsed, nil
	}
	return r.checkKeys()
}

// checkKeys checks the root and returns its keys, in order.
func (r *Root) checkKeys() ([]*PublicKey, error) {
	if r.Format != RootFormat {
		return nil, webjob.Errorf(webjob.Invalid, "trust root format %.40q is unknown; this version reads %q", r.Format, RootFormat)
	}
	if len(r.Keys) == 0 || len(r.Keys) > maxRootKeys {
		return nil, webjob.Errorf(webjob.Invalid, "trust root has %d keys; it must have 1 to %d", len(r.Keys), maxRootKeys)
	}
	if r.Threshold < 1 || r.Threshold > len(r.Keys) {
		return nil, webjob.Errorf(webjob.Invalid, "threshold is %d; with %d keys it must be 1 to %d", r.Threshold, len(r.Keys), len(r.Keys))
	}
	var keys []*PublicKey
	names, ids := map[string]bool{}, map[string]string{}
	for _, k := range r.Keys {
		if err := CheckKeyName(k.Name); err != nil {
			return nil, err
		}
		der, err := base64.StdEncoding.DecodeString(k.Public)
		if err != nil {
			return nil, webjob.Errorf(webjob.Invalid, "key %s is not base64: %w", k.Name, err)
		}
		key, err := ParsePublicKey(der)
		if err != nil {
			return nil, webjob.Errorf(webjob.Invalid, "key %s: %w", k.Name, err)
		}
		if names[k.Name] {
			return nil, webjob.Errorf(webjob.Invalid, "two keys are named %s; name each once", k.Name)
		}
		// The same key under two names would count twice towards the threshold.
		if other, twice := ids[key.ID()]; twice {
			return nil, webjob.Errorf(webjob.Invalid, "keys %s and %s are the same key; list it once", other, k.Name)
		}
		names[k.Name], ids[key.ID()] = true, k.Name
		keys = append(keys, key)
	}
	return keys, nil
}

// CheckKeyName accepts what [webjob.CheckClientID] accepts.
func CheckKeyName(s string) error {
	if err := webjob.CheckClientID(s); err != nil {
		return webjob.Errorf(webjob.Invalid, "key name %.80q is not allowed; use 1 to 64 letters, digits, '.', '_' or '-'", s)
	}
	return nil
}

// KeyID returns the id of the key of that name.
func (r *Root) KeyID(name string) (string, error) {
	keys, err := r.publicKeys()
	if err != nil {
		return "", err
	}
	for i, key := range r.Keys {
		if key.Name == name {
			return keys[i].ID(), nil
		}
	}
	return "", webjob.Errorf(webjob.NotFound, "the trust root has no key %s", name)
}
