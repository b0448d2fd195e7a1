package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/cli"
	"webjob.dev/webjob/trust"
)

func trustCommand(open openHome) *cobra.Command {
	c := &cobra.Command{
		Use: "trust", Short: "Which keys sign jobs, and how many must sign",
		Long: `The trust root is the list of keys that sign jobs and the number of them that must sign.
Tokens carry its digest, and a client pins it when it enrols: from then on the client runs
only what enough of these keys signed, whatever the server says. Changing the root changes
it for clients that enrol afterwards.`,
	}
	c.AddCommand(trustSetCommand(open), trustShowCommand(open), trustPinCommand(open))
	return c
}

func showRoot(c *cobra.Command, root *trust.Root) error {
	digest, err := root.Digest()
	if err != nil {
		return err
	}
	fields := []cli.Field{
		{Name: "Digest:", Value: string(digest)},
		{Name: "Threshold:", Value: fmt.Sprintf("%d of %d", root.Threshold, len(root.Keys))},
	}
	for _, key := range root.Keys {
		id, err := root.KeyID(key.Name)
		if err != nil {
			return err
		}
		fields = append(fields, cli.Field{Name: "Key:", Value: key.Name + " " + id})
	}
	return cli.Show(c, root, fields)
}

func trustSetCommand(open openHome) *cobra.Command {
	var threshold int
	c := &cobra.Command{
		Use: "set KEY...", Short: "Make these keys the trust root of new clients", Args: cobra.MinimumNArgs(1),
		Example: `  webjobctl trust set alice
  webjobctl trust set alice bob carol --threshold 2`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			root, err := s.SetTrust(c.Context(), threshold, args)
			if err != nil {
				return fmt.Errorf("trust set: %w", err)
			}
			return showRoot(c, root)
		},
	}
	c.Flags().IntVar(&threshold, "threshold", 1, "how many of the keys must sign")
	return c
}

func trustShowCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show the trust root pinned here", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			root, err := h.PinnedRoot()
			if err != nil {
				return err
			}
			return showRoot(c, root)
		},
	}
}

func trustPinCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "pin DIGEST", Short: "Pin the server's trust root, if it has the digest that a colleague told", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			want, err := webjob.ParseDigest(args[0])
			if err != nil {
				return fmt.Errorf("trust pin: %w", err)
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			root, err := s.PinTrust(c.Context(), want)
			if err != nil {
				return fmt.Errorf("trust pin: %w", err)
			}
			return showRoot(c, root)
		},
	}
}
