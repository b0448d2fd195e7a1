package main

import (
	"context"
	"crypto/tls"
	"os"
	"path"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/tools/download"
)

// identityFor returns what to show to a server: this client's identity, where it is
// enrolled, else nil.
func identityFor(state, url string) (*tls.Config, error) {
	if _, err := os.Stat(state); err != nil {
		return nil, nil //nolint:nilerr // no state, no identity
	}
	s, err := endpoint.OpenState(state)
	if err != nil {
		return nil, err
	}
	return s.Enrolments.TLSFor(url)
}

func getCommand(state *string) *cobra.Command {
	var file, digest, most string
	var limit time.Duration
	var retries int
	c := &cobra.Command{
		Use: "get URL", Short: "Fetch a URL into a file, whole or not at all", Args: cobra.ExactArgs(1),
		Long: `Get fetches one URL. To a server that this client is enrolled with it shows the client's
identity; others must have a certificate that the host trusts. Proxies are those of
HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

What comes grows in FILE.part and becomes FILE at the end, when it is whole and has the
digest that was given. A cut connection is tried again from where it was cut, also by
the next call, when the server says that it still has the same version.`,
		Example: `  webjob get https://mirror.example.org/tool -O /opt/tool --digest sha256:6f5902ac…`,
		RunE: func(c *cobra.Command, args []string) error {
			var size config.Size
			if err := size.UnmarshalText([]byte(most)); err != nil {
				return cli.Usagef("--most: %w", err)
			}
			r := download.Request{URL: args[0], File: file, Most: int64(size), Retries: retries}
			if digest != "" {
				var err error
				if r.Digest, err = webjob.ParseDigest(digest); err != nil {
					return cli.Usagef("--digest: %w", err)
				}
			}
			if r.File == "" {
				if r.File = path.Base(args[0]); r.File == "." || r.File == "/" {
					return cli.Usagef("%.80q has no file name; give one with -O", args[0])
				}
			}
			var err error
			if r.TLS, err = identityFor(*state, args[0]); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), limit)
			defer cancel()
			got, n, err := download.Get(ctx, r)
			if err != nil {
				return err
			}
			return cli.Show(c, map[string]any{"file": r.File, "digest": got, "bytes": n}, []cli.Field{
				{Name: "File:", Value: r.File}, {Name: "Digest:", Value: string(got)}, {Name: "Size:", Value: cli.Bytes(n)},
			})
		},
	}
	c.Flags().StringVarP(&file, "output-document", "O", "", "file to write; default: the last part of the URL")
	c.Flags().StringVar(&digest, "digest", "", "sha256:HEX that must come")
	c.Flags().StringVar(&most, "most", "16GiB", "largest size to accept")
	c.Flags().DurationVar(&limit, "limit", time.Hour, "longest time")
	c.Flags().IntVar(&retries, "retries", 5, "tries after a connection was cut")
	return c
}
