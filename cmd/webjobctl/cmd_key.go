package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

func keyCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Signing keys of this operator folder"}
	c.AddCommand(keyNewCommand(open), keyListCommand(open), keyShowCommand(open), keyExportCommand(open), keyImportCommand(open), keyPassphraseCommand(open), keyPasswordCommand())
	return c
}

func showKey(c *cobra.Command, key operator.Key) error {
	return cli.Show(c, key, []cli.Field{
		{Name: "Key:", Value: key.Name},
		{Name: "Type:", Value: string(key.Type)},
		{Name: "Fingerprint:", Value: key.Fingerprint},
		{Name: "Kept in:", Value: key.Where},
		{Name: "ID:", Value: key.ID},
	})
}

func keyNewCommand(open openHome) *cobra.Command {
	var keyType, agent string
	c := &cobra.Command{
		Use: "new NAME", Short: "Make a signing key, or take over one of the SSH agent", Args: cobra.ExactArgs(1),
		Long: `New makes a signing key. On a terminal it asks for a passphrase; in scripts it takes
WEBJOB_PASSPHRASE. Without one the key lies in the clear in a file that only you can read.

With --agent the key stays in the SSH agent (ssh-ed25519), which may have it on a smart
card or ask before each use.`,
		Example: `  webjobctl key new alice
  webjobctl key new build --type ecdsa
  webjobctl key new alice --agent alice@laptop`,
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			var key operator.Key
			if agent != "" {
				key, err = h.NewAgentKey(args[0], agent)
			} else {
				key, err = h.NewKey(args[0], trust.KeyType(keyType))
			}
			if err != nil {
				return fmt.Errorf("key new: %w", err)
			}
			return showKey(c, key)
		},
	}
	c.Flags().StringVar(&agent, "agent", "", "key of the SSH agent, by its comment or its fingerprint SHA256:...")
	c.Flags().StringVar(&keyType, "type", string(trust.Ed25519), "ed25519, ecdsa (P-256) or rsa (3072 bits)")
	return c
}

func keyListCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the keys", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			keys, err := h.Keys()
			if err != nil {
				return err
			}
			return cli.List(c, keys, []cli.Column[operator.Key]{
				{Title: "NAME", Cell: func(k operator.Key) string { return k.Name }},
				{Title: "TYPE", Cell: func(k operator.Key) string { return string(k.Type) }},
				{Title: "CAN SIGN", Cell: func(k operator.Key) string {
					if k.Private {
						return "yes, " + k.Where
					}
					return "no, public only"
				}},
				{Title: "FINGERPRINT", Cell: func(k operator.Key) string { return k.Fingerprint }},
			})
		},
	}
}

func keyShowCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a key and its fingerprint, for comparing", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			keys, err := h.Keys()
			if err != nil {
				return err
			}
			for _, key := range keys {
				if key.Name == args[0] {
					return showKey(c, key)
				}
			}
			return fmt.Errorf("key show: %w", webjob.Errorf(webjob.NotFound, "there is no key %.64q here; webjobctl key list shows what is", args[0]))
		},
	}
}

func keyPassphraseCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "passphrase NAME", Short: "Give a key another passphrase", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			if err := canAskPassphrase(); err != nil {
				return fmt.Errorf("key passphrase: %w", err)
			}
			encrypted, err := h.SetPassphrase(args[0])
			if err != nil {
				return fmt.Errorf("key passphrase: %w", err)
			}
			if !encrypted {
				cli.Say(c, "key %s has no passphrase any more: it lies in the clear", args[0])
				return nil
			}
			cli.Say(c, "key %s is encrypted anew", args[0])
			return nil
		},
	}
}

func keyPasswordCommand() *cobra.Command {
	var classes []string
	var set string
	var length, count int
	c := &cobra.Command{
		Use: "password", Short: "Make passwords", Args: cobra.NoArgs,
		Example: `  webjobctl key password
  webjobctl key password --class upper --class digit --length 12 --count 5
  webjobctl key password --set abc123`,
		RunE: func(c *cobra.Command, _ []string) error {
			letters := set
			for _, class := range classes {
				letters += operator.Classes[class]
				if operator.Classes[class] == "" {
					return cli.Usagef("class %q is unknown; use %s", class, strings.Join(slices.Sorted(maps.Keys(operator.Classes)), ", "))
				}
			}
			if letters == "" {
				letters = operator.Classes["plain"]
			}
			if count < 1 || count > 10000 {
				return cli.Usagef("--count is %d; it must be 1 to 10000", count)
			}
			for range count {
				password, err := operator.NewPassword(letters, length)
				if err != nil {
					return fmt.Errorf("key password: %w", err)
				}
				if _, err := fmt.Fprintln(c.OutOrStdout(), password); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&classes, "class", nil, "class of characters: lower, upper, digit, hex, symbol, plain; may be repeated (default: plain)")
	c.Flags().StringVar(&set, "set", "", "characters to take")
	c.Flags().IntVar(&length, "length", 20, "characters of a password")
	c.Flags().IntVar(&count, "count", 1, "how many")
	return c
}

func keyExportCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "export NAME", Short: "Print a public key (PEM), for colleagues", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			key, err := h.PublicKey(args[0])
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(key.PEM())
			return err
		},
	}
}

func keyImportCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "import NAME FILE", Short: "Add a colleague's public key (PEM, or as OpenSSH writes it)", Args: cobra.ExactArgs(2),
		Example: `  webjobctl key import bob bob.pub`,
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			text, err := os.ReadFile(args[1])
			if err != nil {
				return fmt.Errorf("key import: %w", err)
			}
			key, err := h.ImportKey(args[0], text)
			if err != nil {
				return fmt.Errorf("key import: %w", err)
			}
			return showKey(c, key)
		},
	}
}
