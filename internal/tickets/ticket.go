package tickets

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// value is what the holder of a ticket chose for it.
type value [16]byte

func newValue() (v value) {
	_, _ = rand.Read(v[:]) // never fails (crypto/rand)
	return v
}

// ticket is one place on a line. Number 0 is the place before the first ticket.
type ticket struct {
	number uint64
	value  value
}

const (
	codeBytes   = 16
	ticketBytes = 8 + len(value{}) + codeBytes // number, value, code
	toldBytes   = 8 + 8 + codeBytes            // generation, number, code
)

// stepMark parts the ticket that a step shows from the value of the next one.
const stepMark = "."

var encoding = base64.RawURLEncoding.Strict() // one text for each ticket

// keeper makes and checks the codes of one line of one client.
type keeper struct {
	key          []byte
	client, line string
}

func (k keeper) code(kind string, raw []byte) []byte {
	m := hmac.New(sha256.New, k.key)
	fmt.Fprintf(m, "%s/%s/%s/", kind, k.client, k.line) // none of the three holds a slash
	m.Write(raw)
	return m.Sum(nil)[:codeBytes]
}

func (k keeper) seal(kind string, raw []byte) string {
	return encoding.EncodeToString(append(raw, k.code(kind, raw)...))
}

// open returns what was sealed, nil for anything else.
func (k keeper) open(kind, text string, size int) []byte {
	if len(text) != encoding.EncodedLen(size) {
		return nil
	}
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) != size {
		return nil
	}
	raw, code := raw[:size-codeBytes], raw[size-codeBytes:]
	if !hmac.Equal(code, k.code(kind, raw)) {
		return nil
	}
	return raw
}

func (k keeper) encode(t ticket) string {
	return k.seal("ticket", append(binary.BigEndian.AppendUint64(nil, t.number), t.value[:]...))
}

// decode reads a ticket of this line. Anything else is the place before the first one.
func (k keeper) decode(text string) (t ticket) {
	if raw := k.open("ticket", text, ticketBytes); raw != nil {
		t.number = binary.BigEndian.Uint64(raw)
		copy(t.value[:], raw[8:])
	}
	return t
}

// encodeTold makes the word that a client is behind a number.
func (k keeper) encodeTold(generation, number uint64) string {
	return k.seal("told", binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, generation), number))
}

// decodeTold returns the number, 0 for a word that is not of this generation.
func (k keeper) decodeTold(text string, generation uint64) uint64 {
	raw := k.open("told", text, toldBytes)
	if raw == nil || binary.BigEndian.Uint64(raw) != generation {
		return 0
	}
	return binary.BigEndian.Uint64(raw[8:])
}

// parseStep parts what a step shows. A program of the version before takes no steps.
func parseStep(text string) (shown string, next value, step bool) {
	shown, following, found := strings.Cut(text, stepMark)
	raw, err := encoding.DecodeString(following)
	if !found || err != nil || len(raw) != len(next) {
		return text, value{}, false
	}
	return shown, value(raw), true
}

// valueOf returns the value of a ticket, which its holder can read without the key.
func valueOf(text string) (v value, ok bool) {
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) != ticketBytes {
		return v, false
	}
	copy(v[:], raw[8:])
	return v, true
}
