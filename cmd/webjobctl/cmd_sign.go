package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

func signCommand(open openHome, ask operator.Passphrases) *cobra.Command {
	var name, file string
	var add bool
	c := &cobra.Command{
		Use: "sign FILE...", Short: "Make detached signatures (DSV) of files", Args: cobra.MinimumNArgs(1),
		Long: `Sign writes FILE.sig for each FILE: the signature in one line of base64. The passphrase of
the key is asked once; scripts give it in WEBJOB_PASSPHRASE. The openssl command checks
these signatures, and webjobctl verify those of openssl:

  base64 -d FILE.sig >raw
  openssl dgst -sha256 -verify pub.pem -signature raw FILE                     ecdsa, rsa
  openssl pkeyutl -verify -pubin -inkey pub.pem -rawin -in FILE -sigfile raw   ed25519`,
		Example: `  webjobctl sign check-disks.sh --key alice
  webjobctl sign --key-file release.pem dist/*`,
		RunE: func(c *cobra.Command, args []string) error {
			key, err := signingKey(open, ask, name, file)
			if err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			for _, arg := range args {
				if err := signFile(c, key, arg, add); err != nil {
					return fmt.Errorf("sign %s: %w", arg, err)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&name, "key", "", "key of this folder (default: the only one here)")
	c.Flags().StringVar(&file, "key-file", "", "private key in a PEM file (PKCS #8)")
	c.Flags().BoolVar(&add, "add", false, "add a line to a signature file that is there")
	return c
}

func signingKey(open openHome, ask operator.Passphrases, name, file string) (*trust.PrivateKey, error) {
	if file != "" {
		if name != "" {
			return nil, cli.Usagef("--key and --key-file exclude each other")
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, webjob.Errorf(webjob.Invalid, "%w", err)
		}
		key, err := operator.DecodePrivate(text, "passphrase of "+file, ask)
		if err != nil {
			return nil, webjob.Errorf(webjob.KindOf(err), "%s: %w", file, err)
		}
		return key, nil
	}
	h, err := open()
	if err != nil {
		return nil, err
	}
	var names []string
	if name != "" {
		names = []string{name}
	}
	keys, err := h.SigningKeys(names)
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

// signFile writes the signature whole or not at all.
func signFile(c *cobra.Command, key *trust.PrivateKey, name string, add bool) error {
	f, err := os.Open(name)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	defer func() { _ = f.Close() }() // only read
	line, err := trust.SignDetached(key, f)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(name + trust.SignatureSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return webjob.Errorf(webjob.Invalid, "%w", err)
	case !add:
		return webjob.Errorf(webjob.Conflict, "%s is there already; remove it, or add a line with --add", name+trust.SignatureSuffix)
	}
	if err := writePublic(name+trust.SignatureSuffix, string(before)+line+"\n"); err != nil {
		return webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), name+trust.SignatureSuffix)
	return err
}

// writePublic writes a file that everybody may read, such as a signature.
func writePublic(file, text string) error {
	f, err := durable.New(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Commit(file)
}

func verifyCommand() *cobra.Command {
	var certificate, directory string
	c := &cobra.Command{
		Use: "verify FILE...", Short: "Check detached signatures (DSV) of files", Args: cobra.MinimumNArgs(1),
		Long: `Verify checks FILE.sig for each FILE against a certificate or public key in PEM, or against
all of a directory. A certificate counts because it is there; who issued it does not, and
it must not have expired. The exit status is 1 when any signature is not good.`,
		Example: `  webjobctl verify check-disks.sh --cert alice.pem
  webjobctl verify dist/* --cert-dir /etc/webjob/signers`,
		RunE: func(c *cobra.Command, args []string) error {
			if (certificate == "") == (directory == "") {
				return cli.Usagef("name either --cert FILE or --cert-dir DIR")
			}
			who, err := trust.LoadCertified(certificate + directory)
			if err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			bad := 0
			for _, name := range args {
				signers, err := verifyFile(name, who)
				if err != nil {
					bad++
					cli.Say(c, "webjobctl: verify %s: %v", name, err)
					continue
				}
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: good, signed by %s\n", name, strings.Join(signers, ", ")); err != nil {
					return err
				}
			}
			if bad > 0 {
				return &cli.ExitError{Status: cli.StatusFailed}
			}
			return nil
		},
	}
	c.Flags().StringVar(&certificate, "cert", "", "certificate or public key (PEM)")
	c.Flags().StringVar(&directory, "cert-dir", "", "directory of certificates and public keys")
	return c
}

func verifyFile(name string, who []trust.Certified) ([]string, error) {
	lines, err := os.ReadFile(name + trust.SignatureSuffix)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	defer func() { _ = f.Close() }() // only read
	return trust.CheckDetached(lines, f, who, time.Now())
}
