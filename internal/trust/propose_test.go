package trust_test

import (
	"slices"
	"testing"
	"time"

	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// read returns what a client that has just been enrolled learns of jobs.
func read(t *testing.T, r *trusttest.Repository, jobs ...string) *trust.View {
	t.Helper()
	var paths []string
	for _, job := range jobs {
		paths = append(paths, trust.JobPath(job))
	}
	pinned := r.Pinned()
	view, err := pinned.Update(r.Bundle(pinned, paths...), r.Now)
	must(t, err)
	for _, job := range jobs {
		if _, err := view.Index(job); err != nil {
			t.Errorf("%s: %v", job, err)
		}
	}
	return view
}

// signedBy fails unless these people, and nobody else, vouch for a job.
func signedBy(t *testing.T, r *trusttest.Repository, job string, names ...string) {
	t.Helper()
	var want []string
	for _, name := range names {
		want = append(want, r.Keys[name].ID())
	}
	ids, err := r.View.SignedBy(trust.JobPath(job))
	must(t, err)
	if slices.Sort(ids); !slices.Equal(ids, slices.Sorted(slices.Values(want))) {
		t.Errorf("%s is signed by %v, want %v: %v", job, ids, names, want)
	}
}

// A team takes the jobs of its names over, and signs them anew when its keys change; jobs
// of others stay where they are.
func TestTeamTakesItsJobsOver(t *testing.T) {
	r := trusttest.New(t, 1, "alice")
	r.Publish(jobManifest("web-one", 1, "x"))
	r.Publish(jobManifest("other", 1, "x"))
	for _, name := range []string{"dora", "emil"} {
		r.Keys[name] = trusttest.Key(t)
		draft, err := trust.ProposeTeam(r.View, "web", []string{"web-*"}, []*trust.PublicKey{r.Keys[name].PublicKey}, 1, r.Now)
		must(t, err)
		r.Accept(draft, "alice", name)
		signedBy(t, r, "web-one", name)
		signedBy(t, r, "other", "alice")
		read(t, r, "web-one", "other")
		r.Publish(jobManifest("web-two", 1, "x"))
		r.Change(map[string][]byte{trust.JobPath("web-two"): nil}) // its bin stays, and is empty
	}
}

// Other people sign everything anew that the people before had signed, and clients follow
// from the first root.
func TestOtherPeopleSignEverythingAnew(t *testing.T) {
	r := trusttest.New(t, 1, "alice")
	r.Publish(jobManifest("job", 1, "x"))
	r.Keys["dave"] = trusttest.Key(t)
	people := []trust.NamedKey{trust.NewNamedKey("dave", r.Keys["dave"].PublicKey)}
	policy, err := trust.NewPolicy(1, people...)
	must(t, err)
	draft, err := trust.ProposeSigners(r.View, people, 1, nil, policy, r.Now)
	must(t, err)
	r.Accept(draft, "alice", "dave")
	signedBy(t, r, "job", "dave")
	if view := read(t, r, "job"); len(r.Roots) != 2 || view.RootVersion() != 2 {
		t.Errorf("%d roots are given out, and a client has version %d", len(r.Roots), view.RootVersion())
	}
	delete(r.Keys, "alice")
	r.Publish(jobManifest("job", 2, "x")) // one signs with the new keys alone
	read(t, r, "job")
}

// Renewal concerns what expires before a time, and nothing else.
func TestRenewalIsOfWhatExpires(t *testing.T) {
	r := trusttest.New(t, 1, "alice")
	r.Publish(jobManifest("job", 1, "x"))
	expires := r.Now.Add(trust.OfflineLifetime)
	if d, err := trust.ProposeRenewal(r.View, expires.Add(-time.Hour), r.Now); d != nil || err != nil {
		t.Errorf("nothing expires, and %v is proposed, %v", d, err)
	}
	r.Now = r.Now.Add(time.Hour)
	r.Publish(jobManifest("job", 2, "x")) // its bin holds for an hour longer
	d, err := trust.ProposeRenewal(r.View, expires.Add(time.Minute), r.Now)
	must(t, err)
	if d.Roles[trust.RoleRoot] == nil || d.Roles[trust.RoleTargets] == nil || d.Roles[trust.RoleCommon] == nil || len(d.Roles) != 3 {
		t.Errorf("%d roles are renewed", len(d.Roles))
	}
	r.Accept(d)
	read(t, r, "job")
	if r.View.RootVersion() != 2 {
		t.Errorf("the root is version %d", r.View.RootVersion())
	}
}
