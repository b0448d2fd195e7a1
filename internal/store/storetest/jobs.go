package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"webjob.dev/webjob"
)

func version(name string, n int64, scope webjob.Scope) webjob.JobVersion {
	return webjob.JobVersion{
		Name: name, Version: n, Scope: scope, Description: "what it does", Manifest: webjob.DigestOf(fmt.Append(nil, name, n)),
		PublishedAt: now, PublishedBy: "alice", Expires: now.Add(time.Hour), Text: []byte("{}"),
	}
}

func tryPublish(s webjob.Store, v webjob.JobVersion) error {
	return s.ChangeRepository(context.Background(), webjob.RepositoryChange{Publish: []webjob.JobVersion{v}}, now)
}

func publish(t *testing.T, s webjob.Store, v webjob.JobVersion, payloads ...webjob.Payload) {
	t.Helper()
	v.Payloads = payloads
	must(t, tryPublish(s, v))
}

func versionsGoUp(t *testing.T, s webjob.Store) {
	publish(t, s, version("j", 2, webjob.ScopeCommon))
	wantKind(t, tryPublish(s, version("j", 2, webjob.ScopeCommon)), webjob.Conflict)
	wantKind(t, tryPublish(s, version("j", 1, webjob.ClientScope("a"))), webjob.Conflict)
	publish(t, s, version("other", 1, webjob.ScopeCommon))
	latest, err := s.LatestVersion(t.Context(), "j")
	must(t, err)
	wantEqual(t, latest, int64(2))
	latest, err = s.LatestVersion(t.Context(), "unknown")
	must(t, err)
	wantEqual(t, latest, int64(0))
	v, err := s.JobVersion(t.Context(), "j", 2)
	must(t, err)
	wantEqual(t, v, version("j", 2, webjob.ScopeCommon))
	_, err = s.JobVersion(t.Context(), "j", 1)
	wantKind(t, err, webjob.NotFound)
}

func nearestScope(t *testing.T, s webjob.Store) {
	publish(t, s, version("j", 1, webjob.ClientScope("web1")))
	publish(t, s, version("j", 2, webjob.GroupScope("env=prod")))
	publish(t, s, version("j", 3, webjob.GroupScope("role=db")))
	publish(t, s, version("j", 4, webjob.ScopeCommon))
	publish(t, s, version("j", 5, webjob.ScopeCommon))
	for id, want := range map[string]int64{"web1": 1, "web2": 2} {
		v, err := s.FindJob(t.Context(), "j", webjob.ScopesFor(id, webjob.Labels{"role": "db", "env": "prod"}))
		must(t, err)
		wantEqual(t, v.Version, want)
	}
	v, err := s.FindJob(t.Context(), "j", webjob.ScopesFor("web2", nil))
	must(t, err)
	wantEqual(t, v, version("j", 5, webjob.ScopeCommon))
	_, err = s.FindJob(t.Context(), "unknown", webjob.ScopesFor("web2", nil))
	wantKind(t, err, webjob.NotFound)
}

func withdrawal(t *testing.T, s webjob.Store) {
	for n := int64(1); n <= 3; n++ {
		publish(t, s, version("j", n, webjob.ScopeCommon))
	}
	find := func() (webjob.JobVersion, error) {
		return s.FindJob(t.Context(), "j", []webjob.Scope{webjob.ScopeCommon})
	}
	list := func(at time.Time, versions ...int64) {
		t.Helper()
		must(t, s.ChangeRepository(t.Context(), webjob.RepositoryChange{Listed: map[string][]int64{"j": versions}}, at))
	}
	list(now, 1, 2)
	list(now.Add(time.Hour), 1, 2) // the first time stays
	v, err := find()
	must(t, err)
	wantEqual(t, v.Version, int64(2))
	v, err = s.JobVersion(t.Context(), "j", 3)
	must(t, err)
	wantEqual(t, v.WithdrawnAt, now)
	list(now, 1, 3) // listed again
	v, err = find()
	must(t, err)
	wantEqual(t, v.Version, int64(3))
	wantEqual(t, v.WithdrawnAt, time.Time{})
	v, err = s.JobVersion(t.Context(), "j", 2)
	must(t, err)
	wantEqual(t, v.WithdrawnAt, now)
	publish(t, s, version("other", 1, webjob.ScopeCommon))
	list(now)
	_, err = find()
	wantKind(t, err, webjob.NotFound)
	wantKind(t, tryPublish(s, version("j", 3, webjob.ScopeCommon)), webjob.Conflict)
	v, err = s.JobVersion(t.Context(), "other", 1)
	must(t, err)
	wantEqual(t, v.WithdrawnAt, time.Time{})
}

