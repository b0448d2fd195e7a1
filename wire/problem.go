package wire

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"webjob.dev/webjob"
)

// Problem is an error on the wire (RFC 9457).
type Problem struct {
	Type   string `json:"type"` // problemType + kind
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // one line for people
}

const (
	problemType        = "urn:webjob:problem:"
	contentTypeProblem = "application/problem+json"
	// ContentTypeJSON is the media type of every JSON body that is not a problem.
	ContentTypeJSON = "application/json"
	// maxProblemBytes bounds what a client reads of an error.
	maxProblemBytes = 64 << 10
)

// Status returns the HTTP status of an error kind.
func Status(kind webjob.Kind) int {
	switch kind {
	case webjob.Invalid:
		return http.StatusBadRequest
	case webjob.NotFound:
		return http.StatusNotFound
	case webjob.Conflict:
		return http.StatusConflict
	case webjob.Unauthorized:
		return http.StatusUnauthorized
	case webjob.Refused:
		return http.StatusForbidden
	case webjob.TooLarge:
		return http.StatusRequestEntityTooLarge
	case webjob.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// kindOf is the way back, for answers by servers between that know no kinds.
func kindOf(status int) webjob.Kind {
	switch status {
	case http.StatusNotFound:
		return webjob.NotFound
	case http.StatusConflict:
		return webjob.Conflict
	case http.StatusUnauthorized:
		return webjob.Unauthorized
	case http.StatusForbidden:
		return webjob.Refused
	case http.StatusRequestEntityTooLarge:
		return webjob.TooLarge
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return webjob.Unavailable
	}
	if status >= 400 && status < 500 {
		return webjob.Invalid
	}
	return webjob.Internal
}

// WriteProblem answers a request with the error. The text of an Internal error
// stays in the log: it may tell of the server's inside.
func WriteProblem(w http.ResponseWriter, err error) {
	kind := webjob.KindOf(err)
	p := Problem{Type: problemType + string(kind), Title: http.StatusText(Status(kind)), Status: Status(kind), Detail: err.Error()}
	if kind == webjob.Internal {
		p.Detail = "the server failed; its log tells why"
	}
	if kind == webjob.Unavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", contentTypeProblem)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that is gone needs no answer
}

// ReadProblem turns an answer of status 400 or above into an error of the
// right kind. The server's words are kept to one bounded, printable line.
func ReadProblem(response *http.Response) error {
	var p Problem
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProblemBytes))
	if err != nil || json.Unmarshal(body, &p) != nil || p.Detail == "" {
		return webjob.Errorf(kindOf(response.StatusCode), "the server answered %s", printable(response.Status))
	}
	kind := webjob.Kind(strings.TrimPrefix(p.Type, problemType))
	if Status(kind) != response.StatusCode {
		kind = kindOf(response.StatusCode)
	}
	return webjob.Errorf(kind, "%s", printable(p.Detail))
}

// printable makes foreign text safe for a terminal and a log: one line, at most
// 1,000 bytes, no control characters.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\ufffd' {
			return '?'
		}
		return r
	}, s[:min(len(s), 1000)])
	return strings.ToValidUTF8(s, "?")
}
