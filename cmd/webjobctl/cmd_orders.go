package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

func countsOf(counts webjob.Counts) string {
	var words []string
	for _, state := range webjob.RunStates() {
		if n := counts[state]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, state))
		}
	}
	if words == nil {
		return "no runs"
	}
	return strings.Join(words, ", ")
}

func jobOf(o webjob.Order) string { return o.Job + "@" + strconv.FormatInt(o.Version, 10) }

func scheduleOf(o webjob.OrderStatus) string {
	s := o.Schedule
	if s == nil {
		return ""
	}
	text := s.At
	if s.Zone != "" {
		text += " " + s.Zone
	}
	if s.JitterMS > 0 {
		text += fmt.Sprintf(", up to %s later", time.Duration(s.JitterMS)*time.Millisecond)
	}
	if s.Agent {
		return text + ", kept by the agents"
	}
	if !o.NextAt.IsZero() {
		text += ", next " + cli.Time(o.NextAt)
	}
	return text
}

func showOrder(c *cobra.Command, o api.OrderDetail) error {
	conduct := []string{}
	for _, part := range []struct {
		set  bool
		text string
	}{
		{o.Serial, "serial " + o.Group},
		{o.Canary > 0, fmt.Sprintf("canary %d", o.Canary)},
		{o.Rate > 0, fmt.Sprintf("%d starts an hour", o.Rate)},
		{o.StopAt > 0, fmt.Sprintf("stop above %d %%", o.StopAt)},
		{o.Late, "late joiners"},
		{o.Priority != 0, fmt.Sprintf("priority %d", o.Priority)},
	} {
		if part.set {
			conduct = append(conduct, strings.TrimSpace(part.text))
		}
	}
	fields := []cli.Field{
		{Name: "Order:", Value: o.ID},
		{Name: "Job:", Value: jobOf(o.Order)},
		{Name: "Arguments:", Value: strings.Join(o.Arguments, " ")},
		{Name: "On:", Value: o.On},
		{Name: "State:", Value: string(o.State)},
		{Name: "Reason:", Value: o.Reason},
		{Name: "Runs:", Value: countsOf(o.Counts)},
		{Name: "Window:", Value: cli.Time(o.NotBefore) + " to " + cli.Time(o.Expires)},
		{Name: "Schedule:", Value: scheduleOf(o.OrderStatus)},
		{Name: "Conduct:", Value: strings.Join(conduct, ", ")},
		{Name: "Tag:", Value: o.Tag},
		{Name: "Given by:", Value: o.CreatedBy + ", signed by " + strings.Join(o.SignedBy, ", ")},
		{Name: "Ended:", Value: cli.Time(o.EndedAt)},
	}
	if o.State == webjob.OrderPending {
		fields = append(fields, cli.Field{Name: "Waits:", Value: "for " + operator.SignaturesOf(o.Missing, o.MaySign) + ": webjobctl order approve " + o.ID})
	}
	if (o.State == webjob.OrderPending || o.State == webjob.OrderOpen) && time.Now().Before(o.NotBefore) {
		fields = append(fields, cli.Field{Name: "Waits:", Value: "for its window, which begins in " + time.Until(o.NotBefore).Round(time.Second).String()})
	}
	if o.Waits != "" {
		fields = append(fields, cli.Field{Name: "Waits:", Value: "for the canary: " + o.Waits})
	}
	for _, r := range o.CanaryRuns {
		fields = append(fields, cli.Field{Name: "Canary:", Value: fmt.Sprintf("%s %s, %s", r.Client, r.State, presenceOf(r))})
	}
	for _, r := range o.Slowest {
		fields = append(fields, cli.Field{Name: "Running:", Value: fmt.Sprintf("%s for %s", r.Client, time.Since(r.Updated).Round(time.Second))})
	}
	for _, r := range o.Failing {
		fields = append(fields, cli.Field{Name: "Failed:", Value: fmt.Sprintf("%s %s, webjobctl result show %s", r.Client, r.State, r.Run)})
	}
	return cli.Show(c, o, fields)
}

// presenceOf says whether a client of the canary is there.
func presenceOf(r api.CanaryRun) string {
	switch {
	case r.Connected:
		return "connected"
	case r.State != webjob.RunQueued:
		return "at work"
	case r.LastPoll.IsZero():
		return "away since the server started"
	}
	return "away since " + cli.Time(r.LastPoll)
}

