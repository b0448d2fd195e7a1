package trust

import (
	"bytes"
	"encoding/json"

	"github.com/gowebpki/jcs"

	"webjob.dev/webjob"
)

// Canonical returns v as canonical JSON (RFC 8785).
func Canonical(v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(plain)
}

// decodeCanonical reads data into v and accepts it only when v's canonical JSON
// is data again, byte for byte. So nothing that another reader could understand
// differently gets through: no unknown or repeated name, no other case, no
// trailing bytes, no second spelling of a number or string.
func decodeCanonical(what string, data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return webjob.Errorf(webjob.Invalid, "%s is not readable: %w", what, err)
	}
	again, err := Canonical(v)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%s has no canonical form: %w", what, err)
	}
	if !bytes.Equal(again, data) {
		return webjob.Errorf(webjob.Invalid, "%s is not in canonical form; it was edited or made by another program", what)
	}
	return nil
}
