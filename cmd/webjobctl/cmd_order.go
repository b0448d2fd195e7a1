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

func orderCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "order", Short: "Orders: say once what runs where"}
	c.AddCommand(orderNewCommand(open), orderApproveCommand(open), orderListCommand(open), orderShowCommand(open), orderRunsCommand(open), orderWatchCommand(open),
		orderStopCommand(open), orderResumeCommand(open))
	return c
}

// orderFlags are an order as the command line says it.
type orderFlags struct {
	on, id, tag, group, rate, stopAt, notBefore, expires, at, zone, missed string
	keys                                                                   []string
	window, jitter                                                         time.Duration
	priority, canary                                                       int64
	serial, late, standing, watch, dryRun                                  bool
}

func orderNewCommand(open openHome) *cobra.Command {
	f := &orderFlags{}
	c := &cobra.Command{
		Use:   "new JOB[@VERSION] --on SELECTOR [-- ARG...]",
		Short: "Sign an order and give it: these clients run this job, once",
		Long: `New signs an order with your key and hands it to the server, which gives it to the agents
of the clients that the selector means. A client runs it once, in its window, and only when
enough trusted keys signed it.

A selector names clients by id, label or fact:
  all | id=web* | env=prod | os=linux | arch=amd64 | version<1.4 | address=10.0.0.0/8 |
  boot<2026-03-01, joined by and, or, not and parentheses. To mean every client write all.

With --at the order is repeated: five cron fields, or "@every 15m". The server keeps the
time, or with --standing each agent does, also while the server is away.`,
		Example: `  webjobctl order new check-disks --on env=prod
  webjobctl order new patch@7 --on 'os=linux and not id=db1' --canary 3 --rate 20/m --stop-at 5% --watch -- --reboot
  webjobctl order new inventory --on all --at '30 2 * * *' --zone Europe/Berlin --jitter 30m`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if dash := c.ArgsLenAtDash(); dash != 1 && (dash != -1 || len(args) != 1) {
				return cli.Usagef("name one job, then -- and its arguments, as in webjobctl order new JOB --on all -- ARG")
			}
			if err := newOrder(c, open, f, args); err != nil {
				return fmt.Errorf("order new: %w", err)
			}
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.on, "on", "", "selector of clients")
	flags.StringVar(&f.id, "id", "", "id of the order; the same order under the same id is given once (default: a new one)")
	flags.DurationVar(&f.window, "window", 24*time.Hour, "how long the order is good for; repeated ones a year")
	flags.StringVar(&f.notBefore, "not-before", "", "begin at this time, such as 2026-03-01T22:00:00Z (default: now)")
	flags.StringVar(&f.expires, "expires", "", "end at this time, instead of --window")
	flags.Int64Var(&f.priority, "priority", 0, "-1000 to 1000; higher goes first on a client")
	flags.BoolVar(&f.serial, "serial", false, "on a client, one after another with the other serial orders of its group")
	flags.StringVar(&f.group, "group", "", "group of a serial order")
	flags.StringVar(&f.tag, "tag", "", "word for lists")
	flags.Int64Var(&f.canary, "canary", 0, "so many clients must succeed before the rest start")
	flags.StringVar(&f.rate, "rate", "", "starts at most, such as 20/m (s, m, h)")
	flags.StringVar(&f.stopAt, "stop-at", "", "stop when more than this share of the runs failed, such as 5%")
	flags.BoolVar(&f.late, "late", false, "include clients that match later, until the order expires")
	flags.StringVar(&f.at, "at", "", "repeat: cron expression or @every SPAN")
	flags.StringVar(&f.zone, "zone", "", "time zone of --at, such as Europe/Berlin (default UTC)")
	flags.DurationVar(&f.jitter, "jitter", 0, "each client starts up to so much later")
	flags.StringVar(&f.missed, "missed", "skip", "times that nobody could keep: skip, or run the latest one")
	flags.BoolVar(&f.standing, "standing", false, "agents keep the time themselves")
	flags.StringArrayVar(&f.keys, "key", nil, "key that signs; may be repeated (default: the only one here)")
	flags.BoolVar(&f.watch, "watch", false, "watch it until it ends")
	flags.BoolVar(&f.dryRun, "dry-run", false, "tell whom it would reach, and give nothing")
	return c
}

