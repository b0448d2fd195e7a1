package server

import (
	"context"
	"path/filepath"
	"reflect"
	"time"

	"webjob.dev/webjob/internal/rules"
)

// overridesFolder holds the layers of package override.
const overridesFolder = "overrides"

func readRules(settings *Settings) (*rules.Set, error) {
	return rules.Read(settings.Hooks, settings.Triggers, filepath.Join(settings.dir, overridesFolder), time.Duration(settings.Clients.Overdue))
}

// Reload reads the configuration again and takes what can change into use: hooks,
// triggers, overrides, and when a client is overdue. When anything is wrong, what
// held before goes on holding.
func (s *Server) Reload(ctx context.Context) error {
	set, err := s.reread()
	if err != nil {
		s.rules.Keep(err)
		s.log.Error("the configuration was not taken into use; the one before holds", "error", err)
		return err
	}
	s.rules.Use(set)
	s.log.Info("configuration taken into use", "hooks", len(set.Hooks), "triggers", len(set.Triggers), "overrides", set.Overrides.Files)
	s.courier.Wake()
	s.dispatcher.Restart("")
	return ctx.Err()
}

func (s *Server) reread() (*rules.Set, error) {
	settings, err := LoadSettings(s.settings.dir)
	if err != nil {
		return nil, err
	}
	for name, pair := range map[string][2]any{
		"url": {s.settings.URL, settings.URL}, "names": {s.settings.Names, settings.Names}, "endpoint": {s.settings.Endpoint, settings.Endpoint},
		"operator": {s.settings.Operator, settings.Operator}, "telemetry": {s.settings.Telemetry, settings.Telemetry},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			s.log.Warn("a changed setting waits for a restart", "key", name)
		}
	}
	return readRules(settings)
}
