package webjob

import (
	"encoding/base64"
	"time"
)

// Bounds of what a job collects.
const (
	DefaultCollectFiles = 100_000
	MaxCollectFiles     = 1_000_000
)

// Collect names the files that are gathered after a run. Patterns are globs with forward
// slashes: "*" and "?" within a name, "**" across folders, "[a-z]", "{a,b}". They begin
// at the root, or in the job's working folder. Links are never followed, but a link
// that is named without a glob brings its target along.
type Collect struct {
	Files   []string `json:"files"`             // patterns, at least one
	Exclude []string `json:"exclude,omitempty"` // patterns of what is left out, with all below it
	// MaxFiles bounds what is listed, 1 to MaxCollectFiles. MinBytes and MaxBytes bound
	// the files whose content is taken; others are listed without. With MaxBytes 0 no
	// content is taken. Holes of sparse files do not count.
	MaxFiles int64 `json:"max_files"`
	MinBytes int64 `json:"min_bytes,omitempty"`
	MaxBytes int64 `json:"max_bytes"`
}

// Check reports the first value that is malformed or out of range. Whether a pattern
// is well formed is for those who know globs to say.
func (c *Collect) Check() error {
	if len(c.Files) == 0 || len(c.Files)+len(c.Exclude) > MaxArguments {
		return Errorf(Invalid, "collect has %d patterns and %d exclusions; it must have at least one pattern, and at most %d of both", len(c.Files), len(c.Exclude), MaxArguments)
	}
	for _, list := range [][]string{c.Files, c.Exclude} {
		for _, pattern := range list {
			if pattern == "" {
				return Errorf(Invalid, "collect has an empty pattern; name files, such as \"/var/log/*.log\"")
			}
			if err := checkArgument("collect pattern", pattern); err != nil {
				return err
			}
		}
	}
	if c.MaxFiles < 1 || c.MaxFiles > MaxCollectFiles {
		return Errorf(Invalid, "collect max_files is %d; it must be 1 to %d", c.MaxFiles, MaxCollectFiles)
	}
	if c.MinBytes < 0 || c.MaxBytes < 0 || c.MaxBytes > MaxStreamBytes || c.MinBytes > c.MaxBytes {
		return Errorf(Invalid, "collect takes contents of %d to %d bytes; both must be 0 to %d, in order", c.MinBytes, c.MaxBytes, int64(MaxStreamBytes))
	}
	return nil
}

// Collected counts what a run collected.
type Collected struct {
	Entries    int64  `json:"entries"`              // lines of the list
	Contents   int64  `json:"contents"`             // files whose content was taken
	Bytes      int64  `json:"bytes"`                // of these, before holes and duplicates are taken off
	Skipped    int64  `json:"skipped,omitempty"`    // files without content for a rule
	Unreadable int64  `json:"unreadable,omitempty"` // files and folders that could not be read
	Altered    int64  `json:"altered,omitempty"`    // files that changed while they were read
	Incomplete string `json:"incomplete,omitempty"` // why there may be more than was listed
}

// FileType is what a collected name stands for.
type FileType string

// The types. Only regular files have contents.
const (
	RegularFile FileType = "file"
	Folder      FileType = "folder"
	Link        FileType = "link"
	FIFO        FileType = "fifo"
	Socket      FileType = "socket"
	Device      FileType = "device"
	OtherType   FileType = "other"
	NoFile      FileType = "none" // nothing there: the line tells why
)

// CollectedFile is one line of the list of collected files. It is the client's word.
type CollectedFile struct {
	Path     string     `json:"path"`               // with forward slashes, as UTF-8
	RawPath  []byte     `json:"raw_path,omitempty"` // the exact name, when it is not UTF-8
	Type     FileType   `json:"type"`
	Mode     string     `json:"mode,omitempty"` // permissions in octal, such as "0644"
	Size     int64      `json:"size"`           // bytes, with holes
	Modified time.Time  `json:"modified,omitzero"`
	Accessed time.Time  `json:"accessed,omitzero"` // before it was collected
	Changed  time.Time  `json:"changed,omitzero"`  // of the metadata
	Born     time.Time  `json:"born,omitzero"`
	Unix     *UnixFacts `json:"unix,omitempty"`
	// Attributes are the extended attributes.
	Attributes map[string][]byte `json:"attributes,omitempty"`
	Target     string            `json:"target,omitempty"` // of a link
	// Digest is that of the whole content, holes as zeros; empty when none was taken. The
	// content is Stored bytes of the part Contents from Offset on.
	Digest Digest `json:"digest,omitempty"`
	Offset int64  `json:"offset"`
	Stored int64  `json:"stored"`
	// Sparse says that the file has holes. Extents are then where the stored bytes lie in
	// it: pairs of offset and length, in order. Otherwise they are the whole file.
	Sparse  bool       `json:"sparse,omitempty"`
	Extents [][2]int64 `json:"extents,omitempty"`
	Altered bool       `json:"altered,omitempty"` // changed while it was read
	Skipped string     `json:"skipped,omitempty"` // which rule left its content out
	Error   string     `json:"error,omitempty"`   // why it, or something of it, could not be read
}

// UnixFacts are what Unix says of a file.
type UnixFacts struct {
	UID    uint64 `json:"uid"`
	GID    uint64 `json:"gid"`
	User   string `json:"user,omitempty"`
	Group  string `json:"group,omitempty"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Links  uint64 `json:"links"`
}

// HasContent reports whether the content was taken.
func (f *CollectedFile) HasContent() bool { return f.Digest != "" }

// Check reports the first field that does not fit the others. contents is the size of the
// part Contents.
func (f *CollectedFile) Check(contents int64) error {
	name := f.Path
	if len(f.RawPath) > 0 {
		name = base64.StdEncoding.EncodeToString(f.RawPath)
	}
	if f.Path == "" {
		return Errorf(Invalid, "a collected file has no name")
	}
	if !f.HasContent() {
		return nil
	}
	if _, err := ParseDigest(string(f.Digest)); err != nil {
		return err
	}
	if f.Size < 0 || f.Size > MaxStreamBytes || f.Offset < 0 || f.Stored < 0 || f.Stored > f.Size || f.Offset > contents || f.Stored > contents-f.Offset {
		return Errorf(Invalid, "collected file %.200q: %d bytes at %d for a file of %d do not lie in contents of %d", name, f.Stored, f.Offset, f.Size, contents)
	}
	if !f.Sparse {
		if f.Stored != f.Size {
			return Errorf(Invalid, "collected file %.200q: %d of %d bytes are stored, and nothing says which", name, f.Stored, f.Size)
		}
		return nil
	}
	var at, stored int64
	for _, extent := range f.Extents {
		if extent[0] < at || extent[1] < 1 || extent[1] > f.Size || extent[0] > f.Size-extent[1] {
			return Errorf(Invalid, "collected file %.200q: an extent of %d bytes at %d does not fit", name, extent[1], extent[0])
		}
		at = extent[0] + extent[1]
		stored += extent[1]
	}
	if stored != f.Stored {
		return Errorf(Invalid, "collected file %.200q: the extents have %d bytes and %d are stored", name, stored, f.Stored)
	}
	return nil
}
