package coreutils

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// seq prints whole numbers. It knows no options: -1 is a number.
func seq(c *call) error {
	if len(c.args) > 0 && c.args[0] == "--" {
		c.args = c.args[1:]
	}
	if len(c.args) < 1 || len(c.args) > 3 {
		return usageError{fmt.Errorf("%d arguments; it takes 1 to 3 numbers", len(c.args))}
	}
	numbers := []int64{1, 1, 0} // from, by, to
	for i, at := range map[int][]int{1: {2}, 2: {0, 2}, 3: {0, 1, 2}}[len(c.args)] {
		n, err := strconv.ParseInt(c.args[i], 10, 64)
		if err != nil {
			return usageError{fmt.Errorf("%.40q is not a whole number", c.args[i])}
		}
		numbers[at] = n
	}
	from, by, to := numbers[0], numbers[1], numbers[2]
	if by == 0 {
		return usageError{errors.New("steps of 0 never end")}
	}
	for n := from; by > 0 && n <= to || by < 0 && n >= to; n += by {
		if _, err := fmt.Fprintln(c.out, n); err != nil {
			return err
		}
		if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
			return nil // the next is no number of 64 bits
		}
	}
	return nil
}

// sleep waits for the sum of times.
func sleep(c *call) error {
	var sum time.Duration
	for _, text := range c.args {
		d, err := parseDuration(text)
		if err != nil {
			return usageError{err}
		}
		sum += min(d, math.MaxInt64-sum)
	}
	timer := time.NewTimer(sum)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// parseDuration reads seconds, or a time with a unit of sleep or of Go.
func parseDuration(text string) (time.Duration, error) {
	given := text
	factor := time.Duration(1)
	if days, is := strings.CutSuffix(text, "d"); is {
		text, factor = days+"h", 24
	} else if strings.Trim(text, "0123456789.") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > math.MaxInt64/factor {
		return 0, fmt.Errorf("%.40q is not a time such as 5, 0.5 or 2m", given)
	}
	return d * factor, nil
}
