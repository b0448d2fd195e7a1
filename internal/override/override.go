// Package override reads the layers of configuration that a server gives its clients
// and jobs: TOML files in one folder, global, by group, by client, by job, and by
// client and job. A set of layers is valid as a whole or not at all, and tells for
// each value which file and line set it.
package override

import (
	"cmp"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/trust"
)

// values is one layer's file. What is not there does not override.
type values struct {
	Include        []string         `toml:"include"` // files below it, in this folder
	PutURL         *string          `toml:"put_url"`
	AllowJobs      []string         `toml:"allow_jobs"` // globs
	DenyJobs       []string         `toml:"deny_jobs"`
	AllowAddresses []string         `toml:"allow_addresses"` // networks
	DenyAddresses  []string         `toml:"deny_addresses"`
	Hooks          []string         `toml:"hooks"`      // names; none of the others apply
	Schedules      *string          `toml:"schedules"`  // run, pause
	Retention      *config.Duration `toml:"retention"`  // of results; 0 keeps them
	MaxStored      *config.Size     `toml:"max_stored"` // of a client, for all its jobs
	Limits         limits           `toml:"limits"`
}

type limits struct {
	Run       *config.Duration `toml:"run"`
	Stdout    *config.Size     `toml:"stdout"`
	Stderr    *config.Size     `toml:"stderr"`
	Memory    *config.Size     `toml:"memory"`
	Processes *int64           `toml:"processes"`
	CPU       *config.Duration `toml:"cpu"`
	Nice      *int64           `toml:"nice"`
	Collect   *config.Size     `toml:"collect"`
}

// What schedules may be.
const (
	SchedulesRun   = "run"
	SchedulesPause = "pause"
)

// Check implements [config.Checker].
func (v *values) Check() error {
	if v.PutURL != nil {
		if err := trust.CheckServerURL(*v.PutURL); err != nil {
			return &config.KeyError{Key: "put_url", Err: err}
		}
	}
	for key, globs := range map[string][]string{"allow_jobs": v.AllowJobs, "deny_jobs": v.DenyJobs} {
		for _, glob := range globs {
			if _, err := path.Match(glob, ""); err != nil || glob == "" {
				return config.Keyf(key, "%.60q is no pattern; write such as \"check-*\"", glob)
			}
		}
	}
	for key, networks := range map[string][]string{"allow_addresses": v.AllowAddresses, "deny_addresses": v.DenyAddresses} {
		for _, network := range networks {
			if _, err := parseNetwork(network); err != nil {
				return config.Keyf(key, "%.60q is no network; write such as 10.0.0.0/8 or 192.0.2.7", network)
			}
		}
	}
	if s := v.Schedules; s != nil && *s != SchedulesRun && *s != SchedulesPause {
		return config.Keyf("schedules", "%.40q is unknown; use \"run\" or \"pause\"", *s)
	}
	if r := v.Retention; r != nil && *r != 0 {
		if err := r.Within("retention", time.Hour, 100*366*24*time.Hour); err != nil {
			return err
		}
	}
	if m := v.MaxStored; m != nil {
		if err := m.Within("max_stored", 1<<20, 1<<50); err != nil {
			return err
		}
	}
	return v.Limits.check()
}

func (l limits) check() error {
	number := func(key string, n *int64, high int64) error {
		if n != nil && (*n < 0 || *n > high) {
			return config.Keyf(key, "%d is out of range; it must be 0 to %d", *n, high)
		}
		return nil
	}
	span := func(key string, d *config.Duration, low, high time.Duration) error {
		if d == nil {
			return nil
		}
		return d.Within(key, low, high)
	}
	size := func(key string, s *config.Size, low, high config.Size) error {
		if s == nil {
			return nil
		}
		return s.Within(key, low, high)
	}
	for _, err := range []error{
		span("limits.run", l.Run, time.Second, webjob.MaxRunTime), span("limits.cpu", l.CPU, time.Second, 365*24*time.Hour),
		size("limits.stdout", l.Stdout, 1, webjob.MaxStreamBytes), size("limits.stderr", l.Stderr, 1, webjob.MaxStreamBytes),
		size("limits.memory", l.Memory, 1<<20, 1<<50), number("limits.processes", l.Processes, 1_000_000), number("limits.nice", l.Nice, 19),
		size("limits.collect", l.Collect, 1, webjob.MaxStreamBytes),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// Set is all layers. The zero Set overrides nothing.
type Set struct {
	layers map[string][]file // by layer, such as "group/env=prod"; what is included first
	Files  int
}

type file struct {
	name string // relative to the folder
	data []byte
	values
}

// Digests returns the digest of each file, by its name in the folder.
func (s *Set) Digests() map[string]webjob.Digest {
	digests := map[string]webjob.Digest{}
	for _, files := range s.layers {
		for _, f := range files {
			digests[f.name] = webjob.DigestOf(f.data)
		}
	}
	return digests
}

// The layers, in the order in which later ones win.
const (
	layerGlobal    = "global"
	layerGroup     = "group"
	layerClient    = "client"
	layerJob       = "job"
	layerClientJob = "client-job"
)

// Read reads every file of the folder. A folder that is not there is an empty set.
func Read(dir string, hooks []string) (*Set, error) {
	s := &Set{layers: map[string][]file{}}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == dir {
			return fs.SkipAll
		}
		if err != nil {
			return webjob.Errorf(webjob.Invalid, "%w", err)
		}
		relative := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(name, dir), string(filepath.Separator)))
		if entry.IsDir() || strings.HasPrefix(relative, "include/") || strings.HasPrefix(entry.Name(), ".") {
			return nil
		}
		layer, err := layerOf(relative)
		if err != nil {
			return webjob.Errorf(webjob.Invalid, "%s: %w", name, err)
		}
		s.Files++
		if s.layers[layer], err = readFiles(dir, relative, nil, hooks); err != nil {
			return err
		}
		return checkLayer(dir, layer, s.layers[layer])
	})
	return s, err
}

