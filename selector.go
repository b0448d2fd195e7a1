package webjob

import (
	"cmp"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a selector.
const (
	MaxSelectorBytes = 1024
	maxSelectorDepth = 32
)

// selectorKeys are the keys that are not labels. A label cannot be named so.
var selectorKeys = []string{"id", "os", "arch", "platform", "host", "version", "address", "boot"}

// Subject is what a selector looks at: a client's id, labels and facts.
type Subject struct {
	ID     string
	Labels Labels
	Facts  Facts
}

// Selector says which clients are meant:
//
//	all                                   every client
//	id=web*  env=prod  os=linux           globs in values
//	address=10.0.0.0/8                    a network, or a glob
//	version<1.4  boot>=2026-03-01         numbers and times are compared
//	os=linux and (env=prod or env=stage) and not id=web1
//
// "and" binds closer than "or". A key that is no fact is a label; a client without
// it matches only !=.
type Selector struct {
	text    string
	matches func(Subject) bool
}

// String returns the text that was parsed.
func (s Selector) String() string { return s.text }

// Matches reports whether the subject is meant. The zero Selector means nobody.
func (s Selector) Matches(subject Subject) bool { return s.matches != nil && s.matches(subject) }

// IsAll reports whether the selector is the word "all".
func (s Selector) IsAll() bool { return s.text == "all" }

// ParseSelector reads a selector. The error is Invalid and names the word.
func ParseSelector(text string) (Selector, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Selector{}, Errorf(Invalid, "the selector is empty; write such as env=prod, id=web*, or all")
	}
	if len(text) > MaxSelectorBytes {
		return Selector{}, Errorf(Invalid, "the selector has %d bytes; at most %d", len(text), MaxSelectorBytes)
	}
	p := &selectorParser{}
	for i, field := range strings.FieldsFunc(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text), func(r rune) bool { return r == ' ' || r == '\t' }) {
		if i >= MaxSelectorBytes {
			break
		}
		p.words = append(p.words, field)
	}
	matches, err := p.either(0)
	if err != nil {
		return Selector{}, err
	}
	if p.next < len(p.words) {
		return Selector{}, Errorf(Invalid, "selector: %.80q is unexpected; join terms with and, or", p.words[p.next])
	}
	return Selector{text: text, matches: matches}, nil
}

type selectorParser struct {
	words []string
	next  int
}

// take consumes the next word when it is the given one.
func (p *selectorParser) take(word string) bool {
	if p.next < len(p.words) && p.words[p.next] == word {
		p.next++
		return true
	}
	return false
}

func (p *selectorParser) either(depth int) (func(Subject) bool, error) {
	return p.joined(depth, "or", p.both, func(a, b bool) bool { return a || b })
}

func (p *selectorParser) both(depth int) (func(Subject) bool, error) {
	return p.joined(depth, "and", p.one, func(a, b bool) bool { return a && b })
}

func (p *selectorParser) joined(depth int, word string, part func(int) (func(Subject) bool, error), join func(a, b bool) bool) (func(Subject) bool, error) {
	left, err := part(depth)
	for err == nil && p.take(word) {
		before := left
		var right func(Subject) bool
		right, err = part(depth)
		left = func(s Subject) bool { return join(before(s), right(s)) }
	}
	return left, err
}

func (p *selectorParser) one(depth int) (func(Subject) bool, error) {
	if depth > maxSelectorDepth {
		return nil, Errorf(Invalid, "selector: more than %d levels of parentheses and not", maxSelectorDepth)
	}
	switch {
	case p.take("not"):
		inner, err := p.one(depth + 1)
		return func(s Subject) bool { return !inner(s) }, err
	case p.take("("):
		inner, err := p.either(depth + 1)
		if err == nil && !p.take(")") {
			err = Errorf(Invalid, "selector: a parenthesis is not closed")
		}
		return inner, err
	case p.take("all"):
		return func(Subject) bool { return true }, nil
	case p.next == len(p.words):
		return nil, Errorf(Invalid, "selector: it ends where a term such as env=prod should follow")
	}
	word := p.words[p.next]
	p.next++
	return parseTerm(word)
}

