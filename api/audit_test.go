package api_test

import (
	"strings"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
)

// A reason comes over as it was said, in a header of plain letters, and nothing else does.
func TestReasons(t *testing.T) {
	for _, reason := range []string{"", "laptop stolen", "100 % naïve: a/b?c#d+e", "日本"} {
		value := api.EncodeReason(reason)
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is not for a header", value)
		}
		if got, err := api.DecodeReason(value); err != nil || got != reason {
			t.Errorf("%q comes over as %q, %v", reason, got, err)
		}
	}
	for _, value := range []string{"%0a", "%1b[2J", "%ff", "%zz", api.EncodeReason(strings.Repeat("r", webjob.MaxReason+1))} {
		if got, err := api.DecodeReason(value); webjob.KindOf(err) != webjob.Invalid || got != "" {
			t.Errorf("%.40q comes over as %q, %v", value, got, err)
		}
	}
}
