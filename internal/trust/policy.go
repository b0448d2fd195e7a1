package trust

import (
	"encoding/base64"
	"path"
	"regexp"
	"slices"
	"strings"

	"webjob.dev/webjob"
)

// PolicyFormat is the value of [Policy.Format] that this version reads and writes.
const PolicyFormat = "webjob-policy/1"

// Bounds of a policy.
const (
	maxPolicyKeys  = 256
	maxPolicyRules = 256
)

// Policy says who may order what. It is a target of the job repository, so changing it
// takes the signatures that the repository demands. The first rule that fits the job
// and the client decides; an order that no rule fits is refused.
type Policy struct {
	Format string       `json:"format"` // PolicyFormat
	People []NamedKey   `json:"people"` // by name, ascending
	Orders []OrderRules `json:"orders"`
}

// NamedKey is a key of a person. The name is for people; only the key counts.
type NamedKey struct {
	Name   string `json:"name"`
	Public string `json:"public"` // PKIX DER in standard base64
	key    *PublicKey
}

// OrderRules says who must sign orders of some jobs for some clients.
type OrderRules struct {
	Jobs      []string `json:"jobs"`                // globs
	On        string   `json:"on"`                  // selector of clients
	Arguments []string `json:"arguments,omitempty"` // patterns; with any, every argument must match one
	Keys      []string `json:"keys"`                // names of people
	Threshold int      `json:"threshold"`           // how many of them must sign; 0 accepts orders that nobody signed
	selector  webjob.Selector
	arguments []*regexp.Regexp
}

// NewNamedKey returns the key of a person.
func NewNamedKey(name string, key *PublicKey) NamedKey {
	return NamedKey{Name: name, Public: base64.StdEncoding.EncodeToString(key.DER()), key: key}
}

// Key returns the key, of a policy that was checked.
func (k NamedKey) Key() *PublicKey { return k.key }

// NewPolicy lets so many of the people order every job on every client.
func NewPolicy(threshold int, people ...NamedKey) (*Policy, error) {
	p := &Policy{Format: PolicyFormat, People: slices.Clone(people)}
	slices.SortFunc(p.People, func(a, b NamedKey) int { return strings.Compare(a.Name, b.Name) })
	rule := OrderRules{Jobs: []string{"*"}, On: "all", Threshold: threshold, Keys: []string{}}
	for _, person := range p.People {
		rule.Keys = append(rule.Keys, person.Name)
	}
	p.Orders = []OrderRules{rule}
	return p, p.Check()
}

// CheckKeyName accepts what [webjob.CheckClientID] accepts.
func CheckKeyName(s string) error {
	if err := webjob.CheckClientID(s); err != nil {
		return webjob.Errorf(webjob.Invalid, "key name %.80q is not allowed; use 1 to 64 letters, digits, '.', '_' or '-'", s)
	}
	return nil
}

// ParsePolicy reads canonical JSON.
func ParsePolicy(data []byte) (*Policy, error) {
	var p Policy
	if err := decodeCanonical("policy", data, &p); err != nil {
		return nil, err
	}
	return &p, p.Check()
}

// Check reports the first field that is malformed or out of range.
func (p *Policy) Check() error {
	if p.Format != PolicyFormat {
		return webjob.Errorf(webjob.Invalid, "policy format %.40q is unknown; this version reads %q", p.Format, PolicyFormat)
	}
	if len(p.People) > maxPolicyKeys || len(p.Orders) > maxPolicyRules {
		return webjob.Errorf(webjob.Invalid, "the policy has %d people and %d rules; at most %d and %d", len(p.People), len(p.Orders), maxPolicyKeys, maxPolicyRules)
	}
	ids := map[string]string{}
	for i := range p.People {
		person := &p.People[i]
		if err := CheckKeyName(person.Name); err != nil {
			return err
		}
		if i > 0 && p.People[i-1].Name >= person.Name {
			return webjob.Errorf(webjob.Invalid, "people of the policy are not in order of their names, or %s is there twice", person.Name)
		}
		der, err := base64.StdEncoding.DecodeString(person.Public)
		if err != nil {
			return webjob.Errorf(webjob.Invalid, "key %s is not base64: %w", person.Name, err)
		}
		if person.key, err = ParsePublicKey(der); err != nil {
			return webjob.Errorf(webjob.Invalid, "key %s: %w", person.Name, err)
		}
		// One key under two names would count twice towards a threshold.
		if other, twice := ids[person.key.ID()]; twice {
			return webjob.Errorf(webjob.Invalid, "keys %s and %s are the same key; list it once", other, person.Name)
		}
		ids[person.key.ID()] = person.Name
	}
	for i := range p.Orders {
		if err := p.checkRule(&p.Orders[i]); err != nil {
			return webjob.Errorf(webjob.Invalid, "rule %d of the policy: %w", i+1, err)
		}
	}
	return nil
}

