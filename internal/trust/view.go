package trust

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"webjob.dev/webjob"
)

// Names of the roles that every repository has. Everything that is not policy belongs
// to delegated roles: those of teams, and RoleCommon for the rest.
const (
	RoleRoot      = metadata.ROOT
	RoleTimestamp = metadata.TIMESTAMP
	RoleSnapshot  = metadata.SNAPSHOT
	RoleTargets   = metadata.TARGETS
	RoleCommon    = "common"
)

// PolicyPath is the target that says who may sign orders.
const PolicyPath = "policy"

// JobPath is the target that lists the versions of a job.
func JobPath(name string) string { return "jobs/" + name }

// ClientPath is the target that gives a client labels.
func ClientPath(id string) string { return "clients/" + id }

// Bounds of what a server may send.
const (
	MaxRepositoryFile = 8 << 20 // one role, one snapshot
	maxDelegations    = 4       // from the targets role to a bin, with room
	maxContentBytes   = webjob.MaxManifestBytes
)

// View is a verified view of a job repository (The Update Framework). It starts
// from a root that was pinned and only ever moves forward. It does not change:
// [View.Update] returns another one.
type View struct {
	held held
	set  *trustedmetadata.TrustedMetadata
}

// held is what is kept of a repository between runs: exact bytes, verified again each
// time they are read.
type held struct {
	Root      []byte            `json:"root"`
	Timestamp []byte            `json:"timestamp,omitempty"`
	Snapshot  []byte            `json:"snapshot,omitempty"`
	Roles     map[string][]byte `json:"roles,omitempty"`
	Contents  map[string][]byte `json:"contents,omitempty"`
}

// NewView returns a view that holds only a root. The root must be signed by
// enough of its own keys. The error is Invalid or Refused.
func NewView(root []byte) (*View, error) {
	return openView(held{Root: root}, time.Now())
}

// ParseView reads what [View.Encode] wrote, and verifies all of it anew.
// Metadata that expired since stays as the memory of what was seen: it guards against
// older files, and nothing can be found with it.
func ParseView(data []byte, now time.Time) (*View, error) {
	var h held
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "the kept job repository is not readable: %w", err)
	}
	return openView(h, now)
}

// ParseViewAsSeen is ParseView at the last time at which nothing of it had
// expired. It is for what goes on without a server: standing orders.
func ParseViewAsSeen(data []byte, now time.Time) (*View, error) {
	var h held
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "the kept job repository is not readable: %w", err)
	}
	return openView(h, h.lastGood(now))
}

// lastGood returns now or, when something has expired since, the moment before.
func (h *held) lastGood(now time.Time) time.Time {
	texts := append(slices.Collect(maps.Values(h.Roles)), h.Root, h.Timestamp, h.Snapshot)
	for _, text := range texts {
		var m struct {
			Signed struct {
				Expires time.Time `json:"expires"`
			} `json:"signed"`
		}
		if text != nil && json.Unmarshal(text, &m) == nil && m.Signed.Expires.Add(-time.Second).Before(now) {
			now = m.Signed.Expires.Add(-time.Second)
		}
	}
	return now
}

// Encode returns what [ParseView] reads.
func (v *View) Encode() ([]byte, error) { return json.Marshal(v.held) }

func openView(h held, now time.Time) (*View, error) {
	set, err := trustedmetadata.New(h.Root)
	if err != nil {
		return nil, explain("root", err)
	}
	set.RefTime = now.UTC()
	v := &View{held: h, set: set}
	if h.Timestamp == nil {
		return v, nil
	}
	if v.Expired(now) != nil {
		return v, v.remember()
	}
	if _, err := set.UpdateTimestamp(h.Timestamp); err != nil && !isExpired(err) {
		return nil, explain("kept timestamp", err)
	}
	if _, err := set.UpdateSnapshot(h.Snapshot, true); err != nil && !isExpired(err) {
		return nil, explain("kept snapshot", err)
	}
	return v, nil
}