// parseTerm reads KEY OPERATOR VALUE without spaces.
func parseTerm(word string) (func(Subject) bool, error) {
	at := strings.IndexAny(word, "=!<>")
	if at < 1 {
		return nil, Errorf(Invalid, "selector: %.80q is no term; write key=value, such as env=prod or id=web*", word)
	}
	key, rest := word[:at], word[at:]
	operator := rest[:1]
	if strings.HasPrefix(rest[1:], "=") {
		operator = rest[:2]
	}
	value := rest[len(operator):]
	if value == "" || strings.ContainsAny(value, "=!<>") || CheckLine("value", value, 256) != nil {
		return nil, Errorf(Invalid, "selector: %.80q has no usable value; write key=value", word)
	}
	if !slices.Contains(selectorKeys, key) && !labelKeyForm.MatchString(key) {
		return nil, Errorf(Invalid, "selector: %.40q is neither a label nor one of %s", key, strings.Join(selectorKeys, ", "))
	}
	switch operator {
	case "=", "!=":
		match, err := equality(key, value)
		if operator == "!=" {
			return func(s Subject) bool { return !match(s) }, err
		}
		return match, err
	case "<", "<=", ">", ">=":
		return comparison(key, operator, value)
	}
	return nil, Errorf(Invalid, "selector: %.80q has no operator; use =, !=, <, <=, > or >=", word)
}

func equality(key, value string) (func(Subject) bool, error) {
	if key == "boot" {
		return nil, Errorf(Invalid, "selector: boot is a time; compare it with < or >")
	}
	if key == "address" && strings.Contains(value, "/") {
		network, err := netip.ParsePrefix(value)
		if err != nil {
			return nil, Errorf(Invalid, "selector: %.80q is no network; write such as 10.0.0.0/8", value)
		}
		return func(s Subject) bool {
			return slices.ContainsFunc(s.Facts.Addresses, func(a string) bool {
				address, err := netip.ParseAddr(a)
				return err == nil && network.Contains(address)
			})
		}, nil
	}
	value = flat(value)
	if _, err := path.Match(value, ""); err != nil {
		return nil, Errorf(Invalid, "selector: %.80q is no pattern; close its brackets", value)
	}
	return func(s Subject) bool {
		return slices.ContainsFunc(s.values(key), func(have string) bool {
			found, err := path.Match(value, flat(have))
			return found && err == nil
		})
	}, nil
}

// flat hides slashes from path.Match, so that globs go over the one of a platform.
func flat(s string) string { return strings.ReplaceAll(s, "/", ":") }

// values returns what the subject has under the key.
func (s Subject) values(key string) []string {
	one := func(v string) []string {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	switch key {
	case "id":
		return one(s.ID)
	case "os":
		return one(s.Facts.OS)
	case "arch":
		return one(s.Facts.Arch)
	case "platform":
		return one(s.Facts.OS + "/" + s.Facts.Arch)
	case "host":
		return one(s.Facts.Host)
	case "version":
		return one(s.Facts.Version)
	case "address":
		return s.Facts.Addresses
	}
	return one(s.Labels[key])
}

func comparison(key, operator, value string) (func(Subject) bool, error) {
	holds := func(order int) bool {
		switch operator {
		case "<":
			return order < 0
		case "<=":
			return order <= 0
		case ">":
			return order > 0
		}
		return order >= 0
	}
	if key == "boot" {
		at, err := parseMoment(value)
		if err != nil {
			return nil, err
		}
		return func(s Subject) bool { return !s.Facts.Booted.IsZero() && holds(s.Facts.Booted.Compare(at)) }, nil
	}
	return func(s Subject) bool {
		return slices.ContainsFunc(s.values(key), func(have string) bool { return holds(compareNumbers(have, value)) })
	}, nil
}

func parseMoment(text string) (time.Time, error) {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, Errorf(Invalid, "selector: %.40q is no time; write 2026-03-01 or 2026-03-01T15:04:05Z", text)
}

// compareNumbers compares texts such as "v1.10.2" and "1.9" by their numbers, and
// what is between them as text.
func compareNumbers(a, b string) int {
	a, b = strings.TrimPrefix(a, "v"), strings.TrimPrefix(b, "v")
	for a != "" && b != "" {
		var partA, partB string
		partA, a, _ = strings.Cut(a, ".")
		partB, b, _ = strings.Cut(b, ".")
		numberA, errA := strconv.ParseUint(partA, 10, 63)
		numberB, errB := strconv.ParseUint(partB, 10, 63)
		order := strings.Compare(partA, partB)
		if errA == nil && errB == nil {
			order = cmp.Compare(numberA, numberB)
		}
		if order != 0 {
			return order
		}
	}
	return len(a) - len(b)
}
