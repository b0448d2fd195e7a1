package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// Repository is a verified view of a job repository (The Update Framework). It starts
// from a root that was pinned and only ever moves forward. It does not change:
// [Repository.Update] returns another one.
type Repository struct {
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

// NewRepository returns a view that holds only a root. The root must be signed by
// enough of its own keys. The error is Invalid or Refused.
func NewRepository(root []byte) (*Repository, error) {
	return openRepository(held{Root: root}, time.Now())
}

// ParseRepository reads what [Repository.Encode] wrote, and verifies all of it anew.
// Metadata that expired since stays as the memory of what was seen: it guards against
// older files, and nothing can be found with it.
func ParseRepository(data []byte, now time.Time) (*Repository, error) {
	var h held
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "the kept job repository is not readable: %w", err)
	}
	return openRepository(h, now)
}

// ParseRepositoryAsSeen is ParseRepository at the last time at which nothing of it had
// expired. It is for what goes on without a server: standing orders.
func ParseRepositoryAsSeen(data []byte, now time.Time) (*Repository, error) {
	var h held
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "the kept job repository is not readable: %w", err)
	}
	return openRepository(h, h.lastGood(now))
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

// Names of a repository's files, as a server keeps them.
const (
	rootFiles     = "root/" // + version, ascending
	roleFiles     = "role/"
	contentFiles  = "content/"
	timestampFile = "timestamp"
	snapshotFile  = "snapshot"
)

// RepositoryFromFiles puts a whole repository together from the files that
// [Repository.Files] named, as of the last time at which nothing had expired, and
// returns all its roots. Without a root it returns nil.
func RepositoryFromFiles(files map[string][]byte, now time.Time) (r *Repository, roots [][]byte, err error) {
	h := held{Roles: map[string][]byte{}, Contents: map[string][]byte{}, Timestamp: files[timestampFile], Snapshot: files[snapshotFile]}
	for version := 1; files[rootFiles+strconv.Itoa(version)] != nil; version++ {
		roots = append(roots, files[rootFiles+strconv.Itoa(version)])
	}
	if len(roots) == 0 {
		return nil, nil, nil
	}
	h.Root = roots[len(roots)-1]
	for name, content := range files {
		if role, found := strings.CutPrefix(name, roleFiles); found {
			h.Roles[role] = content
		}
		if path, found := strings.CutPrefix(name, contentFiles); found {
			h.Contents[path] = content
		}
	}
	if r, err = openRepository(h, h.lastGood(now)); err != nil {
		return nil, nil, err
	}
	for name := range h.Roles {
		if err := r.loadNamed(name); err != nil {
			return nil, nil, err
		}
	}
	return r, roots, nil
}

// Files returns the files in which r differs from the repository before it, which may
// be nil; empty ones are to be removed.
func (r *Repository) Files(before *Repository) map[string][]byte {
	old := held{}
	if before != nil {
		old = before.held
	}
	files := map[string][]byte{}
	set := func(name string, was, is []byte) {
		if !bytes.Equal(was, is) {
			files[name] = is
		}
	}
	set(rootFiles+strconv.FormatInt(r.RootVersion(), 10), old.Root, r.held.Root)
	set(timestampFile, old.Timestamp, r.held.Timestamp)
	set(snapshotFile, old.Snapshot, r.held.Snapshot)
	for prefix, pair := range map[string][2]map[string][]byte{roleFiles: {old.Roles, r.held.Roles}, contentFiles: {old.Contents, r.held.Contents}} {
		for name, is := range pair[1] {
			set(prefix+name, pair[0][name], is)
		}
		for name := range pair[0] {
			if _, found := pair[1][name]; !found {
				files[prefix+name] = nil
			}
		}
	}
	return files
}

// Encode returns what [ParseRepository] reads.
func (r *Repository) Encode() ([]byte, error) { return json.Marshal(r.held) }

