package coreutils

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// date prints the time, in UTC with -u and in the zone that TZ names, such as
// Europe/Paris; +FORMAT is as strftime's; -d is another time.
func date(c *call) error {
	t := time.Now()
	if text, given := c.value("d"); given {
		var err error
		if t, err = parseTime(text); err != nil {
			return usageError{fmt.Errorf("-d %w", err)}
		}
	}
	zone, given := c.env.Lookup("TZ")
	switch {
	case c.has("u"):
		t = t.UTC()
	case given:
		location, err := time.LoadLocation(strings.TrimPrefix(zone, ":"))
		if err != nil {
			return fmt.Errorf("TZ %.40q is not known here; use -u, or a name such as Europe/Paris", zone)
		}
		t = t.In(location)
	default:
		t = t.Local()
	}
	format := "+%a %b %e %H:%M:%S %Z %Y"
	if len(c.args) == 1 {
		if format = c.args[0]; !strings.HasPrefix(format, "+") {
			return usageError{errors.New("setting the time is not possible; a format starts with +")}
		}
	}
	text, err := strftime(format[1:], t)
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(c.out, text)
	return err
}

var strftimeLayouts = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'e': "_2", 'I': "03", 'p': "PM", 'P': "pm", 'j': "002",
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'Z': "MST", 'z': "-0700", 'F': "2006-01-02", 'T': "15:04:05",
	'D': "01/02/06", 'R': "15:04", 'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05", 'r': "03:04:05 PM",
}

// strftime formats as strftime(3) does, with the conversions of strftimeLayouts and
// those below. One that is not known is an error, not a wrong date.
func strftime(format string, t time.Time) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		layout, found := strftimeLayouts[format[i]]
		switch letter := format[i]; {
		case found:
			b.WriteString(t.Format(layout))
		case letter == 'N':
			fmt.Fprintf(&b, "%09d", t.Nanosecond())
		case letter == 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case letter == 'C':
			fmt.Fprintf(&b, "%02d", t.Year()/100)
		case letter == 'u':
			b.WriteString(strconv.Itoa((int(t.Weekday())+6)%7 + 1))
		case letter == 'w':
			b.WriteString(strconv.Itoa(int(t.Weekday())))
		case letter == 'k':
			fmt.Fprintf(&b, "%2d", t.Hour())
		case letter == 'l':
			fmt.Fprintf(&b, "%2d", (t.Hour()+11)%12+1)
		case letter == 'V':
			_, week := t.ISOWeek()
			fmt.Fprintf(&b, "%02d", week)
		case letter == 'G':
			year, _ := t.ISOWeek()
			b.WriteString(strconv.Itoa(year))
		case letter == 'n':
			b.WriteByte('\n')
		case letter == 't':
			b.WriteByte('\t')
		case letter == '%':
			b.WriteByte('%')
		default:
			return "", fmt.Errorf("%%%c is not known here", letter)
		}
	}
	return b.String(), nil
}
