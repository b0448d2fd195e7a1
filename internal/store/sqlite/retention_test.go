package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/store/sqlite"
)

// manyResults is a store with 400,000 results of 1,000 clients and four jobs, one a second
// until now, that are kept for so long.
func manyResults(b *testing.B, keep time.Duration) *sqlite.Store {
	b.Helper()
	opened := open(b, b.TempDir())
	b.Cleanup(func() { _ = opened.Close() })
	s := opened.(*sqlite.Store)
	sqlite.Exec(s, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 399999)
		INSERT INTO results (run, client, job, version, outcome, started, duration_ms, received, bytes, keep_until, record, inline)
		SELECT 'run-' || i, 'client-' || (i %% 1000), 'job-' || (i %% 4), 1, 'succeeded', 0, 1, %[1]d + i * 1000000, 3000, %[1]d + i * 1000000 + %[2]d, zeroblob(1000), zeroblob(500) FROM n`,
		time.Now().Add(-400_000*time.Second).UnixMicro(), keep.Microseconds()))
	sqlite.Exec(s, `INSERT INTO client_storage SELECT client, count(*), sum(bytes + length(record)), 0, 0 FROM results GROUP BY client`)
	b.ResetTimer()
	return s
}

// What a round of housekeeping costs when nothing is due.
func BenchmarkRetentionNothingDue(b *testing.B) {
	s := manyResults(b, 10*24*time.Hour)
	for b.Loop() {
		if due, err := s.DueResults(b.Context(), time.Now(), 50); err != nil || len(due) > 0 {
			b.Fatal(len(due), err)
		}
	}
}

// What a batch of 50 results costs: looking for them, and removing them.
func BenchmarkRetentionBatch(b *testing.B) {
	s := manyResults(b, time.Second)
	var longest time.Duration
	for b.Loop() {
		due, err := s.DueResults(b.Context(), time.Now(), 50)
		if err != nil || len(due) < 50 {
			b.Fatal(len(due), err)
		}
		sequences := make([]int64, len(due))
		for i, r := range due {
			sequences[i] = r.Sequence
		}
		start := time.Now()
		if _, err := s.PruneResults(b.Context(), sequences); err != nil {
			b.Fatal(err)
		}
		longest = max(longest, time.Since(start))
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
}

// What clients stored with the version before is counted when the file is opened.
func TestStoredBeforeIsCounted(t *testing.T) {
	place := t.TempDir()
	var statements []string
	for i, client := range []string{"web1", "web1", "web2"} {
		statements = append(statements, fmt.Sprintf(`INSERT INTO results (run, client, job, version, outcome, started, duration_ms, received, bytes, record, inline)
			VALUES ('run%d', '%s', 'job', 1, 'succeeded', 0, 1, 0, 100, x'7b2261223a317d', x'')`, i, client))
	}
	statements = append(statements, `INSERT INTO deliveries ("trigger", event, attempts, next_at, dead, error) VALUES ('t', '{}', 0, 1, 0, '')`)
	if err := sqlite.OpenAt(t.Context(), filepath.Join(place, "meta.db"), 9, statements...); err != nil {
		t.Fatal(err)
	}
	s := open(t, place)
	defer func() { _ = s.Close() }()
	got, err := s.Storage(t.Context(), "web1")
	if err != nil || got != (webjob.Storage{Results: 2, Stored: 214}) {
		t.Errorf("web1 has %+v, %v", got, err)
	}
	if due, err := s.DueTriggers(t.Context()); err != nil || len(due) != 1 {
		t.Errorf("due are %v, %v", due, err)
	}
	if n, err := s.PruneResults(t.Context(), []int64{1, 2, 3}); err != nil || n != 3 {
		t.Errorf("removed %d, %v", n, err)
	}
}
