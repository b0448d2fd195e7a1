// Package schedule turns the schedule of an order into times. It is used on both
// sides: by the side that keeps the time, and by clients to check that a time which
// they are told is one of the schedule. It keeps no clock and starts nothing.
package schedule

import (
	"hash/fnv"
	"strings"
	"time"
	_ "time/tzdata" // endpoints may have no time zone files

	"github.com/robfig/cron/v3"

	"webjob.dev/webjob"
)

// MinInterval is the shortest interval of a schedule.
const MinInterval = 10 * time.Second

// Times are the times of one schedule.
type Times struct {
	next   func(time.Time) time.Time
	jitter time.Duration
}

// Parse reads a schedule that begins at a time: a cron expression of five fields
// (minute, hour, day of month, month, day of week) in the schedule's zone, or
// "@every" and a span, counted from the beginning. The error is Invalid.
func Parse(s webjob.Schedule, begin time.Time) (Times, error) {
	t := Times{jitter: time.Duration(s.JitterMS) * time.Millisecond}
	if span, found := strings.CutPrefix(s.At, "@every "); found {
		interval, err := time.ParseDuration(strings.TrimSpace(span))
		if err != nil || interval < MinInterval || interval%time.Second != 0 {
			return t, webjob.Errorf(webjob.Invalid, "schedule %.60q: write whole seconds of at least %s, as in @every 15m", s.At, MinInterval)
		}
		begin = begin.UTC().Truncate(time.Second)
		t.next = func(after time.Time) time.Time {
			if after.Before(begin) {
				return begin
			}
			return begin.Add((after.Sub(begin)/interval + 1) * interval)
		}
		return t, nil
	}
	zone := s.Zone
	if zone == "" {
		zone = "UTC"
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return t, webjob.Errorf(webjob.Invalid, "time zone %.60q is unknown; write such as Europe/Berlin", s.Zone)
	}
	if len(s.At) > 256 || strings.Contains(s.At, "TZ=") {
		return t, webjob.Errorf(webjob.Invalid, "schedule %.60q: name the zone with --zone", s.At)
	}
	parsed, err := cron.ParseStandard(s.At)
	if err != nil {
		return t, webjob.Errorf(webjob.Invalid, "schedule %.60q: %w; write five fields, as in \"30 2 * * 1-5\", or @every 15m", s.At, err)
	}
	t.next = func(after time.Time) time.Time { return parsed.Next(after.In(location)).UTC() }
	if t.Next(time.Now()).IsZero() {
		return t, webjob.Errorf(webjob.Invalid, "schedule %.60q never comes", s.At)
	}
	return t, nil
}

// Next returns the first time after the given one, in UTC; zero when there is none
// within five years.
func (t Times) Next(after time.Time) time.Time { return t.next(after) }

// Has reports whether the time is one of the schedule.
func (t Times) Has(at time.Time) bool { return t.next(at.Add(-time.Second)).Equal(at) }

// Latest returns the last time that is after the given one and not after now, zero
// when there is none.
func (t Times) Latest(after, now time.Time) time.Time {
	var latest time.Time
	// A long absence is not walked in small steps.
	for step := now.Sub(after); step > MinInterval; step /= 2 {
		if at := t.next(now.Add(-step)); at.IsZero() || at.After(now) {
			break
		}
		after = now.Add(-step)
	}
	for at := t.next(after); !at.IsZero() && !at.After(now); at = t.next(at) {
		latest = at
	}
	return latest
}

// Delay returns by how much a client starts later than the time: the same for the
// same client and time, spread evenly below the jitter.
func (t Times) Delay(client string, at time.Time) time.Duration {
	if t.jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(client + at.UTC().Format(time.RFC3339)))
	return time.Duration(h.Sum64() % uint64(t.jitter))
}