func newOrder(c *cobra.Command, open openHome, f *orderFlags, args []string) error {
	plan, err := f.plan(c, args)
	if err != nil {
		return err
	}
	h, err := open()
	if err != nil {
		return err
	}
	s, err := h.Session()
	if err != nil {
		return err
	}
	if plan.Keys, err = h.SigningKeys(f.keys); err != nil {
		return err
	}
	if _, err := s.Orders().Complete(c.Context(), plan); err != nil {
		return err
	}
	if err := plan.Check(); err != nil {
		return err
	}
	if skew := s.Skew(); skew != 0 {
		cli.Say(c, "order new: here it is %s UTC, which differs from the server's clock by %s; the order is made by this clock: mend the wrong one", cli.Time(plan.Created), skew)
	}
	selected, err := selectClients(c, s, plan)
	if err != nil {
		return err
	}
	if plan.Canary > 0 && plan.Canary >= selected.Matching {
		cli.Say(c, "order new: --canary %d takes in all %d clients that the selector means now: none of them waits for the others", plan.Canary, selected.Matching)
	}
	if f.dryRun {
		return cli.Show(c, selected, []cli.Field{
			{Name: "Would run:", Value: fmt.Sprintf("%s version %d", plan.Job, plan.Version)},
			{Name: "On:", Value: fmt.Sprintf("%d of %d clients: %s", selected.Matching, selected.Enrolled, examples(selected))},
		})
	}
	status, err := s.Orders().Submit(c.Context(), plan)
	if webjob.KindOf(err) == webjob.Conflict && f.id != "" {
		var known api.OrderDetail
		if s.Call(c.Context(), http.MethodGet, api.OrderPath(f.id), nil, nil, &known) == nil && operator.SameOrder(known.Order, plan.Order) {
			cli.Say(c, "order %s was given before; nothing was added", f.id)
			status, err = known.OrderStatus, nil
		}
	}
	if err != nil {
		return err
	}
	if f.watch {
		if status.State == webjob.OrderPending {
			_, _ = tellPending(c, s, status.ID) // the order is given whatever this says
		}
		return watchOrder(c, s, status.ID)
	}
	return showGiven(c, s, status)
}

// tellPending says whose signatures an order waits for, and returns what the server said.
func tellPending(c *cobra.Command, s *operator.Session, id string) (detail api.OrderDetail, err error) {
	err = s.Call(c.Context(), http.MethodGet, api.OrderPath(id), nil, nil, &detail)
	cli.Say(c, "order %s waits for %s; they add theirs with: webjobctl order approve %s", id, operator.SignaturesOf(detail.Missing, detail.MaySign), id)
	return detail, err
}

// showGiven shows an order that was given or signed, and what it waits for.
func showGiven(c *cobra.Command, s *operator.Session, status webjob.OrderStatus) error {
	detail := api.OrderDetail{OrderStatus: status}
	if status.State == webjob.OrderPending {
		if told, err := tellPending(c, s, status.ID); err == nil { // the order is given whatever this says
			detail = told
		}
	}
	return showOrder(c, detail)
}

// selectClients asks whom the selector means, and refuses to take nobody or, unless
// it says so, everybody.
func selectClients(c *cobra.Command, s *operator.Session, plan *operator.OrderPlan) (api.SelectResponse, error) {
	var selected api.SelectResponse
	if err := s.Call(c.Context(), http.MethodPost, api.PathSelect, nil, api.SelectRequest{On: plan.On}, &selected); err != nil {
		return selected, err
	}
	selector, err := webjob.ParseSelector(plan.On)
	if err != nil {
		return selected, err
	}
	switch {
	case selected.Matching == 0 && !plan.Late && plan.Schedule == nil:
		return selected, webjob.Errorf(webjob.Invalid, "%q selects none of the %d clients; mend the selector, or add --late for clients that come later", plan.On, selected.Enrolled)
	case selected.Matching == selected.Enrolled && selected.Enrolled > 1 && !selector.IsAll():
		return selected, webjob.Errorf(webjob.Invalid, "%q selects every one of the %d clients; write --on all to mean that", plan.On, selected.Enrolled)
	}
	return selected, nil
}

