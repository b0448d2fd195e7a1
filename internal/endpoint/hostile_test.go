package endpoint_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/endpointtest"
	"webjob.dev/webjob/internal/endpoint/runner"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
	"webjob.dev/webjob/wire"
)

var attackCount = flag.Int("attacks", 200, "how many attacks the test of a hostile server runs at least")

func TestMain(m *testing.M) {
	runner.LaunchIfAsked()
	os.Exit(m.Run())
}

// hostileServer holds all that was ever published, the key that keeps the repository
// fresh, and one person's key of the two that must sign. It answers whatever it wants,
// over real connections, to a client that really runs things.
type hostileServer struct {
	*trusttest.Repository
	t         *testing.T
	state     *endpoint.State
	dir       string
	mark      string // file to which everything that runs appends its line
	views     []*trust.View
	manifests [][]byte // of all versions of the job
	payloads  [][]byte // of the same
	orders    [][]byte // genuine
	stolen    *trust.PrivateKey
	mallory   *trust.PrivateKey

	mu       sync.Mutex // of what is answered now
	bundle   webjob.RepositoryBundle
	manifest []byte
	payload  []byte
	begin    string // of the server's hooks; "" for no hooks
	wide     bool   // the bundle has very many values
}

const hostileVersions = 3

func script(mark, line string) []byte {
	return fmt.Appendf(nil, "#!/bin/sh\necho \"%s $*\" >>%s\n", line, mark)
}

func newHostileServer(t *testing.T) *hostileServer {
	h := &hostileServer{Repository: trusttest.New(t, 2, "alice", "bob", "carol"), t: t, dir: filepath.Join(t.TempDir(), "state"), mallory: trusttest.Key(t)}
	h.stolen, h.mark = h.Keys["bob"], filepath.Join(t.TempDir(), "ran")
	for version := range int64(hostileVersions) {
		payload := script(h.mark, fmt.Sprint("version ", version+1))
		m := &webjob.Manifest{
			Format: webjob.JobFormat, Name: "job", Version: version + 1, Scope: webjob.ScopeCommon, Created: h.Now.UTC().Truncate(time.Second),
			Expires: h.Now.UTC().Truncate(time.Second).AddDate(1, 0, 0), Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(), Arguments: []string{"[a-z0-9]+"},
			Payloads: []webjob.Payload{{Platform: "any", Digest: webjob.DigestOf(payload), Size: int64(len(payload))}},
		}
		h.manifests, h.payloads = append(h.manifests, h.Publish(m)), append(h.payloads, payload)
		h.views = append(h.views, h.View)
	}
	h.state = endpointtest.Enrolled(t, h.dir, h.Roots[0], nil, h.answer)
	at := time.Now().UTC().Truncate(time.Second)
	for i, on := range []string{"id=web1", "all", "env=lab", "id=web2"} {
		o := webjob.Order{
			Format: webjob.OrderFormat, ID: fmt.Sprint("o", i), Job: "job", Version: hostileVersions, Manifest: webjob.DigestOf(h.manifests[hostileVersions-1]),
			Arguments: []string{fmt.Sprint("o", i)}, On: on, Created: at, NotBefore: at, Expires: at.Add(time.Hour),
		}
		envelope, err := trust.SignOrder(&o, h.Keys["alice"], h.Keys["carol"])
		must(t, err)
		h.orders = append(h.orders, envelope)
	}
	return h
}

func (h *hostileServer) answer(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	bundle, _ := json.Marshal(h.bundle) // always can
	if h.wide {
		bundle = []byte(`{"roots":[` + strings.Repeat(`"",`, 4_000_000) + `""]}`)
	}
	switch {
	case r.URL.Path == wire.PathRepository:
		_, _ = w.Write(bundle)
	case r.URL.Path == wire.PathRuns:
		_, _ = w.Write([]byte(h.begin))
	case strings.HasPrefix(r.URL.Path, wire.PathJobs):
		if h.begin != "" {
			w.Header().Set(wire.HeaderBegin, "1")
		}
		w.Header().Set(wire.HeaderBundleLength, strconv.Itoa(len(bundle)))
		w.Header().Set(wire.HeaderManifestLength, strconv.Itoa(len(h.manifest)))
		w.Header().Set("Content-Length", strconv.Itoa(len(bundle)+len(h.manifest)+len(h.payload)))
		_, _ = w.Write(slices.Concat(bundle, h.manifest, h.payload))
	default:
		wire.WriteProblem(w, webjob.Errorf(webjob.NotFound, "as told"))
	}
}

