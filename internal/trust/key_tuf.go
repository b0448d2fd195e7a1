package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"webjob.dev/webjob"
)

// Signers returns the keys of the people who sign for the repository as a whole, and
// how many of them must.
func (v *View) Signers() (keys []*PublicKey, threshold int, err error) {
	role := v.set.Root.Signed.Roles[RoleTargets]
	if role == nil {
		return nil, 0, webjob.Errorf(webjob.Refused, "job repository: the root names no keys for targets")
	}
	for _, id := range role.KeyIDs {
		key, err := fromLibrary(v.set.Root.Signed.Keys[id])
		if err != nil {
			return nil, 0, err
		}
		keys = append(keys, key)
	}
	return keys, role.Threshold, nil
}

// fromLibrary reads a key of the metadata.
func fromLibrary(key *metadata.Key) (*PublicKey, error) {
	if key == nil {
		return nil, webjob.Errorf(webjob.Refused, "job repository: a role names a key that is not listed")
	}
	public, err := key.ToPublicKey()
	if err != nil {
		return nil, webjob.Errorf(webjob.Refused, "job repository: %w", err)
	}
	return NewPublicKey(public)
}

// libraryKey returns the key as the metadata write it, and its id there.
func (p *PublicKey) libraryKey() (*metadata.Key, string, error) {
	if p.Type() == HardwareEd25519 {
		return nil, "", webjob.Errorf(webjob.Invalid, "key %s is a hardware key, which cannot sign the job repository; let it sign orders (webjobctl repo policy)", p.Fingerprint())
	}
	key, err := metadata.KeyFromPublicKey(p.key)
	if err != nil {
		return nil, "", webjob.Errorf(webjob.Invalid, "key %s: %w", p.Fingerprint(), err)
	}
	id, err := key.ID()
	return key, id, err
}

// Fingerprint returns the key's id in the form that people compare: groups of four.
func (p *PublicKey) Fingerprint() string {
	sum := sha256.Sum256(p.der)
	text := hex.EncodeToString(sum[:16])
	return strings.Join(slices.Collect(chunks(text, 4)), " ")
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > n && yield(s[:n]) {
			s = s[n:]
		}
		yield(s)
	}
}