func (p *Policy) checkRule(rule *OrderRules) (err error) {
	if len(rule.Jobs) == 0 {
		return webjob.Errorf(webjob.Invalid, "it names no jobs; write \"*\" for all")
	}
	for _, glob := range rule.Jobs {
		if _, err := path.Match(glob, ""); err != nil {
			return webjob.Errorf(webjob.Invalid, "%.80q is no glob", glob)
		}
	}
	if rule.selector, err = webjob.ParseSelector(rule.On); err != nil {
		return err
	}
	rule.arguments = nil
	for _, text := range rule.Arguments {
		pattern, err := regexp.Compile(`\A(?s:` + text + `)\z`)
		if err != nil {
			return webjob.Errorf(webjob.Invalid, "argument pattern %.80q does not compile", text)
		}
		rule.arguments = append(rule.arguments, pattern)
	}
	for i, name := range rule.Keys {
		if p.person(name) == nil {
			return webjob.Errorf(webjob.Invalid, "%.80q is not among the people", name)
		}
		if slices.Contains(rule.Keys[:i], name) {
			return webjob.Errorf(webjob.Invalid, "%s is named twice", name)
		}
	}
	if rule.Threshold < 0 || rule.Threshold > len(rule.Keys) {
		return webjob.Errorf(webjob.Invalid, "the threshold is %d; with %d keys it must be 0 to %d", rule.Threshold, len(rule.Keys), len(rule.Keys))
	}
	return nil
}

func (p *Policy) person(name string) *NamedKey {
	for i := range p.People {
		if p.People[i].Name == name {
			return &p.People[i]
		}
	}
	return nil
}

// NameOf returns the name of the person whose key has the id, "" when nobody's has.
func (p *Policy) NameOf(id string) string {
	for _, person := range p.People {
		if person.key.ID() == id {
			return person.Name
		}
	}
	return ""
}

// KeyIDOf returns the id of a person's key, "" of nobody.
func (p *Policy) KeyIDOf(name string) string {
	if person := p.person(name); person != nil {
		return person.key.ID()
	}
	return ""
}

// Encode returns the canonical JSON.
func (p *Policy) Encode() ([]byte, error) { return Canonical(p) }

// ruleFor returns the rule that decides about the job on the client, nil when none
// fits.
func (p *Policy) ruleFor(job string, client webjob.Subject) *OrderRules {
	for i := range p.Orders {
		rule := &p.Orders[i]
		fits := slices.ContainsFunc(rule.Jobs, func(glob string) bool {
			match, _ := path.Match(glob, job) // checked
			return match
		})
		if fits && rule.selector.Matches(client) {
			return rule
		}
	}
	return nil
}

// Permits reports whether the client may obey the order: whether enough of the people
// whom the policy asks for it have signed. The error is Refused.
func (p *Policy) Permits(o *SignedOrder, client webjob.Subject) error {
	_, _, err := p.Judge(o, client)
	return err
}

// Lacks returns how many more signatures would make the order permitted, and whose count.
func (p *Policy) Lacks(o *SignedOrder, client webjob.Subject) (missing int, of []string) {
	rule := p.ruleFor(o.Job, client)
	if rule == nil {
		return 0, nil
	}
	of = slices.DeleteFunc(slices.Clone(rule.Keys), func(name string) bool { return slices.Contains(o.SignedBy, name) })
	return max(0, rule.Threshold-(len(rule.Keys)-len(of))), of
}

// Judge is Permits; have is how many signatures count, and missing how many more would
// make the order permitted, 0 when none would.
func (p *Policy) Judge(o *SignedOrder, client webjob.Subject) (have, missing int, err error) {
	rule := p.ruleFor(o.Job, client)
	if rule == nil {
		return 0, 0, webjob.Errorf(webjob.Refused, "order %s: no rule of the policy lets anybody order %s on client %s", o.ID, o.Job, client.ID)
	}
	for _, name := range o.SignedBy {
		if slices.Contains(rule.Keys, name) {
			have++
		}
	}
	for _, argument := range o.Arguments {
		if len(rule.arguments) > 0 && !slices.ContainsFunc(rule.arguments, func(r *regexp.Regexp) bool { return r.MatchString(argument) }) {
			return have, 0, webjob.Errorf(webjob.Refused, "order %s: argument %.80q: the policy lets %s be ordered only with arguments that match %q", o.ID, argument, o.Job, rule.Arguments)
		}
	}
	if have < rule.Threshold {
		return have, rule.Threshold - have, webjob.Errorf(webjob.Refused, "order %s has %d of %d required signatures for job %s on client %s (of %s); have it approved by enough of them, unchanged",
			o.ID, have, rule.Threshold, o.Job, client.ID, strings.Join(rule.Keys, ", "))
	}
	return have, 0, nil
}
