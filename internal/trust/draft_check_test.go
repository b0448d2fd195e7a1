package trust_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// A draft that would have more signed than it shows is refused by whoever is to sign.
func TestDraftsHideNothing(t *testing.T) {
	r := trusttest.New(t, 2, "alice", "bob", "carol")
	r.Publish(jobManifest("job0", 1, "x"))
	mallory := trusttest.Key(t)
	names := func(id string) string { return id[:8] }
	edit := func(d *trust.Draft, role string, change func(*metadata.TargetsType)) {
		t.Helper()
		m, err := metadata.Targets().FromBytes(d.Roles[role])
		must(t, err)
		change(&m.Signed)
		d.Roles[role], err = m.ToBytes(false)
		must(t, err)
	}
	bin := func(d *trust.Draft) string {
		for name := range d.Roles {
			return name
		}
		return ""
	}
	evil, err := metadata.TargetFile().FromBytes(trust.JobPath("evil"), []byte("evil"), "sha256")
	must(t, err)
	for want, change := range map[string]func(*trust.Draft){
		"": func(*trust.Draft) {},
		"changes jobs/evil in role": func(d *trust.Draft) {
			edit(d, bin(d), func(s *metadata.TargetsType) { s.Targets[trust.JobPath("evil")] = evil })
		},
		"changes jobs/job1 in role": func(d *trust.Draft) {
			edit(d, bin(d), func(s *metadata.TargetsType) { s.Targets[trust.JobPath("job1")] = evil })
		},
		"shows a change of jobs/job1": func(d *trust.Draft) {
			edit(d, bin(d), func(s *metadata.TargetsType) { delete(s.Targets, trust.JobPath("job1")) })
		},
		"longer than a year": func(d *trust.Draft) {
			edit(d, bin(d), func(s *metadata.TargetsType) { s.Expires = time.Now().AddDate(5, 0, 0) })
		},
		"makes version 9": func(d *trust.Draft) {
			edit(d, bin(d), func(s *metadata.TargetsType) { s.Version = 9 })
		},
	} {
		_, d := r.Publication(jobManifest("job1", 1, "y"))
		change(d)
		_, err := d.Changes(r.View, time.Now(), names)
		if want == "" && err != nil || want != "" && (webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v", want, err)
		}
	}
	// One that takes a job away under cover of another change.
	d, err := trust.Propose(r.View, "labels", map[string][]byte{trust.JobPath("job0"): []byte(`x`)}, r.Now)
	must(t, err)
	edit(d, bin(d), func(s *metadata.TargetsType) { delete(s.Targets, trust.JobPath("job0")) })
	if _, err := d.Changes(r.View, time.Now(), names); webjob.KindOf(err) != webjob.Refused {
		t.Errorf("a job that goes unseen: %v", err)
	}
	// Keys that come in are shown, in the root and in delegations.
	people := append([]trust.NamedKey{trust.NewNamedKey("mallory", mallory.PublicKey)}, r.People[:2]...)
	policy, err := trust.PolicyFor(r.View, people, 2)
	must(t, err)
	rotation, err := trust.ProposeSigners(r.View, people, 2, nil, policy, r.Now)
	must(t, err)
	changes, err := rotation.Changes(r.View, time.Now(), names)
	must(t, err)
	if n := strings.Count(fmt.Sprint(changes), mallory.Fingerprint()); n < 4 {
		t.Errorf("the new key is shown %d times in %q", n, changes)
	}
	encoded, err := json.Marshal(rotation)
	must(t, err)
	var copied trust.Draft
	must(t, json.Unmarshal(encoded, &copied))
	edit(&copied, trust.RoleTargets, func(s *metadata.TargetsType) {
		s.Delegations.Roles = append([]metadata.DelegatedRole{{Name: "ghost", KeyIDs: s.Delegations.Roles[0].KeyIDs, Threshold: 1, Paths: []string{"jobs/*"}}}, s.Delegations.Roles...)
	})
	changes, err = copied.Changes(r.View, time.Now(), names)
	must(t, err)
	if !strings.Contains(fmt.Sprint(changes), "1. ghost: jobs/*") {
		t.Errorf("a delegation that was slipped in is not shown: %q", changes)
	}
}

// A draft that names no root begins no repository.
func TestFirstDraftNeedsARoot(t *testing.T) {
	r := trusttest.New(t, 1, "alice")
	_, d := r.Publication(jobManifest("job0", 1, "x"))
	if _, err := (trust.Published{}).Accept(d, r.Online, r.Now); webjob.KindOf(err) != webjob.Conflict && webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("it was accepted: %v", err)
	}
	if _, err := (trust.Published{}).Accept(&trust.Draft{}, r.Online, r.Now); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("an empty one was accepted: %v", err)
	}
}
