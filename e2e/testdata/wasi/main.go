// Wasi does what its first argument says, for tests of the WebAssembly runtime. It is
// kept small: the runtime compiles all of it.
package main

import (
	"os"
	"strconv"
)

func main() {
	var err error
	switch os.Args[1] {
	case "hello":
		in := make([]byte, 100)
		n, _ := os.Stdin.Read(in)
		println(len(os.Args), os.Args[2], string(in[:n]), len(os.Environ()), os.Getenv("GRANTED"), os.Getenv("KEPT")) // to standard error
		_, err = os.Stdout.WriteString("to stdout\n")
	case "exit":
		os.Exit(7)
	case "read":
		var text []byte
		text, err = os.ReadFile(os.Args[2])
		_, _ = os.Stdout.Write(text)
	case "write":
		err = os.WriteFile(os.Args[2], nil, 0o600)
	case "list":
		var entries []os.DirEntry
		entries, err = os.ReadDir(os.Args[2])
		_, _ = os.Stdout.WriteString(strconv.Itoa(len(entries)))
	case "loop":
		for {
		}
	case "grow":
		var all [][]byte
		for {
			block := make([]byte, 16<<20)
			for i := range block {
				block[i] = 1
			}
			all = append(all, block)
		}
	case "recurse":
		println(recurse(1))
	}
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
}

func recurse(n int) int { return recurse(n+1) + 1 }
