package publish

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// What an entry of the audit log tells of a draft at most: lines, and characters of one.
const (
	maxLines = 50
	maxLine  = 400
)

// described is what the audit log keeps of one side of a draft. Members that a draft does
// not change are left out.
type described struct {
	Summary  string   `json:"summary,omitempty"`
	By       string   `json:"by,omitempty"`
	Accepted *bool    `json:"accepted,omitempty"` // it is in effect
	SignedBy []string `json:"signed_by,omitempty"`
	// Signers are roles of the repository, and who signs them.
	Signers []string `json:"signers,omitempty"`
	// Roles are signed anew, and say what they said.
	Roles []string `json:"roles,omitempty"`
	// Policy is its rules about orders.
	Policy  []string                 `json:"policy,omitempty"`
	Publish []publication            `json:"publish,omitempty"`
	Listed  map[string][]int64       `json:"listed,omitempty"` // versions that an index lists, by job
	Labels  map[string]webjob.Labels `json:"labels,omitempty"` // that are signed, by client
}

// publication is a version that becomes available.
type publication struct {
	Job      string          `json:"job"` // NAME@VERSION
	Manifest webjob.Digest   `json:"manifest"`
	Payloads []webjob.Digest `json:"payloads"`
}

// describe tells the audit log what a draft changes, and who signed it so far.
func (r *signed) describe(ctx context.Context, d *trust.Draft, o Outcome, changes []trust.Change, change webjob.RepositoryChange, complete bool) error {
	before, after := described{}, described{Summary: d.Summary, By: d.By, Accepted: &complete}
	r.mu.RLock()
	current, policy := r.current.View, r.policy
	r.mu.RUnlock()
	names := namesFor(d, policy)
	after.SignedBy = signersOf(o.Needs, names)
	if waiting, err := r.Draft(d.ID); err == nil { // else it is new
		needs, err := waiting.Needs(current)
		if err != nil {
			return err
		}
		before.SignedBy = signersOf(needs, names)
	}
	for _, c := range changes {
		before.Signers = appendSide(before.Signers, c.What, c.Before)
		after.Signers = appendSide(after.Signers, c.What, c.After)
	}
	if content, found := d.Contents[trust.PolicyPath]; found {
		next, err := trust.ParsePolicy(content)
		if err != nil {
			return err
		}
		before.Policy, after.Policy = rulesOf(policy), rulesOf(next)
	}
	for _, v := range change.Publish {
		p := publication{Job: fmt.Sprintf("%s@%d", v.Name, v.Version), Manifest: v.Manifest}
		for _, payload := range v.Payloads {
			p.Payloads = append(p.Payloads, payload.Digest)
		}
		after.Publish = append(after.Publish, p)
	}
	if len(change.Publish) == 0 && len(change.Listed) > 0 { // withdrawn, or listed again
		after.Listed, before.Listed = change.Listed, map[string][]int64{}
		for job := range change.Listed {
			before.Listed[job] = listedIn(current, job)
		}
	}
	if len(change.Labels) > 0 {
		after.Labels, before.Labels = change.Labels, map[string]webjob.Labels{}
		for client := range change.Labels {
			before.Labels[client] = labelsIn(current, client)
		}
	}
	if len(changes)+len(d.Contents) == 0 {
		after.Roles = bound(slices.Sorted(maps.Keys(d.Roles)))
	}
	for _, side := range []*described{&before, &after} {
		side.Signers, side.Policy = bound(side.Signers), bound(side.Policy)
	}
	webjob.Describe(ctx, d.ID, before.orNothing(), after)
	return nil
}

// orNothing returns nil when nothing is said.
func (d described) orNothing() any {
	if d.SignedBy == nil && d.Signers == nil && d.Policy == nil && d.Listed == nil && d.Labels == nil {
		return nil
	}
	return d
}

// signersOf returns whose signatures there are.
func signersOf(needs []trust.Need, names func(id string) string) []string {
	var list []string
	for _, need := range needs {
		for _, id := range need.Have {
			list = append(list, trust.NameWithKey(names(id), id))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func appendSide(lines []string, what, who string) []string {
	if who == "" {
		return lines
	}
	return append(lines, what+": "+who)
}

// rulesOf returns a policy in words: who may order what.
func rulesOf(p *trust.Policy) []string {
	if p == nil {
		return nil
	}
	var lines []string
	for _, rule := range p.Orders {
		var people []string
		for _, name := range rule.Keys {
			people = append(people, trust.NameWithKey(name, p.KeyIDOf(name)))
		}
		line := fmt.Sprintf("%s on %s: %d of %s", strings.Join(rule.Jobs, " "), rule.On, rule.Threshold, strings.Join(people, ", "))
		if len(rule.Arguments) > 0 {
			line += "; arguments " + strings.Join(rule.Arguments, " ")
		}
		lines = append(lines, line)
	}
	return lines
}

// namesFor returns what names a key by its id: the policy of before, or that of the draft.
func namesFor(d *trust.Draft, before *trust.Policy) func(id string) string {
	after, _ := trust.ParsePolicy(d.Contents[trust.PolicyPath]) // whether it is good is judged elsewhere
	return func(id string) string {
		if name := nameIn(after, id); name != unnamed {
			return name
		}
		return nameIn(before, id)
	}
}

// unnamed is a key of whom no policy knows the person.
const unnamed = "key"

// nameIn returns the name of the person whose key has the id.
func nameIn(p *trust.Policy, id string) string {
	if p != nil {
		if name := p.NameOf(id); name != "" {
			return name
		}
	}
	return unnamed
}

func listedIn(r *trust.View, job string) []int64 {
	list := []int64{}
	if r == nil {
		return list // of a repository that is new
	}
	if index, err := r.Index(job); err == nil { // of one that is not there: none
		for _, v := range index.Versions {
			list = append(list, v.Version)
		}
	}
	return list
}

func labelsIn(r *trust.View, client string) webjob.Labels {
	if r == nil {
		return nil
	}
	labels, _, _ := r.Labels(client) // of one that has none signed: none
	return labels
}

// bound keeps an entry short; its draft has all of it.
func bound(lines []string) []string {
	lines = slices.Clone(lines)
	if len(lines) > maxLines {
		lines = append(lines[:maxLines], fmt.Sprintf("and %d more", len(lines)-maxLines))
	}
	for i, line := range lines {
		if runes := []rune(line); len(runes) > maxLine {
			lines[i] = string(runes[:maxLine]) + "..."
		}
	}
	return lines
}
