package coreutils

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// wc counts lines, words and bytes, in columns that are as wide as GNU's.
func wc(c *call) error {
	wanted := [3]bool{c.has("l"), c.has("w"), c.has("c")}
	if wanted == [3]bool{} {
		wanted = [3]bool{true, true, true}
	}
	width := countWidth(c, wanted)
	show := func(n [3]int64, name string) {
		var columns []string
		for i := range wanted {
			if wanted[i] {
				columns = append(columns, fmt.Sprintf("%*d", width, n[i]))
			}
		}
		if name != "" {
			columns = append(columns, name)
		}
		_, _ = fmt.Fprintln(c.out, strings.Join(columns, " ")) // an error sticks
	}
	var total [3]int64
	err := c.inputs(c.args, func(name string, r io.Reader) error {
		n, err := count(r)
		if err != nil {
			return err
		}
		for i := range total {
			total[i] += n[i]
		}
		if len(c.args) == 0 {
			name = ""
		}
		show(n, name)
		return nil
	})
	if err == nil && len(c.args) > 1 {
		show(total, "total")
	}
	return err
}

// countWidth is how wide a column is: as the sum of the sizes of the files, and 7 at
// least where one has no size. One number alone is as short as it is.
func countWidth(c *call, wanted [3]bool) int {
	single := wanted == [3]bool{true, false, false} || wanted == [3]bool{false, true, false} || wanted == [3]bool{false, false, true}
	if len(c.args) < 2 && single {
		return 1
	}
	var sizes int64
	least := 1
	add := func(info fs.FileInfo, err error) {
		switch {
		case err != nil: // it is reported later
		case info.Mode().IsRegular():
			sizes += info.Size()
		default:
			least = 7
		}
	}
	standard := func() {
		if f, ok := c.env.In.(*os.File); ok {
			add(f.Stat())
		} else {
			least = 7
		}
	}
	if len(c.args) == 0 {
		standard()
	}
	for _, name := range c.args {
		if name == "-" {
			standard()
		} else {
			add(os.Stat(c.path(name)))
		}
	}
	return max(least, len(strconv.FormatInt(sizes, 10)))
}

// count returns how many lines, words and bytes there are.
func count(r io.Reader) (n [3]int64, err error) {
	buffer, inWord := make([]byte, 64<<10), false
	for {
		read, err := r.Read(buffer)
		n[2] += int64(read)
		for _, b := range buffer[:read] {
			if b == '\n' {
				n[0]++
			}
			space := b == ' ' || b >= '\t' && b <= '\r'
			if !space && !inWord {
				n[1]++
			}
			inWord = !space
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
