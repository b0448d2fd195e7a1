package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Regular expressions of these tools are RE2's, as in Go: no input makes them slow.

func fileList(files []string) []string {
	if len(files) == 0 {
		return []string{"-"}
	}
	return files
}

// head prints the first lines, or bytes.
func head(c *call) error { return c.part(10, takeFirst) }

// tail prints the last lines, or bytes; "+N" from the Nth on.
func tail(c *call) error { return c.part(10, takeLast) }

type taker func(w io.Writer, r io.Reader, lines, bytes int64, fromStart bool) error

func (c *call) part(standard int64, take taker) error {
	for i, a := range c.args { // the old form, -5
		if len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' {
			c.args[i] = "-n" + a[1:]
		}
	}
	var lines, bytes string
	err := c.parse(func(f *pflag.FlagSet) {
		f.StringVarP(&lines, "lines", "n", strconv.FormatInt(standard, 10), "")
		f.StringVarP(&bytes, "bytes", "c", "", "")
	}, 0, -1)
	if err != nil {
		return err
	}
	text := lines
	if bytes != "" {
		text = bytes
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "+"), 10, 64)
	if err != nil || n < 0 || n > 1<<31 {
		return usage{fmt.Errorf("%.40q is not a number of lines or bytes", text)}
	}
	lineCount, byteCount := n, int64(-1)
	if bytes != "" {
		lineCount, byteCount = -1, n
	}
	between := ""
	return c.buffered(func(w *bufio.Writer) error {
		return c.inputs(c.args, func(name string, r io.Reader) error {
			if len(c.args) > 1 {
				_, _ = fmt.Fprintf(w, "%s==> %s <==\n", between, name) // an error sticks
				between = "\n"
			}
			return take(w, r, lineCount, byteCount, strings.HasPrefix(text, "+"))
		})
	})
}

func takeFirst(w io.Writer, r io.Reader, lines, bytes int64, _ bool) error {
	if bytes >= 0 {
		_, err := io.CopyN(w, r, bytes)
		return endIsFine(err)
	}
	reader := bufio.NewReader(r)
	for range lines {
		line, err := reader.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			if _, err := w.Write(line); err != nil {
				return err
			}
			line, err = reader.ReadSlice('\n')
		}
		if _, writeErr := w.Write(line); writeErr != nil {
			return writeErr
		}
		if err != nil {
			return endIsFine(err)
		}
	}
	return nil
}

func takeLast(w io.Writer, r io.Reader, lines, bytes int64, fromStart bool) error {
	reader := bufio.NewReader(r)
	if fromStart {
		var err error
		if bytes >= 0 {
			_, err = io.CopyN(io.Discard, reader, max(bytes-1, 0))
		} else {
			err = takeFirst(io.Discard, reader, 0, -1, false)
			for range max(lines-1, 0) {
				if _, err = reader.ReadString('\n'); err != nil {
					break
				}
			}
		}
		if err != nil {
			return endIsFine(err)
		}
		_, err = io.Copy(w, reader)
		return err
	}
	if bytes >= 0 {
		var last []byte
		buffer := make([]byte, 32<<10)
		for {
			n, err := reader.Read(buffer)
			last = append(last, buffer[:n]...)
			if extra := int64(len(last)) - bytes; extra > 0 {
				last = append(last[:0], last[extra:]...)
			}
			if err != nil {
				_, writeErr := w.Write(last)
				return errors.Join(endIsFine(err), writeErr)
			}
		}
	}
	var last []string
	for {
		line, err := reader.ReadString('\n')
		if line != "" {
			last = append(last, line)
		}
		if extra := int64(len(last)) - lines; extra > 0 {
			last = slices.Delete(last, 0, int(extra))
		}
		if err != nil {
			_, writeErr := io.WriteString(w, strings.Join(last, ""))
			return errors.Join(endIsFine(err), writeErr)
		}
	}
}

