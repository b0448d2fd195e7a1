package rules

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"webjob.dev/webjob/internal/hook"
)

// maxDifferences bounds what is told of a change.
const maxDifferences = 50

// Differences tells what another set has that is new, gone or changed: by the names of
// hooks, triggers and files alone, since what they say may be secret.
func Differences(before, after *Set) []string {
	list := append([]string{}, slices.Concat(
		differences("hook", byName(before.Hooks), byName(after.Hooks)),
		differences("trigger", byName(before.Triggers), byName(after.Triggers)),
		differences("file", before.Overrides.Digests(), after.Overrides.Digests()),
	)...)
	if before.Overdue != after.Overdue {
		list = append(list, "setting clients.overdue: changed")
	}
	if len(list) > maxDifferences {
		list = append(list[:maxDifferences], fmt.Sprintf("and %d more", len(list)-maxDifferences))
	}
	return list
}

func byName(settings []hook.Settings) map[string]hook.Settings {
	named := map[string]hook.Settings{}
	for _, s := range settings {
		named[s.Name] = s
	}
	return named
}

func differences[T any](what string, before, after map[string]T) []string {
	list := []string{}
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := before[name]
		is, has := after[name]
		switch {
		case !had:
			list = append(list, what+" "+name+": new")
		case !has:
			list = append(list, what+" "+name+": gone")
		case !reflect.DeepEqual(was, is):
			list = append(list, what+" "+name+": changed")
		}
	}
	return list
}
