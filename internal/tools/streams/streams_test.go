package streams_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tools/streams"
)

func TestScriptsAreReadAsEditorsWriteThem(t *testing.T) {
	for text, want := range map[string]string{"": "", "a\n": "a\n", "\xef\xbb\xbfa\r\nb\r\n": "a\nb\n", "a\rb": "a\rb", "a\xef\xbb\xbf": "a\xef\xbb\xbf"} {
		got, err := streams.ReadScript("s", strings.NewReader(text))
		if err != nil || string(got) != want {
			t.Errorf("%q became %q, want %q (%v)", text, got, want, err)
		}
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestWhatIsNoScriptIsRefused(t *testing.T) {
	for _, c := range []struct {
		script io.Reader
		kind   webjob.Kind
		says   string
	}{
		{strings.NewReader("ab\x00c"), webjob.Invalid, "s holds a NUL byte at 2; it is not a script"},
		{zeroes{}, webjob.TooLarge, "s has more than 67108864 bytes"},
		{broken{}, webjob.Unavailable, "s cannot be read: broken"},
	} {
		if _, err := streams.ReadScript("s", c.script); webjob.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %s", err, c.says)
		}
	}
}

func TestStreamsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := streams.Reader(ctx, zeroes{}), streams.Writer(ctx, io.Discard)
	if n, err := r.Read(make([]byte, 3)); n != 3 || err != nil {
		t.Error(n, err)
	}
	if n, err := w.Write(make([]byte, 3)); n != 3 || err != nil {
		t.Error(n, err)
	}
	cancel()
	if _, err := r.Read(make([]byte, 3)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := w.Write(make([]byte, 3)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestErrorsOfReadingAreKnown(t *testing.T) {
	var unreadable streams.ReadError
	if _, err := streams.Reader(t.Context(), broken{}).Read(nil); !errors.As(err, &unreadable) || err.Error() != "broken" {
		t.Error(err)
	}
	if _, err := streams.Reader(t.Context(), strings.NewReader("")).Read(make([]byte, 1)); !errors.Is(err, io.EOF) || errors.As(err, &unreadable) {
		t.Error(err)
	}
}
