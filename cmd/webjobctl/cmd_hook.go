package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/hook"
)

func hookCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "hook", Short: "Hooks and triggers of the server: list, test, retry"}
	c.AddCommand(hookListCommand(open), hookTestCommand(open), hookRetryCommand(open))
	return c
}

func hookListCommand(open openHome) *cobra.Command {
	var page pageFlags
	var waiting, dead bool
	c := &cobra.Command{
		Use: "list", Short: "List what is configured, or with --waiting or --dead what was not delivered yet", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			if waiting || dead {
				query := page.query()
				query.Set("dead", strconv.FormatBool(dead))
				var list api.List[webjob.Delivery]
				if err := s.Call(c.Context(), http.MethodGet, api.PathDeliveries, query, nil, &list); err != nil {
					return fmt.Errorf("hook list: %w", err)
				}
				next(c, list.Next)
				return showDeliveries(c, list.Items)
			}
			var list api.List[api.HookInfo]
			if err := s.Call(c.Context(), http.MethodGet, api.PathHooks, nil, nil, &list); err != nil {
				return fmt.Errorf("hook list: %w", err)
			}
			return cli.List(c, list.Items, []cli.Column[api.HookInfo]{
				{Title: "KIND", Cell: func(h api.HookInfo) string { return h.Kind }},
				{Title: "NAME", Cell: func(h api.HookInfo) string { return h.Name }},
				{Title: "ON", Cell: func(h api.HookInfo) string { return strings.Trim(fmt.Sprint(h.On), "[]") }},
				{Title: "JOBS", Cell: func(h api.HookInfo) string { return strings.Join(h.Jobs, " ") }},
				{Title: "CLIENTS", Cell: func(h api.HookInfo) string { return h.Clients }},
				{Title: "WHAT", Cell: func(h api.HookInfo) string { return h.URL + strings.Join(h.Command, " ") }},
				{Title: "IF IT FAILS", Cell: func(h api.HookInfo) string { return h.OnFailure }},
			})
		},
	}
	page.add(c)
	c.Flags().BoolVar(&waiting, "waiting", false, "events that wait to be delivered")
	c.Flags().BoolVar(&dead, "dead", false, "events that were given up")
	return c
}

func showDeliveries(c *cobra.Command, list []webjob.Delivery) error {
	return cli.List(c, list, []cli.Column[webjob.Delivery]{
		{Title: "NUMBER", Cell: func(d webjob.Delivery) string { return strconv.FormatInt(d.Sequence, 10) }},
		{Title: "TRIGGER", Cell: func(d webjob.Delivery) string { return d.Trigger }},
		{Title: "EVENT", Cell: func(d webjob.Delivery) string { return string(d.Event.Kind) }},
		{Title: "CLIENT", Cell: func(d webjob.Delivery) string { return d.Event.Client }},
		{Title: "ATTEMPTS", Cell: func(d webjob.Delivery) string { return strconv.FormatInt(d.Attempts, 10) }},
		{Title: "NEXT", Cell: func(d webjob.Delivery) string { return cli.Time(d.NextAt) }},
		{Title: "ERROR", Cell: func(d webjob.Delivery) string { return d.Error }},
	})
}

func hookTestCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "test NAME", Short: "Tell a hook or trigger an event that did not happen, and show what it says", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			var answer hook.Answer
			if err := s.Call(c.Context(), http.MethodPost, api.PathHooks+"/"+url.PathEscape(args[0])+"/test", nil, struct{}{}, &answer); err != nil {
				return fmt.Errorf("hook test: %w", err)
			}
			fields := []cli.Field{{Name: "Decision:", Value: answer.Decision}, {Name: "Reason:", Value: answer.Reason}, {Name: "Labels:", Value: answer.Labels.String()}}
			for _, note := range answer.Notes {
				fields = append(fields, cli.Field{Name: "Note:", Value: note})
			}
			if answer.Data != nil {
				fields = append(fields, cli.Field{Name: "Data:", Value: fmt.Sprint(answer.Data)})
			}
			return cli.Show(c, answer, fields)
		},
	}
}

func hookRetryCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "retry [NUMBER]", Short: "Deliver events that were given up: one, or all", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var request api.RetryRequest
			if len(args) == 1 {
				n, err := strconv.ParseInt(args[0], 10, 64)
				if err != nil || n < 1 {
					return cli.Usagef("%q is no number; webjobctl hook list --dead shows them", args[0])
				}
				request.Sequence = n
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			var response api.RetryResponse
			if err := s.Call(c.Context(), http.MethodPost, api.PathDeliveries+"/retry", nil, request, &response); err != nil {
				return fmt.Errorf("hook retry: %w", err)
			}
			return cli.Show(c, response, []cli.Field{{Name: "Tried again:", Value: strconv.FormatInt(response.Retried, 10)}})
		},
	}
}

func configCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "What the server's configuration says for a client and a job"}
	var client, job string
	explain := &cobra.Command{
		Use: "explain --client CLIENT [--job JOB]", Short: "Tell each effective value, and the file and line that set it", Args: cobra.NoArgs,
		Example: `  webjobctl config explain --client web1 --job inventory`,
		RunE: func(c *cobra.Command, _ []string) error {
			if client == "" {
				return cli.Usagef("no --client; name the client that it is about")
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			query := url.Values{"client": {client}}
			if job != "" {
				query.Set("job", job)
			}
			var explained api.Explained
			if err := s.Call(c.Context(), http.MethodGet, api.PathConfig, query, nil, &explained); err != nil {
				return fmt.Errorf("config explain: %w", err)
			}
			if explained.Error != "" {
				cli.Say(c, "the files on disk are not in use: %s", explained.Error)
			}
			if cli.FormatOf(c) != cli.Table {
				return cli.Show(c, explained, nil)
			}
			return cli.List(c, explained.Values, []cli.Column[webjob.Setting]{
				{Title: "KEY", Cell: func(v webjob.Setting) string { return v.Key }},
				{Title: "VALUE", Cell: func(v webjob.Setting) string { return v.Value }},
				{Title: "LAYER", Cell: func(v webjob.Setting) string { return v.Layer }},
				{Title: "SET IN", Cell: func(v webjob.Setting) string {
					if v.File == "" {
						return ""
					}
					return fmt.Sprintf("%s:%d", v.File, v.Line)
				}},
			})
		},
	}
	explain.Flags().StringVar(&client, "client", "", "client id")
	explain.Flags().StringVar(&job, "job", "", "job name")
	c.AddCommand(explain, &cobra.Command{
		Use: "reload", Short: "Make the server read its configuration again", Args: cobra.NoArgs,
		Long: `Reload makes the server read hooks, triggers and overrides again, as SIGHUP does. When anything
in them is wrong it says what, and what held before goes on holding.`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			if err := s.Call(c.Context(), http.MethodPost, api.PathConfig+"/reload", nil, struct{}{}, nil); err != nil {
				return fmt.Errorf("config reload: %w", err)
			}
			cli.Say(c, "the configuration is in use")
			return nil
		},
	})
	return c
}
