package schedule_test

import (
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/schedule"
)

var begin = time.Date(2026, 3, 28, 12, 0, 30, 0, time.UTC)

func parse(t *testing.T, s webjob.Schedule) schedule.Times {
	t.Helper()
	times, err := schedule.Parse(s, begin)
	if err != nil {
		t.Fatal(err)
	}
	return times
}

// The night in which clocks go forward has no 02:30 in Berlin; the one in which they
// go back has two, and the job runs at the first of them only.
func TestZones(t *testing.T) {
	berlin := parse(t, webjob.Schedule{At: "30 3 * * *", Zone: "Europe/Berlin"})
	for after, want := range map[string]string{
		"2026-03-28T12:00:00Z": "2026-03-29T01:30:00Z", // summer time has begun: 03:30 is 01:30 UTC
		"2026-03-27T12:00:00Z": "2026-03-28T02:30:00Z",
		"2026-10-25T12:00:00Z": "2026-10-26T02:30:00Z",
	} {
		from, err := time.Parse(time.RFC3339, after)
		if err != nil {
			t.Fatal(err)
		}
		next := berlin.Next(from)
		if got := next.Format(time.RFC3339); got != want {
			t.Errorf("after %s comes %s, want %s", after, got, want)
		}
		if !berlin.Has(next) || berlin.Has(next.Add(time.Minute)) {
			t.Errorf("%s is not told from the minute after it", next)
		}
	}
}

func TestIntervalsCountFromTheBeginning(t *testing.T) {
	times := parse(t, webjob.Schedule{At: "@every 15m"})
	if got := times.Next(begin.Add(-time.Hour)); !got.Equal(begin) {
		t.Errorf("the first time is %s", got)
	}
	if got := times.Next(begin); !got.Equal(begin.Add(15 * time.Minute)) {
		t.Errorf("the second time is %s", got)
	}
	if times.Has(begin.Add(14*time.Minute)) || !times.Has(begin.Add(30*time.Minute)) {
		t.Error("Has is wrong")
	}
	for absence, want := range map[time.Duration]time.Duration{
		time.Minute: 0, 16 * time.Minute: 15 * time.Minute, 365 * 24 * time.Hour: 365 * 24 * time.Hour,
	} {
		latest := times.Latest(begin, begin.Add(absence))
		if want == 0 && !latest.IsZero() || want != 0 && !latest.Equal(begin.Add(want)) {
			t.Errorf("after %s the latest time is %s", absence, latest)
		}
	}
}

func TestJitterIsSpread(t *testing.T) {
	times := parse(t, webjob.Schedule{At: "@every 1h", JitterMS: 60_000})
	seen := map[int]int{}
	for i := range 1000 {
		delay := times.Delay(string(rune('a'+i%26))+string(rune('a'+i/26)), begin)
		if delay < 0 || delay >= time.Minute {
			t.Fatalf("delay is %s", delay)
		}
		seen[int(delay/(6*time.Second))]++
	}
	for tenth := range 10 {
		if seen[tenth] < 50 {
			t.Errorf("%d of 1000 clients start in tenth %d", seen[tenth], tenth)
		}
	}
}

func TestNonsense(t *testing.T) {
	for _, s := range []webjob.Schedule{
		{},
		{At: "61 * * * *"},
		{At: "* * * *"},
		{At: "0 0 30 2 *"},
		{At: "@every -1m"},
		{At: "@every 1s"},
		{At: "@every 1500ms"},
		{At: "@every"},
		{At: "0 0 * * *", Zone: "Mars/Olympus"},
		{At: "0 0 * * *", Zone: "Local"},
		{At: "TZ=UTC 0 0 * * *"},
		{At: "0 0 * * *", Zone: "../../etc/passwd"},
	} {
		if _, err := schedule.Parse(s, begin); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("%+v: got %v, want an Invalid error", s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("30 2 * * 1-5", "Europe/Berlin")
	f.Add("@every 15m", "")
	f.Fuzz(func(t *testing.T, at, zone string) {
		times, err := schedule.Parse(webjob.Schedule{At: at, Zone: zone}, begin)
		if err != nil {
			return
		}
		if next := times.Next(begin); !next.IsZero() && !next.After(begin) && !next.Equal(begin) {
			t.Fatalf("after %s comes %s", begin, next)
		}
	})
}