func endIsFine(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// wc counts lines, words and bytes.
func wc(c *call) error {
	var lines, words, bytes bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&lines, "lines", "l", false, "")
		f.BoolVarP(&words, "words", "w", false, "")
		f.BoolVarP(&bytes, "bytes", "c", false, "")
	}, 0, -1)
	if err != nil {
		return err
	}
	if !lines && !words && !bytes {
		lines, words, bytes = true, true, true
	}
	var total [3]int64
	show := func(n [3]int64, name string) {
		var columns []string
		for i, wanted := range []bool{lines, words, bytes} {
			if wanted {
				columns = append(columns, strconv.FormatInt(n[i], 10))
			}
		}
		if name != "-" {
			columns = append(columns, name)
		}
		_, _ = fmt.Fprintln(c.out, strings.Join(columns, " ")) // a script that went away
	}
	err = c.inputs(c.args, func(name string, r io.Reader) error {
		var n [3]int64
		reader, inWord := bufio.NewReaderSize(r, 64<<10), false
		for {
			b, err := reader.ReadByte()
			if err != nil {
				if errors.Is(err, io.EOF) {
					break
				}
				return err
			}
			n[2]++
			if b == '\n' {
				n[0]++
			}
			space := b == ' ' || b >= '\t' && b <= '\r'
			if !space && !inWord {
				n[1]++
			}
			inWord = !space
		}
		for i := range total {
			total[i] += n[i]
		}
		show(n, name)
		return nil
	})
	if len(c.args) > 1 {
		show(total, "total")
	}
	return err
}

// uniq leaves one of lines that follow each other and are the same.
func uniq(c *call) error {
	var counts, repeated, single bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&counts, "count", "c", false, "")
		f.BoolVarP(&repeated, "repeated", "d", false, "")
		f.BoolVarP(&single, "unique", "u", false, "")
	}, 0, 1)
	if err != nil {
		return err
	}
	return c.buffered(func(w *bufio.Writer) error {
		before, n := "", 0
		show := func() {
			if n == 0 || repeated && n == 1 || single && n > 1 {
				return
			}
			if counts {
				_, _ = fmt.Fprintf(w, "%7d ", n) // an error sticks
			}
			_, _ = fmt.Fprintln(w, before)
		}
		err := c.lines(c.args, func(_, line string) error {
			if n > 0 && line == before {
				n++
				return nil
			}
			show()
			before, n = line, 1
			return nil
		})
		show()
		return err
	})
}

// cut prints fields or characters of each line.
func cut(c *call) error {
	var fields, characters, delimiter string
	var only bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.StringVarP(&fields, "fields", "f", "", "")
		f.StringVarP(&characters, "characters", "c", "", "")
		f.StringVarP(&delimiter, "delimiter", "d", "\t", "")
		f.BoolVarP(&only, "only-delimited", "s", false, "")
	}, 0, -1)
	if err != nil {
		return err
	}
	if (fields == "") == (characters == "") {
		return usage{errors.New("give -f or -c")}
	}
	wanted, err := parseRanges(fields + characters)
	if err != nil {
		return usage{err}
	}
	return c.buffered(func(w *bufio.Writer) error {
		return c.lines(c.args, func(_, line string) error {
			separator := delimiter
			if characters != "" {
				separator = ""
			} else if !strings.Contains(line, delimiter) {
				if only {
					return nil
				}
				_, err := fmt.Fprintln(w, line)
				return err
			}
			var kept []string
			for i, part := range strings.Split(line, separator) {
				if wanted(i + 1) {
					kept = append(kept, part)
				}
			}
			_, err := fmt.Fprintln(w, strings.Join(kept, separator))
			return err
		})
	})
}

// parseRanges reads a list such as "1,3-5,7-".
func parseRanges(text string) (func(int) bool, error) {
	type span struct{ from, to int }
	var spans []span
	for item := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(item, "-")
		s := span{1, 1 << 30}
		var err1, err2 error
		if from != "" {
			s.from, err1 = strconv.Atoi(from)
		}
		if to != "" {
			s.to, err2 = strconv.Atoi(to)
		}
		if !isRange {
			s.to = s.from
		}
		if err1 != nil || err2 != nil || item == "-" || item == "" || s.from < 1 || s.to < s.from {
			return nil, fmt.Errorf("%.40q is not a list such as 1,3-5", text)
		}
		spans = append(spans, s)
	}
	return func(n int) bool {
		return slices.ContainsFunc(spans, func(s span) bool { return n >= s.from && n <= s.to })
	}, nil
}

// tee copies the input to files, too.
func tee(c *call) error {
	var add bool
	if err := c.parse(func(f *pflag.FlagSet) { f.BoolVarP(&add, "append", "a", false, "") }, 0, -1); err != nil {
		return err
	}
	writers := []io.Writer{c.out}
	how := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if add {
		how = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	var files []*os.File
	for _, name := range c.args {
		f, err := os.OpenFile(c.path(name), how, 0o666)
		if err != nil {
			c.complain(err)
			continue
		}
		files, writers = append(files, f), append(writers, f)
	}
	_, err := io.Copy(io.MultiWriter(writers...), c.in)
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}
