package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	"webjob.dev/webjob"
)

// HardwareEd25519 is an Ed25519 key on a security key (FIDO), as OpenSSH uses them:
// sk-ssh-ed25519@openssh.com. It signs orders; the library of the job repository does
// not know it.
const HardwareEd25519 KeyType = "sk-ed25519"

const hardwareAlgorithm = "sk-ssh-ed25519@openssh.com"

// userPresent is the flag by which the security key says that somebody touched it.
const userPresent = 1

// hardwareKey is such a key: OpenSSH, PROTOCOL.u2f.
type hardwareKey struct {
	ed25519.PublicKey
	application string
}

// encode returns the key in SSH's wire form: its DER has no place for it.
func (k hardwareKey) encode() []byte {
	var b []byte
	for _, part := range [][]byte{[]byte(hardwareAlgorithm), k.PublicKey, []byte(k.application)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part))) //nolint:gosec // parts are short
		b = append(b, part...)
	}
	return b
}

// parseHardwareKey reads SSH's wire form. found says whether the bytes are of that form
// at all.
func parseHardwareKey(raw []byte) (key hardwareKey, found bool, err error) {
	var parts [3][]byte
	rest := raw
	for i := range parts {
		if len(rest) < 4 || uint64(len(rest)-4) < uint64(binary.BigEndian.Uint32(rest)) {
			return key, false, nil
		}
		n := binary.BigEndian.Uint32(rest)
		parts[i], rest = rest[4:4+n], rest[4+n:]
		if i == 0 && string(parts[0]) != hardwareAlgorithm {
			return key, false, nil
		}
	}
	if len(rest) > 0 || len(parts[1]) != ed25519.PublicKeySize || len(parts[2]) == 0 || len(parts[2]) > 256 {
		return key, true, webjob.Errorf(webjob.Invalid, "hardware key is not readable")
	}
	return hardwareKey{PublicKey: bytes.Clone(parts[1]), application: string(parts[2])}, true, nil
}

// verify checks a signature: that of Ed25519, the flags and the counter of the security
// key. Somebody must have touched it.
func (k hardwareKey) verify(data, sig []byte) bool {
	if len(sig) != ed25519.SignatureSize+5 || sig[ed25519.SignatureSize]&userPresent == 0 {
		return false
	}
	application, message := sha256.Sum256([]byte(k.application)), sha256.Sum256(data)
	signed := append(application[:], sig[ed25519.SignatureSize:]...)
	return ed25519.Verify(k.PublicKey, append(signed, message[:]...), sig[:ed25519.SignatureSize])
}

// ParseSSHHardwareKey reads the wire form of a sk-ssh-ed25519 key.
func ParseSSHHardwareKey(raw []byte) (*PublicKey, error) {
	key, found, err := parseHardwareKey(raw)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, webjob.Errorf(webjob.Invalid, "it is no key of type %s", hardwareAlgorithm)
	}
	return newPublic(key, key.encode()), nil
}
