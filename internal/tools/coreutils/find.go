package coreutils

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"webjob.dev/webjob/internal/tools/host"
)

// find prints, or does something with, what is below folders and passes all tests.
func find(c *call) error {
	var roots []string
	for len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") && c.args[0] != "!" && c.args[0] != "(" {
		roots, c.args = append(roots, c.args[0]), c.args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	p := &findParser{call: c, words: c.args, most: 1 << 30}
	test, err := p.parse()
	if err != nil {
		return usageError{err}
	}
	for _, root := range roots {
		var device uint64
		err := c.walk(root, func(name string, entry fs.DirEntry, depth int) error {
			info, err := entry.Info()
			if err != nil {
				c.complain(err)
				return nil
			}
			if depth == 0 {
				device = host.DeviceOf(info)
			}
			if depth >= p.least {
				if _, err := test(name, info); err != nil {
					return err
				}
			}
			if entry.IsDir() && (depth >= p.most || p.oneDevice && host.DeviceOf(info) != device) {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return p.endBatches()
}

// findTest is an expression: what it says of a file. An error ends find.
type findTest func(name string, info fs.FileInfo) (bool, error)

func (p *findParser) print(end string) findTest {
	return func(name string, _ fs.FileInfo) (bool, error) {
		_, err := p.call.out.WriteString(name + end)
		return true, err
	}
}

func (p *findParser) list(name string, info fs.FileInfo) (bool, error) {
	_, err := fmt.Fprintln(p.call.out, longLine(p.call.path(name), name, info))
	return true, err
}

// exec is -exec: with ";" the command runs for each file and says whether it passes, with
// "+" for many at once.
func (p *findParser) exec() (findTest, error) {
	end := 0
	for end < len(p.words) && p.words[end] != ";" && (p.words[end] != "+" || end == 0 || p.words[end-1] != "{}") {
		end++
	}
	if end == len(p.words) || end == 0 {
		return nil, fmt.Errorf(`-exec needs a command that ends with \; or {} +`)
	}
	command, many := p.words[:end], p.words[end] == "+"
	p.words = p.words[end+1:]
	if many {
		b := &batch{call: p.call, command: command[:end-1], in: p.call.env.In}
		p.batches = append(p.batches, b)
		return func(name string, _ fs.FileInfo) (bool, error) { return true, b.add(name) }, nil
	}
	return func(name string, _ fs.FileInfo) (bool, error) {
		words := make([]string, len(command))
		for i := range words {
			words[i] = strings.ReplaceAll(command[i], "{}", name)
		}
		status, err := p.call.exec(words, p.call.env.In)
		return status == 0, err
	}, nil
}

// endBatches runs what commands with "+" still have to do.
func (p *findParser) endBatches() error {
	for _, b := range p.batches {
		if err := b.run(); err != nil {
			return err
		}
		p.call.failed = p.call.failed || b.status != 0
	}
	return nil
}

// newer is -newer.
func (p *findParser) newer(file string) (findTest, error) {
	other, err := os.Stat(p.call.path(file))
	if err != nil {
		return nil, err
	}
	return func(_ string, info fs.FileInfo) (bool, error) { return info.ModTime().After(other.ModTime()), nil }, nil
}
