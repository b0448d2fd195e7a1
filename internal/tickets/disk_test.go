package tickets

import (
	"errors"
	"io"
	"slices"

	"pgregory.net/rapid"
)

// dice are fair: rapid's own numbers are small ones most of the time, and a world that
// only ever does the first things on its list shows little.
var dice = rapid.Custom(func(t *rapid.T) (n int) {
	for range 10 {
		n *= 2
		if rapid.Bool().Draw(t, "bit") {
			n++
		}
	}
	return n
})

func roll(t *rapid.T, sides int, label string) int { return dice.Draw(t, label) % sides }

// errDied ends whatever a process was doing.
var errDied = errors.New("killed")

// disk is a file of which a power cut loses what was not synced, and in the middle of
// which a process can be killed.
type disk struct {
	t        *rapid.T
	cache    []byte
	durable  []byte
	unsynced []write
	dieAt    int // calls until the process is killed; 0: it lives
}

type write struct {
	offset  int64
	content []byte
}

func (d *disk) dies() bool {
	d.dieAt--
	return d.dieAt == 0
}

func (d *disk) ReadAt(p []byte, offset int64) (int, error) {
	if d.dies() {
		return 0, errDied
	}
	if offset >= int64(len(d.cache)) {
		return 0, io.EOF
	}
	n := copy(p, d.cache[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *disk) WriteAt(p []byte, offset int64) (int, error) {
	var err error
	w := write{offset, slices.Clone(p)}
	if d.dies() {
		w.content, err = w.content[:rapid.IntRange(0, len(p)).Draw(d.t, "written")], errDied
	}
	d.cache = w.to(d.cache)
	d.unsynced = append(d.unsynced, w)
	return len(w.content), err
}

func (d *disk) Sync() error {
	if d.dies() {
		return errDied
	}
	d.durable, d.unsynced = slices.Clone(d.cache), nil
	return nil
}

func (w write) to(content []byte) []byte {
	if missing := int(w.offset) + len(w.content) - len(content); missing > 0 {
		content = append(content, make([]byte, missing)...)
	}
	copy(content[w.offset:], w.content)
	return content
}

// cutPower leaves a part of each write that was not synced.
func (d *disk) cutPower() {
	for _, w := range d.unsynced {
		w.content = w.content[:rapid.SampledFrom([]int{0, len(w.content), rapid.IntRange(0, len(w.content)).Draw(d.t, "part")}).Draw(d.t, "reached the disk")]
		d.durable = w.to(d.durable)
	}
	d.cache, d.unsynced = slices.Clone(d.durable), nil
}

func (d *disk) copy() *disk {
	return &disk{t: d.t, cache: slices.Clone(d.cache), durable: slices.Clone(d.cache)}
}