func jobPages(t *testing.T, s webjob.Store) {
	publish(t, s, version("b", 1, webjob.ScopeCommon))
	publish(t, s, version("a", 1, webjob.ScopeCommon))
	publish(t, s, version("a", 10, webjob.ScopeCommon))
	list := func(name, after string, limit int) []string {
		vs, err := s.ListJobs(t.Context(), name, webjob.Page{After: after, Limit: limit})
		must(t, err)
		var names []string
		for _, v := range vs {
			names = append(names, fmt.Sprintf("%s@%d", v.Name, v.Version))
		}
		return names
	}
	wantEqual(t, list("", "", 2), []string{"a@1", "a@10"})
	wantEqual(t, list("", "a@10", 2), []string{"b@1"})
	wantEqual(t, list("a", "a@1", 9), []string{"a@10"})
	_, err := s.ListJobs(t.Context(), "", webjob.Page{After: "nonsense", Limit: 1})
	wantKind(t, err, webjob.Invalid)
}

func payloadScopes(t *testing.T, s webjob.Store) {
	d := webjob.DigestOf([]byte("payload"))
	p := webjob.Payload{Platform: "any", Digest: d, Size: 7}
	publish(t, s, version("j", 1, webjob.ClientScope("web1")), p)
	v, err := s.FindJob(t.Context(), "j", webjob.ScopesFor("web1", nil))
	must(t, err)
	wantEqual(t, v.Payloads, []webjob.Payload{p})
	has := func(id string) bool {
		ok, err := s.HasPayload(t.Context(), d, webjob.ScopesFor(id, nil))
		must(t, err)
		return ok
	}
	if !has("web1") || has("web2") {
		t.Fatal("the payload of web1's own job must be web1's alone")
	}
	is := func(d webjob.Digest) bool {
		ok, err := s.IsPayload(t.Context(), d)
		must(t, err)
		return ok
	}
	must(t, s.ChangeRepository(t.Context(), webjob.RepositoryChange{Listed: map[string][]int64{"j": {}}}, now))
	if has("web1") {
		t.Fatal("the payload of a withdrawn version is still given out")
	}
	if !is(d) || is(webjob.DigestOf([]byte("another"))) {
		t.Fatal("a payload is one whether or not its version is withdrawn, and nothing else is")
	}
}

// repositoryChanges makes changes of the job repository, all of each or nothing.
func repositoryChanges(t *testing.T, s webjob.Store) {
	enroll(t, s, "web1")
	files := func() map[string]string {
		got := map[string]string{}
		must(t, s.RepositoryFiles(t.Context(), func(name string, content []byte) error {
			got[name] = string(content)
			return nil
		}))
		return got
	}
	wantEqual(t, files(), map[string]string{})
	first := webjob.RepositoryChange{
		Files: map[string][]byte{"a": []byte("1"), "b": []byte("2")}, Publish: []webjob.JobVersion{version("j", 1, webjob.ScopeCommon), version("j", 2, webjob.ScopeCommon)},
		Listed: map[string][]int64{"j": {1, 2}}, Labels: map[string]webjob.Labels{"web1": {"role": "db"}, "nobody": {"role": "db"}},
	}
	must(t, s.ChangeRepository(t.Context(), first, now))
	wantEqual(t, files(), map[string]string{"a": "1", "b": "2"})
	c, err := s.Client(t.Context(), "web1")
	must(t, err)
	wantEqual(t, c.Labels, webjob.Labels{"role": "db"})

	// A version that is there already undoes the whole change.
	wantKind(t, s.ChangeRepository(t.Context(), webjob.RepositoryChange{
		Files: map[string][]byte{"a": []byte("3")}, Labels: map[string]webjob.Labels{"web1": nil}, Publish: []webjob.JobVersion{version("j", 2, webjob.ScopeCommon)},
	}, now), webjob.Conflict)
	wantEqual(t, files(), map[string]string{"a": "1", "b": "2"})

	// So does a file that is not as expected.
	for name, was := range map[string]webjob.Digest{"a": webjob.DigestOf([]byte("2")), "b": "", "c": webjob.DigestOf(nil)} {
		change := webjob.RepositoryChange{Was: map[string]webjob.Digest{name: was}, Files: map[string][]byte{"a": []byte("3")}}
		wantKind(t, s.ChangeRepository(t.Context(), change, now), webjob.Conflict)
	}
	wantEqual(t, files(), map[string]string{"a": "1", "b": "2"})
	was := map[string]webjob.Digest{"a": webjob.DigestOf([]byte("1")), "c": ""}
	must(t, s.ChangeRepository(t.Context(), webjob.RepositoryChange{Was: was, Files: map[string][]byte{"a": []byte("1")}}, now))

	must(t, s.ChangeRepository(t.Context(), webjob.RepositoryChange{Files: map[string][]byte{"a": nil, "b": []byte("4"), "c": nil}, Listed: map[string][]int64{"j": {2}}}, now))
	wantEqual(t, files(), map[string]string{"b": "4"})
	v, err := s.JobVersion(t.Context(), "j", 1)
	must(t, err)
	wantEqual(t, v.WithdrawnAt, now)
	v, err = s.JobVersion(t.Context(), "j", 2)
	must(t, err)
	wantEqual(t, v.WithdrawnAt.IsZero(), true)
}
