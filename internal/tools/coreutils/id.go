package coreutils

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"webjob.dev/webjob/internal/tools/host"
)

func hostname(c *call) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, name)
	return err
}

// id prints who the script runs as; -u and -g the number, with -n the name.
func id(c *call) error {
	user, group, name := c.has("u"), c.has("g"), c.has("n")
	if user && group || name && !user && !group {
		return usageError{errors.New("give one of -u and -g, and -n with one of them")}
	}
	uid, gid := strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())
	var text string
	switch {
	case user && name:
		text = host.UserName(uid)
	case user:
		text = uid
	case group && name:
		text = host.GroupName(gid)
	case group:
		text = gid
	default:
		text = fmt.Sprintf("uid=%s(%s) gid=%s(%s)", uid, host.UserName(uid), gid, host.GroupName(gid))
		if groups, err := os.Getgroups(); err == nil && len(groups) > 0 {
			var list []string
			for _, g := range groups {
				list = append(list, fmt.Sprintf("%d(%s)", g, host.GroupName(strconv.Itoa(g))))
			}
			text += " groups=" + strings.Join(list, ",")
		}
	}
	_, err := fmt.Fprintln(c.out, text)
	return err
}

// uname prints the system.
func uname(c *call) error {
	name, release, machine := host.Kernel()
	node, err := os.Hostname()
	if err != nil {
		node = "unknown"
	}
	var words []string
	for _, w := range []struct{ option, text string }{{"s", name}, {"n", node}, {"r", release}, {"m", machine}} {
		if c.has("a") || c.has(w.option) || w.option == "s" && len(c.options) == 0 {
			words = append(words, w.text)
		}
	}
	_, err = fmt.Fprintln(c.out, strings.Join(words, " "))
	return err
}
