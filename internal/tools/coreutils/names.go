package coreutils

import (
	"fmt"
	"strings"
)

// basename prints the last part of a path, without the suffix.
func basename(c *call) error {
	name := strings.TrimRight(c.args[0], "/")
	if name == "" && c.args[0] != "" {
		name = "/"
	} else {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	if len(c.args) == 2 && name != c.args[1] && name != "/" {
		name = strings.TrimSuffix(name, c.args[1])
	}
	_, err := fmt.Fprintln(c.out, name)
	return err
}

// dirname prints paths without their last part.
func dirname(c *call) error {
	for _, path := range c.args {
		name := strings.TrimRight(path, "/")
		slash := strings.LastIndexByte(name, '/')
		switch {
		case name == "" && path != "" || slash >= 0 && strings.TrimRight(name[:slash], "/") == "":
			name = "/"
		case slash < 0:
			name = "."
		default:
			name = strings.TrimRight(name[:slash], "/")
		}
		if _, err := fmt.Fprintln(c.out, name); err != nil {
			return err
		}
	}
	return nil
}
