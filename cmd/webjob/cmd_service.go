package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/endpoint"
)

// serviceName is the agent's name at the service manager.
const serviceName = "webjob-agent"

func serviceCommand(state *string) *cobra.Command {
	c := &cobra.Command{
		Use: "service", Short: "Run the agent under this system's service manager",
		Long: `Service installs the agent at the service manager: systemd, launchd, Windows services, or
what else this system has. Installing needs the rights to do so.`,
		Example: `  webjob --state /var/lib/webjob service install
  webjob service start`,
	}
	for _, action := range []struct {
		name, short string
		do          func(service.Service) error
	}{
		{"install", "Install the agent, to be started at boot", func(s service.Service) error { return s.Install() }},
		{"start", "Start the installed agent", func(s service.Service) error { return s.Start() }},
		{"stop", "Stop the agent; runs under way may end within the drain time", func(s service.Service) error { return s.Stop() }},
		{"remove", "Remove the agent from the service manager; the state folder stays", func(s service.Service) error { return s.Uninstall() }},
	} {
		c.AddCommand(&cobra.Command{
			Use: action.name, Short: action.short, Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				if _, err := endpoint.OpenState(*state); err != nil {
					return fmt.Errorf("service %s: %w", action.name, err)
				}
				s, err := newService(*state, nil)
				if err == nil {
					err = action.do(s)
				}
				if err != nil {
					return fmt.Errorf("service %s: %w", action.name, err)
				}
				cli.Say(c, "webjob: %s: %s done", serviceName, action.name)
				return nil
			},
		})
	}
	return c
}

// systemdUnit lets runs outlive an agent that crashed, and leaves it to the agent to
// stop them: systemd tells only the agent, and waits as long as its longest drain time.
const systemdUnit = `[Unit]
Description={{Description}}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={{Path | cmdEscape}}{{range Arguments}} {{. | cmd}}{{end}}
KillMode=process
TimeoutStopSec=3700
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
`

func newService(state string, program service.Interface) (service.Service, error) {
	absolute, err := filepath.Abs(state)
	if err != nil {
		return nil, err
	}
	if program == nil {
		program = &agentProgram{}
	}
	s, err := service.New(program, &service.Config{
		Name: serviceName, DisplayName: "WebJob agent", Description: "Runs signed jobs for WebJob",
		Arguments: []string{"--state", absolute, "agent"},
		Option:    service.KeyValue{"SystemdScript": systemdUnit},
	})
	if err != nil {
		return nil, fmt.Errorf("no service manager can be used here: %w", err)
	}
	return s, nil
}

// underServiceManager reports whether Windows' service manager started this process:
// it wants to be answered. Others just start and signal it.
func underServiceManager() bool { return runtime.GOOS == "windows" && !service.Interactive() }

func runAsService(state string, handler slog.Handler) error {
	program := &agentProgram{state: state, handler: handler}
	s, err := newService(state, program)
	if err != nil {
		return &cli.ExitError{Status: cli.StatusConfig, Err: err}
	}
	return s.Run()
}

// agentProgram lets the service manager start and stop the agent.
type agentProgram struct {
	state   string
	handler slog.Handler
	stop    context.CancelFunc
	ended   chan error
}

// Start implements service.Interface.
func (p *agentProgram) Start(service.Service) error {
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.ended = stop, make(chan error, 1)
	go func() { p.ended <- runAgent(ctx, p.state, p.handler) }()
	return nil
}

// Stop implements service.Interface.
func (p *agentProgram) Stop(service.Service) error {
	p.stop()
	return <-p.ended
}
