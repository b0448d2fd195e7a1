package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"webjob.dev/webjob"
)

// Client sends requests of this contract to one server over one TLS
// configuration. Every error it returns has a kind: Unavailable when the server
// could not be reached or is busy, Refused when one side did not accept the
// other's certificate, else what the server answered.
type Client struct {
	base  string
	agent string
	http  *http.Client
	// Ticket returns what requests show as HeaderTicket that do not set it; nil: nothing.
	Ticket func() (string, error)
	// Header goes with every request that does not set the same itself.
	Header http.Header
	told   atomic.Pointer[string] // that a ticket was not the newest, until one is
	skew   atomic.Pointer[time.Duration]
}

// Bounds of a connection. The whole of a request is bounded by its context.
const (
	dialTimeout     = 15 * time.Second
	headerTimeout   = 2 * time.Minute // until an answer starts; a server may wait for its disk
	continueTimeout = 5 * time.Second
)

// isWord says what of a server is given back to it.
var isWord = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// NewClient returns a client for the server at base, such as https://host:8443.
func NewClient(base string, config *tls.Config) *Client {
	return &Client{base: base, agent: "webjob/" + webjob.Version(), http: &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			ExpectContinueTimeout:  continueTimeout,
			IdleConnTimeout:        time.Minute,
			MaxIdleConnsPerHost:    64,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
		// No address but the one that was named: a redirect is an error.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Base returns the server's address.
func (c *Client) Base() string { return c.base }

// MostSkew is by how much two clocks may differ before people are told.
const MostSkew = time.Minute

// Skew returns by how much this clock is ahead of the server's, as its last answer told to
// a second or so; 0 while there was none, and below MostSkew.
func (c *Client) Skew() time.Duration {
	skew := c.skew.Load()
	if skew == nil || skew.Abs() < MostSkew {
		return 0
	}
	return skew.Round(time.Second)
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Send sends a request and returns an answer with a status below 300; the caller
// closes its body. A length of -1 means that body is nil. When the server says that the
// ticket was not the newest, it is sent once more, if the body can be.
func (c *Client) Send(ctx context.Context, method, place string, header http.Header, body io.Reader, length int64) (*http.Response, error) {
	// A server would answer with another address, and look for something else there.
	if plain, _, _ := strings.Cut(place, "?"); path.Clean(plain) != plain {
		return nil, webjob.Errorf(webjob.Invalid, "a name is empty, or nothing but dots, in the request for %.200q; give the whole name", place)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+place, body)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if body != nil {
		request.ContentLength = length
	}
	if header != nil {
		request.Header = header
	}
	for name, values := range c.Header {
		if _, set := request.Header[name]; !set {
			request.Header[name] = values
		}
	}
	request.Header.Set("User-Agent", c.agent)
	_, set := request.Header[HeaderTicket]
	response, told, err := c.try(request, !set)
	if told && (body == nil || request.GetBody != nil) {
		if body != nil {
			if request.Body, err = request.GetBody(); err != nil {
				return nil, err
			}
		}
		response, _, err = c.try(request, !set)
	}
	return response, err
}

// try sends a request once. It reports whether its ticket was not the newest.
func (c *Client) try(request *http.Request, showing bool) (_ *http.Response, told bool, err error) {
	// The word before the ticket: who was told shows what is the newest after that.
	if word := c.told.Load(); word != nil {
		request.Header.Set(HeaderTold, *word)
	}
	if showing && c.Ticket != nil {
		ticket, err := c.Ticket()
		if err != nil {
			return nil, false, err
		}
		request.Header.Set(HeaderTicket, ticket)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, false, c.explain(err)
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		skew := time.Since(date)
		c.skew.Store(&skew)
	}
	word := response.Header.Get(HeaderTold)
	told = response.StatusCode >= 300 && isWord.MatchString(word)
	if told {
		c.told.Store(&word)
	} else {
		c.told.Store(nil)
	}
	if response.StatusCode >= 300 {
		err := ReadProblem(response)
		return nil, told, errors.Join(err, response.Body.Close())
	}
	return response, false, nil
}

// Call sends in as JSON, unless it is nil, and reads the answer into out, unless
// that is nil.
func (c *Client) Call(ctx context.Context, method, place string, query url.Values, in, out any) error {
	_, err := c.Exchange(ctx, method, place, query, in, out)
	return err
}

// Exchange is Call for who needs the header of the answer.
func (c *Client) Exchange(ctx context.Context, method, place string, query url.Values, in, out any) (http.Header, error) {
	var body io.Reader
	length := int64(-1)
	header := http.Header{}
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body, length = bytes.NewReader(encoded), int64(len(encoded))
		header.Set("Content-Type", ContentTypeJSON)
	}
	if len(query) > 0 {
		place += "?" + query.Encode()
	}
	response, err := c.Send(ctx, method, place, header, body, length)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, MaxResponseJSON+1))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, c.explain(err)
	}
	if len(answer) > MaxResponseJSON {
		return nil, webjob.Errorf(webjob.TooLarge, "the answer of %s has more than %d bytes", c.base, MaxResponseJSON)
	}
	if out == nil {
		return response.Header, nil
	}
	if err := Decode(answer, out); err != nil {
		return nil, webjob.Errorf(webjob.KindOf(err), "the answer of %s is not usable: %w; is it a WebJob server?", c.base, err)
	}
	return response.Header, nil
}

