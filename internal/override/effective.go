package override

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
)

// Effective is what holds for one client and job.
type Effective struct {
	PutURL         string
	AllowJobs      []string
	DenyJobs       []string
	AllowAddresses []string
	DenyAddresses  []string
	Hooks          []string // nil: every hook
	Paused         bool
	Retention      time.Duration
	MaxStored      int64         // bytes of results, stored and on their way, of the client
	Limits         webjob.Limits // ceilings; zero does not bound
}

// DefaultMaxStored is what a client may have stored: four of the largest results that a
// server takes by default.
const DefaultMaxStored = 64 << 30

// For returns what holds for a client and a job; an empty job leaves the job's
// layers out.
func (s *Set) For(client string, labels webjob.Labels, job string) *Effective {
	e := &Effective{MaxStored: DefaultMaxStored}
	s.walk(client, labels, job, func(_ string, f file) { e.apply(f, func(string) {}) })
	return e
}

// Explain returns every value that holds for a client and a job, and where it was set.
func (s *Set) Explain(client string, labels webjob.Labels, job string) []webjob.Setting {
	e := &Effective{MaxStored: DefaultMaxStored}
	sources := map[string]webjob.SettingSource{}
	s.walk(client, labels, job, func(layer string, f file) {
		e.apply(f, func(key string) {
			sources[key] = webjob.SettingSource{Layer: layer, File: f.name, Line: config.LineOf(f.data, key)}
		})
	})
	return e.describe(sources)
}

// RetentionRules returns a digest of what the layers say of retention: as long as it is the
// same, so is the retention of every client (with the same labels) and job.
func (s *Set) RetentionRules() webjob.Digest {
	rules := webjob.NewDigester()
	for _, layer := range slices.Sorted(maps.Keys(s.layers)) {
		for _, f := range s.layers[layer] {
			if f.Retention != nil {
				_, _ = fmt.Fprintf(rules, "%s %d\n", layer, *f.Retention) // never fails
			}
		}
	}
	return rules.Digest()
}

// walk visits the files that concern a client and a job, those that weigh least first.
func (s *Set) walk(client string, labels webjob.Labels, job string, visit func(layer string, f file)) {
	if s.Files == 0 {
		return // as in most installations, at every request
	}
	for _, layer := range order(client, labels, job) {
		for _, f := range s.layers[layer] {
			visit(layer, f)
		}
	}
}

func order(client string, labels webjob.Labels, job string) []string {
	layers := []string{layerGlobal}
	// Among groups the first in sorted order wins, as it does for jobs.
	groups := labels.Groups()
	slices.Reverse(groups)
	for _, group := range groups {
		layers = append(layers, layerGroup+"/"+group)
	}
	layers = append(layers, layerClient+"/"+client)
	if job != "" {
		layers = append(layers, layerJob+"/"+job, layerClientJob+"/"+client+"@"+job)
	}
	return layers
}

func (e *Effective) apply(f file, set func(key string)) {
	override(&e.PutURL, f.PutURL, "put_url", set)
	list := func(to *[]string, from []string, key string) {
		if from != nil {
			*to = from
			set(key)
		}
	}
	list(&e.AllowJobs, f.AllowJobs, "allow_jobs")
	list(&e.DenyJobs, f.DenyJobs, "deny_jobs")
	list(&e.AllowAddresses, f.AllowAddresses, "allow_addresses")
	list(&e.DenyAddresses, f.DenyAddresses, "deny_addresses")
	list(&e.Hooks, f.Hooks, "hooks")
	if f.Schedules != nil {
		e.Paused = *f.Schedules == SchedulesPause
		set("schedules")
	}
	if f.Retention != nil {
		e.Retention = time.Duration(*f.Retention)
		set("retention")
	}
	if f.MaxStored != nil {
		e.MaxStored = int64(*f.MaxStored)
		set("max_stored")
	}
	l := f.Limits
	if l.Run != nil {
		e.Limits.RunMS = time.Duration(*l.Run).Milliseconds()
		set("limits.run")
	}
	if l.CPU != nil {
		e.Limits.CPUSeconds = int64(time.Duration(*l.CPU) / time.Second)
		set("limits.cpu")
	}
	size := func(to *int64, from *config.Size, key string) {
		if from != nil {
			*to = int64(*from)
			set(key)
		}
	}
	size(&e.Limits.StdoutBytes, l.Stdout, "limits.stdout")
	size(&e.Limits.StderrBytes, l.Stderr, "limits.stderr")
	size(&e.Limits.MemoryBytes, l.Memory, "limits.memory")
	override(&e.Limits.Processes, l.Processes, "limits.processes", set)
	override(&e.Limits.Nice, l.Nice, "limits.nice", set)
	size(&e.Limits.CollectBytes, l.Collect, "limits.collect")
}