// checkLayer refuses what cannot be said of a job: the limit is for all that a client has.
func checkLayer(dir, layer string, files []file) error {
	if kind, _, _ := strings.Cut(layer, "/"); kind != layerJob && kind != layerClientJob {
		return nil
	}
	for _, f := range files {
		if f.MaxStored != nil {
			return webjob.Errorf(webjob.Invalid, "%s:%d: max_stored: it holds for a client with all its jobs; set it in global.toml, group/ or client/", filepath.Join(dir, f.name), config.LineOf(f.data, "max_stored"))
		}
	}
	return nil
}

// layerOf tells from a file's place what it overrides.
func layerOf(relative string) (string, error) {
	place, found := strings.CutSuffix(relative, ".toml")
	if !found {
		return "", webjob.Errorf(webjob.Invalid, "only .toml files belong here")
	}
	kind, name, _ := strings.Cut(place, "/")
	var err error
	switch kind {
	case layerGlobal:
		if name != "" {
			err = webjob.Errorf(webjob.Invalid, "global.toml is one file")
		}
	case layerGroup:
		_, err = webjob.ParseLabels([]string{name})
	case layerClient:
		err = webjob.CheckClientID(name)
	case layerJob:
		err = webjob.CheckJobName(name)
	case layerClientJob:
		client, job, _ := strings.Cut(name, "@")
		err = errors.Join(webjob.CheckClientID(client), webjob.CheckJobName(job))
	default:
		err = webjob.Errorf(webjob.Invalid, "there is no such layer; use global.toml, group/KEY=VALUE.toml, client/ID.toml, job/NAME.toml or client-job/ID@NAME.toml, and include/ for what they share")
	}
	return place, err
}

// readFiles reads a file and what it includes, which comes first and so weighs less.
func readFiles(dir, relative string, above, hooks []string) ([]file, error) {
	if slices.Contains(above, relative) {
		return nil, webjob.Errorf(webjob.Invalid, "%s: include goes in a circle: %s", filepath.Join(dir, above[0]), strings.Join(append(above, relative), " -> "))
	}
	if len(above) > 8 {
		return nil, webjob.Errorf(webjob.Invalid, "%s: include is more than 8 files deep", filepath.Join(dir, above[0]))
	}
	full := filepath.Join(dir, filepath.FromSlash(relative))
	data, err := os.ReadFile(full)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	f := file{name: relative, data: data}
	if err := config.Decode(full, data, &f.values); err != nil {
		return nil, err
	}
	for _, name := range f.Hooks {
		if !slices.Contains(hooks, name) {
			return nil, webjob.Errorf(webjob.Invalid, "%s:%d: hooks: no hook is named %.40q; there are: %s", full, config.LineOf(data, "hooks"), name, cmp.Or(strings.Join(hooks, ", "), "none"))
		}
	}
	var files []file
	for _, name := range f.Include {
		if !filepath.IsLocal(name) || !strings.HasPrefix(path.Clean(name), "include/") {
			return nil, webjob.Errorf(webjob.Invalid, "%s:%d: include: %.80q is not a file below include/", full, config.LineOf(data, "include"), name)
		}
		included, err := readFiles(dir, path.Clean(name), append(above, relative), hooks)
		if err != nil {
			return nil, err
		}
		files = append(files, included...)
	}
	return append(files, f), nil
}
