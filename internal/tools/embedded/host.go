package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"mvdan.cc/sh/v3/interp"
)

func basename(c *call) error {
	if err := c.parse(nil, 1, 2); err != nil {
		return err
	}
	name := path.Base(c.args[0])
	if len(c.args) == 2 && name != c.args[1] {
		name = strings.TrimSuffix(name, c.args[1])
	}
	_, err := fmt.Fprintln(c.out, name)
	return err
}

func dirname(c *call) error {
	if err := c.parse(nil, 1, 1); err != nil {
		return err
	}
	name := strings.TrimRight(c.args[0], "/")
	if name == "" && c.args[0] != "" {
		name = "/"
	}
	_, err := fmt.Fprintln(c.out, path.Dir(name))
	return err
}

// date prints the time, in UTC with -u; +FORMAT is as strftime's; -d @SECONDS is another time.
func date(c *call) error {
	var utc bool
	var at string
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&utc, "utc", "u", false, "")
		f.StringVarP(&at, "date", "d", "", "")
	}, 0, 1)
	if err != nil {
		return err
	}
	t := clock()
	if at != "" {
		seconds, err := strconv.ParseInt(strings.TrimPrefix(at, "@"), 10, 64)
		if err != nil || at[0] != '@' {
			return usage{fmt.Errorf("-d %.40q: only @SECONDS is known here", at)}
		}
		t = time.Unix(seconds, 0)
	}
	if utc {
		t = t.UTC()
	}
	format := "+%a %b %e %H:%M:%S %Z %Y"
	if len(c.args) == 1 {
		if format = c.args[0]; !strings.HasPrefix(format, "+") {
			return usage{errors.New("setting the time is not possible; a format starts with +")}
		}
	}
	_, err = fmt.Fprintln(c.out, strftime(format[1:], t))
	return err
}

var strftimeLayouts = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'e': "_2", 'I': "03", 'p': "PM", 'j': "002",
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'Z': "MST", 'z': "-0700", 'F': "2006-01-02", 'T': "15:04:05",
	'D': "01/02/06", 'R': "15:04", 'N': "000000000", 'c': "Mon Jan _2 15:04:05 2006",
}

// strftime formats as strftime(3) does, with the conversions of strftimeLayouts and s,
// n, t and %.
func strftime(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch layout, found := strftimeLayouts[format[i]]; {
		case format[i] == 'N':
			fmt.Fprintf(&b, "%09d", t.Nanosecond())
		case found:
			b.WriteString(t.Format(layout))
		case format[i] == 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case format[i] == 'n':
			b.WriteByte('\n')
		case format[i] == 't':
			b.WriteByte('\t')
		case format[i] == '%':
			b.WriteByte('%')
		default:
			b.WriteString(format[i-1 : i+1])
		}
	}
	return b.String()
}

// env prints the environment, or runs a command.
func env(c *call) error {
	if err := c.parse(nil, 0, -1); err != nil {
		return err
	}
	if len(c.args) > 0 {
		if strings.Contains(c.args[0], "=") {
			return usage{errors.New("write the variable before the command instead: NAME=VALUE COMMAND")}
		}
		return c.exec(c.ctx, c.args)
	}
	list := c.environ()
	slices.Sort(list)
	_, err := fmt.Fprint(c.out, strings.Join(append(list, ""), "\n"))
	return err
}

func hostname(c *call) error {
	if err := c.parse(nil, 0, 0); err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, name)
	return err
}

// id prints who the script runs as; -u and -g the number, with -n the name.
func id(c *call) error {
	var onlyUser, onlyGroup, name bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&onlyUser, "user", "u", false, "")
		f.BoolVarP(&onlyGroup, "group", "g", false, "")
		f.BoolVarP(&name, "name", "n", false, "")
	}, 0, 0)
	if err != nil {
		return err
	}
	uid, gid := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())
	text := fmt.Sprintf("uid=%s(%s) gid=%s(%s)", uid, userName(uid), gid, groupName(gid))
	switch {
	case onlyUser && name:
		text = userName(uid)
	case onlyUser:
		text = uid
	case onlyGroup && name:
		text = groupName(gid)
	case onlyGroup:
		text = gid
	default:
		if groups, err := os.Getgroups(); err == nil && len(groups) > 0 {
			var list []string
			for _, g := range groups {
				list = append(list, fmt.Sprintf("%d(%s)", g, groupName(strconv.Itoa(g))))
			}
			text += " groups=" + strings.Join(list, ",")
		}
	}
	_, err = fmt.Fprintln(c.out, text)
	return err
}