func examples(selected api.SelectResponse) string {
	text := strings.Join(selected.Examples, ", ")
	if selected.Matching > int64(len(selected.Examples)) {
		text += ", ..."
	}
	return text
}

// plan turns the flags into an order.
func (f *orderFlags) plan(c *cobra.Command, args []string) (*operator.OrderPlan, error) {
	if f.on == "" {
		return nil, cli.Usagef("no --on; say which clients, such as --on env=prod, or --on all")
	}
	now := time.Now().UTC().Truncate(time.Second)
	p := &operator.OrderPlan{Order: webjob.Order{
		Format: webjob.OrderFormat, ID: f.id, Arguments: args[1:], On: f.on, Created: now, NotBefore: now,
		Priority: f.priority, Serial: f.serial, Group: f.group, Tag: f.tag, Canary: f.canary, Late: f.late,
	}}
	var err error
	if p.Job, p.Version, err = operator.ParseJobReference(args[0]); err != nil {
		return nil, err
	}
	if p.ID == "" {
		p.ID = operator.NewOrderID(now)
	}
	if f.at != "" {
		p.Schedule = &webjob.Schedule{At: f.at, Zone: f.zone, JitterMS: f.jitter.Milliseconds(), Missed: webjob.Missed(f.missed), Agent: f.standing}
		if f.zone != "" && strings.HasPrefix(f.at, "@every") {
			return nil, cli.Usagef("--zone goes with a cron expression; %q counts from the beginning of the order, in no zone", f.at)
		}
		if !c.Flags().Changed("window") {
			f.window = 365 * 24 * time.Hour
		}
	} else if f.zone != "" || f.jitter != 0 || f.standing {
		return nil, cli.Usagef("--zone, --jitter and --standing go with --at")
	}
	if f.group != "" && !f.serial {
		return nil, cli.Usagef("--group goes with --serial")
	}
	if err := f.moments(p); err != nil {
		return nil, err
	}
	if p.Rate, err = parseRate(f.rate); err != nil {
		return nil, err
	}
	p.StopAt, err = parsePercent(f.stopAt)
	return p, err
}

func (f *orderFlags) moments(p *operator.OrderPlan) error {
	for _, m := range []struct {
		text, flag string
		to         *time.Time
	}{{f.notBefore, "--not-before", &p.NotBefore}, {f.expires, "--expires", &p.Expires}} {
		if m.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, m.text)
		if err != nil {
			return cli.Usagef("%s is %q; write a time as 2026-03-01T22:00:00Z", m.flag, m.text)
		}
		*m.to = t.UTC().Truncate(time.Second)
	}
	if f.window <= 0 {
		return cli.Usagef("--window is %s; it must be more than 0", f.window)
	}
	if f.expires == "" {
		// Orders tell time in whole seconds; a window is never cut short by that.
		p.Expires = p.NotBefore.Add(f.window + 2*time.Second - 1).Truncate(time.Second)
	}
	return nil
}

// parseRate reads N/s, N/m or N/h and returns starts an hour.
func parseRate(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	times, found := map[string]int64{"s": 3600, "m": 60, "h": 1}[unit]
	if err != nil || n < 1 || !found {
		return 0, cli.Usagef("--rate is %q; write such as 20/m, with s, m or h", text)
	}
	return n * times, nil
}

func parsePercent(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "%"), 10, 32)
	if err != nil || n < 1 || n > 100 {
		return 0, cli.Usagef("--stop-at is %q; write a share from 1%% to 100%%", text)
	}
	return n, nil
}
