package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"pgregory.net/rapid"
)

// Whatever a server says, a terminal only shows it: in a line for people, in a table, and
// as JSON, which means the same to programs.
func TestNothingIsObeyed(t *testing.T) {
	if got := string(escaped([]byte("{\"record\":\"\x9b2J\"}\n"))); got != `{"record":"`+"\ufffd"+`2J"}`+"\n" {
		t.Errorf("bytes that are not UTF-8: %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		hostile := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"a\x1b[2Jb\r\nc", "\u009b2J", "\u202egnp.exe", "\U000e0041", "x\xffy\x00", "<&>\u2028"})).Draw(t, "text")
		var out, said bytes.Buffer
		c := &cobra.Command{}
		AddFormatFlag(c)
		c.SetOut(&out)
		c.SetErr(&said)
		Say(c, "draft %s waits", hostile)
		if n := strings.Count(said.String(), "\n"); n != 1 {
			t.Fatalf("%d lines: %q", n, said.String())
		}
		column := []Column[string]{{Title: "NAME", Cell: func(s string) string { return s }}}
		for _, format := range []Format{Table, JSON, JSONL} {
			if err := c.PersistentFlags().Set("output", string(format)); err != nil {
				t.Fatal(err)
			}
			out.Reset()
			if err := List(c, []string{hostile}, column); err != nil {
				t.Fatal(err)
			}
			for _, r := range out.String() + said.String() {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Fatalf("%U reached the terminal as %s: %q, %q", r, format, out.String(), said.String())
				}
			}
		}
		var got string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != strings.ToValidUTF8(hostile, "\ufffd") && !strings.ContainsRune(got, unicode.ReplacementChar) {
			t.Fatalf("%q is read as %q (%v)", hostile, got, err)
		}
	})
}
