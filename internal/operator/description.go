package operator

import (
	"bufio"
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
)

// DescriptionFile is the name of a job description in a job's folder.
const DescriptionFile = "job.toml"

// DefaultValidity is how long a job version is good for when its author says
// nothing.
const DefaultValidity = 365 * 24 * time.Hour

// Description is a job as its author writes it.
type Description struct {
	Name        string               `toml:"name"`
	Text        string               `toml:"description"`
	Interpreter []string             `toml:"interpreter"`
	Arguments   []string             `toml:"arguments"`
	ValidFor    config.Duration      `toml:"valid_for"`
	Leftovers   webjob.Leftovers     `toml:"leftovers"`
	Limits      DescriptionLimits    `toml:"limits"`
	Collect     *DescriptionCollect  `toml:"collect"`
	Payloads    []DescriptionPayload `toml:"payload"`
	dir         string
}

// DescriptionLimits are the limits of a job as its author writes them.
type DescriptionLimits struct {
	Run        config.Duration `toml:"run"`
	Stdout     config.Size     `toml:"stdout"`
	Stderr     config.Size     `toml:"stderr"`
	OnOverflow webjob.Overflow `toml:"on_overflow"`
	Memory     config.Size     `toml:"memory"`
	Processes  int64           `toml:"processes"`
	CPU        config.Duration `toml:"cpu"`
	Nice       int64           `toml:"nice"`
	Collect    config.Size     `toml:"collect"`
}

// DescriptionCollect names the files that are gathered after a run.
type DescriptionCollect struct {
	Files    []string     `toml:"files"`
	Exclude  []string     `toml:"exclude"`
	MaxFiles *int64       `toml:"max_files"`
	MinSize  config.Size  `toml:"min_size"`
	MaxSize  *config.Size `toml:"max_size"` // default: the limit of all contents
}

// DescriptionPayload names the program for one platform, relative to the folder.
type DescriptionPayload struct {
	Platform webjob.Platform `toml:"platform"`
	// File is a program or script. With Run it is a folder, or a bundle of one
	// (.tar.zst), in which Run is the file to run.
	File string `toml:"file"`
	Run  string `toml:"run"`
	// Signature is a file with a detached signature of the payload, for hooks on endpoints.
	Signature string `toml:"signature"`
}

func newDescription(dir string) *Description {
	limits := webjob.DefaultLimits()
	return &Description{
		ValidFor: config.Duration(DefaultValidity), Leftovers: webjob.LeftoversStop, dir: dir,
		Limits: DescriptionLimits{
			Run: config.Duration(limits.RunTime()), Stdout: config.Size(limits.StdoutBytes),
			Stderr: config.Size(limits.StderrBytes), OnOverflow: limits.OnOverflow, Collect: webjob.DefaultCollectBytes,
		},
	}
}

// ReadDescription reads the job at path: a folder with a job.toml, or a single
// program or script, which is described by what it is.
func ReadDescription(path string) (*Description, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, webjob.Errorf(webjob.NotFound, "%s does not exist; name a script, a program, or a folder with a %s", path, DescriptionFile)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if info.IsDir() {
		d := newDescription(path)
		return d, config.Read(filepath.Join(path, DescriptionFile), d)
	}
	d := newDescription(filepath.Dir(path))
	d.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	platform, err := detectPlatform(path)
	d.Payloads = []DescriptionPayload{{Platform: platform, File: filepath.Base(path)}}
	return d, err
}

// Check implements [config.Checker]. The manifest made of it is checked again.
func (d *Description) Check() error {
	if err := webjob.CheckJobName(d.Name); err != nil {
		return &config.KeyError{Key: "name", Err: err}
	}
	if err := d.ValidFor.Within("valid_for", time.Minute, 100*DefaultValidity); err != nil {
		return err
	}
	if err := d.Limits.Run.Within("limits.run", time.Millisecond, webjob.MaxRunTime); err != nil {
		return err
	}
	if err := d.Limits.limits().Check(); err != nil {
		return &config.KeyError{Key: "limits", Err: err}
	}
	if d.Collect != nil {
		if err := d.Collect.check(d.Limits.limits()); err != nil {
			return &config.KeyError{Key: "collect", Err: err}
		}
	}
	if d.Leftovers != webjob.LeftoversStop && d.Leftovers != webjob.LeftoversLeave {
		return config.Keyf("leftovers", "%.40q is unknown; use \"stop\" or \"leave\"", string(d.Leftovers))
	}
	if len(d.Payloads) == 0 {
		return config.Keyf("payload", "no payload; add [[payload]] with a platform and a file")
	}
	for _, p := range d.Payloads {
		if err := p.Platform.Check(); err != nil {
			return &config.KeyError{Key: "payload.platform", Err: err}
		}
		if !filepath.IsLocal(p.File) {
			return config.Keyf("payload.file", "%.80q is not a file below the job's folder", p.File)
		}
		if p.Run != "" {
			if err := (&webjob.Bundle{Run: p.Run}).Check(); err != nil {
				return &config.KeyError{Key: "payload.run", Err: err}
			}
		}
		if p.Signature != "" && !filepath.IsLocal(p.Signature) {
			return config.Keyf("payload.signature", "%.80q is not a file below the job's folder", p.Signature)
		}
	}
	return nil
}

