package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"

	"webjob.dev/webjob"
)

// here returns a context with the act of a command on the server's own machine: an act of
// the server, with who ran it.
func here(ctx context.Context, action, target, reason string) context.Context {
	act := webjob.ServerAct(now(), action, target, reason)
	act.User = userHere()
	return webjob.WithAct(ctx, act)
}

// userHere names the user of the operating system who runs this program. The name is what
// the system's list says; the number is what counts.
func userHere() string {
	u, err := user.Current()
	if err != nil {
		return fmt.Sprintf("uid %d", os.Getuid())
	}
	return fmt.Sprintf("%s (uid %s)", bounded(u.Username), u.Uid)
}

// recordHere does something on the server's own machine that is in no store, and records it.
func recordHere(ctx context.Context, settings *Settings, open OpenBackends, action, reason string, do func() error) error {
	if err := webjob.CheckReason(reason); err != nil {
		return err
	}
	return withFolder(settings, func() error {
		backends, err := open(ctx, settings.path(metadataFile), settings.path(blobsFolder))
		if err != nil {
			return err
		}
		act := webjob.ActOf(here(ctx, action, "ca", reason)).Act
		if err = do(); err != nil {
			act.Outcome, act.Error = webjob.ActFailed, err.Error()
		}
		return errors.Join(err, backends.Store.RecordActs(ctx, act), backends.Store.Close())
	})
}
