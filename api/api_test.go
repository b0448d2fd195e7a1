package api_test

import (
	"net/url"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
)

func TestResultFilterKeepsItsValues(t *testing.T) {
	want := webjob.ResultFilter{
		Client: "web1", Job: "j", Outcome: webjob.Failed, Since: time.Unix(1, 500).UTC(), Until: time.Unix(2, 0).UTC(),
		Page: webjob.Page{After: "17", Limit: 3},
	}
	got, err := api.DecodeResultFilter(api.EncodeResultFilter(want))
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func FuzzResultFilter(f *testing.F) {
	f.Add("client=web1&since=2026-01-01T00:00:00Z&limit=5&after=9")
	f.Add("limit=-1")
	f.Add("after=9223372036854775808")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, err := api.DecodeResultFilter(values)
		if err != nil {
			return
		}
		if again, err := api.DecodeResultFilter(api.EncodeResultFilter(filter)); err != nil || !again.Since.Equal(filter.Since) || again.Page != filter.Page {
			t.Fatalf("%q became %+v, then %+v, %v", query, filter, again, err)
		}
	})
}
