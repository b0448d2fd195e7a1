package coreutils

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// env prints the environment, or runs a command.
func env(c *call) error {
	if len(c.args) > 0 {
		if strings.Contains(c.args[0], "=") {
			return usageError{errors.New("write the variable before the command instead: NAME=VALUE COMMAND")}
		}
		status, err := c.exec(c.args, c.env.In)
		if err == nil && status != 0 {
			return exit(status)
		}
		return err
	}
	list := c.env.Environ()
	slices.Sort(list)
	for _, line := range list {
		if _, err := fmt.Fprintln(c.out, line); err != nil {
			return err
		}
	}
	return nil
}
