package download

import (
	"net/http"
	"net/url"
	"testing"
)

func TestRedirects(t *testing.T) {
	request := func(address string) *http.Request {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{URL: u}
	}
	long := make([]*http.Request, maxRedirects+1)
	for i := range long {
		long[i] = request("https://a/")
	}
	for _, c := range []struct {
		name, next string
		via        []*http.Request
		identity   bool
		allowed    bool
	}{
		{"ordinary", "https://b/", long[:1], false, true},
		{"to protected", "https://b/", []*http.Request{request("http://a/")}, false, true},
		{"from protected", "http://b/", long[:1], false, false},
		{"many", "https://b/", long, false, false},
		{"with an identity", "https://b/", long[:1], true, false},
	} {
		if err := checkRedirect(request(c.next), c.via, c.identity); (err == nil) != c.allowed {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
