package server

import (
	"context"

	"github.com/gofrs/flock"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/identity"
)

// identityFolder is where the authority and the server's certificate are.
func (s *Settings) identityFolder() identity.Folder {
	return identity.Folder{Dir: s.dir, Names: s.Names, Read: readFile}
}

// AnnounceAuthority makes a new CA. The server must be stopped.
func AnnounceAuthority(ctx context.Context, settings *Settings, open OpenBackends, reason string) error {
	return recordHere(ctx, settings, open, "ca.announce", reason, settings.identityFolder().Announce)
}

// SwitchAuthority lets the CA that was announced issue. The server must be stopped.
func SwitchAuthority(ctx context.Context, settings *Settings, open OpenBackends, reason string) error {
	return recordHere(ctx, settings, open, "ca.switch", reason, settings.identityFolder().Switch)
}

// DropAuthorities forgets every CA but the one that issues. The server must be stopped.
func DropAuthorities(ctx context.Context, settings *Settings, open OpenBackends, reason string) error {
	return recordHere(ctx, settings, open, "ca.drop", reason, settings.identityFolder().Drop)
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
