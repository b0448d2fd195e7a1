package webjob

import (
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Platform says where a payload runs: "linux/amd64" (one system and
// architecture), "linux" (one system), "unix" (every system but Windows), or
// "any". Names are Go's.
type Platform string

// ThisPlatform is the system and architecture of the running program.
const ThisPlatform = Platform(runtime.GOOS + "/" + runtime.GOARCH)

var platformForm = regexp.MustCompile(`^[a-z0-9]{1,16}(/[a-z0-9]{1,16})?$`)

// Check accepts the four forms.
func (p Platform) Check() error {
	if !platformForm.MatchString(string(p)) {
		return Errorf(Invalid, "platform %.80q is malformed; write \"linux/amd64\", \"linux\", \"unix\" or \"any\"", string(p))
	}
	return nil
}

// specificity is 0 when a payload for p does not run on target (system/architecture),
// otherwise larger for a closer match.
func (p Platform) specificity(target Platform) int {
	system, _, _ := strings.Cut(string(target), "/")
	switch {
	case p == target:
		return 4
	case string(p) == system:
		return 3
	case p == "unix" && system != "windows":
		return 2
	case p == "any":
		return 1
	}
	return 0
}

// ChoosePayload returns the payload that fits the target platform most closely.
func ChoosePayload(payloads []Payload, target Platform) (best Payload, found bool) {
	bestFit := 0
	for _, p := range payloads {
		if fit := p.Platform.specificity(target); fit > bestFit {
			best, bestFit = p, fit
		}
	}
	return best, bestFit > 0
}

// PayloadFor returns the payload that fits the target platform most closely.
// The error is Refused and names the platforms that there are.
func (m *Manifest) PayloadFor(target Platform) (Payload, error) {
	best, found := ChoosePayload(m.Payloads, target)
	if !found {
		var have []string
		for _, p := range m.Payloads {
			have = append(have, string(p.Platform))
		}
		slices.Sort(have)
		return Payload{}, Errorf(Refused, "job %s version %d has no payload for %s, only for %s; publish one for this platform",
			m.Name, m.Version, target, strings.Join(have, ", "))
	}
	return best, nil
}