func override[T any](to, from *T, key string, set func(string)) {
	if from != nil {
		*to = *from
		set(key)
	}
}

// describe returns every value with its source, in the order of the guide.
func (e *Effective) describe(sources map[string]webjob.SettingSource) []webjob.Setting {
	var values []webjob.Setting
	add := func(key, value, none string) {
		source, found := sources[key]
		if !found {
			source, value = webjob.SettingSource{Layer: "default"}, none
		}
		values = append(values, webjob.Setting{Key: key, Value: value, SettingSource: source})
	}
	schedules := SchedulesRun
	if e.Paused {
		schedules = SchedulesPause
	}
	add("put_url", e.PutURL, "as the client has it")
	add("allow_jobs", strings.Join(e.AllowJobs, " "), "*")
	add("deny_jobs", strings.Join(e.DenyJobs, " "), "none")
	add("allow_addresses", strings.Join(e.AllowAddresses, " "), "every address")
	add("deny_addresses", strings.Join(e.DenyAddresses, " "), "none")
	add("hooks", strings.Join(e.Hooks, " "), "all that are configured")
	add("schedules", schedules, SchedulesRun)
	add("retention", e.Retention.String(), "kept for good")
	add("max_stored", config.Size(e.MaxStored).String(), config.Size(DefaultMaxStored).String())
	add("limits.run", e.Limits.RunTime().String(), "the job's")
	add("limits.stdout", config.Size(e.Limits.StdoutBytes).String(), "the job's")
	add("limits.stderr", config.Size(e.Limits.StderrBytes).String(), "the job's")
	add("limits.memory", config.Size(e.Limits.MemoryBytes).String(), "the job's")
	add("limits.processes", fmt.Sprint(e.Limits.Processes), "the job's")
	add("limits.cpu", (time.Duration(e.Limits.CPUSeconds) * time.Second).String(), "the job's")
	add("limits.nice", fmt.Sprint(e.Limits.Nice), "the job's")
	add("limits.collect", config.Size(e.Limits.CollectBytes).String(), "the job's")
	return values
}

// CheckAccess refuses an address or a job that the lists do not let through; an
// empty job asks about the address alone. Who is such as "client web1".
func (e *Effective) CheckAccess(who, job string, address netip.Addr) error {
	address = address.Unmap()
	contains := func(network string) bool {
		prefix, err := parseNetwork(network)
		return err == nil && prefix.Contains(address)
	}
	matches := func(glob string) bool {
		found, err := path.Match(glob, job)
		return found && err == nil
	}
	switch {
	case slices.ContainsFunc(e.DenyAddresses, contains):
		return webjob.Errorf(webjob.Refused, "%s is not served at address %s: deny_addresses names it", who, address)
	case e.AllowAddresses != nil && !slices.ContainsFunc(e.AllowAddresses, contains):
		return webjob.Errorf(webjob.Refused, "%s is not served at address %s: allow_addresses does not name it", who, address)
	case job == "":
		return nil
	case slices.ContainsFunc(e.DenyJobs, matches):
		return webjob.Errorf(webjob.Refused, "%s does not get job %s: deny_jobs names it", who, job)
	case e.AllowJobs != nil && !slices.ContainsFunc(e.AllowJobs, matches):
		return webjob.Errorf(webjob.Refused, "%s does not get job %s: allow_jobs does not name it", who, job)
	}
	return nil
}

// HasHook reports whether the hook of that name applies.
func (e *Effective) HasHook(name string) bool {
	return e.Hooks == nil || slices.Contains(e.Hooks, name)
}

// Bounds reports whether any limit is set.
func (e *Effective) Bounds() bool { return e.Limits != webjob.Limits{} }