func (l DescriptionLimits) limits() webjob.Limits {
	return webjob.Limits{
		RunMS: time.Duration(l.Run).Milliseconds(), StdoutBytes: int64(l.Stdout), StderrBytes: int64(l.Stderr),
		OnOverflow: l.OnOverflow, MemoryBytes: int64(l.Memory), Processes: l.Processes,
		CPUSeconds: int64(time.Duration(l.CPU) / time.Second), Nice: l.Nice, CollectBytes: int64(l.Collect),
	}
}

// limits are those of the job: without files to collect there is nothing to bound.
func (d *Description) limits() webjob.Limits {
	l := d.Limits.limits()
	if d.Collect == nil {
		l.CollectBytes = 0
	}
	return l
}

// collect returns what the manifest says; nil when the job collects nothing.
func (c *DescriptionCollect) collect(limits webjob.Limits) *webjob.Collect {
	if c == nil {
		return nil
	}
	rules := &webjob.Collect{
		Files: c.Files, Exclude: c.Exclude, MaxFiles: webjob.DefaultCollectFiles, MinBytes: int64(c.MinSize), MaxBytes: limits.CollectBytes,
	}
	if c.MaxFiles != nil {
		rules.MaxFiles = *c.MaxFiles
	}
	if c.MaxSize != nil {
		rules.MaxBytes = int64(*c.MaxSize)
	}
	return rules
}

func (c *DescriptionCollect) check(limits webjob.Limits) error {
	for _, pattern := range slices.Concat(c.Files, c.Exclude) {
		if !doublestar.ValidatePattern(pattern) {
			return webjob.Errorf(webjob.Invalid, "pattern %.80q is malformed; see docs/guide.md on globs", pattern)
		}
	}
	return c.collect(limits).Check()
}

// detectPlatform tells where a single file runs: the headers of ELF, Mach-O and PE
// programs say so; a script with #! runs on every Unix that has its interpreter.
func detectPlatform(file string) (webjob.Platform, error) {
	if f, err := elf.Open(file); err == nil {
		defer func() { _ = f.Close() }() // only read
		return elfPlatform(f)
	}
	if f, err := macho.Open(file); err == nil {
		defer func() { _ = f.Close() }() // only read
		return architecture(file, "darwin", map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu])
	}
	if f, err := pe.Open(file); err == nil {
		defer func() { _ = f.Close() }() // only read
		return architecture(file, "windows", map[uint16]string{
			pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64", pe.IMAGE_FILE_MACHINE_I386: "386",
		}[f.Machine])
	}
	f, err := os.Open(file)
	if err != nil {
		return "", webjob.Errorf(webjob.Invalid, "%w", err)
	}
	defer func() { _ = f.Close() }() // only read
	first, err := bufio.NewReader(f).Peek(2)
	if err != nil || !bytes.Equal(first, []byte("#!")) {
		return "", webjob.Errorf(webjob.Invalid, "%s is neither a known program nor a script that starts with #!; describe it in a %s", file, DescriptionFile)
	}
	return "unix", nil
}

func elfPlatform(f *elf.File) (webjob.Platform, error) {
	system := map[elf.OSABI]string{
		elf.ELFOSABI_NONE: "linux", elf.ELFOSABI_LINUX: "linux", elf.ELFOSABI_FREEBSD: "freebsd",
		elf.ELFOSABI_NETBSD: "netbsd", elf.ELFOSABI_OPENBSD: "openbsd", elf.ELFOSABI_SOLARIS: "solaris",
	}[f.OSABI]
	// The BSDs leave the ABI field empty and mark themselves with a note section.
	for section, named := range map[string]string{".note.netbsd.ident": "netbsd", ".note.openbsd.ident": "openbsd"} {
		if f.Section(section) != nil {
			system = named
		}
	}
	machine := map[elf.Machine]string{
		elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_RISCV: "riscv64", elf.EM_ARM: "arm",
		elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64",
	}[f.Machine]
	if f.Machine == elf.EM_PPC64 {
		machine = map[elf.Data]string{elf.ELFDATA2LSB: "ppc64le", elf.ELFDATA2MSB: "ppc64"}[f.Data]
	}
	return architecture("the program", system, machine)
}

func architecture(file, system, machine string) (webjob.Platform, error) {
	if system == "" || machine == "" {
		return "", webjob.Errorf(webjob.Invalid, "%s is a program for an unknown platform; describe it in a %s", file, DescriptionFile)
	}
	return webjob.Platform(system + "/" + machine), nil
}