func orderListCommand(open openHome) *cobra.Command {
	var page pageFlags
	var filter webjob.OrderFilter
	var state string
	c := &cobra.Command{
		Use: "list", Short: "List orders, the newest first", Args: cobra.NoArgs,
		Example: `  webjobctl order list --status open --tag patchday`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			query := page.query()
			if filter.State = webjob.OrderState(state); state != "" {
				if err := filter.State.Check(); err != nil {
					return fmt.Errorf("order list: %w", err)
				}
			}
			for key, values := range api.EncodeOrderFilter(filter) {
				if key != "limit" {
					query[key] = values
				}
			}
			var list api.List[webjob.OrderStatus]
			if err := s.Call(c.Context(), http.MethodGet, api.PathOrders, query, nil, &list); err != nil {
				return fmt.Errorf("order list: %w", err)
			}
			next(c, list.Next)
			return cli.List(c, list.Items, []cli.Column[webjob.OrderStatus]{
				{Title: "ORDER", Cell: func(o webjob.OrderStatus) string { return o.ID }},
				{Title: "JOB", Cell: func(o webjob.OrderStatus) string { return jobOf(o.Order) }},
				{Title: "STATE", Cell: func(o webjob.OrderStatus) string { return string(o.State) }},
				{Title: "RUNS", Cell: func(o webjob.OrderStatus) string { return countsOf(o.Counts) }},
				{Title: "ON", Cell: func(o webjob.OrderStatus) string { return o.On }},
				{Title: "SCHEDULE", Cell: scheduleOf},
				{Title: "TAG", Cell: func(o webjob.OrderStatus) string { return o.Tag }},
				{Title: "GIVEN", Cell: func(o webjob.OrderStatus) string { return cli.Time(o.Created) }},
			})
		},
	}
	page.add(c)
	c.Flags().StringVar(&filter.Job, "job", "", "of this job only")
	c.Flags().StringVar(&state, "status", "", "pending, open, stopped, done or expired only")
	c.Flags().StringVar(&filter.Tag, "tag", "", "with this tag only")
	return c
}

func orderShowCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "show ORDER", Short: "Show an order, its progress, its slowest and failing clients", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return onOrder(c, open, http.MethodGet, args[0], nil)
		},
	}
}

// onOrder makes one request about an order and shows what comes back.
func onOrder(c *cobra.Command, open openHome, method, id string, in any, action ...string) error {
	if err := webjob.CheckOrderID(id); err != nil {
		return fmt.Errorf("order %s: %w", c.Name(), err)
	}
	s, err := open.session()
	if err != nil {
		return err
	}
	var detail api.OrderDetail
	if err := s.Call(c.Context(), method, api.OrderPath(id, action...), nil, in, &detail); err != nil {
		return fmt.Errorf("order %s: %w", c.Name(), err)
	}
	return showOrder(c, detail)
}

func orderRunsCommand(open openHome) *cobra.Command {
	var page pageFlags
	var state string
	c := &cobra.Command{
		Use: "runs ORDER", Short: "List the runs of an order", Args: cobra.ExactArgs(1),
		Example: `  webjobctl order runs 20261124-abcdefgh --status failed`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			query := page.query()
			if state != "" {
				if err := webjob.RunState(state).Check(); err != nil { // an older server would find nothing
					return fmt.Errorf("order runs: %w", err)
				}
				query.Set("state", state)
			}
			var list api.List[webjob.OrderRun]
			if err := s.Call(c.Context(), http.MethodGet, api.OrderPath(args[0], "runs"), query, nil, &list); err != nil {
				return fmt.Errorf("order runs: %w", err)
			}
			next(c, list.Next)
			return cli.List(c, list.Items, []cli.Column[webjob.OrderRun]{
				{Title: "RUN", Cell: func(r webjob.OrderRun) string { return r.Run }},
				{Title: "CLIENT", Cell: func(r webjob.OrderRun) string { return r.Client }},
				{Title: "STATE", Cell: func(r webjob.OrderRun) string { return string(r.State) }},
				{Title: "AT", Cell: func(r webjob.OrderRun) string { return cli.Time(r.At) }},
				{Title: "SINCE", Cell: func(r webjob.OrderRun) string { return cli.Time(r.Updated) }},
			})
		},
	}
	page.add(c)
	c.Flags().StringVar(&state, "status", "", "in this state only, such as failed or queued")
	return c
}

func orderStopCommand(open openHome) *cobra.Command {
	var request api.StopRequest
	c := &cobra.Command{
		Use: "stop ORDER", Short: "Hold back what has not begun", Args: cobra.ExactArgs(1),
		Long: `Stop holds back the runs that have not begun; those under way end by themselves, or are ended
with --running. webjobctl order resume takes it up again.`,
		RunE: func(c *cobra.Command, args []string) error {
			return onOrder(c, open, http.MethodPost, args[0], request, "stop")
		},
	}
	c.Flags().BoolVar(&request.Running, "running", false, "end the runs under way as well")
	return c
}

func orderResumeCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "resume ORDER", Short: "Take a stopped order up again", Args: cobra.ExactArgs(1),
		Long: `Resume queues what was held back. Failures until now no longer count, and a canary that did
not succeed no longer holds the rest back.`,
		RunE: func(c *cobra.Command, args []string) error {
			return onOrder(c, open, http.MethodPost, args[0], nil, "resume")
		},
	}
}
