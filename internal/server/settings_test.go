package server

import (
	"testing"

	"webjob.dev/webjob/internal/config"
)

func FuzzSettings(f *testing.F) {
	s, err := Layout{Names: []string{"h"}, Endpoint: ":1", Operator: "127.0.0.1:2", Telemetry: ":3"}.settings("d")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.render())
	f.Fuzz(func(t *testing.T, data []byte) {
		s := defaultSettings("d")
		if config.Decode("webjobd.toml", data, s) == nil && (s.URL == "" || len(s.Names) == 0 || s.Endpoint.MaxResult <= 0) {
			t.Fatalf("accepted %+v", s)
		}
	})
}

// What init writes is what serve reads.
func TestRenderedSettingsAreRead(t *testing.T) {
	want, err := Layout{Names: []string{"jobs.example.org", "::1"}, Endpoint: ":1", Operator: "127.0.0.1:2", Telemetry: ":3"}.settings("d")
	if err != nil {
		t.Fatal(err)
	}
	got := &Settings{dir: "d", Clients: defaultSettings("d").Clients} // init leaves these to their defaults
	if err := config.Decode("webjobd.toml", want.render(), got); err != nil {
		t.Fatal(err)
	}
	if string(got.render()) != string(want.render()) {
		t.Fatalf("got\n%s\nwant\n%s", got.render(), want.render())
	}
}
