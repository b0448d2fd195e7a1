package embedded

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// gzipFiles compresses files in place of themselves, or with -c to the output.
func gzipFiles(c *call) error {
	var decompress, toOutput, keep, force bool
	level := gzip.DefaultCompression
	for i := 0; i < len(c.args); i++ { // -1 to -9
		if a := c.args[i]; len(a) == 2 && a[0] == '-' && a[1] >= '1' && a[1] <= '9' {
			level = int(a[1] - '0')
			c.args = append(c.args[:i:i], c.args[i+1:]...)
			i--
		}
	}
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&decompress, "decompress", "d", c.name != "gzip", "")
		f.BoolVarP(&toOutput, "stdout", "c", strings.HasSuffix(c.name, "cat"), "")
		f.BoolVarP(&keep, "keep", "k", false, "")
		f.BoolVarP(&force, "force", "f", false, "")
	}, 0, -1)
	if err != nil {
		return err
	}
	turn := func(w io.Writer, r io.Reader) error {
		if decompress {
			z, err := gzip.NewReader(r)
			if err != nil {
				return err
			}
			_, err = io.Copy(w, z) //nolint:gosec // the job's limits bound it
			return errors.Join(err, z.Close())
		}
		z, err := gzip.NewWriterLevel(w, level)
		if err != nil {
			return err
		}
		_, err = io.Copy(z, r)
		return errors.Join(err, z.Close())
	}
	return c.inputs(c.args, func(name string, r io.Reader) error {
		if toOutput || name == "-" {
			return turn(c.out, r)
		}
		to, packed := strings.CutSuffix(name, ".gz")
		if !decompress {
			to = name + ".gz"
		} else if !packed {
			c.complain(fmt.Errorf("%s does not end with .gz", name))
			return nil
		}
		how := os.O_CREATE | os.O_WRONLY | os.O_EXCL
		if force {
			how = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
		}
		f, err := os.OpenFile(c.path(to), how, 0o600)
		if err != nil {
			return err
		}
		info, err := os.Stat(c.path(name))
		if err == nil {
			err = f.Chmod(info.Mode().Perm())
		}
		if err = errors.Join(err, turn(f, r), f.Close()); err != nil {
			return errors.Join(err, os.Remove(c.path(to)))
		}
		if keep {
			return nil
		}
		return os.Remove(c.path(name))
	})
}
