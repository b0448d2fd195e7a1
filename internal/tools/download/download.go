// Package download fetches one URL into a file: whole or not at all, resumed where an
// earlier try or a cut connection left off, within limits.
package download

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
)

// Request is what to fetch and what to accept.
type Request struct {
	URL     string
	File    string        // where it goes; an existing file is replaced at the end
	Digest  webjob.Digest // of what must come; "" for anything
	Most    int64         // bytes; more is an error
	TLS     *tls.Config   // nil for the host's roots and no identity
	Retries int           // after a connection was cut
	name    string        // the URL without a password, for errors
}

// Bounds of a connection.
const (
	dialTimeout   = 15 * time.Second
	headerTimeout = time.Minute
	stallTimeout  = time.Minute // without a byte
	maxRedirects  = 10
	firstPause    = time.Second // before trying again; doubled each time
)

// partSuffix is of the file that grows, and validSuffix of the one that says of which
// version it is part.
const (
	partSuffix  = ".part"
	validSuffix = ".part.etag"
)

// Get fetches the URL and returns the digest and size of what came. What came in part
// stays beside the file, for the next try.
func Get(ctx context.Context, r Request) (webjob.Digest, int64, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", 0, webjob.Errorf(webjob.Invalid, "%.200q is not an http or https URL", r.URL)
	}
	r.name = u.Redacted()
	if r.TLS != nil && u.Scheme != "https" {
		return "", 0, webjob.Errorf(webjob.Invalid, "%.200q: an identity is shown over https only", r.name)
	}
	c := &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSClientConfig: r.TLS,
			TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: headerTimeout, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error { return checkRedirect(next, via, r.TLS != nil) },
	}
	defer c.CloseIdleConnections()
	pause := firstPause
	for try := 0; ; try++ {
		err = r.fetch(ctx, c)
		if webjob.KindOf(err) != webjob.Unavailable || try >= r.Retries || ctx.Err() != nil {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		pause *= 2
	}
	if err != nil {
		return "", 0, err
	}
	return r.finish()
}

func checkRedirect(next *http.Request, via []*http.Request, identity bool) error {
	switch before := via[len(via)-1].URL; {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case identity:
		return errors.New("our server does not redirect")
	case before.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("%s redirects to %s, which is not protected", before.Host, next.URL.Scheme)
	}
	return nil
}

// fetch makes the part whole, or tells why not.
func (r *Request) fetch(ctx context.Context, c *http.Client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL, nil)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	request.Header.Set("User-Agent", "webjob/"+webjob.Version())
	have, valid := r.partial()
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		request.Header.Set("If-Range", valid)
	}
	response, err := c.Do(request)
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "%w", redact(err))
	}
	defer func() { _ = response.Body.Close() }() // read to its end, or given up
	how := os.O_CREATE | os.O_WRONLY
	switch {
	case response.StatusCode == http.StatusPartialContent && have > 0 && strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)):
		how |= os.O_APPEND
	case response.StatusCode == http.StatusRequestedRangeNotSatisfiable && have > 0: // it is whole already, or another one
		if response.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", have) {
			return nil
		}
		return errors.Join(webjob.Errorf(webjob.Unavailable, "%s changed on the server", r.name), os.Remove(r.File+validSuffix))
	case response.StatusCode == http.StatusOK:
		how |= os.O_EXCL
		have = 0
		if err := r.startOver(response.Header); err != nil {
			return err
		}
	default:
		return answered(r.name, response)
	}
	if response.ContentLength > r.Most-have {
		return webjob.Errorf(webjob.TooLarge, "%s has %d bytes; at most %d were asked for", r.name, have+response.ContentLength, r.Most)
	}
	return r.receive(cancel, response, how, have)
}

// answered is the error of an answer that brings nothing.
func answered(address string, response *http.Response) error {
	kind := webjob.Refused
	switch {
	case response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone:
		kind = webjob.NotFound
	case response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests:
		kind = webjob.Unavailable
	}
	return webjob.Errorf(kind, "%s: the server answered %s", address, response.Status)
}

// partial returns how much an earlier try left, and of which version; 0 when there is
// nothing to go on with. In a folder that others can write to, what lies there may be
// theirs: it is used only when this user alone can have written it.
func (r *Request) partial() (have int64, valid string) {
	for _, name := range []string{r.File + partSuffix, r.File + validSuffix} {
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() || !ours(info) {
			return 0, ""
		}
	}
	text, err := os.ReadFile(r.File + validSuffix)
	info, statErr := os.Lstat(r.File + partSuffix)
	if err != nil || statErr != nil || len(text) == 0 {
		return 0, ""
	}
	return info.Size(), string(text)
}

// startOver removes what lies in the place of the part and remembers of which version the
// new one is: only a strong validator tells two versions apart (RFC 9110, 8.8).
func (r *Request) startOver(h http.Header) error {
	etag := h.Get("ETag")
	if strings.HasPrefix(etag, "W/") {
		etag = ""
	}
	if err := r.removeParts(); err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	f, err := os.OpenFile(r.File+validSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(etag)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return nil
}

func (r *Request) removeParts() error {
	for _, name := range []string{r.File + partSuffix, r.File + validSuffix} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (r *Request) receive(cancel context.CancelCauseFunc, response *http.Response, how int, have int64) error {
	f, err := os.OpenFile(r.File+partSuffix, how, 0o600)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	stalled := time.AfterFunc(stallTimeout, func() { cancel(fmt.Errorf("nothing came for %s", stallTimeout)) })
	defer stalled.Stop()
	body := &progress{r: response.Body, tick: func() { stalled.Reset(stallTimeout) }}
	n, err := io.Copy(f, io.LimitReader(body, r.Most-have+1))
	err = errors.Join(err, f.Sync(), f.Close())
	switch {
	case have+n > r.Most:
		return errors.Join(webjob.Errorf(webjob.TooLarge, "%s has more than the %d bytes that were asked for", r.name, r.Most), r.removeParts())
	case err != nil && body.err == nil:
		return webjob.Errorf(webjob.Invalid, "%w", err) // the disk's fault
	case err != nil:
		return webjob.Errorf(webjob.Unavailable, "%s was cut after %d bytes: %w", r.name, have+n, err)
	case response.ContentLength >= 0 && n < response.ContentLength:
		return webjob.Errorf(webjob.Unavailable, "%s was cut after %d of %d bytes", r.name, have+n, have+response.ContentLength)
	}
	return nil
}

// progress notes that something came, and errors of reading.
type progress struct {
	r    io.Reader
	tick func()
	err  error
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 {
		p.tick()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}

// finish checks the part and puts it in its place.
func (r *Request) finish() (webjob.Digest, int64, error) {
	f, err := os.Open(r.File + partSuffix)
	if err != nil {
		return "", 0, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	digest, size, err := webjob.DigestReader(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", 0, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if r.Digest != "" && digest != r.Digest {
		err := webjob.Errorf(webjob.Refused, "%s is %s and not %s; nothing was kept", r.name, digest, r.Digest)
		return "", 0, errors.Join(err, r.removeParts())
	}
	if err := durable.Rename(r.File+partSuffix, r.File); err != nil {
		return "", 0, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if err := os.Remove(r.File + validSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", 0, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return digest, size, nil
}

// redact takes a password out of the URL that an error names.
func redact(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		if u, parseErr := url.Parse(failed.URL); parseErr == nil {
			failed.URL = u.Redacted()
		}
	}
	return err
}
