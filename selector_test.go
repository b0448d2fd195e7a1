package webjob_test

import (
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
)

func TestSelectors(t *testing.T) {
	web := webjob.Subject{ID: "web1", Labels: webjob.Labels{"env": "prod", "role": "web"}, Facts: webjob.Facts{
		OS: "linux", Arch: "amd64", Host: "web1.example.org", Version: "v1.10.2", Addresses: []string{"10.1.2.3", "fd00::7"},
		Booted: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}}
	for text, want := range map[string]bool{
		"all": true, "not all": false, "id=web1": true, "id=web*": true, "id=we": false, "id!=web1": false,
		"env=prod": true, "env=prod and role=db": false, "env=prod or role=db": true, "env=pr?d": true, "env=[a-p]rod": true,
		"env=stage or role=web and id=db1": false, "(env=stage or role=web) and not id=db1": true, "not (env=prod)": false,
		"missing=x": false, "missing!=x": true, "missing<5": false, "not missing=x": true,
		"os=linux": true, "platform=linux/*": true, "platform=linux/amd64": true, "arch=arm64": false, "host=*.example.org": true,
		"version<1.9": false, "version>=1.10": true, "version>1.10.2": false, "version<=1.10.2": true, "version<2": true, "version<4294967297": true, "version>4294967297": false,
		"address=10.0.0.0/8": true, "address=10.1.*": true, "address=192.168.0.0/16": false, "address=fd00::/8": true, "address!=10.1.2.3": false,
		"boot<2026-03-02": true, "boot>=2026-03-01T12:00:00Z": true, "boot<2026-03-01": false,
	} {
		s, err := webjob.ParseSelector(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if s.Matches(web) != want {
			t.Errorf("%s: got %v", text, !want)
		}
	}
}

func TestNonsenseSelectors(t *testing.T) {
	for _, text := range []string{
		"", "  ", "env", "=prod", "env=", "env==prod", "env=a=b", "env=prod stage", "env=prod and", "or env=prod", "(env=prod", "env=prod)", "not",
		"boot=2026", "boot<yesterday", "address=10.0.0.0/99", "id=[", "ENV=prod", "env~prod", "env=a\x00b", "env=a\x1b[31m",
		strings.Repeat("(", 100) + "all" + strings.Repeat(")", 100), strings.Repeat("not ", 100) + "all", strings.Repeat("x", 2000),
	} {
		if _, err := webjob.ParseSelector(text); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("%.40q: got %v, want an Invalid error", text, err)
		}
	}
	if (webjob.Selector{}).Matches(webjob.Subject{ID: "a"}) {
		t.Error("the zero selector means someone")
	}
}

func FuzzSelector(f *testing.F) {
	f.Add("os=linux and (env=prod or env=stage) and not id=web1")
	f.Add("version<1.4 or boot>=2026-03-01")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := webjob.ParseSelector(text)
		if err != nil {
			return
		}
		again, err := webjob.ParseSelector(s.String())
		subject := webjob.Subject{ID: "web1", Labels: webjob.Labels{"env": "prod"}, Facts: webjob.Facts{OS: "linux", Addresses: []string{"10.0.0.1"}, Version: "1.2"}}
		if err != nil || again.Matches(subject) != s.Matches(subject) {
			t.Fatalf("%q reads differently the second time: %v", text, err)
		}
	})
}

func TestRunIDsOfOrders(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	o := webjob.Order{ID: "20260301-abcdefgh"}
	for _, client := range []string{"web1", "web.example.org", "20260301T123000.x", strings.Repeat("c", 64)} {
		for _, at := range []time.Time{{}, at} {
			run := o.RunID(client, at)
			if err := webjob.CheckRunID(run); err != nil {
				t.Error(err)
			}
			order, owner, when, found := webjob.ParseRunID(run)
			// A client that is named like a time and more is the one exception: it is
			// read as a run of a schedule, and belongs to nobody.
			if client == "20260301T123000.x" && at.IsZero() {
				continue
			}
			if !found || order != o.ID || owner != client || !when.Equal(at) {
				t.Errorf("%s became %s, %s, %s", run, order, owner, when)
			}
		}
	}
	for _, run := range []string{"", "0197e5d2-1111-7111-8111-111111111111", "a.b/c", "../x.y", "o1."} {
		if _, _, _, found := webjob.ParseRunID(run); found {
			t.Errorf("%q passed for the run of an order", run)
		}
	}
}

func TestOrdersAreChecked(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good := func() webjob.Order {
		return webjob.Order{
			Format: webjob.OrderFormat, ID: "o1", Job: "job", Version: 1, Manifest: webjob.EmptyDigest, On: "all",
			Created: at, NotBefore: at, Expires: at.Add(time.Hour),
		}
	}
	o := good()
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*webjob.Order){
		"format": func(o *webjob.Order) { o.Format = "x" }, "id": func(o *webjob.Order) { o.ID = "a.b" }, "job": func(o *webjob.Order) { o.Job = "../x" },
		"version": func(o *webjob.Order) { o.Version = -1 }, "manifest": func(o *webjob.Order) { o.Manifest = "sha256:1" },
		"selector": func(o *webjob.Order) { o.On = "env" }, "NUL": func(o *webjob.Order) { o.Arguments = []string{"a\x00"} },
		"arguments": func(o *webjob.Order) { o.Arguments = make([]string, 1000) }, "window": func(o *webjob.Order) { o.Expires = o.NotBefore },
		"century": func(o *webjob.Order) { o.Expires = o.NotBefore.AddDate(100, 0, 0) }, "no beginning": func(o *webjob.Order) { o.NotBefore = time.Time{} },
		"priority": func(o *webjob.Order) { o.Priority = 1001 }, "canary": func(o *webjob.Order) { o.Canary = -1 }, "rate": func(o *webjob.Order) { o.Rate = -5 },
		"share": func(o *webjob.Order) { o.StopAt = 101 }, "tag": func(o *webjob.Order) { o.Tag = "a\nb" }, "group": func(o *webjob.Order) { o.Group = "\x1b" },
		"missed": func(o *webjob.Order) { o.Schedule = &webjob.Schedule{At: "@every 1m", Missed: "perhaps"} },
		"jitter": func(o *webjob.Order) { o.Schedule = &webjob.Schedule{At: "@every 1m", Missed: "skip", JitterMS: -1} },
		"standing": func(o *webjob.Order) {
			o.Rate = 1
			o.Schedule = &webjob.Schedule{At: "@every 1m", Missed: "skip", Agent: true}
		},
	} {
		o := good()
		change(&o)
		if err := o.Check(); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
