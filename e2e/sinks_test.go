package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdMailSink starts a mail server that appends what it is given to a file, in the
// background (RFC 5321, as much as a client needs): mailsink NAME FILE. NAME_ADDRESS
// tells where.
func cmdMailSink(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mailsink NAME FILE")
	}
	file := ts.MkAbs(args[1])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0]+"_ADDRESS", l.Addr().String())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go takeMail(conn, file)
		}
	}()
}

func takeMail(conn net.Conn, file string) {
	defer func() { _ = conn.Close() }()
	say := func(line string) { fmt.Fprint(conn, line+"\r\n") }
	say("220 sink")
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		switch strings.ToUpper(lines.Text()) {
		case "DATA":
			say("354 go on")
			var mail strings.Builder
			for lines.Scan() && lines.Text() != "." {
				mail.WriteString(lines.Text() + "\n")
			}
			appendTo(file, mail.String())
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func appendTo(file, text string) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(text)
	_ = f.Close()
}

// cmdLogSink starts a syslog server that appends what it is told to a file, in the
// background: logsink NAME FILE. NAME_PORT tells where.
func cmdLogSink(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: logsink NAME FILE")
	}
	file := ts.MkAbs(args[1])
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = conn.Close() })
	_, port, err := net.SplitHostPort(conn.LocalAddr().String())
	ts.Check(err)
	ts.Setenv(args[0]+"_PORT", port)
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			appendTo(file, string(buffer[:n])+"\n")
		}
	}()
}

// cmdPrometheus starts Prometheus on a server's metrics with a file of rules, in the
// background: prometheus DIR RULES. prometheus_URL tells where.
func cmdPrometheus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: prometheus DIR RULES")
	}
	ports, err := freePorts(1)
	ts.Check(err)
	target := strings.TrimPrefix(ts.Getenv(args[0]+"_TELEMETRY"), "http://")
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs: [{job_name: webjobd, static_configs: [{targets: [%q]}]}]\n", args[1], target)
	file := ts.MkAbs("prometheus.yml")
	ts.Check(os.WriteFile(file, []byte(config), 0o600))
	log, err := os.Create(ts.MkAbs("prometheus.log"))
	ts.Check(err)
	c := exec.Command("prometheus", "--config.file="+file, "--web.listen-address="+ports[0], "--storage.tsdb.path="+filepath.Join(ts.MkAbs("."), "tsdb"))
	c.Stderr, c.Stdout = log, log
	ts.Check(c.Start())
	ts.Check(log.Close())
	ts.Defer(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	ts.Setenv("prometheus_URL", "http://"+ports[0])
}
