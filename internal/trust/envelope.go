package trust

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"webjob.dev/webjob"
)

// Bounds of an envelope: the order in base64 and its signatures.
const (
	MaxEnvelopeBytes = webjob.MaxOrderBytes*4/3 + 64<<10
	maxSignatures    = 64
)

// seal returns a DSSE envelope (JSON) around the canonical form of a document, with one
// signature a key. The payload type is part of what is signed, so no other signed
// document can pass for this one.
func seal(what, payloadType string, document any, limit int, keys []*PrivateKey) ([]byte, error) {
	payload, err := Canonical(document)
	if err != nil {
		return nil, err
	}
	if len(payload) > limit {
		return nil, webjob.Errorf(webjob.TooLarge, "%s has %d bytes; at most %d", what, len(payload), limit)
	}
	envelope := &dsse.Envelope{PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(payload), Signatures: []dsse.Signature{}}
	if err := countersign(envelope, keys); err != nil {
		return nil, err
	}
	return json.Marshal(envelope)
}

// countersign adds the keys' signatures to an envelope; those that are there stay.
func countersign(envelope *dsse.Envelope, keys []*PrivateKey) error {
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "envelope is not readable: %w", err)
	}
	for _, key := range keys {
		sig, err := key.Sign(context.Background(), dsse.PAE(envelope.PayloadType, payload))
		if err != nil {
			return webjob.Errorf(webjob.Invalid, "sign: %w", err)
		}
		addSignature(envelope, dsse.Signature{KeyID: key.ID(), Sig: base64.StdEncoding.EncodeToString(sig)})
	}
	return nil
}

func addSignature(envelope *dsse.Envelope, sig dsse.Signature) {
	for i, other := range envelope.Signatures {
		if other.KeyID == sig.KeyID {
			envelope.Signatures[i] = sig
			return
		}
	}
	envelope.Signatures = append(envelope.Signatures, sig)
}

// unseal opens an envelope around a document of the type, and returns the document's
// bytes and those of the keys that signed it. It does not judge whether they suffice.
func unseal(what, payloadType string, data []byte, keys []*PublicKey) (payload []byte, signers []*PublicKey, err error) {
	envelope, err := parseEnvelope(data)
	if err != nil {
		return nil, nil, err
	}
	if envelope.PayloadType != payloadType {
		return nil, nil, webjob.Errorf(webjob.Refused, "envelope holds a %.80q and not the expected %s", envelope.PayloadType, what)
	}
	payload, err = envelope.DecodeB64Payload()
	if err != nil {
		return nil, nil, webjob.Errorf(webjob.Invalid, "envelope is not readable: %w", err)
	}
	for _, key := range keys {
		verifier, err := dsse.NewEnvelopeVerifier(key)
		if err != nil {
			return nil, nil, err
		}
		if accepted, err := verifier.Verify(context.Background(), envelope); err == nil && len(accepted) > 0 {
			signers = append(signers, key)
		}
	}
	return payload, signers, nil
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
