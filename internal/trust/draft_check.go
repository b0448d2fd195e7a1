package trust

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"webjob.dev/webjob"
)

// What people sign is metadata; what they read is contents. A draft in the wrong hands
// could show one thing and have another one signed. So the changes are taken from the
// metadata themselves, and a draft that does not show all of them is refused.

// Change is a change of who signs something.
type Change struct {
	What   string // a role, or a delegation with its place and paths
	Before string // threshold and keys, with their fingerprints; "" for nobody
	After  string
}

// Changes compares the draft's metadata with the repository that it changes (nil for a
// new one) and returns the changes of keys, thresholds and delegations; name tells a key
// by its id. Contents are shown by whoever has them: Changes makes sure that they are what
// the metadata name, all of them and nothing else. The error is Refused and says what is
// not shown.
func (d *Draft) Changes(base *View, now time.Time, name func(id string) string) ([]Change, error) {
	c := &draftCheck{draft: d, base: base, now: now, name: name, shown: map[string]bool{}}
	for _, role := range slices.Sorted(maps.Keys(d.Roles)) {
		var err error
		if role == RoleRoot {
			err = c.root()
		} else {
			err = c.role(role)
		}
		if err != nil {
			return nil, err
		}
	}
	for path := range d.Contents {
		if !c.shown[path] {
			return nil, webjob.Errorf(webjob.Refused, "the draft shows a change of %s that it does not make; do not sign it", path)
		}
	}
	return c.changes, nil
}

type draftCheck struct {
	draft   *Draft
	base    *View
	now     time.Time
	name    func(string) string
	shown   map[string]bool // contents that the metadata name
	changes []Change
}

// signers is who signs what, in order.
type signers []struct{ what, who string }

func (s *signers) add(what, who string) {
	*s = append(*s, struct{ what, who string }{what, who})
}

func (s signers) of(what string) string {
	for _, one := range s {
		if one.what == what {
			return one.who
		}
	}
	return ""
}

// difference keeps what is not in after as it was before.
func (c *draftCheck) difference(before, after signers) {
	for _, was := range before {
		if after.of(was.what) == "" {
			c.changes = append(c.changes, Change{What: was.what, Before: was.who})
		}
	}
	for _, is := range after {
		if was := before.of(is.what); was != is.who {
			c.changes = append(c.changes, Change{What: is.what, Before: was, After: is.who})
		}
	}
}

// version makes sure that the metadata are the next ones and do not hold for longer
// than they should.
func (c *draftCheck) version(role string, version, before int64, expires time.Time) error {
	if version != before+1 {
		return webjob.Errorf(webjob.Refused, "the draft makes version %d of role %s, and version %d is in force; propose it anew", version, role, before)
	}
	if expires.After(c.now.Add(OfflineLifetime + 24*time.Hour)) {
		return webjob.Errorf(webjob.Refused, "the draft would have role %s hold until %s, longer than a year; do not sign it", role, expires.UTC().Format(time.RFC3339))
	}
	return nil
}

func (c *draftCheck) root() error {
	root, err := metadata.Root().FromBytes(c.draft.Roles[RoleRoot])
	if err != nil {
		return explain("draft", err)
	}
	before, version := signers{}, int64(0)
	if c.base != nil {
		version = c.base.RootVersion()
		if before, err = c.rootSigners(&c.base.set.Root.Signed); err != nil {
			return err
		}
	}
	after, err := c.rootSigners(&root.Signed)
	if err != nil {
		return err
	}
	c.difference(before, after)
	return c.version(RoleRoot, root.Signed.Version, version, root.Signed.Expires)
}

func (c *draftCheck) rootSigners(root *metadata.RootType) (signers, error) {
	var list signers
	if !root.ConsistentSnapshot {
		return nil, webjob.Errorf(webjob.Refused, "the draft has a root without consistent snapshots; do not sign it")
	}
	for _, role := range slices.Sorted(maps.Keys(root.Roles)) {
		people, err := c.keys(root.Keys, root.Roles[role].KeyIDs)
		if err != nil {
			return nil, err
		}
		list.add(role, fmt.Sprintf("%d of %s", root.Roles[role].Threshold, people))
	}
	return list, nil
}

