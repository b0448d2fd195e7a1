package operator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// Explain says in lines for people what a draft changes: what was, with a minus, and
// what is to be, with a plus. base is nil for a first draft.
func (s *Session) Explain(base *trust.Repository, d *trust.Draft) ([]string, error) {
	var lines []string
	var policy *trust.Policy
	if base != nil {
		policy, _ = base.Policy() // names are only for people
	}
	if content := d.Contents[trust.PolicyPath]; len(content) > 0 {
		if p, err := trust.ParsePolicy(content); err == nil {
			policy = p
		}
	}
	names := s.Names(policy)
	for _, path := range slices.Sorted(maps.Keys(d.Contents)) {
		var before []byte
		if base != nil {
			before, _ = base.Content(path) // none is none
		}
		lines = append(lines, path+":")
		lines = append(lines, difference(describe(path, before), describe(path, d.Contents[path]))...)
	}
	changes, err := d.Changes(base, time.Now(), names)
	if err != nil {
		return nil, err
	}
	lines = append(lines, changes...)
	for _, text := range d.Manifests {
		m, err := trust.ParseManifest(text, webjob.DigestOf(text), time.Now())
		if err != nil {
			return nil, err
		}
		if !d.Lists(m.Name, m.Digest) {
			return nil, webjob.Errorf(webjob.Refused, "the draft shows a manifest of %s that its index does not name; do not sign it", m.Name)
		}
		lines = append(lines, "manifest "+m.Digest.Short()+":")
		lines = append(lines, difference(nil, pretty(text))...)
	}
	needs, err := d.Needs(base)
	if err != nil {
		return nil, err
	}
	for _, need := range needs {
		who := make([]string, 0, len(need.Keys))
		for _, id := range need.Keys {
			name := names(id)
			if slices.Contains(need.Have, id) {
				name += " (signed)"
			}
			who = append(who, name)
		}
		lines = append(lines, fmt.Sprintf("role %s: %d of %d signatures; may sign: %s", need.Role, len(need.Have), need.Threshold, strings.Join(who, ", ")))
	}
	return lines, nil
}

// describe returns the lines that stand for a content.
func describe(path string, content []byte) []string {
	if len(content) == 0 {
		return nil
	}
	switch kind, _, _ := strings.Cut(path, "/"); kind {
	case "jobs":
		index, err := trust.ParseJobIndex(content)
		if err != nil {
			return []string{"not readable: " + err.Error()}
		}
		var lines []string
		for _, v := range index.Versions {
			lines = append(lines, fmt.Sprintf("version %d for %s, manifest %s", v.Version, v.Scope, v.Manifest))
		}
		return lines
	case trust.PolicyPath:
		return describePolicy(content)
	}
	return pretty(content)
}

func describePolicy(content []byte) []string {
	p, err := trust.ParsePolicy(content)
	if err != nil {
		return []string{"not readable: " + err.Error()}
	}
	var lines []string
	for _, person := range p.People {
		lines = append(lines, fmt.Sprintf("key %s: %s, fingerprint %s", person.Name, person.Key().Type(), person.Key().Fingerprint()))
	}
	for i, rule := range p.Orders {
		signers := fmt.Sprintf("%d of %s", rule.Threshold, strings.Join(rule.Keys, ", "))
		if rule.Threshold == 0 {
			signers = "nobody: orders need no signature"
		}
		line := fmt.Sprintf("rule %d: jobs %s on %s are ordered by %s", i+1, strings.Join(rule.Jobs, ", "), rule.On, signers)
		if len(rule.Arguments) > 0 {
			line += fmt.Sprintf(", with arguments that match %q", rule.Arguments)
		}
		lines = append(lines, line)
	}
	return lines
}

func pretty(content []byte) []string {
	var b bytes.Buffer
	if json.Indent(&b, content, "", "  ") != nil {
		return []string{fmt.Sprintf("%d bytes", len(content))}
	}
	return strings.Split(b.String(), "\n")
}

// difference returns the lines that went and those that came.
func difference(before, after []string) []string {
	var lines []string
	for _, line := range before {
		if !slices.Contains(after, line) {
			lines = append(lines, "  - "+line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			lines = append(lines, "  + "+line)
		}
	}
	if lines == nil {
		return []string{"  (no change)"}
	}
	return lines
}
