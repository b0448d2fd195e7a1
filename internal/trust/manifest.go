package trust

import (
	"time"

	"webjob.dev/webjob"
)

// SignedManifest is a manifest that somebody vouches for: the index of its job, or an
// order, names the digest of its exact bytes.
type SignedManifest struct {
	webjob.Manifest
	Digest webjob.Digest
	Text   []byte // canonical JSON
}

// EncodeManifest checks the manifest and returns its canonical JSON.
func EncodeManifest(m *webjob.Manifest) ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	text, err := Canonical(m)
	if err != nil {
		return nil, err
	}
	if len(text) > webjob.MaxManifestBytes {
		return nil, webjob.Errorf(webjob.TooLarge, "manifest has %d bytes; at most %d", len(text), webjob.MaxManifestBytes)
	}
	return text, nil
}

// ParseManifest reads the manifest whose digest somebody vouches for. Other bytes, and
// a manifest that has expired at the time now, are Refused; bytes that are no manifest
// are Invalid.
func ParseManifest(text []byte, signed webjob.Digest, now time.Time) (*SignedManifest, error) {
	m := SignedManifest{Digest: webjob.DigestOf(text), Text: text}
	if m.Digest != signed {
		return nil, webjob.Errorf(webjob.Refused, "the manifest is %s and %s was signed; the server swapped it", m.Digest.Short(), signed.Short())
	}
	if err := decodeCanonical("manifest", text, &m.Manifest); err != nil {
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	if !now.Before(m.Expires) {
		return nil, webjob.Errorf(webjob.Refused, "job %s version %d expired at %s (it is %s here); publish a new version, or mend this clock",
			m.Name, m.Version, m.Expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return &m, nil
}
