package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// answersAreCurrent asks about clients and a job while they change: whoever was told of a change
// sees it, however many ask at the same time.
func answersAreCurrent(t *testing.T, s webjob.Store) {
	const clients, changes = 3, 30
	ids := make([]string, clients)
	for i := range ids {
		ids[i] = fmt.Sprint("web", i)
	}
	enroll(t, s, ids...)
	publish(t, s, version("j", 1, webjob.ScopeCommon))
	var stored [clients]atomic.Int64 // the last change of each
	var newest, withdrawn atomic.Int64
	newest.Store(1)
	var done atomic.Bool
	var changing, asking sync.WaitGroup
	for i, id := range ids {
		changing.Go(func() {
			for n := int64(1); n <= changes; n++ {
				if err := s.SetFacts(t.Context(), id, webjob.Facts{Booted: now.Add(time.Duration(n) * time.Second)}); err != nil {
					t.Error(err)
				}
				stored[i].Store(n)
			}
		})
		asking.Go(func() {
			for !done.Load() {
				least := stored[i].Load()
				c, err := s.Client(t.Context(), id)
				if err != nil || least > 0 && (c.Facts == nil || c.Facts.Booted.Before(now.Add(time.Duration(least)*time.Second))) {
					t.Errorf("after change %d of %s was told: %v, %v", least, id, c.Facts, err)
					return
				}
			}
		})
	}
	changing.Go(func() {
		for n := int64(2); n <= changes; n++ {
			if err := tryPublish(s, version("j", n, webjob.ScopeCommon)); err != nil {
				t.Error(err)
			}
			newest.Store(n)
			listed := webjob.RepositoryChange{Listed: map[string][]int64{"j": {n}}}
			if err := s.ChangeRepository(t.Context(), listed, now); err != nil {
				t.Error(err)
			}
			withdrawn.Store(n - 1)
		}
	})
	scopes := []webjob.Scope{webjob.ScopeCommon}
	asking.Go(func() {
		for !done.Load() {
			least, gone := newest.Load(), withdrawn.Load()
			if v, err := s.FindJob(t.Context(), "j", scopes); err != nil || v.Version < least {
				t.Errorf("after version %d was published: %d, %v", least, v.Version, err)
				return
			}
			if _, err := s.FindVersion(t.Context(), "j", gone, scopes); webjob.KindOf(err) != webjob.NotFound {
				t.Errorf("after version %d was withdrawn: %v", gone, err)
				return
			}
		}
	})
	changing.Wait()
	done.Store(true)
	asking.Wait()
}
