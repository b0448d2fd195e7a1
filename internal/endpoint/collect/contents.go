package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hostfs"
)

// contents is the file that holds the contents one after another. Every byte is read
// once: the digest of the file read and that of the contents grow as it is copied.
type contents struct {
	ctx    context.Context
	file   *os.File
	limit  int64
	whole  *webjob.Digester
	buffer []byte
	known  map[sum]place // distinct contents
	failed error         // why nothing more can be written
	// unsynced is how much was written since the kernel was last told to begin with it.
	unsynced int
}

// place is where a content lies. There may be a million, so it is small.
type place struct {
	offset, stored int64
	holes          *[][2]int64 // extents of a sparse file, else nil
}

func placeOf(f *webjob.CollectedFile) place {
	p := place{offset: f.Offset, stored: f.Stored}
	if f.Sparse {
		extents := f.Extents
		p.holes = &extents
	}
	return p
}

func (p place) fill(f *webjob.CollectedFile) {
	f.Offset, f.Stored = p.offset, p.stored
	if p.holes != nil {
		f.Sparse, f.Extents = true, *p.holes
	}
}

// sum is a digest in the fewest bytes.
type sum [sha256.Size]byte

func sumOf(d webjob.Digest) (s sum) {
	_, _ = hex.Decode(s[:], []byte(d.Hex())) // it was made here
	return s
}

func newContents(ctx context.Context, file *os.File, limit int64) *contents {
	return &contents{
		ctx: ctx, file: file, limit: limit, whole: webjob.NewDigester(), buffer: make([]byte, 256<<10),
		known: map[sum]place{},
	}
}

func (c *contents) stream() webjob.Stream {
	s := webjob.Stream{Name: webjob.Contents, Digest: c.whole.Digest(), Size: c.whole.Size(), Written: c.whole.Size()}
	if c.failed != nil {
		s.Error = c.failed.Error()
	}
	return s
}

// add copies the content of the file at path, which info tells of, and fills in where it
// is. It returns the rule that left it out, if any. After an error nothing of it was kept.
func (c *contents) add(path string, info fs.FileInfo, f *webjob.CollectedFile, least, most int64) (skipped string, err error) {
	if c.failed != nil {
		return "the contents cannot be kept: " + problem(c.failed), nil
	}
	source, err := hostfs.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	before, err := source.Stat()
	if err != nil {
		return "", err
	}
	if !os.SameFile(before, info) || !before.Mode().IsRegular() { // by a link to elsewhere, perhaps
		return "", errors.New("another file took its place while it was looked at")
	}
	f.Size = before.Size()
	var extents [][2]int64
	if before.Size() == 0 && hostfs.IsPseudo(path) {
		// The kernel makes its content up, and its length is known at its end.
		extents = [][2]int64{{0, min(most, c.limit-c.whole.Size()) + 1}}
	} else if extents, err = extentsOf(source, before.Size()); err != nil {
		return "", err
	}
	stored := storedBytes(extents)
	pseudo := before.Size() == 0 && stored > 0
	switch {
	case f.Size < least:
		return fmt.Sprintf("smaller than %d bytes", least), nil
	case stored > most && !pseudo:
		return fmt.Sprintf("larger than %d bytes", most), nil
	case stored > c.limit-c.whole.Size() && !pseudo:
		return fmt.Sprintf("the limit of %d bytes for all contents is reached", c.limit), nil
	}
	start, whole := c.whole.Size(), c.whole.Clone()
	back := func() error { // as if it had not been tried
		c.whole = whole
		err := c.file.Truncate(start)
		if err == nil {
			_, err = c.file.Seek(start, io.SeekStart)
		}
		c.failed = errors.Join(c.failed, err)
		return err
	}
	digester := webjob.NewDigester()
	if start == 0 && stored >= before.Size() {
		digester = c.whole // the contents begin with this file and are so far the same
	}
	end, err := c.copy(source, extents, before.Size(), digester)
	if err != nil {
		return "", errors.Join(err, back())
	}
	copied := c.whole.Size() - start
	if pseudo {
		if f.Size = copied; copied > min(most, c.limit-start) {
			return fmt.Sprintf("larger than %d bytes", copied-1), back()
		}
		extents = [][2]int64{{0, copied}}
	}
	after, err := source.Stat()
	if err != nil {
		return "", errors.Join(err, back())
	}
	f.Altered = !pseudo && (end < before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) || !changeTime(after).Equal(changeTime(before)))
	if end < before.Size() { // it became shorter: what was there is what it is
		extents, f.Size = cut(extents, end), end
	}
	f.Digest, f.Offset, f.Stored = digester.Digest(), start, copied
	if copied != f.Size {
		f.Sparse, f.Extents = true, extents
	}
	if other, found := c.known[sumOf(f.Digest)]; found {
		other.fill(f)
		return "", back()
	}
	c.known[sumOf(f.Digest)] = placeOf(f)
	return "", nil
}

// copy copies the extents to the contents and digests the size bytes of the file, holes
// as zeros. It returns where the file ended, at most size.
func (c *contents) copy(source *os.File, extents [][2]int64, size int64, digester *webjob.Digester) (end int64, err error) {
	for _, extent := range extents {
		if err := c.zeros(digester, extent[0]-end); err != nil {
			return end, err
		}
		end = extent[0]
		for left := extent[1]; left > 0; {
			if err := c.ctx.Err(); err != nil {
				return end, errors.New("the time for collecting was over")
			}
			n, err := source.ReadAt(c.buffer[:min(left, int64(len(c.buffer)))], end)
			chunk := c.buffer[:n]
			if _, err := c.file.Write(chunk); err != nil {
				c.failed = err
				return end, fmt.Errorf("the contents cannot be kept: %s", problem(err))
			}
			_, _ = c.whole.Write(chunk)
			if digester != c.whole {
				_, _ = digester.Write(chunk)
			}
			if c.unsynced += n; c.unsynced >= writebackBytes {
				startWriteback(c.file)
				c.unsynced = 0
			}
			left -= int64(n)
			end += int64(n)
			if errors.Is(err, io.EOF) {
				return end, nil
			}
			if err != nil {
				return end, fmt.Errorf("at byte %d: %s", end, problem(err))
			}
		}
	}
	return max(end, size), c.zeros(digester, size-end)
}

// zeros digests the zeros of a hole.
func (c *contents) zeros(digester *webjob.Digester, n int64) error {
	if n > 0 {
		clear(c.buffer)
	}
	for n > 0 {
		if c.ctx.Err() != nil {
			return errors.New("the time for collecting was over")
		}
		chunk := min(n, int64(len(c.buffer)))
		_, _ = digester.Write(c.buffer[:chunk])
		n -= chunk
	}
	return nil
}

func storedBytes(extents [][2]int64) int64 {
	var total int64
	for _, extent := range extents {
		total += extent[1]
	}
	return total
}

// cut leaves what lies before end.
func cut(extents [][2]int64, end int64) [][2]int64 {
	var kept [][2]int64
	for _, extent := range extents {
		if extent[1] = min(extent[1], end-extent[0]); extent[1] > 0 {
			kept = append(kept, extent)
		}
	}
	return kept
}

const writebackBytes = 8 << 20

// maxExtents bounds the extents of a file that are told apart; the rest counts as one.
const maxExtents = 10_000