// remember loads the timestamp of a repository whose root has expired, at the last moment
// of the root: it is the memory that guards against older files once a newer root has come,
// or the clock is put right. Nothing can be found with it.
func (v *View) remember() error {
	at := v.set.RefTime
	v.set.RefTime = v.set.Root.Signed.Expires.Add(-time.Second)
	_, err := v.set.UpdateTimestamp(v.held.Timestamp)
	v.set.RefTime = at
	if err != nil && !isExpired(err) {
		return explain("kept timestamp", err)
	}
	return nil
}

// Expired returns why nothing can be found: people must have signed a newer root, or
// the clock is wrong.
func (v *View) Expired(now time.Time) error {
	expires := v.set.Root.Signed.Expires
	if now.Before(expires) {
		return nil
	}
	return webjob.Errorf(webjob.Refused, "the job repository that is known here expired at %s and here it is %s; check this clock, and when it is right, the people who sign must renew the repository: webjobctl repo renew",
		expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

// load verifies a role that is held, once.
func (v *View) load(name, parent string) (*metadata.Metadata[metadata.TargetsType], error) {
	if role, found := v.set.Targets[name]; found {
		return role, nil
	}
	content, found := v.held.Roles[name]
	if !found {
		return nil, webjob.Errorf(webjob.Unavailable, "job repository: role %s is not here; ask the server for it", name)
	}
	role, err := v.set.UpdateDelegatedTargets(content, name, parent)
	if err != nil {
		return nil, explain("role "+name, err)
	}
	return role, nil
}

// loadNamed verifies a role wherever it hangs, with those above it.
func (v *View) loadNamed(name string) error {
	if name == RoleTargets {
		_, err := v.load(name, RoleRoot)
		return err
	}
	parent := RoleTargets
	if team, isBin := cutBin(name); isBin {
		if err := v.loadNamed(team); err != nil {
			return err
		}
		parent = team
	} else if _, err := v.load(RoleTargets, RoleRoot); err != nil {
		return err
	}
	_, err := v.load(name, parent)
	return err
}

// cutBin takes the name of a bin apart; names of other roles have no such end.
func cutBin(name string) (role string, found bool) {
	i := strings.LastIndex(name, "-")
	if i < 1 || len(name)-i != 1+binDigits {
		return name, false
	}
	return name[:i], true
}

// find walks the delegations to the target, nil when there is none. A role that is
// needed and not held is Unavailable.
func (v *View) find(path string) (*metadata.TargetFiles, error) {
	if v.set.Snapshot == nil {
		return nil, webjob.Errorf(webjob.Unavailable, "job repository: only its root is here; ask the server for it")
	}
	name, parent := RoleTargets, RoleRoot
	for range maxDelegations {
		role, err := v.load(name, parent)
		if err != nil {
			return nil, err
		}
		if target, found := role.Signed.Targets[path]; found {
			return target, nil
		}
		if role.Signed.Delegations == nil {
			return nil, nil
		}
		below := role.Signed.Delegations.GetRolesForTarget(path)
		// Every delegation is terminating here: the first one decides.
		if len(below) == 0 || v.set.Snapshot.Signed.Meta[below[0].Name+".json"] == nil {
			return nil, nil
		}
		name, parent = below[0].Name, name
	}
	return nil, webjob.Errorf(webjob.Refused, "job repository: %.80q is delegated more than %d times", path, maxDelegations)
}

// holder returns the name of the role whose targets the path belongs to.
func (v *View) holder(path string) (string, error) {
	if path == PolicyPath {
		return RoleTargets, nil
	}
	name, parent := RoleTargets, RoleRoot
	for range maxDelegations {
		role, err := v.load(name, parent)
		if err != nil {
			return "", err
		}
		if role.Signed.Delegations == nil {
			return name, nil
		}
		below := role.Signed.Delegations.GetRolesForTarget(path)
		if len(below) == 0 {
			return "", webjob.Errorf(webjob.Invalid, "no role of the job repository is for %.80q", path)
		}
		if role.Signed.Delegations.SuccinctRoles != nil {
			return below[0].Name, nil
		}
		name, parent = below[0].Name, name
	}
	return "", webjob.Errorf(webjob.Refused, "job repository: %.80q is delegated more than %d times", path, maxDelegations)
}

// Content returns the verified content of a target. NotFound says that no such target
// is signed; Unavailable that it, or a role on the way to it, is not here yet.
func (v *View) Content(path string) ([]byte, error) {
	target, err := v.find(path)
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, webjob.Errorf(webjob.NotFound, "the job repository has no %s", path)
	}
	content, found := v.held.Contents[path]
	if !found {
		return nil, webjob.Errorf(webjob.Unavailable, "job repository: %s is not here; ask the server for it", path)
	}
	if err := target.VerifyLengthHashes(content); err != nil {
		return nil, explain(path, err)
	}
	return content, nil
}

// Have says what is held, and which of the contents.
func (v *View) Have(paths ...string) webjob.RepositoryHave {
	h := webjob.RepositoryHave{Roles: map[string]int64{RoleRoot: v.RootVersion()}}
	if v.set.Timestamp != nil {
		h.Roles[RoleTimestamp] = v.set.Timestamp.Signed.Version
	}
	if v.set.Snapshot == nil {
		return h
	}
	h.Roles[RoleSnapshot] = v.set.Snapshot.Signed.Version
	for name := range v.held.Roles {
		if named := v.set.Snapshot.Signed.Meta[name+".json"]; named != nil {
			h.Roles[name] = named.Version
		}
	}
	for _, path := range paths {
		if content, found := v.held.Contents[path]; found {
			h.Contents = append(h.Contents, webjob.DigestOf(content))
		}
	}
	return h
}

// RootVersion returns the version of the newest trusted root.
func (v *View) RootVersion() int64 { return v.set.Root.Signed.Version }

// Root returns the newest trusted root: canonical JSON.
func (v *View) Root() []byte { return v.held.Root }

// Timestamp returns the version of the timestamp, 0 before the first one.
func (v *View) Timestamp() int64 {
	if v.set.Timestamp == nil {
		return 0
	}
	return v.set.Timestamp.Signed.Version
}

// Fresh returns nil while the repository's metadata have not expired at the time.
func (v *View) Fresh(now time.Time) error {
	if err := v.Expired(now); err != nil {
		return webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	if v.set.Timestamp == nil || v.set.Snapshot == nil {
		return webjob.Errorf(webjob.Unavailable, "job repository: only its root is here; ask the server for it")
	}
	for what, expires := range map[string]time.Time{
		"timestamp": v.set.Timestamp.Signed.Expires, "snapshot": v.set.Snapshot.Signed.Expires,
	} {
		if !now.Before(expires) {
			return webjob.Errorf(webjob.Unavailable, "job repository: the %s expired at %s and it is %s here; the server must send a newer one, or this clock is wrong",
				what, expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// Policy returns who may sign orders.
func (v *View) Policy() (*Policy, error) {
	content, err := v.Content(PolicyPath)
	if err != nil {
		return nil, err
	}
	return ParsePolicy(content)
}

// Index returns the versions of a job. NotFound says that nobody signed for it.
func (v *View) Index(job string) (*JobIndex, error) {
	content, err := v.Content(JobPath(job))
	if err != nil {
		if webjob.KindOf(err) == webjob.NotFound {
			return nil, webjob.Errorf(webjob.NotFound, "job %s is not in the signed job repository", job)
		}
		return nil, err
	}
	index, err := ParseJobIndex(content)
	if err == nil && index.Job != job {
		err = webjob.Errorf(webjob.Refused, "the index of job %s is that of %.80q", job, index.Job)
	}
	return index, err
}

// Labels returns the labels that were signed for a client after its enrolment.
func (v *View) Labels(client string) (labels webjob.Labels, found bool, err error) {
	content, err := v.Content(ClientPath(client))
	if webjob.KindOf(err) == webjob.NotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	labels, err = ParseLabels(content)
	return labels, err == nil, err
}

// Digest returns the digest of the newest trusted root: what a token pins and people
// compare.
func (v *View) Digest() webjob.Digest { return webjob.DigestOf(v.held.Root) }

// String describes what is held, for logs.
func (v *View) String() string {
	return fmt.Sprintf("root %d, timestamp %d, %d roles, %d contents", v.RootVersion(), v.Timestamp(), len(v.held.Roles), len(v.held.Contents))
}
