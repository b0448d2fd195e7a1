package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

// world is a webjobd and a bare server, each a process of its own, with enrolled
// clients and an operator.
type world struct {
	swarmFlags []string // more of swarm
	dir        string
	programs   []*exec.Cmd
	session    *operator.Session
	home       *operator.Home
	clients    []*endpoint.Enrolment
	states     []string
	bareURL    string
	serverDir  string
	telemetry  string
}

// newWorld starts everything in a temporary folder below this one, so that both
// servers sync to the same disk.
func newWorld(ctx context.Context, clients int) (*world, error) {
	dir, err := os.MkdirTemp(".", "bench-*")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, serverDir: filepath.Join(dir, "server")}
	if err := w.start(ctx, clients); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) start(ctx context.Context, clients int) error {
	var ports []string
	for range 4 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().String())
		if err := l.Close(); err != nil {
			return err
		}
	}
	out, err := exec.CommandContext(ctx, "bin/webjobd", "init", w.serverDir, "--name", "localhost", "-o", "json", "--listen", ports[0],
		"--operator-listen", ports[1], "--telemetry-listen", ports[2]).Output()
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	var printed struct {
		Token string `json:"login_token"`
	}
	if err := json.Unmarshal(out, &printed); err != nil {
		return err
	}
	w.telemetry = "http://" + ports[2]
	if err := w.launch("msg=ready", "bin/webjobd", "serve", "--dir", w.serverDir); err != nil {
		return err
	}
	if err := w.operate(ctx, printed.Token, clients); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w.bareURL = "https://" + strings.Replace(ports[3], "127.0.0.1", "localhost", 1)
	return w.launch("ready", self, "bare", ports[3], w.serverDir, w.dir)
}

func (w *world) operate(ctx context.Context, login string, clients int) error {
	token, err := trust.ParseToken(login)
	if err != nil {
		return err
	}
	if w.home, err = operator.OpenHome(filepath.Join(w.dir, "operator")); err != nil {
		return err
	}
	if w.session, err = operator.Login(ctx, w.home, token, "", "bench"); err != nil {
		return err
	}
	if _, err := w.home.NewKey("bench", trust.Ed25519); err != nil {
		return err
	}
	people, err := w.home.People([]string{"bench"})
	if err != nil {
		return err
	}
	if _, _, err := w.session.Repository().Begin(ctx, people, 1); err != nil {
		return err
	}
	if clients == 0 {
		return nil
	}
	enrol, _, err := w.session.Tokens().New(ctx, api.NewTokenRequest{Role: webjob.RoleClient, Uses: int64(clients), TTLSeconds: 3600})
	if err != nil {
		return err
	}
	for i := range clients {
		state := filepath.Join(w.dir, fmt.Sprint("client", i))
		s, err := endpoint.CreateState(state)
		if err != nil {
			return err
		}
		e, err := endpoint.Enroll(ctx, s, endpoint.TargetGet, enrol, "", fmt.Sprint("client", i))
		if err != nil {
			return err
		}
		w.clients, w.states = append(w.clients, e), append(w.states, state)
	}
	return nil
}

// publish publishes a script of at least the size as a job.
func (w *world) publish(ctx context.Context, name, script string) error {
	file := filepath.Join(w.dir, name+".sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return err
	}
	d, err := operator.ReadDescription(file)
	if err != nil {
		return err
	}
	_, err = w.session.Jobs().Publish(ctx, operator.Publication{Description: d, Scope: webjob.ScopeCommon})
	return err
}

// launch starts a program whose log goes to a file, as a service's would, and waits
// until the log holds the word.
func (w *world) launch(word, program string, args ...string) error {
	file := filepath.Join(w.dir, filepath.Base(program)+".log")
	log, err := os.Create(file)
	if err != nil {
		return err
	}
	c := exec.Command(program, args...) //nolint:noctx // it outlives every request and is ended by close
	c.Stderr = log
	if err := errors.Join(c.Start(), log.Close()); err != nil {
		return err
	}
	w.programs = append(w.programs, c)
	for range 500 {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), word) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s did not start; see %s", program, file)
}

// close ends both programs, by their own process ids, and removes the folder.
func (w *world) close() error {
	var err error
	for _, c := range w.programs {
		err = errors.Join(err, c.Process.Signal(syscall.SIGTERM))
		_ = c.Wait() // ended by a signal
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}
