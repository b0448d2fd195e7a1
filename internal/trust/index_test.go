package trust_test

import (
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// index lists versions of a job.
func index(t *testing.T, versions ...int64) *trust.JobIndex {
	t.Helper()
	x := trust.NewJobIndex("job")
	for _, n := range versions {
		must(t, x.Add(jobManifest("job", n, "x"), webjob.DigestOf([]byte{byte(n)})))
	}
	return x
}

func numbers(x *trust.JobIndex) (list []int64) {
	for _, v := range x.Versions {
		list = append(list, v.Version)
	}
	return list
}

// What was withdrawn can be listed again, in its place; what is not, was never there, or
// would fall off at once cannot.
func TestWithdrawnVersionsComeBack(t *testing.T) {
	x := index(t, 1, 2, 3)
	second := x.Versions[1]
	if _, err := x.Withdraw(9); webjob.KindOf(err) != webjob.NotFound {
		t.Errorf("withdrawing what never was: %v", err)
	}
	changed, err := x.Withdraw(2)
	must(t, err)
	if again, err := x.Withdraw(2); !changed || again || err != nil {
		t.Errorf("withdrawn: %t, again: %t, %v", changed, again, err)
	}
	must(t, x.Restore(second))
	if got := numbers(x); len(got) != 3 || got[1] != 2 || x.Latest != 3 {
		t.Errorf("after all the index lists %v", got)
	}
	if err := x.Restore(second); webjob.KindOf(err) != webjob.Conflict {
		t.Errorf("restoring what is listed: %v", err)
	}
	if err := x.Restore(trust.IndexVersion{Version: 4, Scope: webjob.ScopeCommon, Manifest: second.Manifest}); webjob.KindOf(err) != webjob.NotFound {
		t.Errorf("restoring what never was: %v", err)
	}
	// Eleven versions: the first fell off, and there is no room for it.
	x = index(t, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	if err := x.Restore(trust.IndexVersion{Version: 1, Scope: webjob.ScopeCommon, Manifest: second.Manifest}); webjob.KindOf(err) != webjob.Conflict {
		t.Errorf("restoring what is too old: %v", err)
	}
}
