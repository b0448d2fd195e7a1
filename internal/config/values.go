package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span written as "90s", "10m" or "1h30m".
type Duration time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.40q is not a time span; write it as \"90s\", \"10m\" or \"1h30m\"", text)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Within reports a value of key that is outside low and high.
func (d Duration) Within(key string, low, high time.Duration) error {
	if v := time.Duration(d); v < low || v > high {
		return Keyf(key, "%s is out of range; it must be %s to %s", v, low, high)
	}
	return nil
}

// Size is a number of bytes written as "512", "64KiB", "16MiB" or "1GiB".
type Size int64

var sizeUnits = []struct {
	suffix string
	shift  uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"B", 0}, {"", 0}}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	for _, unit := range sizeUnits {
		digits, found := strings.CutSuffix(string(text), unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64>>unit.shift {
			break
		}
		*s = Size(n << unit.shift)
		return nil
	}
	return fmt.Errorf("%.40q is not a size; write it as \"512\", \"64KiB\", \"16MiB\" or \"1GiB\"", text)
}

// MarshalText implements [encoding.TextMarshaler]: the largest unit that is exact.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the largest unit that is exact.
func (s Size) String() string {
	for _, unit := range []int{3, 2, 1, 0} {
		if u := sizeUnits[unit]; s != 0 && s%(1<<u.shift) == 0 {
			return strconv.FormatInt(int64(s)>>u.shift, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Within reports a value of key that is outside low and high.
func (s Size) Within(key string, low, high Size) error {
	if s < low || s > high {
		return Keyf(key, "%s is out of range; it must be %s to %s", s, low, high)
	}
	return nil
}