// keys names keys, each with its fingerprint.
func (c *draftCheck) keys(keys map[string]*metadata.Key, ids []string) (string, error) {
	var list []string
	for _, id := range ids {
		key, err := fromLibrary(keys[id])
		if err != nil {
			return "", err
		}
		list = append(list, fmt.Sprintf("%s (%s)", c.name(key.ID()), key.Fingerprint()))
	}
	slices.Sort(list)
	return strings.Join(list, ", "), nil
}

func (c *draftCheck) role(name string) error {
	role, err := c.draft.role(nil, name)
	if err != nil {
		return err
	}
	before := metadata.Targets()
	before.Signed.Version = 0
	if c.base != nil && c.base.held.Roles[name] != nil {
		if before, err = metadata.Targets().FromBytes(c.base.held.Roles[name]); err != nil {
			return explain("role "+name, err)
		}
	}
	if err := c.version(name, role.Signed.Version, before.Signed.Version, role.Signed.Expires); err != nil {
		return err
	}
	for path, target := range role.Signed.Targets {
		if old := before.Signed.Targets[path]; old == nil || !old.Equal(*target) {
			if err := c.added(name, path, target); err != nil {
				return err
			}
		}
	}
	for path := range before.Signed.Targets {
		if role.Signed.Targets[path] != nil {
			continue
		}
		if content, found := c.draft.Contents[path]; !found || len(content) > 0 {
			return webjob.Errorf(webjob.Refused, "the draft takes %s out of role %s and does not show it; do not sign it", path, name)
		}
		c.shown[path] = true
	}
	was, err := c.delegations(before.Signed.Delegations)
	if err != nil {
		return err
	}
	is, err := c.delegations(role.Signed.Delegations)
	if err != nil {
		return err
	}
	c.difference(was, is)
	return nil
}

// added accepts a target whose content the draft shows, or that only moves.
func (c *draftCheck) added(role, path string, target *metadata.TargetFiles) error {
	if content := c.draft.Contents[path]; len(content) > 0 && target.VerifyLengthHashes(content) == nil {
		c.shown[path] = true
		return c.index(path, content)
	}
	if c.base != nil {
		if held, err := c.base.find(path); err == nil && held != nil && held.Equal(*target) {
			c.changes = append(c.changes, Change{What: path, After: "moves to role " + role})
			return nil
		}
	}
	return webjob.Errorf(webjob.Refused, "the draft changes %s in role %s and does not show to what; do not sign it", path, role)
}

// index makes sure that a new index of a job is one of that job, and follows from the
// one before it.
func (c *draftCheck) index(path string, content []byte) error {
	job, found := strings.CutPrefix(path, JobPath(""))
	if !found {
		return nil
	}
	after, err := ParseJobIndex(content)
	if err != nil {
		return err
	}
	if after.Job != job {
		return webjob.Errorf(webjob.Refused, "the index of job %.80s is that of job %s; do not sign it", job, after.Job)
	}
	if c.base == nil {
		return nil
	}
	before, err := c.base.Index(job)
	if webjob.KindOf(err) == webjob.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return after.follows(before)
}

func (c *draftCheck) delegations(d *metadata.Delegations) (signers, error) {
	if d == nil {
		return nil, nil
	}
	var list signers
	for i, role := range d.Roles {
		people, err := c.keys(d.Keys, role.KeyIDs)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("%d. %s: %s", i+1, role.Name, strings.Join(slices.Concat(role.Paths, role.PathHashPrefixes), " "))
		if !role.Terminating {
			what += " (not terminating)"
		}
		list.add(what, fmt.Sprintf("%d of %s", role.Threshold, people))
	}
	if s := d.SuccinctRoles; s != nil {
		people, err := c.keys(d.Keys, s.KeyIDs)
		if err != nil {
			return nil, err
		}
		list.add(fmt.Sprintf("%d bins %s-*", 1<<s.BitLength, s.NamePrefix), fmt.Sprintf("%d of %s", s.Threshold, people))
	}
	return list, nil
}
