// Tree is a job that does what jobs should not: it ignores SIGTERM, leaves its
// session, forks twice, floods its output, eats memory or forks without end. Each
// process of it that matters writes its process id to the file of the first argument.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: tree PIDFILE stubborn|daemon|flood|bomb|cpu|memory|sleep")
		os.Exit(2)
	}
	pids, mode := os.Args[1], os.Args[2]
	note(pids)
	switch mode {
	case "stubborn": // ignores SIGTERM, with a child that left the session and forked again
		signal.Ignore(syscall.SIGTERM)
		again(pids, "fork", true)
		sleep()
	case "daemon": // exits at once and leaves a grandchild behind
		again(pids, "fork", true)
	case "fork":
		signal.Ignore(syscall.SIGTERM)
		again(pids, "sleep", true)
	case "sleep":
		signal.Ignore(syscall.SIGTERM)
		sleep()
	case "flood":
		line := []byte("0123456789012345678901234567890123456789012345678901234567890123456789012345678\n")
		for {
			if _, err := os.Stdout.Write(line); err != nil {
				os.Exit(1)
			}
		}
	case "bomb": // every process starts two more
		signal.Ignore(syscall.SIGTERM)
		for range 2 {
			again(pids, "bomb", false)
		}
		sleep()
	case "cpu":
		for i := 0; ; i++ {
			_ = i
		}
	case "memory":
		var held [][]byte
		for range 64 {
			block := make([]byte, 16<<20)
			for i := 0; i < len(block); i += 4096 {
				block[i] = 1
			}
			held = append(held, block)
		}
		fmt.Println("held", len(held))
	default: // exit with the status that is named
		status, err := strconv.Atoi(mode)
		if err != nil {
			os.Exit(2)
		}
		os.Exit(status)
	}
}

// again starts this program anew and does not wait for it.
func again(pids, mode string, newSession bool) {
	c := exec.Command("/proc/self/exe", pids, mode)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: newSession}
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func note(file string) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	fmt.Fprintln(f, os.Getpid())
	_ = f.Close()
}

func sleep() { time.Sleep(time.Hour) }
