package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/agent"
	"webjob.dev/webjob/wire"
)

// reachTime bounds the look whether the server is there.
const reachTime = 10 * time.Second

// report is what webjob status tells.
type report struct {
	Client      string        `json:"client"`
	Labels      webjob.Labels `json:"labels,omitempty"`
	Server      string        `json:"server"`
	Reachable   bool          `json:"reachable"`
	ServerSays  string        `json:"server_says,omitempty"` // when it does not serve this client
	Certificate time.Time     `json:"certificate_expires"`
	Waiting     int           `json:"results_waiting"`
	WaitingSize int64         `json:"results_waiting_bytes"`
	Agent       *agent.Status `json:"agent,omitempty"`
	// ClockSkewMS is by how much this clock is ahead of the server's, if by much.
	ClockSkewMS int64 `json:"clock_skew_ms,omitempty"`
	// Repository says why no job can run whatever the server says.
	Repository string `json:"job_repository,omitempty"`
}

func statusCommand(state *string) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Tell who this machine is, and how it stands with its server", Args: cobra.NoArgs,
		Long: `Status tells the identity of this machine, whether its server can be reached and serves it,
when the certificate expires, what waits in the spool, and what the agent does. The exit
status is 1 when the server does not serve this machine.`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := endpoint.OpenState(*state)
			if err != nil {
				return fmt.Errorf("status: %w", err)
			}
			r, err := newReport(c.Context(), s)
			if err != nil {
				return fmt.Errorf("status: %w", err)
			}
			if err := cli.Show(c, r, r.fields(s)); err != nil {
				return err
			}
			if r.ServerSays != "" {
				return &cli.ExitError{Status: cli.StatusFailed}
			}
			return nil
		},
	}
}

func newReport(ctx context.Context, s *endpoint.State) (*report, error) {
	e, err := s.Enrolments.With(endpoint.TargetGet)
	if err != nil {
		return nil, err
	}
	view, err := s.Repository.Read(e, time.Now())
	if err != nil {
		return nil, err
	}
	subject, err := e.Subject(view)
	if webjob.KindOf(err) == webjob.Unavailable {
		subject.Labels, err = e.Labels, nil // nothing came yet, or it has expired
	}
	if err != nil {
		return nil, err
	}
	r := &report{Client: e.ID, Labels: subject.Labels, Server: e.URL, Certificate: e.Expires()}
	if err := view.Expired(time.Now()); err != nil {
		r.Repository = err.Error()
	}
	sp, err := s.Spool()
	if err != nil {
		return nil, err
	}
	waiting, err := sp.List()
	if err != nil {
		return nil, err
	}
	for _, w := range waiting {
		r.Waiting++
		r.WaitingSize += w.Bytes
	}
	if status, err := agent.ReadStatus(s); err == nil {
		r.Agent = &status
	} else if webjob.KindOf(err) != webjob.NotFound {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	client := e.Connect()
	defer client.Close()
	err = client.Call(ctx, http.MethodPut, wire.PathFacts, nil, endpoint.Facts(), nil)
	r.ClockSkewMS = client.Skew().Milliseconds()
	r.Reachable = webjob.KindOf(err) != webjob.Unavailable
	if err != nil {
		r.ServerSays = err.Error()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.Reachable = false
	}
	return r, nil
}

func (r *report) fields(s *endpoint.State) []cli.Field {
	reach := "serves this client"
	if r.ServerSays != "" {
		reach = r.ServerSays
	}
	left := time.Until(r.Certificate)
	fields := []cli.Field{
		{Name: "Client:", Value: r.Client},
		{Name: "Labels:", Value: r.Labels.String()},
		{Name: "State folder:", Value: s.Dir()},
		{Name: "Server:", Value: r.Server + ", " + reach},
		{Name: "Certificate:", Value: fmt.Sprintf("until %s UTC (%d days)", cli.Time(r.Certificate), int(left.Hours()/24))},
		{Name: "Results waiting:", Value: fmt.Sprintf("%d, %s", r.Waiting, cli.Bytes(r.WaitingSize))},
	}
	skew := time.Duration(r.ClockSkewMS) * time.Millisecond
	if a := r.Agent; skew == 0 && !r.Reachable && a != nil { // what the agent heard last is better than nothing
		skew = time.Duration(a.ClockSkewMS) * time.Millisecond
	}
	if skew.Abs() >= wire.MostSkew {
		fields = append(fields, cli.Field{Name: "Clock:", Value: "here it is " + cli.Time(time.Now()) + " UTC, which differs from the server's by " + skew.Round(time.Second).String() + "; mend the wrong one"})
	}
	fields = append(fields, cli.Field{Name: "Job repository:", Value: r.Repository})
	a := r.Agent
	if a == nil {
		return append(fields, cli.Field{Name: "Agent:", Value: "none has run here"})
	}
	state := a.State
	if a.State != agent.StateStopped && time.Since(a.LastContact) > 10*time.Minute && time.Since(a.Started) > 10*time.Minute {
		state += ", but it said nothing for " + time.Since(a.LastContact).Round(time.Minute).String()
	}
	fields = append(fields,
		cli.Field{Name: "Agent:", Value: state + ", process " + strconv.Itoa(a.PID) + ", since " + cli.Time(a.Started)},
		cli.Field{Name: "Agent error:", Value: a.Error},
		cli.Field{Name: "Last contact:", Value: cli.Time(a.LastContact)},
		cli.Field{Name: "Running:", Value: strings.Join(a.Running, " ")},
		cli.Field{Name: "Standing orders:", Value: strconv.Itoa(a.Standing)},
		cli.Field{Name: "Last run:", Value: a.LastRun},
	)
	return fields
}
