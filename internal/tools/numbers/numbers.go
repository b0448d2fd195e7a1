// Package numbers finds payment card numbers and social security numbers in files of
// any kind, fast and with few false hits: digits, separators, groups, issuers and check
// digits must all fit.
package numbers

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// Kind is what a number is.
type Kind string

// The kinds. Card numbers have 13 to 19 digits (ISO/IEC 7812), alone or grouped as they
// are printed, a known issuer and a right check digit (Luhn). Social security numbers
// are those of the USA with hyphens, in ranges that were given out.
const (
	Card           Kind = "card"
	SocialSecurity Kind = "ssn"
)

// Hit is one number.
type Hit struct {
	Kind    Kind
	Offset  int64  // of its first digit
	Number  string // digits alone
	Context string // one line of printable ASCII: what is around it, the number masked
}

// Masked returns the number with its middle digits hidden: the first six and last four
// of a card number may be shown (PCI DSS 3.4.1), of others the last four.
func (h Hit) Masked() string {
	if h.Kind == Card {
		return h.Number[:6] + strings.Repeat("*", len(h.Number)-10) + h.Number[len(h.Number)-4:]
	}
	return strings.Repeat("*", len(h.Number)-4) + h.Number[len(h.Number)-4:]
}

// Bounds of a search.
const (
	MaxContext = 200 // bytes on either side
	blockBytes = 1 << 20
	overlap    = 64 + MaxContext // no number and context is longer
)

// Search calls visit for every number of the kinds in r, in order, with so many bytes of
// context on either side. It ends with the first error of visit.
func Search(r io.Reader, kinds []Kind, context int, visit func(Hit) error) error {
	s := &search{context: min(context, MaxContext), visit: visit}
	for _, kind := range kinds {
		s.cards = s.cards || kind == Card
		s.social = s.social || kind == SocialSecurity
	}
	buffer := make([]byte, overlap+blockBytes+overlap)
	have := 0    // bytes in the buffer
	begin := 0   // where numbers begin that were not looked at yet
	var at int64 // offset of the buffer
	for {
		n, err := io.ReadFull(r, buffer[have:])
		have += n
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		end := have // where a number must begin to be complete
		if !last {
			end = have - overlap
		}
		if err := s.block(buffer[:have], begin, end, at); err != nil || last {
			return err
		}
		// What is before end was looked at; keep some of it as context.
		keep := end - overlap
		copy(buffer, buffer[keep:have])
		at += int64(keep)
		have -= keep
		begin = overlap
	}
}

type search struct {
	cards, social bool
	context       int
	visit         func(Hit) error
}

// block looks for numbers that begin in b[from:to].
func (s *search) block(b []byte, from, to int, at int64) error {
	card, social := to, to
	var cardEnd, socialEnd int
	next := from
	nextCard := func() { card, cardEnd = findCard(b, next, to) }
	nextSocial := func() { social, socialEnd = findSocial(b, next, to) }
	if s.cards {
		nextCard()
	}
	if s.social {
		nextSocial()
	}
	for card < to || social < to {
		kind, start, end := Card, card, cardEnd
		if social < card {
			kind, start, end = SocialSecurity, social, socialEnd
		}
		hit := Hit{Kind: kind, Offset: at + int64(start), Number: digitsOf(b[start:end])}
		hit.Context = around(b, start, end, s.context, hit.Masked())
		if err := s.visit(hit); err != nil {
			return err
		}
		next = end
		if kind == Card {
			nextCard()
		} else {
			nextSocial()
		}
	}
	return nil
}

func digitsOf(b []byte) string {
	digits := make([]byte, 0, len(b))
	for _, c := range b {
		if isDigit(c) {
			digits = append(digits, c)
		}
	}
	return string(digits)
}

// around returns what is around a number on the same line, with the number masked.
func around(b []byte, start, end, context int, masked string) string {
	left := b[max(0, start-context):start]
	if i := bytes.LastIndexAny(left, "\r\n"); i >= 0 {
		left = left[i+1:]
	}
	right := b[end:min(len(b), end+context)]
	if i := bytes.IndexAny(right, "\r\n"); i >= 0 {
		right = right[:i]
	}
	return printable(left) + masked + printable(right)
}