func openRepository(h held, now time.Time) (*Repository, error) {
	set, err := trustedmetadata.New(h.Root)
	if err != nil {
		return nil, explain("root", err)
	}
	set.RefTime = now.UTC()
	r := &Repository{held: h, set: set}
	if h.Timestamp == nil {
		return r, nil
	}
	if _, err := set.UpdateTimestamp(h.Timestamp); err != nil && !isExpired(err) {
		return nil, explain("kept timestamp", err)
	}
	if _, err := set.UpdateSnapshot(h.Snapshot, true); err != nil && !isExpired(err) {
		return nil, explain("kept snapshot", err)
	}
	return r, nil
}

// Update returns the view that comes of this one and what a server sent: newer roots,
// then the timestamp, the snapshot, and the roles that the bundle has, each verified
// as The Update Framework demands (specification 1.0.31, sections 5.3 to 5.6). The
// error is Refused, names the check that failed, and leaves r as it was.
func (r *Repository) Update(b webjob.RepositoryBundle, now time.Time) (*Repository, error) {
	set, err := trustedmetadata.New(r.held.Root)
	if err != nil {
		return nil, explain("root", err)
	}
	set.RefTime = now.UTC()
	next := &Repository{set: set, held: held{Root: r.held.Root, Timestamp: r.held.Timestamp, Snapshot: r.held.Snapshot}}
	for _, root := range b.Roots {
		if _, err := set.UpdateRoot(root); err != nil {
			return nil, explain("root", err)
		}
		next.held.Root = root
	}
	if err := next.updateTimestamp(b.Timestamp); err != nil {
		return nil, err
	}
	if err := next.updateSnapshot(b.Snapshot); err != nil {
		return nil, err
	}
	next.held.Roles = map[string][]byte{}
	for name, content := range r.held.Roles {
		next.keepRole(name, content)
	}
	maps.Copy(next.held.Roles, b.Roles)
	next.held.Contents = map[string][]byte{}
	for _, contents := range []map[string][]byte{r.held.Contents, b.Contents} {
		for path, content := range contents {
			if err := next.takeContent(path, content); err != nil {
				return nil, err
			}
		}
	}
	// What came must be good, also where nobody looks now. Roles that nothing leads to
	// any more are dropped.
	for name, content := range next.held.Roles {
		if len(content) > MaxRepositoryFile {
			return nil, webjob.Errorf(webjob.TooLarge, "job repository: role %.80q has %d bytes; at most %d", name, len(content), MaxRepositoryFile)
		}
		if err := next.loadNamed(name); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// updateTimestamp loads the old timestamp, so that the library sees a step back, then
// the new one.
func (r *Repository) updateTimestamp(fresh []byte) error {
	if r.held.Timestamp != nil {
		// One that a newer root's keys did not sign does not count any more.
		if _, err := r.set.UpdateTimestamp(r.held.Timestamp); err != nil && !isExpired(err) {
			r.held.Timestamp, r.held.Snapshot = nil, nil
		}
	}
	if fresh == nil {
		if r.set.Timestamp == nil {
			return webjob.Errorf(webjob.Refused, "job repository: no timestamp came; the server hides it or is no WebJob server")
		}
		return explain("timestamp", r.expired())
	}
	var equal *metadata.ErrEqualVersionNumber
	switch _, err := r.set.UpdateTimestamp(fresh); {
	case errors.As(err, &equal):
		return explain("timestamp", r.expired())
	case err != nil:
		return explain("timestamp", err)
	}
	r.held.Timestamp = fresh
	return nil
}

func (r *Repository) expired() error {
	if r.set.Timestamp.Signed.IsExpired(r.set.RefTime) {
		return &metadata.ErrExpiredMetadata{Msg: "timestamp.json is expired"}
	}
	return nil
}

func (r *Repository) updateSnapshot(fresh []byte) error {
	if r.held.Snapshot != nil {
		_, err := r.set.UpdateSnapshot(r.held.Snapshot, true)
		if err == nil {
			return nil // the timestamp still names this one
		}
		if r.set.Snapshot == nil && !isExpired(err) {
			r.held.Snapshot = nil // not signed by the keys of the newer root
		}
	}
	if fresh == nil {
		return webjob.Errorf(webjob.Refused, "job repository: the snapshot that the timestamp names did not come")
	}
	if _, err := r.set.UpdateSnapshot(fresh, false); err != nil {
		return explain("snapshot", err)
	}
	r.held.Snapshot = fresh
	return nil
}

// keepRole keeps a role that was held before when the snapshot still names its version.
func (r *Repository) keepRole(name string, content []byte) {
	var m struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	named := r.set.Snapshot.Signed.Meta[name+".json"]
	if json.Unmarshal(content, &m) == nil && named != nil && m.Signed.Version == named.Version {
		r.held.Roles[name] = content
	}
}

func (r *Repository) takeContent(path string, content []byte) error {
	if len(content) > maxContentBytes {
		return webjob.Errorf(webjob.TooLarge, "job repository: %.80q has %d bytes; at most %d", path, len(content), maxContentBytes)
	}
	target, err := r.find(path)
	if webjob.KindOf(err) == webjob.Unavailable {
		return nil // its role is not here: dropped, and asked for when it is needed
	}
	if err != nil {
		return err
	}
	if target != nil && target.VerifyLengthHashes(content) == nil {
		r.held.Contents[path] = content
	}
	return nil
}

// load verifies a role that is held, once.
func (r *Repository) load(name, parent string) (*metadata.Metadata[metadata.TargetsType], error) {
	if role, found := r.set.Targets[name]; found {
		return role, nil
	}
	content, found := r.held.Roles[name]
	if !found {
		return nil, webjob.Errorf(webjob.Unavailable, "job repository: role %s is not here; ask the server for it", name)
	}
	role, err := r.set.UpdateDelegatedTargets(content, name, parent)
	if err != nil {
		return nil, explain("role "+name, err)
	}
	return role, nil
}

// loadNamed verifies a role wherever it hangs, with those above it.
func (r *Repository) loadNamed(name string) error {
	if name == RoleTargets {
		_, err := r.load(name, RoleRoot)
		return err
	}
	parent := RoleTargets
	if team, isBin := cutBin(name); isBin {
		if err := r.loadNamed(team); err != nil {
			return err
		}
		parent = team
	} else if _, err := r.load(RoleTargets, RoleRoot); err != nil {
		return err
	}
	_, err := r.load(name, parent)
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
func (r *Repository) find(path string) (*metadata.TargetFiles, error) {
	if r.set.Snapshot == nil {
		return nil, webjob.Errorf(webjob.Unavailable, "job repository: only its root is here; ask the server for it")
	}
	name, parent := RoleTargets, RoleRoot
	for range maxDelegations {
		role, err := r.load(name, parent)
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
		if len(below) == 0 || r.set.Snapshot.Signed.Meta[below[0].Name+".json"] == nil {
			return nil, nil
		}
		name, parent = below[0].Name, name
	}
	return nil, webjob.Errorf(webjob.Refused, "job repository: %.80q is delegated more than %d times", path, maxDelegations)
}

// Content returns the verified content of a target. NotFound says that no such target
// is signed; Unavailable that it, or a role on the way to it, is not here yet.
func (r *Repository) Content(path string) ([]byte, error) {
	target, err := r.find(path)
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, webjob.Errorf(webjob.NotFound, "the job repository has no %s", path)
	}
	content, found := r.held.Contents[path]
	if !found {
		return nil, webjob.Errorf(webjob.Unavailable, "job repository: %s is not here; ask the server for it", path)
	}
	if err := target.VerifyLengthHashes(content); err != nil {
		return nil, explain(path, err)
	}
	return content, nil
}

// Have says what is held, and which of the contents.
func (r *Repository) Have(paths ...string) webjob.RepositoryHave {
	h := webjob.RepositoryHave{Roles: map[string]int64{RoleRoot: r.RootVersion()}}
	if r.set.Timestamp != nil {
		h.Roles[RoleTimestamp] = r.set.Timestamp.Signed.Version
	}
	if r.set.Snapshot == nil {
		return h
	}
	h.Roles[RoleSnapshot] = r.set.Snapshot.Signed.Version
	for name := range r.held.Roles {
		if named := r.set.Snapshot.Signed.Meta[name+".json"]; named != nil {
			h.Roles[name] = named.Version
		}
	}
	for _, path := range paths {
		if content, found := r.held.Contents[path]; found {
			h.Contents = append(h.Contents, webjob.DigestOf(content))
		}
	}
	return h
}

// Bundle returns what somebody who holds have needs to look the paths up: roots is the
// root of every version, from the first one on.
func (r *Repository) Bundle(have webjob.RepositoryHave, roots [][]byte, paths ...string) webjob.RepositoryBundle {
	var b webjob.RepositoryBundle
	if have.Roles[RoleTimestamp] < r.Timestamp() {
		b.Timestamp = r.held.Timestamp
	}
	if from := have.Roles[RoleRoot]; from >= 1 && from < int64(len(roots)) {
		b.Roots = roots[from:]
	}
	if have.Roles[RoleSnapshot] < r.set.Snapshot.Signed.Version {
		b.Snapshot = r.held.Snapshot
	}
	for _, path := range paths {
		r.bundlePath(&b, have, path)
	}
	return b
}

// Everything returns the whole repository to somebody who holds have.
func (r *Repository) Everything(have webjob.RepositoryHave, roots [][]byte) webjob.RepositoryBundle {
	b := r.Bundle(have, roots)
	b.Contents = r.held.Contents
	for name := range r.held.Roles {
		r.bundleRole(&b, have, name)
	}
	return b
}

func (r *Repository) bundleRole(b *webjob.RepositoryBundle, have webjob.RepositoryHave, name string) {
	if named := r.set.Snapshot.Signed.Meta[name+".json"]; named == nil || have.Roles[name] >= named.Version {
		return
	}
	if b.Roles == nil {
		b.Roles = map[string][]byte{}
	}
	b.Roles[name] = r.held.Roles[name]
}

// bundlePath adds the roles on the way to a path, and its content.
func (r *Repository) bundlePath(b *webjob.RepositoryBundle, have webjob.RepositoryHave, path string) {
	for name := RoleTargets; ; {
		r.bundleRole(b, have, name)
		role := r.set.Targets[name]
		if role == nil {
			break // a bin that nobody has used
		}
		if role.Signed.Targets[path] != nil || role.Signed.Delegations == nil {
			break
		}
		below := role.Signed.Delegations.GetRolesForTarget(path)
		if len(below) == 0 {
			break
		}
		name = below[0].Name
	}
	content, found := r.held.Contents[path]
	if !found || slices.Contains(have.Contents, webjob.DigestOf(content)) {
		return
	}
	if b.Contents == nil {
		b.Contents = map[string][]byte{}
	}
	b.Contents[path] = content
}

// File returns one metadata file in the layout of The Update Framework with consistent
// snapshots, such as "timestamp.json" or "3.common-2a.json".
func (r *Repository) File(name string, roots [][]byte) ([]byte, bool) {
	if name == RoleTimestamp+".json" {
		return r.held.Timestamp, true
	}
	number, role, found := strings.Cut(strings.TrimSuffix(name, ".json"), ".")
	version, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil {
		return nil, false
	}
	switch {
	case role == RoleRoot && version >= 1 && version <= int64(len(roots)):
		return roots[version-1], true
	case role == RoleSnapshot && version == r.set.Snapshot.Signed.Version:
		return r.held.Snapshot, true
	}
	named := r.set.Snapshot.Signed.Meta[role+".json"]
	return r.held.Roles[role], named != nil && named.Version == version
}

// RootVersion returns the version of the newest trusted root.
func (r *Repository) RootVersion() int64 { return r.set.Root.Signed.Version }

// Root returns the newest trusted root: canonical JSON.
func (r *Repository) Root() []byte { return r.held.Root }

// Timestamp returns the version of the timestamp, 0 before the first one.
func (r *Repository) Timestamp() int64 {
	if r.set.Timestamp == nil {
		return 0
	}
	return r.set.Timestamp.Signed.Version
}

// Fresh returns nil while the repository's metadata have not expired at the time.
func (r *Repository) Fresh(now time.Time) error {
	if r.set.Timestamp == nil || r.set.Snapshot == nil {
		return webjob.Errorf(webjob.Unavailable, "job repository: only its root is here; ask the server for it")
	}
	for what, expires := range map[string]time.Time{
		"root": r.set.Root.Signed.Expires, "timestamp": r.set.Timestamp.Signed.Expires, "snapshot": r.set.Snapshot.Signed.Expires,
	} {
		if !now.Before(expires) {
			return webjob.Errorf(webjob.Unavailable, "job repository: the %s expired at %s and it is %s here; the server must send a newer one, or this clock is wrong",
				what, expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// Policy returns who may sign orders.
func (r *Repository) Policy() (*Policy, error) {
	content, err := r.Content(PolicyPath)
	if err != nil {
		return nil, err
	}
	return ParsePolicy(content)
}

// Index returns the versions of a job. NotFound says that nobody signed for it.
func (r *Repository) Index(job string) (*JobIndex, error) {
	content, err := r.Content(JobPath(job))
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
func (r *Repository) Labels(client string) (labels webjob.Labels, found bool, err error) {
	content, err := r.Content(ClientPath(client))
	if webjob.KindOf(err) == webjob.NotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	labels, err = ParseLabels(content)
	return labels, err == nil, err
}

func isExpired(err error) bool {
	var expired *metadata.ErrExpiredMetadata
	return errors.As(err, &expired)
}

// explain says which check of the library failed, and what to do.
func explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var (
		expired  *metadata.ErrExpiredMetadata
		version  *metadata.ErrBadVersionNumber
		unsigned *metadata.ErrUnsignedMetadata
		hash     *metadata.ErrLengthOrHashMismatch
	)
	advice := "the server's answer is not used"
	switch {
	case errors.As(err, &expired):
		advice = "the server hides newer ones, its operators must renew them (webjobctl repo status), or this clock is wrong"
	case errors.As(err, &version):
		advice = "the server went back to older files or mixes them"
	case errors.As(err, &unsigned):
		advice = "it was changed, or too few of the people that this client trusts have signed it"
	case errors.As(err, &hash):
		advice = "the server mixes files of different releases"
	}
	return webjob.Errorf(webjob.Refused, "job repository: %s: %w; %s", what, err, advice)
}

// Digest returns the digest of the newest trusted root: what a token pins and people
// compare.
func (r *Repository) Digest() webjob.Digest { return webjob.DigestOf(r.held.Root) }

// Signers returns the keys of the people who sign for the repository as a whole, and
// how many of them must.
func (r *Repository) Signers() (keys []*PublicKey, threshold int, err error) {
	role := r.set.Root.Signed.Roles[RoleTargets]
	if role == nil {
		return nil, 0, webjob.Errorf(webjob.Refused, "job repository: the root names no keys for targets")
	}
	for _, id := range role.KeyIDs {
		key, err := fromLibrary(r.set.Root.Signed.Keys[id])
		if err != nil {
			return nil, 0, err
		}
		keys = append(keys, key)
	}
	return keys, role.Threshold, nil
}

// fromLibrary reads a key of the metadata.
func fromLibrary(key *metadata.Key) (*PublicKey, error) {
	if key == nil {
		return nil, webjob.Errorf(webjob.Refused, "job repository: a role names a key that is not listed")
	}
	public, err := key.ToPublicKey()
	if err != nil {
		return nil, webjob.Errorf(webjob.Refused, "job repository: %w", err)
	}
	return NewPublicKey(public)
}

// libraryKey returns the key as the metadata write it, and its id there.
func (p *PublicKey) libraryKey() (*metadata.Key, string, error) {
	key, err := metadata.KeyFromPublicKey(p.key)
	if err != nil {
		return nil, "", webjob.Errorf(webjob.Invalid, "key %s: %w", p.Fingerprint(), err)
	}
	id, err := key.ID()
	return key, id, err
}

// Fingerprint returns the key's id in the form that people compare: groups of four.
func (p *PublicKey) Fingerprint() string {
	sum := sha256.Sum256(p.der)
	text := hex.EncodeToString(sum[:16])
	return strings.Join(slices.Collect(chunks(text, 4)), " ")
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > n && yield(s[:n]) {
			s = s[n:]
		}
		yield(s)
	}
}

// String describes what is held, for logs.
func (r *Repository) String() string {
	return fmt.Sprintf("root %d, timestamp %d, %d roles, %d contents", r.RootVersion(), r.Timestamp(), len(r.held.Roles), len(r.held.Contents))
}
