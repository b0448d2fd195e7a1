package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"webjob.dev/webjob"
)

// ManifestType is the DSSE payload type of a signed manifest. It is part of what
// is signed, so no other signed document can pass for a manifest.
const ManifestType = "application/vnd.webjob.job.v1+json"

// Bounds of an envelope: the manifest in base64 and its signatures.
const (
	MaxEnvelopeBytes = webjob.MaxManifestBytes*4/3 + 64<<10
	maxSignatures    = maxRootKeys
)

// SignedManifest is a manifest that verified, with the digest of its exact
// bytes and the names of the keys that signed it.
type SignedManifest struct {
	webjob.Manifest
	Digest   webjob.Digest
	SignedBy []string
}

// SignManifest checks the manifest and returns a DSSE envelope (JSON) around its
// canonical form with one signature a key.
func SignManifest(m *webjob.Manifest, keys ...*PrivateKey) ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	return sign("manifest", ManifestType, m, webjob.MaxManifestBytes, keys)
}

// sign returns an envelope around the canonical form of a document.
func sign(what, payloadType string, document any, limit int, keys []*PrivateKey) ([]byte, error) {
	payload, err := Canonical(document)
	if err != nil {
		return nil, err
	}
	if len(payload) > limit {
		return nil, webjob.Errorf(webjob.TooLarge, "%s has %d bytes; at most %d", what, len(payload), limit)
	}
	var signers []dsse.Signer
	for _, key := range keys {
		signers = append(signers, key)
	}
	signer, err := dsse.NewEnvelopeSigner(signers...)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "sign %s: %w; name at least one key", what, err)
	}
	envelope, err := signer.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope)
}

// VerifyManifest opens an envelope and returns its manifest when enough keys of
// the root signed it and it has not expired at the time now. Signatures by other
// keys do not count. The error is Refused when the signatures do not suffice or
// the manifest expired, Invalid when the bytes are no envelope or no manifest.
func (r *Root) VerifyManifest(data []byte, now time.Time) (*SignedManifest, error) {
	payload, signedBy, err := r.verify("manifest", ManifestType, data)
	if err != nil {
		return nil, err
	}
	m := SignedManifest{Digest: webjob.DigestOf(payload), SignedBy: signedBy}
	if err := decodeCanonical("manifest", payload, &m.Manifest); err != nil {
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

// verify opens an envelope around a document of the type that enough keys of the
// root signed, and returns the document's bytes and the names of those keys.
func (r *Root) verify(what, payloadType string, data []byte) (payload []byte, signedBy []string, err error) {
	keys, err := r.publicKeys()
	if err != nil {
		return nil, nil, err
	}
	envelope, err := parseEnvelope(data)
	if err != nil {
		return nil, nil, err
	}
	if envelope.PayloadType != payloadType {
		return nil, nil, webjob.Errorf(webjob.Refused, "envelope holds a %.80q, not a %s", envelope.PayloadType, what)
	}
	var verifiers []dsse.Verifier
	for _, key := range keys {
		verifiers = append(verifiers, key)
	}
	verifier, err := dsse.NewMultiEnvelopeVerifier(r.Threshold, verifiers...)
	if err != nil {
		return nil, nil, err
	}
	accepted, payload, err := verifier.VerifyAndDecode(context.Background(), envelope)
	if err != nil {
		return nil, nil, webjob.Errorf(webjob.Refused, "%s has %d of %d required signatures by trusted keys (%s); have it signed by enough of them, unchanged",
			what, len(accepted), r.Threshold, strings.Join(r.keyNames(), ", "))
	}
	for _, key := range accepted {
		signedBy = append(signedBy, r.nameOf(key.KeyID, keys))
	}
	return payload, signedBy, nil
}

func parseEnvelope(data []byte) (*dsse.Envelope, error) {
	if len(data) > MaxEnvelopeBytes {
		return nil, webjob.Errorf(webjob.TooLarge, "envelope has %d bytes; at most %d", len(data), MaxEnvelopeBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var envelope dsse.Envelope
	if err := decoder.Decode(&envelope); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "envelope is not readable: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, webjob.Errorf(webjob.Invalid, "envelope is followed by other bytes")
	}
	if n := len(envelope.Signatures); n > maxSignatures {
		return nil, webjob.Errorf(webjob.Invalid, "envelope has %d signatures; at most %d", n, maxSignatures)
	}
	return &envelope, nil
}

func (r *Root) keyNames() []string {
	var names []string
	for _, key := range r.Keys {
		names = append(names, key.Name)
	}
	return names
}

func (r *Root) nameOf(id string, keys []*PublicKey) string {
	for i, key := range keys {
		if key.ID() == id {
			return r.Keys[i].Name
		}
	}
	return id
}