func printable(b []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, b))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWord reports whether c would make a number part of something longer.
func isWord(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// isPart reports whether c can be in the middle of a card number.
func isPart(c byte) bool { return isDigit(c) || c == ' ' || c == '-' }

const leastDigits = 13

// findCard returns where the first card number in b[from:to] begins and ends, to when
// there is none. It looks at one byte in thirteen: no number fits between two bytes
// that are no part of one.
func findCard(b []byte, from, to int) (start, end int) {
	for i := from; i < to && i+leastDigits <= len(b); {
		if !isPart(b[i+leastDigits-1]) {
			i += leastDigits
			continue
		}
		first := i + leastDigits - 1
		for first > i && isPart(b[first-1]) {
			first--
		}
		last := i + leastDigits
		for last < len(b) && isPart(b[last]) {
			last++
		}
		if start, end := cardIn(b, first, last); start >= 0 && start < to {
			return start, end
		}
		i = last + 1
	}
	return to, to
}

// cardIn returns the first card number in a stretch of digits and separators, -1 when
// there is none.
func cardIn(b []byte, first, last int) (start, end int) {
	for at := first; at < last; at++ {
		if !isDigit(b[at]) || at > 0 && isWord(b[at-1]) || at > 1 && b[at-1] == '.' && isDigit(b[at-2]) {
			continue
		}
		if end := cardAt(b, at, last); end > 0 {
			return at, end
		}
		for at+1 < last && isDigit(b[at+1]) {
			at++
		}
	}
	return -1, -1
}

// groupings are how card numbers are printed: the digits of each group.
var groupings = [][]int{{4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}, {4, 4, 4, 4, 3}, {4, 4, 4, 1}}

// cardAt returns the end of a card number that begins at, 0 when there is none.
func cardAt(b []byte, at, last int) int {
	run := at
	for run < last && isDigit(b[run]) {
		run++
	}
	if n := run - at; n >= leastDigits {
		if n <= 19 && ends(b, run) && isCard(b[at:run]) {
			return run
		}
		return 0
	} else if n != 4 || run == last {
		return 0
	}
	separator := b[run]
	for _, groups := range groupings {
		end := groupsEnd(b, at, last, groups, separator)
		if end > 0 && ends(b, end) && isCard([]byte(digitsOf(b[at:end]))) {
			return end
		}
	}
	return 0
}

// groupsEnd returns where groups of these lengths end, 0 when b has others.
func groupsEnd(b []byte, at, last int, groups []int, separator byte) int {
	for i, n := range groups {
		if i > 0 {
			if at >= last || b[at] != separator {
				return 0
			}
			at++
		}
		for range n {
			if at >= last || !isDigit(b[at]) {
				return 0
			}
			at++
		}
	}
	return at
}

// ends reports whether nothing goes on at b[at].
func ends(b []byte, at int) bool {
	if at == len(b) {
		return true
	}
	return !isWord(b[at]) && (b[at] != '.' || at+1 == len(b) || !isDigit(b[at+1]))
}

// isCard checks issuer, length and check digit.
func isCard(digits []byte) bool {
	prefix := func(n int) int {
		value := 0
		for _, c := range digits[:n] {
			value = value*10 + int(c-'0')
		}
		return value
	}
	n := len(digits)
	one, two, three, four := prefix(1), prefix(2), prefix(3), prefix(4)
	within := func(value, low, high int) bool { return value >= low && value <= high }
	known := one == 4 && (n == 13 || n == 16 || n == 19) || // Visa
		(within(two, 51, 55) || within(four, 2221, 2720)) && n == 16 || // Mastercard
		(two == 34 || two == 37) && n == 15 || // American Express
		(four == 6011 || within(three, 644, 649) || two == 65) && (n == 16 || n == 19) || // Discover
		(within(three, 300, 305) || two == 36 || two == 38 || two == 39) && n == 14 || // Diners Club
		within(four, 3528, 3589) && n >= 16 || // JCB
		two == 62 && n >= 16 // UnionPay
	return known && luhn(digits)
}

// luhn checks the check digit (ISO/IEC 7812-1, annex B).
func luhn(digits []byte) bool {
	sum := 0
	for i, c := range digits {
		value := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			if value *= 2; value > 9 {
				value -= 9
			}
		}
		sum += value
	}
	return sum%10 == 0
}

// findSocial returns where the first social security number in b[from:to] begins and ends.
func findSocial(b []byte, from, to int) (start, end int) {
	for i := from; ; {
		hyphen := bytes.IndexByte(b[i:], '-')
		if hyphen < 0 || i+hyphen-3 >= to {
			return to, to
		}
		at := i + hyphen - 3
		if at >= from && at+11 <= len(b) && isSocial(b[at:at+11]) &&
			(at == 0 || !isWord(b[at-1]) && b[at-1] != '-') && (at+11 == len(b) || !isWord(b[at+11]) && b[at+11] != '-') {
			return at, at + 11
		}
		i += hyphen + 1
	}
}

// isSocial checks the form 123-45-6789 and the ranges that exist: no area 000, 666 or
// above 899, no group 00, no serial 0000 (ssa.gov, "High Group" and randomization).
func isSocial(b []byte) bool {
	for i, c := range b {
		if i == 3 || i == 6 {
			if c != '-' {
				return false
			}
		} else if !isDigit(c) {
			return false
		}
	}
	area, group, serial := string(b[:3]), string(b[4:6]), string(b[7:])
	return area != "000" && area != "666" && area < "900" && group != "00" && serial != "0000"
}
