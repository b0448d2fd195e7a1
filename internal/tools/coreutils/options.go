package coreutils

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// option is one that a tool knows: a letter, a long name, and the name of its value when
// it takes one. An option without a letter has '-'.
type option struct {
	letter      byte
	long, value string
}

// parseOptions reads how a tool declares its options: "n lines NUMBER, q quiet".
func parseOptions(declared string) []option {
	var list []option
	for item := range strings.SplitSeq(declared, ", ") {
		words := append(strings.Fields(item), "", "")
		if words[0] != "" {
			list = append(list, option{words[0][0], words[1], words[2]})
		}
	}
	return list
}

// usage is what a wrong use, and --help, show of a tool.
func (t tool) usage() string {
	letters, values := "", ""
	for _, o := range parseOptions(t.options) {
		switch {
		case o.letter == '-' && o.value != "":
			values += " [--" + o.long + " " + o.value + "]"
		case o.letter == '-':
			values += " [--" + o.long + "]"
		case o.value != "":
			values += " [-" + string(o.letter) + " " + o.value + "]"
		default:
			letters += string(o.letter)
		}
	}
	if letters != "" {
		letters = " [-" + letters + "]"
	}
	return strings.TrimSpace(t.name + letters + values + " " + t.operands)
}

// given is one option of a call.
type given struct {
	option
	text string // its value
}

// parse divides arguments into options and operands. As GNU's do, options may follow
// operands, unless the tool wants them in order; "--" ends them.
func (t tool) parse(args []string) (options []given, operands []string, err error) {
	known := parseOptions(t.options)
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			return options, append(operands, args...), nil
		case len(word) < 2 || word[0] != '-':
			operands = append(operands, word)
			if t.inOrder {
				return options, append(operands, args...), nil
			}
		case strings.HasPrefix(word, "--"):
			o, rest, err := long(known, word[2:], args)
			if err != nil {
				return nil, nil, err
			}
			options, args = append(options, o), rest
		default:
			found, rest, err := letters(known, word[1:], args)
			if err != nil {
				return nil, nil, err
			}
			options, args = append(options, found...), rest
		}
	}
	return options, operands, nil
}

// long reads "name", "name=value" or "name" and its value in the next argument.
func long(known []option, word string, args []string) (given, []string, error) {
	name, value, has := strings.Cut(word, "=")
	for _, o := range known {
		switch {
		case o.long == "" || o.long != name:
			continue
		case o.value == "" && has:
			return given{}, nil, usageError{fmt.Errorf("--%s takes no value", name)}
		case o.value == "" || has:
			return given{o, value}, args, nil
		case len(args) == 0:
			return given{}, nil, usageError{fmt.Errorf("--%s needs %s", name, o.value)}
		}
		return given{o, args[0]}, args[1:], nil
	}
	return given{}, nil, usageError{fmt.Errorf("unknown option %.40q", "--"+name)}
}

// letters reads "abc", where the value of the last may follow it or be the next argument.
func letters(known []option, word string, args []string) (found []given, rest []string, err error) {
next:
	for i := range len(word) {
		for _, o := range known {
			switch {
			case o.letter != word[i] || o.letter == '-':
				continue
			case o.value == "":
				found = append(found, given{o, ""})
				continue next
			case i+1 < len(word):
				return append(found, given{o, word[i+1:]}), args, nil
			case len(args) == 0:
				return nil, nil, usageError{fmt.Errorf("-%c needs %s", o.letter, o.value)}
			}
			return append(found, given{o, args[0]}), args[1:], nil
		}
		letter, _ := utf8.DecodeRuneInString(word[i:])
		return nil, nil, usageError{fmt.Errorf("unknown option %q", "-"+string(letter))}
	}
	return found, args, nil
}

// has says whether an option was given, by its letter or its long name.
func (c *call) has(name string) bool {
	_, found := c.value(name)
	return found
}

// value returns the value of an option, of several the last.
func (c *call) value(name string) (string, bool) {
	for i := len(c.options) - 1; i >= 0; i-- {
		if c.options[i].is(name) {
			return c.options[i].text, true
		}
	}
	return "", false
}

// values returns the values of an option that may be repeated.
func (c *call) values(name string) []string {
	var list []string
	for _, o := range c.options {
		if o.is(name) {
			list = append(list, o.text)
		}
	}
	return list
}

func (o given) is(name string) bool {
	return name == o.long || len(name) == 1 && name[0] == o.letter
}
