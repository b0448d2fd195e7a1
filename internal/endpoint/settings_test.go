package endpoint_test

import (
	"testing"

	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/endpoint"
)

func FuzzSettings(f *testing.F) {
	f.Add([]byte("put_url = 'https://h:1'\nget_limit = '1m'\n[limits]\nrun = '1h'\nmemory = '1GiB'\nnice = 5\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := endpoint.DefaultSettings()
		if config.Decode("webjob.toml", data, s) == nil && (s.GetLimit <= 0 || s.PutLimit <= 0 || s.Limits.Nice < 0) {
			t.Fatalf("accepted %+v", s)
		}
	})
}