// userName returns the name of a user id, or the id when the host has none.
func userName(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}

func groupName(gid string) string {
	if g, err := user.LookupGroupId(gid); err == nil {
		return g.Name
	}
	return gid
}

func seq(c *call) error {
	if len(c.args) < 1 || len(c.args) > 3 { // no options: -1 is a number
		return usage{fmt.Errorf("%d arguments; it takes 1 to 3 numbers", len(c.args))}
	}
	numbers := []int64{1, 1, 0} // from, by, to
	for i, at := range map[int][]int{1: {2}, 2: {0, 2}, 3: {0, 1, 2}}[len(c.args)] {
		n, err := strconv.ParseInt(c.args[i], 10, 64)
		if err != nil {
			return usage{fmt.Errorf("%.40q is not a whole number", c.args[i])}
		}
		numbers[at] = n
	}
	from, by, to := numbers[0], numbers[1], numbers[2]
	if by == 0 {
		return usage{errors.New("steps of 0 never end")}
	}
	return c.buffered(func(w *bufio.Writer) error {
		for n := from; by > 0 && n <= to || by < 0 && n >= to; n += by {
			if _, err := fmt.Fprintln(w, n); err != nil {
				return err
			}
			if err := c.ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

func sleep(c *call) error {
	if err := c.parse(nil, 1, 1); err != nil {
		return err
	}
	text := c.args[0]
	if strings.TrimLeft(text, "0123456789.") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return usage{fmt.Errorf("%.40q is not a time such as 5 or 2m", c.args[0])}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// uname prints the system.
func uname(c *call) error {
	var all, system, node, release, machine bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&all, "all", "a", false, "")
		f.BoolVarP(&system, "kernel-name", "s", false, "")
		f.BoolVarP(&node, "nodename", "n", false, "")
		f.BoolVarP(&release, "kernel-release", "r", false, "")
		f.BoolVarP(&machine, "machine", "m", false, "")
	}, 0, 0)
	if err != nil {
		return err
	}
	name, version, kind := kernel()
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var words []string
	for _, w := range []struct {
		wanted bool
		text   string
	}{{system || !node && !release && !machine, name}, {node, host}, {release, version}, {machine, kind}} {
		if all || w.wanted {
			words = append(words, w.text)
		}
	}
	_, err = fmt.Fprintln(c.out, strings.Join(words, " "))
	return err
}

// xargs runs a command with the words, or with -0 the strings, of its input.
func xargs(c *call) error {
	var most int
	var replace string
	var zero, unlessEmpty bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.IntVarP(&most, "max-args", "n", 1000, "")
		f.StringVarP(&replace, "replace", "I", "", "")
		f.BoolVarP(&zero, "null", "0", false, "")
		f.BoolVarP(&unlessEmpty, "no-run-if-empty", "r", false, "")
	}, 0, -1)
	if err != nil {
		return err
	}
	if most < 1 {
		return usage{fmt.Errorf("-n %d must be 1 or more", most)}
	}
	command := c.args
	if len(command) == 0 {
		return usage{errors.New("name a command")}
	}
	scanner := bufio.NewScanner(c.in)
	scanner.Buffer(make([]byte, 64<<10), 16<<20)
	switch {
	case zero:
		scanner.Split(func(data []byte, atEnd bool) (int, []byte, error) {
			if i := slices.Index(data, 0); i >= 0 {
				return i + 1, data[:i], nil
			}
			if atEnd && len(data) > 0 {
				return len(data), data, nil
			}
			return 0, nil, nil
		})
	case replace == "":
		scanner.Split(bufio.ScanWords)
	}
	run := func(words []string) error {
		err := c.exec(c.ctx, words)
		var status interp.ExitStatus
		if !errors.As(err, &status) {
			return err
		}
		c.failed = c.failed || status != 0
		return nil
	}
	var batch []string
	for scanner.Scan() {
		if replace != "" {
			words := slices.Clone(command)
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], replace, scanner.Text())
			}
			if err := run(words); err != nil {
				return err
			}
			continue
		}
		if batch = append(batch, scanner.Text()); len(batch) == most {
			if err := run(slices.Concat(command, batch)); err != nil {
				return err
			}
			batch = nil
		}
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	if len(batch) > 0 {
		return run(slices.Concat(command, batch))
	}
	return nil
}
