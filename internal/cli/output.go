package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Format is a form of output.
type Format string

// The forms: a table for people, one JSON document, or one JSON document a line.
const (
	Table Format = "table"
	JSON  Format = "json"
	JSONL Format = "jsonl"
)

// AddFormatFlag gives the command and those below it -o.
func AddFormatFlag(c *cobra.Command) {
	f := Table
	c.PersistentFlags().VarP(&f, "output", "o", "form of the output: table, json or jsonl")
}

// String implements pflag.Value.
func (f *Format) String() string { return string(*f) }

// Type implements pflag.Value.
func (*Format) Type() string { return "form" }

// Set implements pflag.Value.
func (f *Format) Set(s string) error {
	switch Format(s) {
	case Table, JSON, JSONL:
		*f = Format(s)
		return nil
	}
	return fmt.Errorf("%q is no form of output; use table, json or jsonl", s)
}

// FormatOf returns the form that -o asked for.
func FormatOf(c *cobra.Command) Format {
	if flag := c.Flag("output"); flag != nil {
		return Format(flag.Value.String())
	}
	return Table
}

// Column is one column of a table.
type Column[T any] struct {
	Title string
	Cell  func(T) string
}

// List writes items in the form that -o asks for.
func List[T any](c *cobra.Command, items []T, columns []Column[T]) error {
	out := c.OutOrStdout()
	switch FormatOf(c) {
	case JSON:
		if items == nil {
			items = []T{}
		}
		return writeJSON(out, items, "  ")
	case JSONL:
		for _, item := range items {
			if err := writeJSON(out, item, ""); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var line []string
	for _, column := range columns {
		line = append(line, column.Title)
	}
	fmt.Fprintln(w, strings.Join(line, "\t"))
	for _, item := range items {
		line = line[:0]
		for _, column := range columns {
			line = append(line, cell(column.Cell(item)))
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(line, "\t"), "\t"))
	}
	return w.Flush()
}

// Field is one line about a single thing.
type Field struct{ Name, Value string }

// Show writes one thing: as JSON the value itself, as a table its fields, without
// the empty ones.
func Show(c *cobra.Command, value any, fields []Field) error {
	out := c.OutOrStdout()
	switch FormatOf(c) {
	case JSON:
		return writeJSON(out, value, "  ")
	case JSONL:
		return writeJSON(out, value, "")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range fields {
		if f.Value != "" {
			fmt.Fprintf(w, "%s\t%s\n", f.Name, cell(f.Value))
		}
	}
	return w.Flush()
}

func writeJSON(w io.Writer, v any, indent string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escaped(text.Bytes()))
	return err
}

// escaped writes characters of JSON that a terminal would obey or not show as \uXXXX, which
// means the same. They stand in strings alone: all else of JSON is ASCII.
func escaped(text []byte) []byte {
	var out []byte
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError: // also bytes that are not UTF-8
			out = append(out, "\ufffd"...)
		case r < ' ' || unicode.IsPrint(r):
			out = append(out, rest[:size]...)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		}
		rest = rest[size:]
	}
	return out
}

// Printable makes one line of foreign text safe for a terminal: tabs become
// spaces, other control characters question marks.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
}

// cell is Printable for a table, where something must stand.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	return Printable(s)
}

// Time formats a time for a table; "" for none.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// Milliseconds formats a span for a table.
func Milliseconds(ms float64) string {
	switch {
	case ms <= 0:
		return ""
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	case ms < 60_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}

// Bytes formats a size for a table.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
