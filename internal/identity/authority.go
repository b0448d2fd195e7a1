package identity

import (
	"errors"
	"os"
	"path/filepath"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
)

// Files below a server's folder.
const (
	authorityFile     = "pki/ca.crt"
	authorityKey      = "pki/ca.key"
	nextAuthorityFile = "pki/ca-next.crt" // of the authority to come
	nextAuthorityKey  = "pki/ca-next.key"
	serverFile        = "pki/server.pem"  // key, certificate, CA certificate
	revocationFile    = "pki/revoked.crl" // for TLS programs that are not ours
)

// Folder is where the authority and the server's certificate are kept.
type Folder struct {
	Dir   string
	Names []string // host names and addresses of the server
	Read  func(file string) ([]byte, error)
}

func (f Folder) path(name string) string { return filepath.Join(f.Dir, filepath.FromSlash(name)) }

// WriteRevocations writes the list of revoked certificates out.
func (f Folder) WriteRevocations(list []byte) error {
	return durable.Write(f.path(revocationFile), list)
}

// Create makes the authority of a new installation, and the server's certificate.
func (f Folder) Create() (*trust.Authority, error) {
	authority, err := f.makeAuthority(authorityFile, authorityKey)
	if err != nil {
		return nil, err
	}
	return authority, f.issue(authority, now())
}

// makeAuthority makes an authority and writes it into two files.
func (f Folder) makeAuthority(file, keyFile string) (*trust.Authority, error) {
	authority, err := trust.NewAuthority("WebJob CA "+f.Names[0], now())
	if err != nil {
		return nil, err
	}
	key, err := authority.PrivateKey()
	if err != nil {
		return nil, err
	}
	private, err := key.PrivatePEM()
	if err != nil {
		return nil, err
	}
	return authority, errors.Join(durable.Write(f.path(keyFile), private), durable.Write(f.path(file), trust.CertificatePEM(authority.Certificate)))
}

// Load reads the authority.
func (f Folder) Load() (*trust.Authority, error) { return f.load(authorityFile, authorityKey) }

func (f Folder) load(file, keyFile string) (*trust.Authority, error) {
	certificate, err := f.Read(f.path(file))
	if err != nil {
		return nil, err
	}
	key, err := f.Read(f.path(keyFile))
	if err != nil {
		return nil, err
	}
	authority, err := trust.LoadAuthority(certificate, key)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s: %w; restore both files from a backup", filepath.Dir(f.path(file)), err)
	}
	return authority, nil
}

// A CA is changed in three steps, with a lifetime of clients' certificates between
// them, so that every client that shows itself follows: the new one is announced, it
// issues, the old one is dropped. The server must be stopped for a moment each time.

// Announce makes a new CA. Clients and operators learn of it when they renew.
func (f Folder) Announce() error {
	authority, err := f.Load()
	if err != nil {
		return err
	}
	if f.isAnnounced() {
		return webjob.Errorf(webjob.Conflict, "a new CA is announced already; webjobd ca switch puts it to use")
	}
	next, err := f.makeAuthority(nextAuthorityFile, nextAuthorityKey)
	if err != nil {
		return err
	}
	authority.Others = append(authority.Others, next.Certificate)
	return durable.Write(f.path(authorityFile), authority.PEM())
}

func (f Folder) isAnnounced() bool {
	_, err := os.Stat(f.path(nextAuthorityFile))
	return err == nil
}

// Switch lets the CA that was announced issue. The old one is still accepted.
func (f Folder) Switch() error {
	old, err := f.Load()
	if err != nil {
		return err
	}
	if !f.isAnnounced() {
		return webjob.Errorf(webjob.Conflict, "no new CA is announced; webjobd ca announce comes first")
	}
	next, err := f.load(nextAuthorityFile, nextAuthorityKey)
	if err != nil {
		return err
	}
	key, err := f.Read(f.path(nextAuthorityKey))
	if err != nil {
		return err
	}
	for _, other := range old.All() {
		if !other.Equal(next.Certificate) {
			next.Others = append(next.Others, other)
		}
	}
	if err := errors.Join(durable.Write(f.path(authorityFile), next.PEM()), durable.Write(f.path(authorityKey), key)); err != nil {
		return err
	}
	if err := f.issue(next, now()); err != nil {
		return err
	}
	return errors.Join(os.Remove(f.path(nextAuthorityFile)), os.Remove(f.path(nextAuthorityKey)))
}

// Drop forgets every CA but the one that issues. Clients and operators that have not
// renewed since it was announced stay outside.
func (f Folder) Drop() error {
	authority, err := f.Load()
	if err != nil {
		return err
	}
	if f.isAnnounced() {
		return webjob.Errorf(webjob.Conflict, "a new CA is announced and not in use; webjobd ca switch comes first")
	}
	if len(authority.Others) == 0 {
		return webjob.Errorf(webjob.Conflict, "there is only one CA; nothing is to be dropped")
	}
	authority.Others = nil
	return durable.Write(f.path(authorityFile), authority.PEM())
}
