package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob/internal/endpoint/endpointtest"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// A status tells that a clock is wrong, and that the job repository which is known here has
// expired.
func TestStatusNamesTheClock(t *testing.T) {
	for name, c := range map[string]struct {
		ahead time.Duration // of this clock before the server's
		made  time.Duration // ago, the job repository
		want  map[string]string
	}{
		"right":  {0, 0, map[string]string{"Clock:": "", "Job repository:": ""}},
		"ahead":  {50 * time.Hour, 0, map[string]string{"Clock:": "differs from the server's by 50h0m", "Job repository:": ""}},
		"behind": {-50 * time.Hour, 0, map[string]string{"Clock:": "differs from the server's by -", "Job repository:": ""}},
		"a year": {400 * 24 * time.Hour, 400 * 24 * time.Hour, map[string]string{"Clock:": "differs", "Job repository:": "check this clock"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := trusttest.At(t, time.Now().Add(-c.made), 1, "alice")
			state := endpointtest.Enrolled(t, filepath.Join(t.TempDir(), "state"), r.Roots[0], nil, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(-c.ahead).UTC().Format(http.TimeFormat))
			})
			report, err := newReport(t.Context(), state)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, field := range report.fields(state) {
				got[field.Name] = field.Value
			}
			for field, says := range c.want {
				if !strings.Contains(got[field], says) || (says == "") != (got[field] == "") {
					t.Errorf("%s %q, want %q", field, got[field], says)
				}
			}
		})
	}
}
