package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// RecordFields returns a run record as lines for people.
func RecordFields(r *webjob.Record) []Field {
	fields := []Field{
		{"Run:", r.Run},
		{"Client:", r.Client},
		{"Host:", r.Host + " (" + string(r.Platform) + ", webjob " + r.Webjob + ")"},
		{"System:", r.System},
		{"Job:", r.Job + " version " + strconv.FormatInt(r.Version, 10)},
		{"Order:", r.Order},
		{"Manifest:", string(r.Manifest)},
		{"Payload:", string(r.Payload)},
		{"Arguments:", quoted(r.Arguments)},
		{"Outcome:", outcomeOf(r)},
		{"Reason:", r.Reason},
		{"GET:", phase(r.Times.Get)},
		{"RUN:", phase(r.Times.Run)},
		{"PUT:", phase(r.Times.Put)},
		{"CPU:", fmt.Sprintf("%d ms user, %d ms system", r.Usage.UserMS, r.Usage.SystemMS)},
		{"Peak memory:", sizeOrNone(r.Usage.PeakMemoryBytes)},
		{"RUN limit:", r.Limits.RunTime().String()},
		{"Enforced:", strings.Join(r.Enforced, "; ")},
	}
	if r.Leftovers > 0 {
		fields = append(fields, Field{"Leftovers:", fmt.Sprintf("%d processes outlived the job and were ended", r.Leftovers)})
	}
	for _, part := range r.Parts {
		text := Bytes(part.Size) + " " + string(part.Digest)
		if part.Truncated {
			text += fmt.Sprintf(" (truncated: the job wrote %d bytes)", part.Written)
		}
		if part.Error != "" {
			text += " (" + part.Error + ")"
		}
		fields = append(fields, Field{part.Name + ":", text})
	}
	if r.Collected != nil {
		fields = append(fields, Field{"Collected:", collected(r.Collected)})
	}
	for _, text := range r.Errors {
		fields = append(fields, Field{"Error:", text})
	}
	return fields
}

func collected(c *webjob.Collected) string {
	text := fmt.Sprintf("%d files (%s) of %d listed", c.Contents, Bytes(c.Bytes), c.Entries)
	for _, counted := range []struct {
		count int64
		what  string
	}{{c.Skipped, "left out by a rule"}, {c.Unreadable, "unreadable"}, {c.Altered, "changed while they were read"}} {
		if counted.count > 0 {
			text += fmt.Sprintf("; %d %s", counted.count, counted.what)
		}
	}
	if c.Incomplete != "" {
		text += "; incomplete: " + c.Incomplete
	}
	return text
}

func outcomeOf(r *webjob.Record) string {
	switch {
	case r.ExitStatus != nil:
		return fmt.Sprintf("%s, status %d", r.Outcome, *r.ExitStatus)
	case r.Signal != "":
		return fmt.Sprintf("%s, %s", r.Outcome, r.Signal)
	}
	return string(r.Outcome)
}

func phase(p webjob.Phase) string {
	if p.Start.IsZero() {
		return ""
	}
	text := p.Start.UTC().Format(time.RFC3339Nano)
	if p.DurationMS > 0 {
		text += ", " + Milliseconds(p.DurationMS)
	}
	return text
}

func quoted(words []string) string {
	var q []string
	for _, word := range words {
		q = append(q, strconv.Quote(word))
	}
	return strings.Join(q, " ")
}

func sizeOrNone(n int64) string {
	if n == 0 {
		return ""
	}
	return Bytes(n)
}
