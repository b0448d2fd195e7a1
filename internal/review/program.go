package review

import (
	"debug/buildinfo"
	"encoding/binary"
	"fmt"
	"io"
)

// program says what a compiled program says of itself, nil when it is none. It reads the
// headers by hand: the library's packages are not made for hostile files.
func program(f io.ReaderAt) []string {
	kind := programKind(f)
	if kind == "" {
		return nil
	}
	return append([]string{kind}, builtFrom(f)...)
}

func programKind(f io.ReaderAt) string {
	var h [64]byte
	n, _ := f.ReadAt(h[:], 0) // what is not there is zero
	if n < 20 {
		return ""
	}
	switch magic := string(h[:4]); {
	case magic == "\x7fELF":
		return elfKind(h[:])
	case magic == "\x00asm":
		return "WebAssembly module"
	case magic == "\xca\xfe\xba\xbe":
		return "Mach-O program for several machines, or classes of Java"
	case magic == "\xcf\xfa\xed\xfe", magic == "\xce\xfa\xed\xfe":
		return "Mach-O program for " + named(binary.LittleEndian.Uint32(h[4:]), map[uint32]string{0x0100_0007: "darwin/amd64", 0x0100_000c: "darwin/arm64"})
	case magic[:2] == "MZ":
		return peKind(f, binary.LittleEndian.Uint32(h[60:]))
	}
	return ""
}

// elfKind reads the header of System V's ABI.
func elfKind(h []byte) string {
	order := binary.ByteOrder(binary.LittleEndian)
	if h[5] == 2 {
		order = binary.BigEndian
	}
	machine := named(uint32(order.Uint16(h[18:])), map[uint32]string{
		3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv", 258: "loong64",
	})
	system := named(uint32(h[7]), map[uint32]string{0: "System V (Linux and others)", 2: "NetBSD", 3: "Linux", 6: "Solaris", 9: "FreeBSD", 12: "OpenBSD"})
	return fmt.Sprintf("ELF program of %d bits for %s, %s", 32*int(h[4]), machine, system)
}

// peKind reads the header of Microsoft's PE format, which lies where the one of DOS says.
func peKind(f io.ReaderAt, at uint32) string {
	var h [6]byte
	if _, err := f.ReadAt(h[:], int64(at)); err != nil || string(h[:4]) != "PE\x00\x00" {
		return ""
	}
	machine := uint32(binary.LittleEndian.Uint16(h[4:]))
	return "PE program for " + named(machine, map[uint32]string{0x14c: "windows/386", 0x8664: "windows/amd64", 0xaa64: "windows/arm64"})
}

func named(n uint32, names map[uint32]string) string {
	if name, found := names[n]; found {
		return name
	}
	return fmt.Sprintf("machine %#x", n)
}

// builtFrom says what a Go program was built from, by its own account.
func builtFrom(f io.ReaderAt) (lines []string) {
	defer func() {
		if recover() != nil { // the reader of the library may not survive a made-up file
			lines = []string{"its build information cannot be read"}
		}
	}()
	info, err := buildinfo.Read(f)
	if err != nil {
		return nil
	}
	lines = append(lines, "says of itself that it was built with "+info.GoVersion+" from "+info.Path)
	if info.Main.Path != "" {
		lines = append(lines, fmt.Sprintf("  module %s %s %s", info.Main.Path, info.Main.Version, info.Main.Sum))
	}
	for _, s := range info.Settings {
		lines = append(lines, fmt.Sprintf("  %s=%s", s.Key, s.Value))
	}
	for _, d := range info.Deps {
		lines = append(lines, fmt.Sprintf("  with %s %s %s", d.Path, d.Version, d.Sum))
		if d.Replace != nil {
			lines = append(lines, fmt.Sprintf("    in its place %s %s %s", d.Replace.Path, d.Replace.Version, d.Replace.Sum))
		}
	}
	return lines
}
