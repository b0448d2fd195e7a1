package operator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/review"
	"webjob.dev/webjob/internal/trust"
)

// Reviews shows people what they are about to sign: the change of a draft, or an order, and
// what would run because of it.
type Reviews struct {
	repository Repository
	jobs       Jobs
}

// Review is what people are shown before they sign: lines that are safe for a terminal.
type Review struct {
	ID       string   `json:"id,omitempty"`
	Summary  string   `json:"summary,omitempty"` // in the words of who proposed it
	By       string   `json:"by,omitempty"`
	Changes  []string `json:"changes"`             // what changes for people, or what an order asks for
	Shown    []string `json:"shown,omitempty"`     // what would run
	NotShown []string `json:"not_shown,omitempty"` // and what of it is not in Shown
}

// Depth is how much of what they sign people are shown.
type Depth struct {
	Brief   bool // no descriptions and payloads
	Whole   bool // whole texts, not only where they differ from the version before
	Details bool // each role, and exact manifests
}

// Draft shows what a draft changes, and what would run because of it. base is nil for
// a first draft. Everything is taken from what is signed, down to the payloads, which
// come from the server and are checked against their digests.
func (v Reviews) Draft(ctx context.Context, base *trust.View, d *trust.Draft, depth Depth) (*Review, error) {
	names := v.repository.namesIn(base)
	if p, err := trust.ParsePolicy(d.Contents[trust.PolicyPath]); err == nil {
		names = v.repository.Names(p)
	}
	changes, err := d.Changes(base, time.Now(), names)
	if err != nil {
		return nil, err
	}
	needs, err := d.Needs(base)
	if err != nil {
		return nil, err
	}
	e := &explanation{reviews: v, base: base, draft: d, depth: depth, page: review.NewPage(depth.Whole), shown: map[webjob.Digest]bool{}}
	for _, path := range slices.Sorted(maps.Keys(d.Contents)) {
		if err := e.content(ctx, path); err != nil {
			return nil, err
		}
	}
	for _, text := range d.Manifests {
		if !e.shown[webjob.DigestOf(text)] {
			return nil, webjob.Errorf(webjob.Refused, "the draft brings a manifest along that no index in it lists as new; do not sign it")
		}
	}
	e.signers(changes)
	e.needs(needs, names)
	return &Review{
		ID: review.Visible(d.ID), Summary: review.Visible(d.Summary), By: review.Visible(d.By),
		Changes: e.lines, Shown: e.page.Lines, NotShown: append(e.brief, e.page.NotShown()...),
	}, nil
}

// explanation is a review under way.
type explanation struct {
	reviews Reviews
	base    *trust.View
	draft   *trust.Draft
	depth   Depth
	lines   []string // what changes for people
	brief   []string // what is not shown because nobody wants to see it
	page    *review.Page
	shown   map[webjob.Digest]bool // manifests
}

func (e *explanation) say(format string, values ...any) {
	e.lines = append(e.lines, review.Visible(fmt.Sprintf(format, values...)))
}

// content says how the content of a target changes.
func (e *explanation) content(ctx context.Context, path string) error {
	var before []byte
	if e.base != nil {
		before, _ = e.base.Content(path) // none is none
	}
	after := e.draft.Contents[path]
	kind, name, _ := strings.Cut(path, "/")
	switch {
	case len(after) == 0:
		e.say("%s is taken away", path)
	case kind == "jobs":
		return e.job(ctx, name, after)
	case kind == "clients":
		return e.labels(name, before, after)
	case path == trust.PolicyPath:
		e.say("Who may order what:")
		e.difference(describePolicy(before), describePolicy(after))
	default:
		return webjob.Errorf(webjob.Refused, "the draft changes %.80q, which is nothing that this program knows; do not sign it", path)
	}
	return nil
}

func (e *explanation) labels(client string, before, after []byte) error {
	labels, err := trust.ParseLabels(after)
	if err != nil {
		return err
	}
	was := "those of its enrolment"
	if len(before) > 0 {
		old, err := trust.ParseLabels(before)
		if err != nil {
			return err
		}
		was = old.String()
	}
	e.say("Labels of %s: %s", client, labels)
	e.say("  before: %s", was)
	return nil
}

func describePolicy(content []byte) []string {
	if len(content) == 0 {
		return nil
	}
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

// difference says which lines went and which came.
func (e *explanation) difference(before, after []string) {
	for _, line := range before {
		if !slices.Contains(after, line) {
			e.say("  - %s", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			e.say("  + %s", line)
		}
	}
	if slices.Equal(before, after) {
		e.say("  as before")
	}
}

// signers says who signs what from now on. A change of people is the same for many
// roles, so those that change in the same way are told together; none is left out.
func (e *explanation) signers(changes []trust.Change) {
	type way struct{ before, after string }
	var ways []way
	roles := map[way][]string{}
	for _, c := range changes {
		w := way{c.Before, c.After}
		if roles[w] == nil {
			ways = append(ways, w)
		}
		roles[w] = append(roles[w], c.What)
	}
	for _, w := range ways {
		e.say("Who signs %s:", strings.Join(roles[w], "; "))
		if w.before != "" {
			e.say("  - %s", w.before)
		}
		if w.after == "" {
			w.after = "nobody any more"
		}
		e.say("  + %s", w.after)
	}
}

// needs says whose signatures there are and whose are to come.
func (e *explanation) needs(needs []trust.Need, names func(string) string) {
	var said []string
	for _, need := range needs {
		who := make([]string, 0, len(need.Keys))
		for _, id := range need.Keys {
			name := names(id)
			if slices.Contains(need.Have, id) {
				name += " (signed)"
			}
			who = append(who, name)
		}
		slices.Sort(who)
		line := fmt.Sprintf("Signatures: %d of %d; may sign: %s", len(need.Have), need.Threshold, strings.Join(who, ", "))
		if e.depth.Details {
			e.page.Say("role %s: %s", need.Role, line)
		}
		if !slices.Contains(said, line) {
			said = append(said, line)
			e.say("%s", line)
		}
	}
}
