package wire_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// A client that is told that its ticket is old asks once more, with the word and with the
// ticket that is the newest after that.
func TestClientThatIsBehindAsksOnceMore(t *testing.T) {
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		word   string
		behind int // how often the server says so
		want   []string
		kind   webjob.Kind
	}{
		"the newest":                         {nil, -1, "w1", 0, []string{"t1  "}, ""},
		"an old one":                         {nil, -1, "w1", 1, []string{"t1  ", "t2 w1 "}, ""},
		"an old one, with a body":            {strings.NewReader("body"), 4, "w1", 1, []string{"t1  body", "t2 w1 body"}, ""},
		"a body that cannot be had again":    {io.MultiReader(strings.NewReader("body")), 4, "w1", 1, []string{"t1  body"}, webjob.Unavailable},
		"always":                             {nil, -1, "w1", 9, []string{"t1  ", "t2 w1 "}, webjob.Unavailable},
		"a word that is none":                {nil, -1, "w 1", 9, []string{"t1  "}, webjob.Unavailable},
		"a word without end":                 {nil, -1, strings.Repeat("w", 129), 9, []string{"t1  "}, webjob.Unavailable},
		"busy, and nothing said of a ticket": {nil, -1, "", 9, []string{"t1  "}, webjob.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = append(got, r.Header.Get(wire.HeaderTicket)+" "+r.Header.Get(wire.HeaderTold)+" "+string(body))
				if len(got) <= c.behind {
					w.Header().Set(wire.HeaderTold, c.word)
					wire.WriteProblem(w, webjob.Errorf(webjob.Unavailable, "old"))
				}
			}))
			defer server.Close()
			client, asked := newClient(server), 0
			client.Ticket = func() (string, error) {
				asked++
				return fmt.Sprint("t", asked), nil
			}
			response, err := client.Send(t.Context(), http.MethodPost, "/", nil, c.body, c.length)
			if err == nil {
				_ = response.Body.Close() // empty
			}
			if !slices.Equal(got, c.want) || err != nil && webjob.KindOf(err) != c.kind || (err != nil) != (c.kind != "") {
				t.Errorf("the server got %q, the client %v", got, err)
			}
		})
	}
}

// A word is given back until a ticket is the newest, and no longer: by then it says
// nothing any more.
func TestWordsAreForgotten(t *testing.T) {
	var words []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		words = append(words, r.Header.Get(wire.HeaderTold))
		if len(words) <= 2 {
			w.Header().Set(wire.HeaderTold, fmt.Sprint("w", len(words)))
			wire.WriteProblem(w, webjob.Errorf(webjob.Unavailable, "old"))
		}
	}))
	defer server.Close()
	client := newClient(server)
	for range 3 {
		_ = client.Call(t.Context(), http.MethodGet, "/", nil, nil, nil) // the first fails
	}
	if want := []string{"", "w1", "w2", ""}; !slices.Equal(words, want) {
		t.Errorf("the server got %q, want %q", words, want)
	}
}

// A word that comes while a ticket is read is not given back with that ticket, which may
// be older than the word.
func TestWordIsNotOlderThanTheTicket(t *testing.T) {
	var outer string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/outer" {
			outer = "got " + r.Header.Get(wire.HeaderTold)
			return
		}
		w.Header().Set(wire.HeaderTold, "w1")
		wire.WriteProblem(w, webjob.Errorf(webjob.Unavailable, "old"))
	}))
	defer server.Close()
	client := newClient(server)
	client.Ticket = func() (string, error) {
		_, err := client.Send(t.Context(), http.MethodGet, "/other", http.Header{wire.HeaderTicket: {"t0"}}, nil, -1)
		if webjob.KindOf(err) != webjob.Unavailable {
			t.Errorf("got %v", err)
		}
		return "t1", nil
	}
	if err := client.Call(t.Context(), http.MethodGet, "/outer", nil, nil, nil); err != nil || outer != "got " {
		t.Errorf("the server %q, the client %v", outer, err)
	}
}

func newClient(server *httptest.Server) *wire.Client {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return wire.NewClient(server.URL, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13})
}

// A name that is empty or nothing but dots asks for nothing.
func TestClientSendsNoOddPath(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL.Path) }))
	defer server.Close()
	client := newClient(server)
	defer client.Close()
	for _, place := range []string{"/v1/tokens//revoke", "/v1/tokens/", "/v1/tokens/../revoke", "/v1/tokens/.", "/v1/tokens/?x=1"} {
		if err := client.Call(t.Context(), http.MethodGet, place, nil, nil, nil); webjob.KindOf(err) != webjob.Invalid || !strings.Contains(err.Error(), "a name is empty") {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// A client knows by how much its clock differs from the server's, whatever the server answers.
func TestClientKnowsHowWrongTheClockIs(t *testing.T) {
	for date, want := range map[string]time.Duration{
		time.Now().UTC().Format(http.TimeFormat):                      0,
		time.Now().Add(-50 * time.Hour).UTC().Format(http.TimeFormat): 50 * time.Hour,
		time.Now().Add(200 * time.Hour).UTC().Format(http.TimeFormat): -200 * time.Hour,
		"yesterday": 0,
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", date)
			wire.WriteProblem(w, webjob.Errorf(webjob.Refused, "no"))
		}))
		client := newClient(server)
		if client.Skew() != 0 {
			t.Fatal("a difference before any answer")
		}
		_ = client.Call(t.Context(), http.MethodGet, "/", nil, nil, nil) // refused, as it should be
		if got := client.Skew() - want; got.Abs() > time.Minute {
			t.Errorf("date %s: differs by %s, want %s", date, client.Skew(), want)
		}
		client.Close()
		server.Close()
	}
}

// A certificate that does not hold at this time tells both times: mostly a clock is wrong.
func TestCertificateOfAnotherTimeTellsTheTimes(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	later := server.Certificate().NotAfter.Add(time.Hour)
	client := wire.NewClient(server.URL, &tls.Config{RootCAs: pool, ServerName: "example.com", Time: func() time.Time { return later }})
	err := client.Call(t.Context(), http.MethodGet, "/", nil, nil, nil)
	if webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), "and here it is "+time.Now().UTC().Format("2006-")) || !strings.Contains(err.Error(), "check the clocks") {
		t.Fatalf("got %v", err)
	}
}
