package webjob_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 300)
	bad := []string{"", ".", "..", "../x", "a/b", `a\b`, "a b", "a\x00", "a\n", "-x", ".x", "_x", "ä", long, "a\u202eb", "a:b", "a%2fb"}
	for what, c := range map[string]struct {
		check func(string) error
		good  []string
	}{
		"client id": {webjob.CheckClientID, []string{"a", "web1", "web-1.example_x", strings.Repeat("x", 64)}},
		"job name":  {webjob.CheckJobName, []string{"a", "check-disks", "gcc-c++", "v1.2", strings.Repeat("x", 64)}},
		"run id":    {webjob.CheckRunID, []string{"0197e5d2-7c1e-7b3a-8d7c-000000000000", "order.web1", strings.Repeat("x", 128)}},
		"part name": {webjob.CheckPartName, []string{"stdout", "stderr", "file-1"}},
	} {
		for _, s := range c.good {
			if err := c.check(s); err != nil {
				t.Errorf("%s %q: %v", what, s, err)
			}
		}
		for _, s := range bad {
			err := c.check(s)
			if webjob.KindOf(err) != webjob.Invalid {
				t.Errorf("%s %.20q was accepted", what, s)
			} else if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%s %.20q: the error is not one short printable line: %q", what, s, err)
			}
		}
	}
}

func TestLabels(t *testing.T) {
	labels, err := webjob.ParseLabels([]string{"role=db", "env=prod"})
	if err != nil || labels.String() != "env=prod,role=db" {
		t.Fatalf("got %q, %v", labels, err)
	}
	for _, items := range [][]string{{"env"}, {"env="}, {"=prod"}, {"env=prod", "env=test"}, {"Env=prod"}, {"env=a b"}, {"env=a\n"}, {"env=../x"}} {
		if _, err := webjob.ParseLabels(items); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("%q was accepted", items)
		}
	}
	var many []string
	for i := range 33 {
		many = append(many, fmt.Sprintf("k%d=v", i))
	}
	if _, err := webjob.ParseLabels(many); err == nil {
		t.Error("33 labels were accepted")
	}
}

