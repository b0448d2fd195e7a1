package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

// passphraseVariable gives the passphrase in scripts.
const passphraseVariable = "WEBJOB_PASSPHRASE"

// canAskPassphrase reports that there is nobody to ask for a new passphrase.
func canAskPassphrase() error {
	if _, found := os.LookupEnv(passphraseVariable); found || term.IsTerminal(int(os.Stdin.Fd())) { //nolint:gosec // a descriptor is small
		return nil
	}
	return webjob.Errorf(webjob.Invalid, "there is no terminal to ask for the new passphrase on; set %s; nothing was changed", passphraseVariable)
}

// passphrases asks on the terminal, once for all keys of one command; in scripts it
// takes the variable.
func passphrases(c *cobra.Command) operator.Passphrases {
	var known []byte
	return func(purpose string, isNew bool) ([]byte, error) {
		if text, found := os.LookupEnv(passphraseVariable); found {
			return []byte(text), nil
		}
		if known != nil && !isNew {
			return known, nil
		}
		terminal := int(os.Stdin.Fd()) //nolint:gosec // a descriptor is small
		if !term.IsTerminal(terminal) {
			if isNew {
				cli.Say(c, "warning: %s: none, so the key lies in the clear; run this on a terminal, or set %s", purpose, passphraseVariable)
				return nil, nil
			}
			return nil, webjob.Errorf(webjob.Invalid, "%s: there is no terminal to ask on; set %s", purpose, passphraseVariable)
		}
		read := func(prompt string) ([]byte, error) {
			fmt.Fprintf(os.Stderr, "%s: ", prompt)
			text, err := term.ReadPassword(terminal)
			fmt.Fprintln(os.Stderr)
			return text, err
		}
		first, err := read(purpose)
		if err != nil || !isNew {
			known = first
			return first, err
		}
		again, err := read("again")
		if err == nil && !bytes.Equal(first, again) {
			err = webjob.Errorf(webjob.Invalid, "%s: the two differ; nothing was changed", purpose)
		}
		return first, err
	}
}
