package endpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/runner"
	"webjob.dev/webjob/internal/endpoint/spool"
)

// Folders and files of a state folder.
const (
	settingsFile   = "webjob.toml"
	getFolder      = "get" // enrolment with the server that serves jobs
	putFolder      = "put" // enrolment with another server that receives results, if any
	spoolFolder    = "spool"
	workFolder     = "work"     // payloads and working folders of runs
	keptFolder     = "kept"     // jobs of standing orders, by manifest
	claimsFolder   = "claims"   // runs of orders that were begun
	standingFolder = "standing" // orders whose time the agent keeps
)

// State is a client's state folder, the only place that webjob writes to.
type State struct {
	dir    string
	mu     sync.Mutex
	loaded map[Target]loaded
}

// DefaultDir returns the state folder that is used when none is named.
func DefaultDir() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "WebJob")
	}
	if os.Geteuid() == 0 {
		return "/var/lib/webjob"
	}
	if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "webjob")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "webjob-state"
	}
	return filepath.Join(home, ".local", "state", "webjob")
}

// OpenState uses dir. It must belong to this user and be closed to others: who can
// write there could change what is trusted.
func OpenState(dir string) (*State, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "state folder: %w", err)
	}
	info, err := os.Stat(absolute)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, webjob.Errorf(webjob.NotFound, "state folder %s does not exist; run webjob enroll first, or name another with --state", absolute)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "state folder: %w", err)
	}
	if !info.IsDir() {
		return nil, webjob.Errorf(webjob.Invalid, "state folder %s is not a folder", absolute)
	}
	if err := checkPrivate(absolute, info); err != nil {
		return nil, err
	}
	return &State{dir: absolute, loaded: map[Target]loaded{}}, nil
}

// CreateState is OpenState for a folder that may not exist yet.
func CreateState(dir string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "state folder: %w", err)
	}
	return OpenState(dir)
}

// Dir returns the folder.
func (s *State) Dir() string { return s.dir }

func (s *State) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// Spool opens the spool.
func (s *State) Spool() (*spool.Spool, error) { return spool.Open(s.path(spoolFolder)) }

// makeWork makes the private folder of a run.
func (s *State) makeWork(run string) (string, error) {
	if err := os.Mkdir(s.path(workFolder), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", webjob.Errorf(webjob.Unavailable, "work folder: %w", err)
	}
	dir := s.path(workFolder, run)
	for _, folder := range []string{dir, filepath.Join(dir, "home")} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return "", webjob.Errorf(webjob.Unavailable, "work folder: %w", err)
		}
	}
	return dir, nil
}

// sweepWork removes work folders whose run is no longer alive.
func (s *State) sweepWork(sp *spool.Spool) error {
	entries, err := os.ReadDir(s.path(workFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if !sp.Alive(entry.Name()) {
			runner.Sweep(entry.Name())
			err = errors.Join(err, os.RemoveAll(s.path(workFolder, entry.Name())))
		}
	}
	return err
}
