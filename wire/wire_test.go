package wire_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// Every kind of error survives the way over HTTP; what a server says of its inside
// does not get out.
func TestProblemsKeepTheirKind(t *testing.T) {
	for _, kind := range []webjob.Kind{
		webjob.Invalid, webjob.NotFound, webjob.Conflict, webjob.Unauthorized, webjob.Refused, webjob.TooLarge, webjob.Unavailable, webjob.Internal,
	} {
		w := httptest.NewRecorder()
		wire.WriteProblem(w, fmt.Errorf("doing: %w", webjob.Errorf(kind, "the secret reason")))
		err := wire.ReadProblem(w.Result())
		if webjob.KindOf(err) != kind {
			t.Errorf("%s came back as %s", kind, webjob.KindOf(err))
		}
		if told := strings.Contains(err.Error(), "the secret reason"); told == (kind == webjob.Internal) {
			t.Errorf("%s says %q", kind, err)
		}
	}
}

// Whatever a hostile server answers becomes one bounded, printable line.
func FuzzProblem(f *testing.F) {
	f.Add(503, []byte(`{"type":"urn:webjob:problem:unavailable","detail":"busy"}`))
	f.Add(404, []byte(`<html>`))
	f.Add(400, []byte("{\"detail\":\"\x1b[31mred\\n\\u202e\"}"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 300 || status > 999 {
			return
		}
		err := wire.ReadProblem(&http.Response{StatusCode: status, Status: "Status", Body: io.NopCloser(strings.NewReader(string(body)))})
		if err == nil || len(err.Error()) > 4096 || strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
			t.Fatalf("got %q", err)
		}
	})
}

// What is small on the wire and large in memory is refused before it is decoded.
func TestDecodeBoundsValues(t *testing.T) {
	for text, many := range map[string]bool{
		`{"offers":[` + strings.Repeat("{},", wire.MaxValues) + `{}]}`:                true,
		`{"cancel":[` + strings.Repeat(`"",`, wire.MaxValues) + `""]}`:                true,
		`{"known":` + strings.Repeat("[", wire.MaxValues):                             true,
		`{"ticket":"` + strings.Repeat(`,[{\"`, wire.MaxValues) + `","repository":7}`: false,
	} {
		var response wire.PollResponse
		err := wire.Decode([]byte(text), &response)
		if many && (webjob.KindOf(err) != webjob.TooLarge || response.Offers != nil || response.Cancel != nil) {
			t.Errorf("%.20s: %v", text, err)
		}
		if !many && (err != nil || response.Repository != 7) {
			t.Errorf("%.20s: %v", text, err)
		}
	}
}
