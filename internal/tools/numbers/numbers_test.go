package numbers_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"webjob.dev/webjob/internal/tools/numbers"
)

func search(t *testing.T, text string, kinds ...numbers.Kind) []numbers.Hit {
	t.Helper()
	var hits []numbers.Hit
	if err := numbers.Search(strings.NewReader(text), kinds, 10, func(h numbers.Hit) error { hits = append(hits, h); return nil }); err != nil {
		t.Fatal(err)
	}
	return hits
}

// The numbers are those that card networks and payment providers publish for tests.
func TestCards(t *testing.T) {
	for text, want := range map[string]string{
		"4111111111111111":                            "4111111111111111",
		"pay 4111 1111 1111 1111 now":                 "4111111111111111",
		"card=4111-1111-1111-1111;":                   "4111111111111111",
		"2024-01-01 5500 0055 5555 5559 12:30":        "5500005555555559",
		"amex 3782 822463 10005":                      "378282246310005",
		"diners 3056 930902 5904":                     "30569309025904",
		"6011111111111117":                            "6011111111111117",
		"2223003122003222":                            "2223003122003222",
		"3530111333300000":                            "3530111333300000",
		"4222222222222":                               "4222222222222",
		"<pan>4012888888881881</pan>":                 "4012888888881881",
		"4111111111111111.":                           "4111111111111111",
		"12 34 56 78 4111111111111111 99":             "4111111111111111",
		"1,4111111111111111,12/28":                    "4111111111111111",
		"4111111111111112":                            "", // check digit
		"14111111111111111":                           "", // longer
		"41111111111111111":                           "", // longer
		"x4111111111111111":                           "", // in a word
		"4111111111111111f":                           "",
		"0.4111111111111111":                          "", // a fraction
		"4111111111111111.5":                          "",
		"4111-1111 1111-1111":                         "", // separators differ
		"411 1111 1111 1111 11":                       "", // groups are wrong
		"4111  1111  1111  1111":                      "",
		"0000000000000000":                            "", // no issuer
		"1234567812345670":                            "",
		"2720990000000007":                            "2720990000000007", // the last prefix of the second Mastercard range
		"2721000000000004":                            "",                 // behind the second Mastercard range
		"9999999999999999":                            "",
		"d41d8cd98f00b204e9800998ecf8427e":            "",
		"1700000000000 1700000000001":                 "",
		"378282246310005 and 371449635398431":         "378282246310005 371449635398431",
		"4111111111111111\n5555555555554444\nplain\n": "4111111111111111 5555555555554444",
	} {
		var got []string
		for _, hit := range search(t, text, numbers.Card) {
			got = append(got, hit.Number)
			if text[hit.Offset] != hit.Number[0] {
				t.Errorf("%q: offset %d", text, hit.Offset)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: found %q, want %q", text, got, want)
		}
	}
}

func TestSocialSecurity(t *testing.T) {
	for text, want := range map[string]int{
		"078-05-1120": 1, "ssn: 219-09-9999.": 1, "000-12-3456": 0, "666-12-3456": 0, "900-12-3456": 0, "123-00-4567": 0, "123-45-0000": 0,
		"1123-45-6789": 0, "123-45-67890": 0, "123-45-6789-1": 0, "a123-45-6789": 0, "123-456-789": 0, "-123-45-6789": 0, "---123-45-6789": 0, "123-45-678": 0, "1-123-45-6789 078-05-1120": 1,
	} {
		if hits := search(t, text, numbers.SocialSecurity); len(hits) != want {
			t.Errorf("%q: %+v", text, hits)
		}
	}
}

func TestContextIsMaskedAndPrintable(t *testing.T) {
	hits := search(t, "first line\nname\tX: 4111 1111 1111 1111\x00\x1b[2J end and more\n", numbers.Card, numbers.SocialSecurity)
	if len(hits) != 1 || hits[0].Context != "name.X: 411111******1111..[2J end " || hits[0].Masked() != "411111******1111" {
		t.Errorf("%+v", hits)
	}
}

// A number is found once wherever blocks of the reader end.
func TestBlocks(t *testing.T) {
	const card, social = "4111 1111 1111 1111", "078-05-1120"
	var text bytes.Buffer
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	want := 0
	for text.Len() < 5<<20 {
		text.WriteString(strings.Repeat("text and 12 ", random.IntN(4000)))
		text.WriteString(card + ",\n" + social + "\n")
		want += 2
	}
	seen := map[int64]bool{}
	err := numbers.Search(iotest.HalfReader(bytes.NewReader(text.Bytes())), []numbers.Kind{numbers.Card, numbers.SocialSecurity}, 200, func(h numbers.Hit) error {
		for i, c := range []byte(h.Number[:3]) {
			if text.Bytes()[h.Offset+int64(i)] != c {
				t.Fatalf("offset %d is not that of %s", h.Offset, h.Number)
			}
		}
		if seen[h.Offset] {
			t.Fatalf("%d twice", h.Offset)
		}
		seen[h.Offset] = true
		return nil
	})
	if err != nil || len(seen) != want {
		t.Errorf("%d hits (%v), want %d", len(seen), err, want)
	}
	broken := errors.New("broken")
	if err := numbers.Search(iotest.ErrReader(broken), []numbers.Kind{numbers.Card}, 0, nil); !errors.Is(err, broken) {
		t.Errorf("a broken reader: %v", err)
	}
}

// Of random digits one stretch of sixteen in ten passes Luhn; issuers and boundaries make
// false hits rare, and in text of dates, sizes and addresses there are none.
func TestFewFalseHits(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test
	var log strings.Builder
	for range 20_000 {
		log.WriteString("2026-11-24 12:30:59.123456 10.0.0.1 - - [" + strings.Repeat(string(rune('0'+random.IntN(10))), 1+random.IntN(12)) + "] 1764000000123 200 65536 (+49 30 1234567)\n")
	}
	if hits := search(t, log.String(), numbers.Card, numbers.SocialSecurity); len(hits) != 0 {
		t.Errorf("%d hits in a log, such as %+v", len(hits), hits[0])
	}
}

func FuzzSearch(f *testing.F) {
	f.Add([]byte("4111 1111 1111 1111 078-05-1120"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var last int64 = -1
		_ = numbers.Search(bytes.NewReader(data), []numbers.Kind{numbers.Card, numbers.SocialSecurity}, 30, func(h numbers.Hit) error {
			if h.Offset <= last || h.Offset >= int64(len(data)) {
				t.Fatalf("hit at %d after %d of %d", h.Offset, last, len(data))
			}
			last = h.Offset
			return nil
		})
	})
}

func BenchmarkSearchText(b *testing.B) {
	text := []byte(strings.Repeat("Nov 24 12:30:59 web1 sshd[1234]: Accepted publickey for alice from 10.0.0.1 port 50122 ssh2\n", 20_000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := numbers.Search(bytes.NewReader(text), []numbers.Kind{numbers.Card}, 20, func(numbers.Hit) error { return errors.New("hit") }); err != nil {
			b.Fatal(err)
		}
	}
}
