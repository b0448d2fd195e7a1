package review

import (
	"fmt"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// term is one thing that a manifest or an order says.
type term struct{ name, value string }

// ForWhom says which clients a scope means.
func ForWhom(s webjob.Scope) string {
	if group, found := strings.CutPrefix(string(s), "group:"); found {
		return "the clients with label " + group
	}
	if id, found := strings.CutPrefix(string(s), "client:"); found {
		return "client " + id
	}
	return "every client"
}

// terms says all that a manifest says, but its name and version.
func terms(m *webjob.Manifest) []term {
	list := []term{
		{"for", ForWhom(m.Scope)},
		{"description", m.Description},
		{"run by", "itself"},
		{"arguments", "none are allowed"},
		{"processes that outlive it", map[webjob.Leftovers]string{webjob.LeftoversStop: "are ended", webjob.LeftoversLeave: "are left running"}[m.Leftovers]},
		{"made", when(m.Created)},
		{"good until", when(m.Expires)},
	}
	if len(m.Interpreter) > 0 {
		list[2].value = words(m.Interpreter)
	}
	if len(m.Arguments) > 0 {
		list[3].value = "each matches one of " + words(m.Arguments)
	}
	list = append(list, limits(m.Limits)...)
	if c := m.Collect; c != nil {
		list = append(list,
			term{"collects", words(c.Files)},
			term{"does not collect", words(c.Exclude)},
			term{"collects at most", fmt.Sprintf("%d files, with the contents of those of %d to %d bytes", c.MaxFiles, c.MinBytes, c.MaxBytes)})
	}
	for _, p := range m.Payloads {
		value := fmt.Sprintf("%d bytes, %s", p.Size, p.Digest)
		if p.Bundle != nil {
			value += fmt.Sprintf(", a folder of %d bytes, of which %q is run", p.Bundle.Bytes, p.Bundle.Run)
		}
		list = append(list, term{"payload for " + string(p.Platform), value})
		if len(p.Signature) > 0 {
			list = append(list, term{"signature for hooks, " + string(p.Platform), fmt.Sprintf("%d bytes, %s", len(p.Signature), webjob.DigestOf(p.Signature))})
		}
	}
	return list
}

func limits(l webjob.Limits) []term {
	number := func(n int64, unit string) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n, unit)
	}
	overflow := map[webjob.Overflow]string{webjob.OverflowContinue: "the rest is dropped", webjob.OverflowStop: "the job is stopped"}[l.OnOverflow]
	return []term{
		{"runs at most", l.RunTime().String()},
		{"output at most", fmt.Sprintf("%d bytes, errors %d bytes; of more, %s", l.StdoutBytes, l.StderrBytes, overflow)},
		{"memory at most", number(l.MemoryBytes, " bytes")},
		{"processes at most", number(l.Processes, "")},
		{"processor time at most", number(l.CPUSeconds, " s")},
		{"niceness", number(l.Nice, "")},
		{"collected contents at most", number(l.CollectBytes, " bytes")},
	}
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// words quotes words so that each can be told from the next.
func words(list []string) string {
	quoted := make([]string, len(list))
	for i, word := range list {
		quoted[i] = fmt.Sprintf("%q", word)
	}
	return strings.Join(quoted, " ")
}

// manifest shows what a manifest says, or how it differs from the one before.
func (p *Page) manifest(m, before *webjob.Manifest) {
	now := terms(m)
	if before == nil || p.whole {
		for _, t := range now {
			if t.value != "" {
				p.Say("  %-26s %s", t.name, t.value)
			}
		}
		if before == nil {
			return
		}
	}
	p.Say("What its description says, compared with version %d:", before.Version)
	was := map[string]string{}
	for _, t := range terms(before) {
		was[t.name] = t.value
	}
	for _, t := range now {
		if old := was[t.name]; old != t.value {
			p.change("-", t.name, old)
			p.change("+", t.name, t.value)
		}
		delete(was, t.name)
	}
	for _, t := range terms(before) {
		if _, gone := was[t.name]; gone {
			p.change("-", t.name, t.value)
		}
	}
}

func (p *Page) change(sign, name, value string) {
	if value != "" {
		p.Say("  %s %-26s %s", sign, name, value)
	}
}

// Order says all that an order says.
func (p *Page) Order(o *webjob.Order) {
	list := []term{
		{"arguments", "none"},
		{"on", o.On},
		{"from", when(o.NotBefore)},
		{"until", fmt.Sprintf("%s (%s)", when(o.Expires), o.Expires.Sub(o.NotBefore))},
		{"how often", "once on each client"},
		{"made", when(o.Created)},
		{"tag", o.Tag},
	}
	if len(o.Arguments) > 0 {
		list[0].value = words(o.Arguments)
	}
	if s := o.Schedule; s != nil {
		zone, keeper, missed := s.Zone, "the server keeps the time", "times that nobody could keep are left out"
		if zone == "" {
			zone = "UTC"
		}
		if s.Agent {
			keeper = "each agent keeps the time itself, also without the server"
		}
		if s.Missed == webjob.MissedRun {
			missed = "of times that nobody could keep the latest is made up for"
		}
		list[4].value = fmt.Sprintf("again and again, at %q (%s), each client up to %s later; %s; %s", s.At, zone, time.Duration(s.JitterMS)*time.Millisecond, keeper, missed)
	}
	if o.Late {
		list = append(list, term{"clients that match later", "are included"})
	}
	if o.Priority != 0 {
		list = append(list, term{"priority", fmt.Sprint(o.Priority)})
	}
	if o.Serial {
		list = append(list, term{"on a client", fmt.Sprintf("one after another with the serial orders of group %q", o.Group)})
	} else if o.Group != "" {
		list = append(list, term{"group", o.Group})
	}
	if o.Canary > 0 {
		list = append(list, term{"first", fmt.Sprintf("%d clients must succeed before the rest start", o.Canary)})
	}
	if o.Rate > 0 {
		list = append(list, term{"starts at most", fmt.Sprintf("%d an hour, all clients together", o.Rate)})
	}
	if o.StopAt > 0 {
		list = append(list, term{"stops", fmt.Sprintf("when more than %d %% of all runs failed", o.StopAt)})
	}
	for _, t := range list {
		if t.value != "" {
			p.Say("  %-26s %s", t.name, t.value)
		}
	}
}
