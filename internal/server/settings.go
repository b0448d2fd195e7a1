package server

import (
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/hook"
	"webjob.dev/webjob/internal/trust"
)

// Files of a server folder.
const (
	settingsFile  = "webjobd.toml"
	onlineKeyFile = "pki/repository.key" // keeps the job repository fresh; signs nothing else
	metadataFile  = "metadata.db"
	blobsFolder   = "blobs"
	lockFile      = "lock"
	nameFile      = "name" // of this server
)

// Settings is the server's configuration file, webjobd.toml.
type Settings struct {
	URL       string           `toml:"url"`   // what tokens tell clients
	Names     []string         `toml:"names"` // host names and addresses in the server certificate
	Endpoint  EndpointSettings `toml:"endpoint"`
	Operator  ListenerSettings `toml:"operator"`
	Telemetry ListenerSettings `toml:"telemetry"`
	Log       LogSettings      `toml:"log"`
	Shutdown  ShutdownSettings `toml:"shutdown"`
	Clients   ClientSettings   `toml:"clients"`
	Hooks     []hook.Settings  `toml:"hook"`
	Triggers  []hook.Settings  `toml:"trigger"`
	dir       string           // the server folder
}

// EndpointSettings is the listener for clients.
type EndpointSettings struct {
	Listen    string      `toml:"listen"`
	MaxResult config.Size `toml:"max_result"` // of one result with all its parts
}

// ListenerSettings is a listener's address, HOST:PORT.
type ListenerSettings struct {
	Listen string `toml:"listen"`
}

// LogSettings says what goes to stderr, and how.
type LogSettings struct {
	Level  string `toml:"level"`  // debug, info, warn, error
	Format string `toml:"format"` // text, json
}

// ShutdownSettings says how the server ends.
type ShutdownSettings struct {
	Drain config.Duration `toml:"drain"` // how long requests under way may take
}

// ClientSettings says what is expected of clients.
type ClientSettings struct {
	// Certificate is how long a client's certificate holds; clients renew it at half of that.
	Certificate config.Duration `toml:"certificate"`
	// OnClone is "tell" or "suspend": what happens to a client whose identity two hold.
	OnClone string          `toml:"on_clone"`
	Overdue config.Duration `toml:"overdue"` // after so long without a word it is told; 0 never
}

func defaultSettings(dir string) *Settings {
	return &Settings{
		Endpoint:  EndpointSettings{Listen: ":8443", MaxResult: 16 << 30},
		Operator:  ListenerSettings{Listen: "127.0.0.1:8444"},
		Telemetry: ListenerSettings{Listen: "127.0.0.1:8445"},
		Log:       LogSettings{Level: "info", Format: "text"},
		Shutdown:  ShutdownSettings{Drain: config.Duration(30 * time.Second)},
		Clients:   ClientSettings{Certificate: config.Duration(trust.ClientLifetime), OnClone: "tell"},
		dir:       dir,
	}
}

// LoadSettings reads DIR/webjobd.toml.
func LoadSettings(dir string) (*Settings, error) {
	s := defaultSettings(dir)
	if err := config.Read(filepath.Join(dir, settingsFile), s); err != nil {
		return nil, err
	}
	return s, nil
}

// Check implements [config.Checker].
func (s *Settings) Check() error {
	if err := trust.CheckServerURL(s.URL); err != nil {
		return &config.KeyError{Key: "url", Err: err}
	}
	if len(s.Names) == 0 {
		return config.Keyf("names", "no name; give the host names that clients use, such as [\"jobs.example.org\"]")
	}
	for key, address := range map[string]string{
		"endpoint.listen": s.Endpoint.Listen, "operator.listen": s.Operator.Listen, "telemetry.listen": s.Telemetry.Listen,
	} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return config.Keyf(key, "%.80q is not an address; write HOST:PORT, or :PORT for every interface", address)
		}
	}
	if err := s.Endpoint.MaxResult.Within("endpoint.max_result", 64<<10, 1<<40); err != nil {
		return err
	}
	if _, err := s.level(); err != nil {
		return err
	}
	if s.Log.Format != "text" && s.Log.Format != "json" {
		return config.Keyf("log.format", "%.40q is unknown; use \"text\" or \"json\"", s.Log.Format)
	}
	if err := s.Shutdown.Drain.Within("shutdown.drain", 0, time.Hour); err != nil {
		return err
	}
	if err := s.Clients.Certificate.Within("clients.certificate", 10*time.Second, 10*365*24*time.Hour); err != nil {
		return err
	}
	if s.Clients.OnClone != "tell" && s.Clients.OnClone != "suspend" {
		return config.Keyf("clients.on_clone", "%.40q is unknown; use \"tell\" or \"suspend\"", s.Clients.OnClone)
	}
	if s.Clients.Overdue != 0 {
		if err := s.Clients.Overdue.Within("clients.overdue", 2*time.Minute, 366*24*time.Hour); err != nil {
			return err
		}
	}
	if err := hook.CheckHooks(s.Hooks); err != nil {
		return err
	}
	return hook.CheckTriggers(s.Triggers)
}

// Level returns the log level; the settings were checked.
func (s *Settings) Level() slog.Level {
	level, err := s.level()
	if err != nil {
		return slog.LevelInfo
	}
	return level
}

func (s *Settings) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.Log.Level)); err != nil {
		return level, config.Keyf("log.level", "%.40q is unknown; use \"debug\", \"info\", \"warn\" or \"error\"", s.Log.Level)
	}
	return level, nil
}

func (s *Settings) path(name string) string { return filepath.Join(s.dir, name) }
