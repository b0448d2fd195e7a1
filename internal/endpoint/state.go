package endpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/durable"
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

// State is a client's state folder, the only place that webjob writes to. What is kept
// there is divided by what it is for; each part knows of its neighbours only what it
// takes to be made.
type State struct {
	folder
	Enrolments *Enrolments      // which servers let this client in, and as whom
	Repository *RepositoryCache // the job repository as it was verified last
	Tickets    *Tickets         // of the exchanges with servers
	Claims     *Claims          // runs of orders that were begun
	Standing   *StandingOrders  // orders whose time this client keeps
	Kept       *KeptJobs        // their jobs
	work       workFolders      // of runs under way
}

// folder is the place of a part of the state: all its files are below.
type folder string

func (f folder) path(elements ...string) string {
	return filepath.Join(append([]string{string(f)}, elements...)...)
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
	return newState(folder(absolute)), nil
}

func newState(f folder) *State {
	tickets := &Tickets{folder: f}
	return &State{
		folder:     f,
		Enrolments: &Enrolments{folder: f, tickets: tickets, loaded: map[Target]loaded{}},
		Repository: &RepositoryCache{folder: f},
		Tickets:    tickets,
		Claims:     &Claims{folder: f, spooled: func(run string) bool { return exists(f.path(spoolFolder, run)) }},
		Standing:   &StandingOrders{folder: folder(f.path(standingFolder))},
		Kept:       &KeptJobs{folder: folder(f.path(keptFolder)), exchange: tickets.run(TargetGet).exchange},
		work:       workFolders{folder: folder(f.path(workFolder))},
	}
}

// CreateState is OpenState for a folder that may not exist yet.
func CreateState(dir string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "state folder: %w", err)
	}
	return OpenState(dir)
}

// Dir returns the folder.
func (s *State) Dir() string { return string(s.folder) }

// Path returns a path below the state folder.
func (s *State) Path(name string) string { return s.path(name) }

// Spool opens the spool.
func (s *State) Spool() (*spool.Spool, error) { return spool.Open(s.path(spoolFolder)) }

// Settings reads webjob.toml; a missing file means the defaults.
func (s *State) Settings() (*Settings, error) {
	settings := DefaultSettings()
	err := config.Read(s.path(settingsFile), settings)
	if webjob.KindOf(err) == webjob.NotFound {
		return settings, nil
	}
	return settings, err
}

// Sweep removes what is no longer needed: work folders of runs that are dead, claims of
// orders that expired long ago, and what writes left that a crash ended.
func (s *State) Sweep(now time.Time) error {
	sp, err := s.Spool()
	if err != nil {
		return err
	}
	err = errors.Join(s.work.sweep(sp), s.Claims.sweep(now))
	for _, place := range []string{"", getFolder, putFolder, standingFolder} {
		err = errors.Join(err, durable.Sweep(s.path(place), now.Add(-24*time.Hour)))
	}
	return err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
