package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/cli"
	"webjob.dev/webjob/operator"
	"webjob.dev/webjob/trust"
)

func keyCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Signing keys of this operator folder"}
	c.AddCommand(keyNewCommand(open), keyListCommand(open), keyExportCommand(open), keyImportCommand(open))
	return c
}

func showKey(c *cobra.Command, key operator.Key) error {
	return cli.Show(c, key, []cli.Field{
		{Name: "Key:", Value: key.Name},
		{Name: "Type:", Value: string(key.Type)},
		{Name: "ID:", Value: key.ID},
	})
}

func keyNewCommand(open openHome) *cobra.Command {
	var keyType string
	c := &cobra.Command{
		Use: "new NAME", Short: "Make a signing key", Args: cobra.ExactArgs(1),
		Example: `  webjobctl key new alice
  webjobctl key new build --type ecdsa`,
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			key, err := h.NewKey(args[0], trust.KeyType(keyType))
			if err != nil {
				return fmt.Errorf("key new: %w", err)
			}
			return showKey(c, key)
		},
	}
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
						return "yes"
					}
					return "no, public only"
				}},
				{Title: "ID", Cell: func(k operator.Key) string { return k.ID }},
			})
		},
	}
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
		Use: "import NAME FILE", Short: "Add a colleague's public key (PEM)", Args: cobra.ExactArgs(2),
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
