package e2e

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdCut puts a way to a server between that ends every connection after so many bytes
// towards it: cut NAME BYTES, of a server that init made. The port is in NAME_CUT, and
// the bytes that went through are in the file NAME.bytes.
func cmdCut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut NAME BYTES")
	}
	most, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	server, err := url.Parse(ts.Getenv(args[0] + "_URL"))
	ts.Check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0]+"_CUT", port)
	count := &counter{file: ts.MkAbs(args[0] + ".bytes")}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go relay(client, "127.0.0.1:"+server.Port(), most, count)
		}
	}()
}

// relay carries both directions until one ends or most bytes went to the server.
func relay(client net.Conn, address string, most int64, count *counter) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_, _ = io.CopyN(io.MultiWriter(server, count), client, most)
}

// counter keeps the number of bytes in a file.
type counter struct {
	file  string
	total atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	total := c.total.Add(int64(len(p)))
	return len(p), os.WriteFile(c.file, fmt.Appendln(nil, total), 0o600)
}
