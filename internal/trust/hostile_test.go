package trust_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// A hostile server holds everything that was ever published, the online key, and one
// signing key that it stole: one less than the threshold. It answers whatever it wants.
// Whatever the client accepts in the end must be what the people signed, and never
// older than what the client knew.

// history is a repository with every state that it ever was in.
type history struct {
	*trusttest.Repository
	views     []*trust.View       // as they were signed, oldest first
	manifests map[string][][]byte // by job, all versions
	stolen    *trust.PrivateKey   // of one signer
	mallory   *trust.PrivateKey
}

const historyJobs = 3

var historyTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func jobManifest(name string, version int64, payload string) *webjob.Manifest {
	return &webjob.Manifest{
		Format: webjob.JobFormat, Name: name, Version: version, Scope: webjob.ScopeCommon, Created: historyTime, Expires: historyTime.AddDate(1, 0, 0),
		Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(), Arguments: []string{"[a-z]+"},
		Payloads: []webjob.Payload{{Platform: "any", Digest: webjob.DigestOf([]byte(payload)), Size: int64(len(payload))}},
	}
}

func newHistory(t testing.TB) *history {
	h := &history{Repository: trusttest.At(t, historyTime, 2, "alice", "bob", "carol"), manifests: map[string][][]byte{}, mallory: trusttest.Key(t)}
	h.stolen = h.Keys["bob"]
	for version := range int64(3) {
		for i := range historyJobs {
			name := fmt.Sprint("job", i)
			text, draft := h.Publication(jobManifest(name, version+1, fmt.Sprint(name, version)))
			h.Accept(draft, "alice", "carol")
			h.manifests[name] = append(h.manifests[name], text)
			h.views = append(h.views, h.View)
		}
		labels, err := trust.EncodeLabels(webjob.Labels{"generation": fmt.Sprint(version)})
		if err != nil {
			t.Fatal(err)
		}
		h.Change(map[string][]byte{trust.ClientPath("web1"): labels})
		h.views = append(h.views, h.View)
	}
	return h
}

// signed reports whether the people signed the content of a path in some view.
func (h *history) signed(path string, content []byte) bool {
	return slices.ContainsFunc(h.views, func(v *trust.View) bool {
		c, err := v.Content(path)
		return err == nil && bytes.Equal(c, content)
	})
}

var historyPaths = []string{trust.PolicyPath, trust.JobPath("job0"), trust.JobPath("job1"), trust.JobPath("job2"), trust.ClientPath("web1"), trust.JobPath("evil")}

// attack makes an answer of what the server has.
func (h *history) attack(t *rapid.T, client *trust.View) webjob.RepositoryBundle {
	pick := func(label string) *trust.View { return rapid.SampledFrom(h.views).Draw(t, label) }
	all := func(v *trust.View) webjob.RepositoryBundle {
		b := trust.Published{View: v, Roots: h.Roots}.Everything(h.Pinned().Have())
		b.Roles, b.Contents = maps.Clone(b.Roles), maps.Clone(b.Contents)
		return b
	}
	b := all(pick("base"))
	for range rapid.IntRange(1, 4).Draw(t, "steps") {
		switch rapid.IntRange(0, 9).Draw(t, "step") {
		case 0: // mixes files of different states
			other := all(pick("other"))
			b.Snapshot = other.Snapshot
		case 1:
			b.Timestamp = all(pick("other")).Timestamp
		case 2:
			maps.Copy(b.Roles, all(pick("other")).Roles)
		case 3:
			maps.Copy(b.Contents, all(pick("other")).Contents)
		case 4: // strips
			for _, name := range slices.Sorted(maps.Keys(b.Roles)) {
				if rapid.Bool().Draw(t, "strip "+name) {
					delete(b.Roles, name)
				}
			}
		case 5: // truncates and flips
			for _, part := range []*[]byte{&b.Timestamp, &b.Snapshot} {
				*part = h.damage(t, *part)
			}
		case 6:
			for _, name := range slices.Sorted(maps.Keys(b.Roles)) {
				b.Roles[name] = h.damage(t, b.Roles[name])
			}
		case 7: // signs what it wants with the stolen key and its own, and makes it fresh with the online key
			if forged := h.forge(t, pick("forged")); forged != nil {
				b = *forged
			}
		case 8:
			b.Contents[rapid.SampledFrom(historyPaths).Draw(t, "path")] = []byte(rapid.SampledFrom([]string{"", "{}", `{"labels":{"generation":"9"}}`}).Draw(t, "content"))
		case 9: // a root of its own
			forged := trusttest.At(silent{}, historyTime, 1, "mallory")
			b.Roots = [][]byte{forged.Roots[0]}
		}
	}
	return b
}

// silent is a testing.TB for helpers that cannot fail here.
type silent struct{ testing.TB }

func (silent) Helper() {}

