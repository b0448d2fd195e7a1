package server_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/wire"
)

// upload sends a request about an upload; header holds offset and length.
func (w *world) upload(config *tls.Config, method, digest, offset, length string, body []byte) (int, string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.endpoint.URL+wire.PathUploads+digest, bytes.NewReader(body))
	must(w.t, err)
	request.Header.Set(wire.HeaderUploadOffset, offset)
	request.Header.Set(wire.HeaderUploadLength, length)
	request.Header.Set("Expect", "100-continue")
	response, err := httpClient(config).Do(request)
	must(w.t, err)
	text, err := io.ReadAll(response.Body)
	must(w.t, errors.Join(err, response.Body.Close()))
	return response.StatusCode, string(text)
}

// A large part comes before its result, from its own client, and counts in the limit.
func TestUploads(t *testing.T) {
	const size = wire.ResumableBytes + 1
	w := newWorldWith(t, func(s *server.Settings) { s.Endpoint.MaxResult = 20 << 20 })
	web1, web2 := w.client("web1"), w.client("web2")
	content := bytes.Repeat([]byte("y"), size)
	digest := webjob.DigestOf(content)
	r := record("web1", "")
	r.Parts = append(r.Parts, webjob.Stream{Name: webjob.Contents, Digest: digest, Size: size, Written: size})
	exact := encode(t, r)
	whole := "8388609"

	for name, c := range map[string]struct {
		digest, offset, length string
		status                 int
		says                   string
	}{
		"no digest":   {"x", "0", whole, 400, "is malformed"},
		"no offset":   {string(digest), "", whole, 400, "header Upload-Offset is"},
		"negative":    {string(digest), "-1", whole, 400, "header Upload-Offset is"},
		"no length":   {string(digest), "0", "many", 400, "header Upload-Length is"},
		"too small":   {string(digest), "0", "100", 400, "smaller parts come with their result"},
		"behind it":   {string(digest), "8388610", whole, 400, "cannot go on at"},
		"elsewhere":   {string(digest), "7", whole, 409, "goes on at byte 0, not at 7"},
		"too large":   {string(digest), "0", "99999999", 413, "takes at most 20971520"},
		"other bytes": {string(webjob.DigestOf([]byte("other"))), "0", whole, 400, "is something else"},
		"more bytes":  {string(digest), "0", "8388608", 400, "is something else"},
	} {
		if status, text := w.upload(web1, http.MethodPatch, c.digest, c.offset, c.length, content); status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: got %d %s, want %d %s", name, status, text, c.status, c.says)
		}
	}
	if status, text := w.put(web1, int64(len(exact)), exact); status != 503 || !strings.Contains(text, "part contents was not uploaded yet") {
		t.Errorf("a result before its upload: %d %s", status, text)
	}
	if status, text := w.upload(web2, http.MethodPatch, string(digest), "0", whole, content); status != 200 {
		t.Fatalf("upload of another client: %d %s", status, text)
	}
	if status, text := w.upload(web1, http.MethodGet, string(digest), "", "", nil); status != 200 || !strings.Contains(text, `"offset":0`) {
		t.Errorf("what another client uploaded is seen: %d %s", status, text)
	}
	if status, text := w.put(web1, int64(len(exact)), exact); status != 503 {
		t.Errorf("a result with the upload of another client: %d %s", status, text)
	}
	if status, text := w.upload(web1, http.MethodPatch, string(digest), "0", whole, content); status != 200 || !strings.Contains(text, `"offset":8388609`) {
		t.Fatalf("%d %s", status, text)
	}
	for _, want := range []int{201, 200} { // and again, as when the acknowledgement was lost
		if status, text := w.put(web1, int64(len(exact)), exact); status != want {
			t.Errorf("the result: %d %s, want %d", status, text, want)
		}
	}
	if status, text := w.upload(web1, http.MethodGet, string(digest), "", "", nil); status != 200 || !strings.Contains(text, `"offset":0`) {
		t.Errorf("the upload stayed: %d %s", status, text)
	}

	// Three parts that fit alone do not fit together.
	r = record("web1", "")
	r.Run = "run-2"
	for _, name := range []string{"a", "b", "c"} {
		r.Parts = append(r.Parts, webjob.Stream{Name: name, Digest: digest, Size: size, Written: size})
	}
	exact = encode(t, r)
	if status, text := w.put(web1, int64(len(exact)), exact); status != 413 || !strings.Contains(text, "this server takes at most 20971520") {
		t.Errorf("too much together: %d %s", status, text)
	}
}
