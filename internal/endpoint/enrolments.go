package endpoint

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"webjob.dev/webjob"
)

// Enrolments are the servers that let this client in: the one that serves jobs, and
// another one for results, if any. Each is a folder with an identity and whom to trust;
// both are read anew each time, because another process may have renewed them.
type Enrolments struct {
	folder
	tickets *Tickets // that requests show

	mu     sync.Mutex
	loaded map[Target]loaded
}

// With reads what Enroll kept. A client without one is NotFound.
func (s *Enrolments) With(target Target) (*Enrolment, error) {
	folder := s.path(string(target))
	encoded, err := os.ReadFile(filepath.Join(folder, enrolmentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, webjob.Errorf(webjob.NotFound, "%s is not enrolled; run webjob enroll first", string(s.folder))
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	identity, err := readIdentity(folder)
	if err != nil {
		return nil, err
	}
	if known := s.known(target, encoded, identity); known != nil {
		return known, nil
	}
	e := &Enrolment{}
	if err := json.Unmarshal(encoded, e); err != nil {
		return nil, damaged(folder, filepath.Join(folder, enrolmentFile), err)
	}
	if err := e.load(identity); err != nil {
		return nil, damaged(folder, folder, err)
	}
	e.ticket = s.tickets.run(target).shown
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded[target] = loaded{encoded: encoded, identity: identity, enrolment: e}
	return e, nil
}

// loaded is an enrolment with the bytes that it was made of.
type loaded struct {
	encoded, identity []byte
	enrolment         *Enrolment
}

// known returns the enrolment that was made of the same bytes before, nil for none:
// another process may have renewed it.
func (s *Enrolments) known(target Target, encoded, identity []byte) *Enrolment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.loaded[target]; bytes.Equal(l.encoded, encoded) && bytes.Equal(l.identity, identity) {
		return l.enrolment
	}
	return nil
}

// TLSFor returns the TLS configuration with this client's identity for a URL of a
// server that it is enrolled with, nil for any other.
func (s *Enrolments) TLSFor(address string) (*tls.Config, error) {
	e, err := s.where(func(e *Enrolment) bool { return address == e.URL || strings.HasPrefix(address, e.URL+"/") })
	if e == nil {
		return nil, err
	}
	return e.TLS(), nil
}

// For returns the enrolment with the server at the URL.
func (s *Enrolments) For(address string) (*Enrolment, error) {
	e, err := s.where(func(e *Enrolment) bool { return e.URL == address })
	if e == nil && err == nil {
		err = webjob.Errorf(webjob.Invalid, "this client is not enrolled with %s; run webjob enroll --put with a token of that server", address)
	}
	return e, err
}

// where returns the first enrolment that is meant, nil when there is none.
func (s *Enrolments) where(meant func(*Enrolment) bool) (*Enrolment, error) {
	for _, target := range []Target{TargetGet, TargetPut} {
		e, err := s.With(target)
		if webjob.KindOf(err) == webjob.NotFound {
			continue
		}
		if err != nil || meant(e) {
			return e, err
		}
	}
	return nil, nil
}

// forResults returns the enrolment with the server that results go to: put_url, else the
// put enrolment, else the server that serves jobs.
func (s *Enrolments) forResults(putURL string, get *Enrolment) (*Enrolment, error) {
	if putURL != "" {
		return s.For(putURL)
	}
	put, err := s.With(TargetPut)
	if webjob.KindOf(err) == webjob.NotFound {
		return get, nil
	}
	return put, err
}