func (h *history) damage(t *rapid.T, text []byte) []byte {
	if len(text) == 0 {
		return text
	}
	switch rapid.IntRange(0, 3).Draw(t, "damage") {
	case 0:
		return text[:rapid.IntRange(0, len(text)-1).Draw(t, "cut")]
	case 1:
		changed := bytes.Clone(text)
		changed[rapid.IntRange(0, len(text)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		return changed
	case 2: // re-dates: another year, the same signatures
		return bytes.ReplaceAll(text, []byte("2026"), []byte("2027"))
	}
	return text
}

// forge proposes what the server wants, signs it with the stolen key, and accepts it
// without asking whether that is enough.
func (h *history) forge(t *rapid.T, base *trust.View) *webjob.RepositoryBundle {
	text, err := trust.EncodeManifest(jobManifest("evil", 1, "evil"))
	if err != nil {
		t.Fatal(err)
	}
	index := trust.NewJobIndex("evil")
	if err := index.Add(jobManifest("evil", 1, "evil"), webjob.DigestOf(text)); err != nil {
		t.Fatal(err)
	}
	content, _ := index.Encode()
	changes := map[string][]byte{trust.JobPath("evil"): content}
	if rapid.Bool().Draw(t, "policy") {
		policy, err := trust.NewPolicy(1, trust.NewNamedKey("mallory", h.mallory.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		changes[trust.PolicyPath], _ = policy.Encode()
	}
	var d *trust.Draft
	if rapid.Bool().Draw(t, "rotate") {
		policy, _ := trust.NewPolicy(1, trust.NewNamedKey("mallory", h.mallory.PublicKey))
		d, err = trust.ProposeSigners(base, []trust.NamedKey{trust.NewNamedKey("mallory", h.mallory.PublicKey)}, 1, nil, policy, historyTime)
	} else {
		d, err = trust.Propose(base, "evil", changes, historyTime)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sign(base, h.stolen, h.mallory); err != nil {
		t.Fatal(err)
	}
	// The timestamp and the snapshot are the server's to sign: it makes good ones around
	// roles that are not.
	b := trust.Published{View: base, Roots: h.Roots}.Everything(h.Pinned().Have())
	b.Roles, b.Contents = maps.Clone(b.Roles), maps.Clone(b.Contents)
	maps.Copy(b.Contents, d.Contents)
	versions := map[string]int64{}
	for name, content := range b.Roles {
		versions[name] = versionOf(content)
	}
	for name, content := range d.Roles {
		if name == trust.RoleRoot {
			b.Roots = [][]byte{content}
			continue
		}
		b.Roles[name], versions[name] = content, versionOf(content)
	}
	if b.Snapshot, b.Timestamp, err = trust.OnlineForTest(base, versions, h.Online, historyTime); err != nil {
		t.Fatal(err)
	}
	return &b
}

func versionOf(content []byte) int64 {
	var m struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	_ = json.Unmarshal(content, &m) // only what was made here
	return m.Signed.Version
}

var attackCount = flag.Int("attacks", 200, "how many attacks the tests of hostile servers run at least")

// TestHostileServerGetsNothingThrough attacks, with several answers to one client at a
// time.
func TestHostileServerGetsNothingThrough(t *testing.T) {
	h := newHistory(t)
	attacks, accepted := 0, 0
	for attacks < *attackCount {
		rapid.Check(t, func(t *rapid.T) {
			client := h.Pinned()
			known := map[string]int64{} // job to the latest version that the client knew
			for range rapid.IntRange(1, 4).Draw(t, "answers") {
				attacks++
				before := client.Timestamp()
				next, err := client.Update(h.attack(t, client), historyTime.Add(time.Hour))
				if err != nil {
					continue
				}
				accepted++
				client = next
				if client.Timestamp() < before {
					t.Fatalf("the repository went back from %d to %d", before, client.Timestamp())
				}
				h.judge(t, client, known)
			}
		})
	}
	if accepted == 0 || accepted == attacks {
		t.Errorf("%d of %d answers were accepted; the attacks are not what they should be", accepted, attacks)
	}
	t.Logf("%d answers of a hostile server, %d of them good by chance, 0 wrong", attacks, accepted)
}

// judge fails when the client believes anything that the people did not sign.
func (h *history) judge(t *rapid.T, client *trust.View, known map[string]int64) {
	for _, path := range historyPaths {
		content, err := client.Content(path)
		if err == nil && !h.signed(path, content) {
			t.Fatalf("the client believes of %s what nobody signed: %s", path, content)
		}
	}
	if client.RootVersion() != 1 {
		t.Fatalf("the client follows a root that nobody signed")
	}
	for i := range historyJobs {
		name := fmt.Sprint("job", i)
		index, err := client.Index(name)
		if err != nil {
			continue
		}
		if index.Latest < known[name] {
			t.Fatalf("%s went back from version %d to %d", name, known[name], index.Latest)
		}
		known[name] = index.Latest
	}
}
