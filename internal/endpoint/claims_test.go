package endpoint

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"webjob.dev/webjob"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newClaims returns claims beside a spool that holds some runs.
func newClaims(t *testing.T, spooled ...string) *Claims {
	t.Helper()
	return &Claims{folder: folder(t.TempDir()), spooled: func(run string) bool {
		for _, s := range spooled {
			if s == run {
				return true
			}
		}
		return false
	}}
}

// Of many processes that want to begin the same run one does.
func TestOneClaimsARun(t *testing.T) {
	c := newClaims(t)
	var group sync.WaitGroup
	var took atomic.Int32
	for range 8 {
		group.Go(func() {
			switch err := c.Take("o1.web1", time.Now().Add(time.Hour)); {
			case err == nil:
				took.Add(1)
			case !errors.Is(err, ErrLost):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if took.Load() != 1 || !c.Has("o1.web1") || c.Has("o2.web1") {
		t.Errorf("%d took it", took.Load())
	}
}

// What is begun tells whether its result is still here.
func TestClaimsTellHeldFromLost(t *testing.T) {
	c := newClaims(t, "o1.web1")
	for run, want := range map[string]error{"o1.web1": ErrHeld, "o2.web1": ErrLost} {
		ok(t, c.Take(run, time.Now()))
		if err := c.Check(run); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", run, err, want)
		}
	}
	if err := c.Check("../get/identity.pem"); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("a path instead of a run: %v", err)
	}
}

// A claim that a crash cut short still counts, and goes by its age.
func TestClaimsCutShort(t *testing.T) {
	c := newClaims(t)
	ok(t, c.Take("o1.web1", time.Now()))
	file := c.path(claimsFolder, "o1.web1")
	ok(t, os.WriteFile(file, []byte(`{"exp`), 0o600))
	ok(t, c.sweep(time.Now().Add(claimGrace)))
	if !c.Has("o1.web1") {
		t.Error("it is gone before its order must have expired")
	}
	ok(t, c.sweep(time.Now().Add(webjob.MaxOrderLifetime+claimGrace+time.Hour)))
	if c.Has("o1.web1") {
		t.Error("it is kept for good")
	}
}

// A folder of claims that was put back from elsewhere is another one, from then on and
// for every order from before.
func TestClaimsNoticeACopy(t *testing.T) {
	c := newClaims(t)
	now := time.Now()
	ok(t, c.checkNotRestored(now, time.Time{}, now))
	ok(t, os.Rename(c.path(claimsFolder), filepath.Join(t.TempDir(), "away")))
	for range 2 {
		if err := c.checkNotRestored(now.Add(-time.Minute), time.Time{}, now); !errors.Is(err, ErrLost) {
			t.Errorf("an order from before: %v", err)
		}
	}
	ok(t, c.checkNotRestored(now.Add(-time.Minute), now.Add(time.Minute), now)) // a later time of a schedule
}
