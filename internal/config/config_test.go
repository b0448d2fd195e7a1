package config_test

import (
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
)

type settings struct {
	Listen string `toml:"listen"`
	Limits limits `toml:"limits"`
	Rooms  []room `toml:"room"`
}

type limits struct {
	Run    config.Duration `toml:"run"`
	Output config.Size     `toml:"output"`
	Nice   int64           `toml:"nice"`
}

type room struct {
	Name string `toml:"name"`
}

func (s *settings) Check() error {
	if err := s.Limits.Run.Within("limits.run", time.Second, time.Hour); err != nil {
		return err
	}
	return s.Limits.Output.Within("limits.output", 0, 1<<30)
}

func TestDecodeTellsFileLineAndFix(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":          {"listen = \":1\"\nlisen = 2\n", "f.toml:2: lisen: unknown key; allowed here: limits, listen, room"},
		"unknown key in table": {"[limits]\nrum = \"1s\"", "f.toml:2: limits.rum: unknown key; allowed here: nice, output, run"},
		"unknown key in list":  {"[[room]]\nname = \"a\"\n[[room]]\nnane = \"b\"", "f.toml:4: room.nane: unknown key; allowed here: name"},
		"unknown table":        {"[limit]\nrun = \"1s\"", "f.toml:1: limit: unknown key; allowed here: limits, listen, room"},
		"wrong type":           {"\nlisten = 8443", "f.toml:2: listen: "},
		"not a span":           {"[limits]\n\nrun = \"soon\"", `f.toml:3: limits.run: "soon" is not a time span`},
		"not a size":           {"[limits]\nrun = \"1s\"\noutput = \"12 parsecs\"", `f.toml:3: limits.output: "12 parsecs" is not a size`},
		"out of range":         {"listen = \":1\"\n[limits]\noutput = \"1KiB\"\nrun = \"2h\"", "f.toml:4: limits.run: 2h0m0s is out of range; it must be 1s to 1h0m0s"},
		"missing, out of range": {
			"listen = \":1\"\n[limits]\nnice = 1", "f.toml:2: limits.run: 0s is out of range",
		},
		"no TOML at all":  {"\x7fELF\x02\x01", "f.toml:1: "},
		"key given twice": {"listen = \"a\"\nlisten = \"b\"", "f.toml:2: "},
		"cut short":       {"[limits]\nrun = \"1", "f.toml:2: "},
	} {
		t.Run(name, func(t *testing.T) {
			err := config.Decode("f.toml", []byte(c.text), &settings{})
			if webjob.KindOf(err) != webjob.Invalid {
				t.Fatalf("error is %v, want an Invalid one", err)
			}
			if !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error is\n%q, want one line that starts with\n%q", err, c.want)
			}
		})
	}
}

func TestDecodeReadsValues(t *testing.T) {
	var s settings
	err := config.Decode("f.toml", []byte("listen = ':1'\n[limits]\nrun = '1m30s'\noutput = '64KiB'\n"), &s)
	if err != nil || s.Listen != ":1" || time.Duration(s.Limits.Run) != 90*time.Second || s.Limits.Output != 65536 {
		t.Fatalf("got %+v, %v", s, err)
	}
}

func TestSizeKeepsItsValueAsText(t *testing.T) {
	for _, want := range []config.Size{0, 1, 1023, 1024, 1536, 16 << 20, 1 << 40, 1<<40 + 1} {
		var got config.Size
		text, _ := want.MarshalText()
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Errorf("%d became %s became %d, %v", int64(want), text, int64(got), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("listen = ':1'\n[limits]\nrun = '1m30s'\noutput = '64KiB'\n[[room]]\nname='x'"))
	f.Add([]byte("listen = \"\"\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := config.Decode("f.toml", data, &settings{}); err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("more than one line: %q", err)
		}
	})
}
