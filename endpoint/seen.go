package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"webjob.dev/webjob"
	"webjob.dev/webjob/trust"
)

// The highest version seen of a job is the highest number among the files of
// seen/JOB/. Each holds the digest of that version's manifest. Files are only
// added and lower ones removed, so runs at the same time cannot set it back.

// checkSeen refuses a version older than one that ran here before, and a version
// whose manifest is another one than before. It remembers a new version durably.
func (s *State) checkSeen(m *trust.SignedManifest) error {
	dir := s.path(seenFolder, m.Name)
	highest, err := highestVersion(dir)
	if err != nil {
		return err
	}
	if m.Version < highest {
		return webjob.Errorf(webjob.Refused, "job %s version %d is older than version %d seen here before; the server went back, or the newer one was withdrawn: publish a version above %d",
			m.Name, m.Version, highest, highest)
	}
	file := s.path(seenFolder, m.Name, strconv.FormatInt(m.Version, 10))
	if m.Version == highest {
		known, err := os.ReadFile(file)
		if err != nil {
			return webjob.Errorf(webjob.Unavailable, "seen versions: %w", err)
		}
		if string(known) != string(m.Digest) {
			return webjob.Errorf(webjob.Refused, "job %s version %d is not the version %d seen here before (manifest %s, then %s); a published version never changes",
				m.Name, m.Version, m.Version, string(known), m.Digest)
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return webjob.Errorf(webjob.Unavailable, "seen versions: %w", err)
	}
	if err := writeFile(file, []byte(m.Digest)); err != nil {
		return webjob.Errorf(webjob.Unavailable, "seen versions: %w", err)
	}
	if highest > 0 {
		// Only tidying: the highest counts.
		_ = os.Remove(s.path(seenFolder, m.Name, strconv.FormatInt(highest, 10)))
	}
	return nil
}

func highestVersion(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, webjob.Errorf(webjob.Unavailable, "seen versions: %w", err)
	}
	highest := int64(0)
	for _, entry := range entries {
		if entry.Name()[0] == '.' {
			continue // a file that was being written when webjob was killed
		}
		n, err := strconv.ParseInt(entry.Name(), 10, 64)
		if err != nil || n < 1 {
			return 0, webjob.Errorf(webjob.Invalid, "seen versions: %s is not a version; remove it", fmt.Sprintf("%s/%s", dir, entry.Name()))
		}
		highest = max(highest, n)
	}
	return highest, nil
}
