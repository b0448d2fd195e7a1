package server

import (
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/rules"
)

// overridesFolder holds the layers of package override.
const overridesFolder = "overrides"

func readRules(settings *Settings) (*rules.Set, error) {
	return rules.Read(settings.Hooks, settings.Triggers, filepath.Join(settings.dir, overridesFolder), time.Duration(settings.Clients.Overdue))
}

// Hangup is Reload for a signal to the process, which says not who sent it.
func (s *Server) Hangup(ctx context.Context) error {
	act := webjob.ServerAct(now(), "config.reload", "", "SIGHUP")
	err := s.Reload(webjob.WithAct(ctx, act))
	if err != nil {
		s.record.failed(ctx, act, err)
		return err
	}
	s.record.done(ctx, act)
	return nil
}

// Reload reads the configuration again and takes what can change into use: hooks,
// triggers, overrides, and when a client is overdue. When anything is wrong, what
// held before goes on holding. The act of the context tells what changed, by name.
func (s *Server) Reload(ctx context.Context) error {
	webjob.About(ctx, configuration)
	set, waiting, err := s.reread()
	if err != nil {
		s.rules.Keep(err)
		s.log.Error("the configuration was not taken into use; the one before holds", "error", err)
		return err
	}
	changed := rules.Differences(s.rules.Current(), set)
	s.rules.Use(set)
	webjob.Describe(ctx, configuration, nil, map[string]any{"changed": changed, "wait_for_restart": waiting})
	s.log.Info("configuration taken into use", "hooks", len(set.Hooks), "triggers", len(set.Triggers), "overrides", set.Overrides.Files)
	s.courier.Wake()
	s.dispatcher.Restart("")
	return ctx.Err()
}

// reread reads the configuration. It returns also the settings that changed and that only a
// restart takes into use.
func (s *Server) reread() (set *rules.Set, waiting []string, err error) {
	settings, err := LoadSettings(s.settings.dir)
	if err != nil {
		return nil, nil, err
	}
	waiting = []string{}
	for name, pair := range map[string][2]any{
		"url": {s.settings.URL, settings.URL}, "names": {s.settings.Names, settings.Names}, "endpoint": {s.settings.Endpoint, settings.Endpoint},
		"operator": {s.settings.Operator, settings.Operator}, "telemetry": {s.settings.Telemetry, settings.Telemetry},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			s.log.Warn("a changed setting waits for a restart", "key", name)
			waiting = append(waiting, name)
		}
	}
	slices.Sort(waiting)
	set, err = readRules(settings)
	return set, waiting, err
}
