package webjob

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Names are checked where they enter a program, once, by the functions of this
// file. A name that passed is safe as a path element, in a header, in a log line
// and in a table: it starts with a letter or digit and holds no separator, space
// or control character.
var (
	clientIDForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	jobNameForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
	runIDForm      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	partNameForm   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	labelKeyForm   = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,31}$`)
	labelValueForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

func checkName(what, s string, form *regexp.Regexp, allowed string) error {
	if !form.MatchString(s) {
		return Errorf(Invalid, "%s %.80q is not allowed; use %s, starting with a letter or digit", what, s, allowed)
	}
	return nil
}

// CheckClientID accepts 1 to 64 letters, digits, dots, underscores and hyphens.
func CheckClientID(s string) error {
	return checkName("client id", s, clientIDForm, "1 to 64 letters, digits, '.', '_' or '-'")
}

// CheckOperatorName accepts what [CheckClientID] accepts.
func CheckOperatorName(s string) error {
	return checkName("operator name", s, clientIDForm, "1 to 64 letters, digits, '.', '_' or '-'")
}

// CheckJobName accepts 1 to 64 letters, digits, dots, underscores, pluses and hyphens.
func CheckJobName(s string) error {
	return checkName("job name", s, jobNameForm, "1 to 64 letters, digits, '.', '_', '+' or '-'")
}

// CheckRunID accepts 1 to 128 letters, digits, dots, underscores and hyphens:
// room for an order id, a separator and a client id.
func CheckRunID(s string) error {
	return checkName("run id", s, runIDForm, "1 to 128 letters, digits, '.', '_' or '-'")
}

// CheckPartName accepts 1 to 32 lower-case letters, digits, underscores and hyphens.
func CheckPartName(s string) error {
	return checkName("part name", s, partNameForm, "1 to 32 lower-case letters, digits, '_' or '-'")
}

// Labels describe a client, such as {"env": "prod", "role": "db"}. A label that
// jobs are published for is a group.
type Labels map[string]string

// ParseLabels reads "key=value" items. At most 32 labels; a key given twice is
// an error.
func ParseLabels(items []string) (Labels, error) {
	labels := make(Labels, len(items))
	for _, item := range items {
		key, value, found := strings.Cut(item, "=")
		if !found {
			return nil, Errorf(Invalid, "label %.80q has no '='; write key=value", item)
		}
		if _, twice := labels[key]; twice {
			return nil, Errorf(Invalid, "label %.80q is given twice; give each key one value", key)
		}
		labels[key] = value
	}
	return labels, labels.Check()
}

// Check accepts up to 32 labels whose keys are 1 to 32 lower-case letters,
// digits, '.', '_', '-' and whose values are 1 to 64 letters, digits, '.', '_', '-'.
func (l Labels) Check() error {
	if len(l) > 32 {
		return Errorf(Invalid, "%d labels are too many; a client has at most 32", len(l))
	}
	for key, value := range l {
		if err := checkName("label key", key, labelKeyForm, "1 to 32 lower-case letters, digits, '.', '_' or '-'"); err != nil {
			return err
		}
		if slices.Contains(selectorKeys, key) {
			return Errorf(Invalid, "label key %s is the name of a fact; choose another", key)
		}
		if err := checkName("label value", value, labelValueForm, "1 to 64 letters, digits, '.', '_' or '-'"); err != nil {
			return err
		}
	}
	return nil
}

// Groups returns the labels as "key=value", sorted.
func (l Labels) Groups() []string {
	groups := make([]string, 0, len(l))
	for _, key := range slices.Sorted(maps.Keys(l)) {
		groups = append(groups, key+"="+l[key])
	}
	return groups
}

// String returns the labels as "key=value,key=value", sorted.
func (l Labels) String() string { return strings.Join(l.Groups(), ",") }
