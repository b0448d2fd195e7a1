// Freeports prints numbers of TCP ports that are free on loopback.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "freeports:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: freeports COUNT")
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	// All are open at once, so that no port is found twice.
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }() // nothing was accepted
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
	}
	return nil
}
