package trust_test

import (
	"fmt"
	"path"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// served gives the files of a repository to the library's own updater.
type served struct{ *trusttest.Repository }

// DownloadFile implements fetcher.Fetcher.
func (s served) DownloadFile(address string, maxLength int64, _ time.Duration) ([]byte, error) {
	content, found := s.File(path.Base(address))
	if !found {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: 404}
	}
	if int64(len(content)) > maxLength {
		return nil, fmt.Errorf("%s has %d bytes", address, len(content))
	}
	return content, nil
}

// What people sign here is a repository of The Update Framework: the library's own
// updater walks it from the first root, over a rotation of keys, to a job and a team's
// job, and finds what our view finds.
func TestLibraryUpdaterReadsTheRepository(t *testing.T) {
	r := trusttest.New(t, 2, "alice", "bob", "carol")
	r.Publish(jobManifest("job0", 1, "x"))
	dora := trusttest.Key(t)
	r.Keys["dora"] = dora
	team, err := trust.ProposeTeam(r.View, "web", []string{"web-*"}, []*trust.PublicKey{dora.PublicKey}, 1, r.Now)
	must(t, err)
	r.Accept(team)
	r.Publish(jobManifest("web-1", 1, "y"))
	r.Keys["erin"] = trusttest.Key(t)
	people := []trust.NamedKey{r.People[0], r.People[2], trust.NewNamedKey("erin", r.Keys["erin"].PublicKey)}
	policy, err := trust.PolicyFor(r.View, people, 2)
	must(t, err)
	rotation, err := trust.ProposeSigners(r.View, people, 2, nil, policy, r.Now)
	must(t, err)
	r.Accept(rotation)
	r.Publish(jobManifest("job0", 2, "z"))

	settings, err := config.New("https://example.org/repo", r.Roots[0])
	must(t, err)
	settings.Fetcher, settings.DisableLocalCache = served{r}, true
	u, err := updater.New(settings)
	must(t, err)
	must(t, u.Refresh())
	for _, target := range []string{trust.PolicyPath, trust.JobPath("job0"), trust.JobPath("web-1")} {
		info, err := u.GetTargetInfo(target)
		must(t, err)
		content, err := r.View.Content(target)
		must(t, err)
		must(t, info.VerifyLengthHashes(content))
	}
	// And a client that pinned the first root comes to the same.
	client, err := r.Pinned().Update(r.Bundle(r.Pinned(), trust.PolicyPath, trust.JobPath("job0"), trust.JobPath("web-1")), r.Now)
	must(t, err)
	if index, err := client.Index("job0"); err != nil || index.Latest != 2 || client.RootVersion() != 2 {
		t.Errorf("got %+v, %v at root %d", index, err, client.RootVersion())
	}
	// A team signs nothing but its own names.
	text, draft := r.Publication(jobManifest("web-2", 1, "w"))
	_ = text
	if added, err := draft.Sign(r.View, r.Keys["alice"], r.Keys["carol"]); err != nil || added != 0 {
		t.Errorf("people outside the team signed its job: %d, %v", added, err)
	}
	_, draft = r.Publication(jobManifest("job9", 1, "w"))
	if added, err := draft.Sign(r.View, dora); err != nil || added != 0 {
		t.Errorf("the team signed a job of others: %d, %v", added, err)
	}
}
