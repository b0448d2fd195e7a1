package server

import (
	"errors"
	"os"

	"github.com/gofrs/flock"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
)

// Files of the authority to come.
const (
	nextAuthorityFile = "pki/ca-next.crt"
	nextAuthorityKey  = "pki/ca-next.key"
)

// A CA is changed in three steps, with a lifetime of clients' certificates between
// them, so that every client that shows itself follows: the new one is announced, it
// issues, the old one is dropped. The server must be stopped for a moment each time.

// AnnounceAuthority makes a new CA. Clients learn of it when they renew.
func AnnounceAuthority(settings *Settings) error {
	return withFolder(settings, func() error {
		authority, err := loadAuthority(settings.dir)
		if err != nil {
			return err
		}
		if _, err := os.Stat(settings.path(nextAuthorityFile)); err == nil {
			return webjob.Errorf(webjob.Conflict, "a new CA is announced already; webjobd ca switch puts it to use")
		}
		next, err := trust.NewAuthority("WebJob CA "+settings.Names[0], now())
		if err != nil {
			return err
		}
		key, err := next.PrivateKey()
		if err != nil {
			return err
		}
		keyPEM, err := key.PrivatePEM()
		if err != nil {
			return err
		}
		authority.Others = append(authority.Others, next.Certificate)
		return errors.Join(
			durable.Write(settings.path(nextAuthorityKey), keyPEM),
			durable.Write(settings.path(nextAuthorityFile), trust.CertificatePEM(next.Certificate)),
			durable.Write(settings.path(authorityFile), authority.PEM()))
	})
}

// SwitchAuthority lets the CA that was announced issue. The old one is still accepted.
func SwitchAuthority(settings *Settings) error {
	return withFolder(settings, func() error {
		old, err := loadAuthority(settings.dir)
		if err != nil {
			return err
		}
		certificate, err := readFile(settings.path(nextAuthorityFile))
		if err != nil {
			return webjob.Errorf(webjob.Conflict, "no new CA is announced; webjobd ca announce comes first")
		}
		key, err := readFile(settings.path(nextAuthorityKey))
		if err != nil {
			return err
		}
		next, err := trust.LoadAuthority(certificate, key)
		if err != nil {
			return err
		}
		for _, other := range old.All() {
			if !other.Equal(next.Certificate) {
				next.Others = append(next.Others, other)
			}
		}
		if err := errors.Join(durable.Write(settings.path(authorityFile), next.PEM()), durable.Write(settings.path(authorityKey), key)); err != nil {
			return err
		}
		if err := writeServerCertificate(settings, next); err != nil {
			return err
		}
		return errors.Join(os.Remove(settings.path(nextAuthorityFile)), os.Remove(settings.path(nextAuthorityKey)))
	})
}

// DropAuthorities forgets every CA but the one that issues. Clients that have not
// renewed since the switch, and operators who have not logged in again, stay outside.
func DropAuthorities(settings *Settings) error {
	return withFolder(settings, func() error {
		authority, err := loadAuthority(settings.dir)
		if err != nil {
			return err
		}
		if _, err := os.Stat(settings.path(nextAuthorityFile)); err == nil {
			return webjob.Errorf(webjob.Conflict, "a new CA is announced and not in use; webjobd ca switch comes first")
		}
		if len(authority.Others) == 0 {
			return webjob.Errorf(webjob.Conflict, "there is only one CA; nothing is to be dropped")
		}
		authority.Others = nil
		return durable.Write(settings.path(authorityFile), authority.PEM())
	})
}

// withFolder does something while no server uses the folder.
func withFolder(settings *Settings, do func() error) error {
	lock := flock.New(settings.path(lockFile))
	locked, err := lock.TryLock()
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "lock %s: %w", lock.Path(), err)
	}
	if !locked {
		return webjob.Errorf(webjob.Conflict, "a webjobd serves %s; stop it first", settings.dir)
	}
	defer func() { _ = lock.Unlock() }() // the process ends anyway
	return do()
}