// draw decides what is answered next: something genuine, old, mixed, cut or forged.
func (h *hostileServer) draw(t *rapid.T) {
	// Most of what it answers is genuine and new: so the one part that is not gets its chance.
	view := h.View
	if rapid.IntRange(0, 3).Draw(t, "old") == 0 {
		view = rapid.SampledFrom(h.views).Draw(t, "view")
	}
	b := trust.Published{View: view, Roots: h.Roots}.Everything(h.Pinned().Have())
	b.Roles, b.Contents = maps.Clone(b.Roles), maps.Clone(b.Contents)
	version := hostileVersions - 1
	if rapid.IntRange(0, 3).Draw(t, "older") == 0 {
		version = rapid.IntRange(0, hostileVersions-1).Draw(t, "version")
	}
	manifest, payload := h.manifests[version], h.payloads[version]
	switch rapid.IntRange(0, 11).Draw(t, "attack") {
	case 0:
		b.Timestamp = trust.Published{View: rapid.SampledFrom(h.views).Draw(t, "other"), Roots: h.Roots}.Everything(h.Pinned().Have()).Timestamp
	case 1:
		maps.Copy(b.Contents, trust.Published{View: rapid.SampledFrom(h.views).Draw(t, "other"), Roots: h.Roots}.Everything(h.Pinned().Have()).Contents)
	case 2:
		b = webjob.RepositoryBundle{}
	case 3:
		payload = script(h.mark, "evil")
	case 4:
		payload = payload[:rapid.IntRange(0, len(payload)-1).Draw(t, "cut")]
	case 5: // a manifest of its own, with its own payload
		payload = script(h.mark, "evil")
		var m webjob.Manifest
		if err := json.Unmarshal(manifest, &m); err != nil {
			t.Fatal(err)
		}
		m.Payloads[0].Digest, m.Payloads[0].Size = webjob.DigestOf(payload), int64(len(payload))
		manifest, _ = trust.EncodeManifest(&m)
	case 6: // and an index for it that one of two has signed
		payload = script(h.mark, "evil")
		var m webjob.Manifest
		if err := json.Unmarshal(manifest, &m); err != nil {
			t.Fatal(err)
		}
		m.Version, m.Payloads[0].Digest, m.Payloads[0].Size = 9, webjob.DigestOf(payload), int64(len(payload))
		manifest, _ = trust.EncodeManifest(&m)
		b = h.forge(t, &m, manifest)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bundle, h.manifest, h.payload = b, manifest, payload
}

func (h *hostileServer) forge(t *rapid.T, m *webjob.Manifest, manifest []byte) webjob.RepositoryBundle {
	index, err := h.View.Index("job")
	if err == nil {
		err = index.Add(m, webjob.DigestOf(manifest))
	}
	content, _ := index.Encode()
	d, proposeErr := trust.Propose(h.View, "evil", map[string][]byte{trust.JobPath("job"): content}, h.Now)
	if err != nil || proposeErr != nil {
		t.Fatal(err, proposeErr)
	}
	if _, err := d.Sign(h.View, h.stolen, h.mallory); err != nil {
		t.Fatal(err)
	}
	b := h.Everything(h.Pinned().Have())
	b.Roles, b.Contents = maps.Clone(b.Roles), maps.Clone(b.Contents)
	maps.Copy(b.Roles, d.Roles)
	maps.Copy(b.Contents, d.Contents)
	return b
}

// offer draws an order to give out: genuine, for somebody else, edited, or signed with
// the stolen key alone.
func (h *hostileServer) offer(t *rapid.T) wire.Offer {
	i := rapid.IntRange(0, len(h.orders)-1).Draw(t, "order")
	envelope := h.orders[i]
	switch rapid.IntRange(0, 4).Draw(t, "tamper") {
	case 0:
		o := webjob.Order{
			Format: webjob.OrderFormat, ID: "evil" + strconv.Itoa(rapid.IntRange(0, 1000).Draw(t, "id")), Job: "job", Version: hostileVersions,
			Manifest: webjob.DigestOf(h.manifests[hostileVersions-1]), Arguments: []string{"evil"}, On: "all", Created: h.Now.UTC().Truncate(time.Second),
			NotBefore: h.Now.UTC().Truncate(time.Second), Expires: h.Now.UTC().Truncate(time.Second).Add(time.Hour),
		}
		envelope, _ = trust.SignOrder(&o, h.stolen, h.mallory)
		return wire.Offer{Run: o.RunID("web1", time.Time{}), Order: envelope}
	case 1:
		envelope = bytes.Replace(envelope, []byte(`"payload":"`), []byte(`"payload":"e`), 1)
	case 2:
		return wire.Offer{Run: fmt.Sprintf("x%d.web1", rapid.IntRange(0, 1000).Draw(t, "run")), Order: envelope}
	}
	return wire.Offer{Run: fmt.Sprintf("o%d.web1", i), Order: envelope}
}

// TestHostileServerRunsNothing counts what really ran.
func TestHostileServerRunsNothing(t *testing.T) {
	h := newHostileServer(t)
	settings := endpoint.DefaultSettings()
	settings.PutLimit = settings.GetLimit / 1000
	attacks, newest := 0, 0
	for attacks < *attackCount {
		rapid.Check(t, func(t *rapid.T) {
			attacks++
			h.draw(t)
			before := h.ran()
			var err error
			if rapid.Bool().Draw(t, "ordered") {
				_, err = endpoint.RunOffer(h.t.Context(), h.state, settings, h.offer(t))
			} else {
				_, err = endpoint.Run(h.t.Context(), h.state, settings, endpoint.Request{Job: "job", Arguments: []string{"pulled"}})
			}
			_ = err // what counts is what ran
			for _, line := range h.ran()[len(before):] {
				var version int
				var argument string
				if n, _ := fmt.Sscanf(line, "version %d %s", &version, &argument); n != 2 || version < newest {
					t.Fatalf("this ran: %q, after version %d", line, newest)
				}
				newest = max(newest, version)
				if argument == "pulled" {
					continue
				}
				if !slices.Contains([]string{"o0", "o1"}, argument) || version != hostileVersions || slices.Contains(before, line) {
					t.Fatalf("this was ordered for others, or ran twice: %q", line)
				}
			}
		})
	}
	ran := h.ran()
	if len(ran) == 0 {
		t.Error("nothing ran at all; the attacks are not what they should be")
	}
	t.Logf("%d attacks; %d genuine runs, 0 wrong ones", attacks, len(ran))
}

func (h *hostileServer) ran() []string {
	text, err := os.ReadFile(h.mark)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