func TestScopeOrder(t *testing.T) {
	got := webjob.ScopesFor("web1", webjob.Labels{"role": "db", "env": "prod"})
	want := []webjob.Scope{"client:web1", "group:env=prod", "group:role=db", "common"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for _, scope := range want {
		if err := scope.Check(); err != nil {
			t.Errorf("%s: %v", scope, err)
		}
	}
	for _, scope := range []webjob.Scope{"", "all", "client:", "client:../x", "group:x", "group:"} {
		if scope.Check() == nil {
			t.Errorf("scope %q was accepted", scope)
		}
	}
}

func TestPayloadChoice(t *testing.T) {
	all := []webjob.Payload{{Platform: "any", Size: 1}, {Platform: "unix", Size: 2}, {Platform: "linux", Size: 3}, {Platform: "linux/amd64", Size: 4}}
	for target, want := range map[webjob.Platform]int64{"linux/amd64": 4, "linux/arm64": 3, "darwin/arm64": 2, "windows/amd64": 1} {
		if got, _ := webjob.ChoosePayload(all, target); got.Size != want {
			t.Errorf("%s gets %s", target, got.Platform)
		}
	}
	if _, found := webjob.ChoosePayload(all[2:], "windows/amd64"); found {
		t.Error("a Linux payload was chosen for Windows")
	}
}

func TestArguments(t *testing.T) {
	m := &webjob.Manifest{Name: "j", Version: 1, Arguments: []string{"--[a-z]+", "a|b"}}
	for _, c := range []struct {
		arguments []string
		good      bool
	}{
		{nil, true},
		{[]string{"--all", "a", "b"}, true},
		{[]string{"--all\n"}, false},
		{[]string{"x--all"}, false},
		{[]string{"ab"}, false}, // alternatives are anchored as a whole
		{[]string{"-all"}, false},
		{[]string{"a\x00"}, false},
		{[]string{"\xff"}, false},
		{make([]string, 300), false},
	} {
		if err := m.CheckArguments(c.arguments); (err == nil) != c.good {
			t.Errorf("%.60q: %v, want good = %v", c.arguments, err, c.good)
		}
	}
	none := &webjob.Manifest{Name: "j", Version: 1}
	if none.CheckArguments([]string{"x"}) == nil || none.CheckArguments(nil) != nil {
		t.Error("a job without patterns takes no arguments, and runs without")
	}
	anything := &webjob.Manifest{Name: "j", Version: 1, Arguments: []string{".*"}}
	if err := anything.CheckArguments([]string{"", "two\nlines", "ü"}); err != nil {
		t.Error(err)
	}
	big := strings.Repeat("x", webjob.MaxArgumentBytes)
	if anything.CheckArguments([]string{big + "x"}) == nil {
		t.Error("an argument over the limit was accepted")
	}
	if anything.CheckArguments([]string{big, big, big, big, big, big, big, big, big, big, big, big, big}) == nil {
		t.Error("arguments over the limit together were accepted")
	}
}

func TestCeilingsNeverLoosen(t *testing.T) {
	job := webjob.Limits{RunMS: 1000, StdoutBytes: 100, StderrBytes: 0, OnOverflow: webjob.OverflowStop, Nice: 5}
	got := job.Within(webjob.Limits{RunMS: 5000, StdoutBytes: 10, StderrBytes: 10, MemoryBytes: 1 << 20, Processes: 3, CPUSeconds: 7, Nice: 1})
	want := webjob.Limits{RunMS: 1000, StdoutBytes: 10, StderrBytes: 0, OnOverflow: webjob.OverflowStop, MemoryBytes: 1 << 20, Processes: 3, CPUSeconds: 7, Nice: 5}
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if got := job.Within(webjob.Limits{}); got != job {
		t.Fatalf("no ceiling changed %+v to %+v", job, got)
	}
}

func TestLimitRanges(t *testing.T) {
	if err := webjob.DefaultLimits().Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*webjob.Limits){
		"no time":        func(l *webjob.Limits) { l.RunMS = 0 },
		"negative time":  func(l *webjob.Limits) { l.RunMS = -1 },
		"a century":      func(l *webjob.Limits) { l.RunMS = 100 * 365 * 24 * time.Hour.Milliseconds() },
		"negative bytes": func(l *webjob.Limits) { l.StdoutBytes = -1 },
		"tiny memory":    func(l *webjob.Limits) { l.MemoryBytes = 1 },
		"negative nice":  func(l *webjob.Limits) { l.Nice = -5 },
		"overflow":       func(l *webjob.Limits) { l.OnOverflow = "explode" },
	} {
		l := webjob.DefaultLimits()
		change(&l)
		if webjob.KindOf(l.Check()) != webjob.Invalid {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestErrorKinds(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("outer: %w", webjob.Errorf(webjob.NotFound, "inner: %w", cause))
	if webjob.KindOf(err) != webjob.NotFound || !errors.Is(err, cause) || err.Error() != "outer: inner: cause" {
		t.Errorf("got %v of kind %s", err, webjob.KindOf(err))
	}
	if webjob.KindOf(cause) != webjob.Internal || webjob.KindOf(nil) != "" {
		t.Error("an error without a kind is Internal, and nil has none")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"format":"webjob-run/1","run":"r","client":"c","job":"j","outcome":"succeeded","parts":[{"name":"stdout","digest":"` + string(webjob.EmptyDigest) + `"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r webjob.Record
		if json.Unmarshal(data, &r) != nil || r.Check() != nil {
			return
		}
		if strings.ContainsAny(r.Run+r.Client+r.Job, "/\\\x00\n\r ") {
			t.Fatalf("a name with a path or control character was accepted: %q", data)
		}
		for _, part := range r.Parts {
			if _, err := r.InlinePart(part.Name, nil); err == nil && part.Size > 0 {
				t.Fatalf("a part of %d bytes was cut out of nothing", part.Size)
			}
		}
		_ = webjob.NewResult(&r, data, time.Time{})
	})
}

func TestGrants(t *testing.T) {
	for text, want := range map[string]webjob.Grant{
		"viewer":                          {Role: webjob.Viewer},
		" operator on  site=lab ":         {Role: webjob.OrderingRole, On: "site=lab"},
		"admin on all":                    {Role: webjob.Admin},
		"approver on (id=a* or id=b*)":    {Role: webjob.Approver, On: "(id=a* or id=b*)"},
		"approver on site=on and not a=b": {Role: webjob.Approver, On: "site=on and not a=b"},
	} {
		got, err := webjob.ParseGrant(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := webjob.ParseGrant(got.String()); err != nil || again != got {
			t.Errorf("%q comes back as %+v, %v", got.String(), again, err)
		}
	}
	for _, text := range []string{"", "boss", "viewer,operator", "operator on ", "operator on site", "operator site=lab", "viewer on site=lab on all", "publisher on site=lab"} {
		if g, err := webjob.ParseGrant(text); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("%q: %+v, %v", text, g, err)
		}
	}
	long := webjob.Grant{Role: webjob.Viewer, On: "site=" + strings.Repeat("a", 250)}
	for name, grants := range map[string][]webjob.Grant{
		"none": nil, "twice": {{Role: webjob.Viewer}, {Role: webjob.Viewer}}, "all, but not plainly": {{Role: webjob.Viewer, On: "all"}},
		"nine":     slices.Repeat([]webjob.Grant{{Role: webjob.Viewer}}, 9),
		"together": {long, {Role: webjob.Admin, On: long.On}, {Role: webjob.OrderingRole, On: long.On}, {Role: webjob.Approver, On: long.On}},
	} {
		if err := webjob.CheckGrants(grants); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := webjob.CheckGrants([]webjob.Grant{{Role: webjob.Viewer}, long}); err != nil {
		t.Error(err)
	}
}
