package trust

import (
	"slices"
	"strings"

	"webjob.dev/webjob"
)

// PolicyFor returns the policy of a job repository that gets other signers. Who leaves them leaves
// every rule, too: a key that was stolen must not go on ordering. Rules for all jobs and
// clients that were those of all signers go to all the new ones. A rule that would lack
// keys is an error: whether it needs others or fewer is for people to say. Those who only
// order, a team's, say, stay.
func PolicyFor(v *View, people []NamedKey, threshold int) (*Policy, error) {
	before, err := v.Policy()
	if err != nil {
		return nil, err
	}
	keys, was, err := v.Signers()
	if err != nil {
		return nil, err
	}
	next := &Policy{Format: before.Format, People: before.named(people)}
	var signers []string // by their names in the policy
	for _, key := range keys {
		signers = append(signers, before.NameOf(key.ID()))
	}
	// One with a new key under the same name stays, with that key.
	leaves := func(name string) bool { return slices.Contains(signers, name) && next.person(name) == nil }
	for i, rule := range before.Orders {
		had := rule.Keys
		if isSubset(signers, had) && rule.On == "all" && slices.Contains(rule.Jobs, "*") {
			rule.Keys = nil
			for _, person := range next.People {
				rule.Keys = append(rule.Keys, person.Name)
			}
			for _, name := range had {
				if !slices.Contains(signers, name) && next.person(name) == nil {
					rule.Keys = append(rule.Keys, name)
				}
			}
			slices.Sort(rule.Keys)
			if rule.Threshold == was {
				rule.Threshold = threshold
			}
		} else {
			rule.Keys = slices.DeleteFunc(slices.Clone(had), leaves)
		}
		if rule.Threshold > len(rule.Keys) {
			return nil, webjob.Errorf(webjob.Conflict, "rule %d of the policy (%s on %s) needs %d of %s, and without those who leave only %d stay; change the rule first: webjobctl repo policy show, webjobctl repo policy set",
				i+1, strings.Join(rule.Jobs, ", "), rule.On, rule.Threshold, strings.Join(had, ", "), len(rule.Keys))
		}
		next.Orders = append(next.Orders, rule)
	}
	for _, person := range before.People {
		if next.person(person.Name) == nil && next.orders(person.Name) {
			next.People = append(next.People, person)
		}
	}
	slices.SortFunc(next.People, func(a, b NamedKey) int { return strings.Compare(a.Name, b.Name) })
	return next, next.Check()
}

// named returns people by the names that they have in the policy, whose rules use these.
func (p *Policy) named(people []NamedKey) (list []NamedKey) {
	for _, person := range people {
		if name := p.NameOf(person.key.ID()); name != "" {
			person.Name = name
		}
		list = append(list, person)
	}
	return list
}

// orders reports whether a rule names the person.
func (p *Policy) orders(name string) bool {
	return slices.ContainsFunc(p.Orders, func(r OrderRules) bool { return slices.Contains(r.Keys, name) })
}

func isSubset(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// OrderOnly returns the names of those who may order and sign nothing in the repository,
// neither for all nor for a team: on purpose, or because their keys were left behind.
func (p *Policy) OrderOnly(roles []RoleStatus) (names []string) {
	for _, person := range p.People {
		signs := slices.ContainsFunc(roles, func(r RoleStatus) bool { return slices.Contains(r.Keys, person.key.ID()) })
		if !signs && p.orders(person.Name) {
			names = append(names, person.Name)
		}
	}
	return names
}

// TeamsOf returns the teams of a job repository for which one of the keys signs.
func TeamsOf(v *View, keys []string) (teams []string, err error) {
	roles, err := v.Status()
	for _, role := range roles {
		if len(role.Paths) > 0 && role.Role != RoleCommon && slices.ContainsFunc(role.Keys, func(id string) bool { return slices.Contains(keys, id) }) {
			teams = append(teams, role.Role)
		}
	}
	return teams, err
}