// MaxValues bounds the values of a JSON text of a server: objects, lists and what is in
// them. Three bytes of text can be a hundred bytes of memory, so the size of the text
// alone bounds little.
const MaxValues = 200_000

// Decode decodes a JSON text that a server sent.
func Decode(text []byte, out any) error {
	values, inString := 1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == '[' || c == '{'):
			values++
		}
	}
	if values > MaxValues {
		return webjob.Errorf(webjob.TooLarge, "it has more than %d values", MaxValues)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return webjob.Errorf(webjob.Invalid, "it is not the expected JSON: %w", err)
	}
	return nil
}

// explain turns an error of the connection into one line with a kind.
func (c *Client) explain(err error) error {
	var (
		hostname  x509.HostnameError
		unknown   x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		verifying *tls.CertificateVerificationError
		alert     tls.AlertError
		record    tls.RecordHeaderError
		timeout   net.Error
		urlError  *url.Error
	)
	if errors.As(err, &urlError) {
		err = urlError.Err
	}
	switch {
	case webjob.KindOf(err) != webjob.Internal:
		return err // ours already, such as the check of a token's fingerprint
	case errors.As(err, &hostname):
		return webjob.Errorf(webjob.Refused, "%s is not who it should be: its certificate is for %s; check the address", c.base, certificateNames(hostname.Certificate))
	case errors.As(err, &unknown):
		return webjob.Errorf(webjob.Refused, "%s is not who it should be: its certificate is by another CA than the one pinned at enrolment", c.base)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return webjob.Errorf(webjob.Refused, "the certificate of %s holds from %s to %s, and here it is %s; check the clocks, this one first", c.base,
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	case errors.As(err, &invalid), errors.As(err, &verifying):
		return webjob.Errorf(webjob.Refused, "%s is not who it should be: %w", c.base, err)
	case errors.As(err, &alert):
		return webjob.Errorf(webjob.Refused, "%s did not accept this certificate or TLS version: %w", c.base, err)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return webjob.Errorf(webjob.Invalid, "%s does not speak TLS: %w; check the port", c.base, err)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return webjob.Errorf(webjob.Unavailable, "%s did not answer in time: %w", c.base, err)
	default:
		return webjob.Errorf(webjob.Unavailable, "%s cannot be reached: %w", c.base, err)
	}
}

func certificateNames(certificate *x509.Certificate) string {
	names := append([]string{}, certificate.DNSNames...)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host at all"
	}
	return printable(strings.Join(names, ", "))
}
