package main

import (
	"encoding/json"
	"fmt"
	"io"
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

func resultCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "result", Short: "Results of runs: list, show, get, files"}
	c.AddCommand(resultListCommand(open), resultShowCommand(open), resultGetCommand(open), resultFilesCommand(open))
	return c
}

func resultListCommand(open openHome) *cobra.Command {
	var page pageFlags
	var filter webjob.ResultFilter
	var outcome, since, until string
	c := &cobra.Command{
		Use: "list", Short: "List results, newest first", Args: cobra.NoArgs,
		Example: `  webjobctl result list --client web1 --since 24h
  webjobctl result list --job inventory --outcome failed -o jsonl`,
		RunE: func(c *cobra.Command, _ []string) error {
			filter.Outcome, filter.Page = webjob.Outcome(outcome), page.page
			var err error
			if filter.Since, err = parseTime(since); err != nil {
				return cli.Usagef("--since: %w", err)
			}
			if filter.Until, err = parseTime(until); err != nil {
				return cli.Usagef("--until: %w", err)
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			var list api.List[webjob.Result]
			if err := s.Call(c.Context(), http.MethodGet, api.PathOperatorResults, api.EncodeResultFilter(filter), nil, &list); err != nil {
				return fmt.Errorf("result list: %w", err)
			}
			next(c, list.Next)
			return cli.List(c, list.Items, []cli.Column[webjob.Result]{
				{Title: "RUN", Cell: func(r webjob.Result) string { return r.Run }},
				{Title: "CLIENT", Cell: func(r webjob.Result) string { return r.Client }},
				{Title: "JOB", Cell: func(r webjob.Result) string { return r.Job + "@" + strconv.FormatInt(r.Version, 10) }},
				{Title: "OUTCOME", Cell: func(r webjob.Result) string { return string(r.Outcome) }},
				{Title: "STATUS", Cell: func(r webjob.Result) string {
					if r.ExitStatus == nil {
						return ""
					}
					return strconv.Itoa(*r.ExitStatus)
				}},
				{Title: "TOOK", Cell: func(r webjob.Result) string { return cli.Milliseconds(r.DurationMS) }},
				{Title: "SIZE", Cell: func(r webjob.Result) string { return cli.Bytes(r.Bytes) }},
				{Title: "RECEIVED", Cell: func(r webjob.Result) string { return cli.Time(r.Received) }},
			})
		},
	}
	c.Flags().StringVar(&filter.Client, "client", "", "only of this client")
	c.Flags().StringVar(&filter.Job, "job", "", "only of this job")
	c.Flags().StringVar(&outcome, "outcome", "", "only with this outcome: "+outcomes())
	c.Flags().StringVar(&since, "since", "", "received at or after: a time (2006-01-02T15:04:05Z) or a span ago (24h)")
	c.Flags().StringVar(&until, "until", "", "received before: a time or a span ago")
	page.add(c)
	return c
}

func outcomes() string {
	var names []string
	for _, o := range webjob.Outcomes() {
		names = append(names, string(o))
	}
	return strings.Join(names, ", ")
}

// parseTime reads a time, a date, or a span before now.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, time.DateOnly, time.DateTime} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2006-01-02T15:04:05Z nor a span such as 24h", text)
}

func resultShowCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Show the record of a run and the beginning of its output", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			detail, record, err := s.Results().Get(c.Context(), args[0])
			if err != nil {
				return fmt.Errorf("result show: %w", err)
			}
			fields := append(cli.RecordFields(record), cli.Field{Name: "Received:", Value: detail.Received.Format(time.RFC3339Nano)})
			for _, note := range detail.Notes {
				fields = append(fields, noteFields(note)...)
			}
			if err := cli.Show(c, struct {
				webjob.Result
				Record json.RawMessage `json:"record"`
				Notes  []webjob.Note   `json:"notes,omitempty"`
			}{detail.Result, detail.Record, detail.Notes}, fields); err != nil || cli.FormatOf(c) != cli.Table {
				return err
			}
			for _, part := range record.Parts {
				if part.Name == webjob.Files || part.Name == webjob.Contents {
					continue
				}
				if err := excerpt(c, s.Results(), record, part); err != nil {
					return fmt.Errorf("result show: %w", err)
				}
			}
			if record.Collected != nil {
				_, err = fmt.Fprintf(c.OutOrStdout(), "\nFiles: webjobctl result files %s\n", cli.Printable(record.Run))
			}
			return err
		},
	}
}

// noteFields are what a hook added.
func noteFields(n webjob.Note) []cli.Field {
	var fields []cli.Field
	by := " (hook " + n.Hook + " on " + string(n.Event) + ")"
	for _, text := range n.Notes {
		fields = append(fields, cli.Field{Name: "Note:", Value: text + by})
	}
	if len(n.Labels) > 0 {
		fields = append(fields, cli.Field{Name: "Labels:", Value: n.Labels.String() + by})
	}
	if n.Error != "" {
		fields = append(fields, cli.Field{Name: "Hook failed:", Value: n.Error + by})
	}
	return fields
}

// excerptLines is how many lines of a stream are shown.
const excerptLines = 40

// excerpt shows the first lines of a stream, made safe for a terminal.
func excerpt(c *cobra.Command, results operator.Results, record *webjob.Record, part webjob.Stream) error {
	if part.Size == 0 {
		return nil
	}
	var text strings.Builder
	if part.Size > 1<<20 {
		_, err := fmt.Fprintf(c.OutOrStdout(), "\n%s: %s, get it with webjobctl result get %s\n", cli.Printable(part.Name), cli.Bytes(part.Size), cli.Printable(record.Run))
		return err
	}
	if err := results.WritePart(c.Context(), record, part, &text); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	out := c.OutOrStdout()
	fmt.Fprintf(out, "\n%s:\n", cli.Printable(part.Name))
	for _, line := range lines[:min(len(lines), excerptLines)] {
		if _, err := io.WriteString(out, "  "+cli.Printable(line)+"\n"); err != nil {
			return err
		}
	}
	if more := len(lines) - excerptLines; more > 0 {
		fmt.Fprintf(out, "  ... %d more lines: webjobctl result get %s\n", more, cli.Printable(record.Run))
	}
	return nil
}

func resultGetCommand(open openHome) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "get RUN [PART]", Short: "Write a result to files, exactly as it was; or one part to standard output", Args: cobra.RangeArgs(1, 2),
		Long: `Get writes record.json and every part (stdout, stderr) to new files in a folder named
after the run, checked against the digests in the record. With PART it writes that part
to standard output.`,
		Example: `  webjobctl result get 0197... --to evidence/web1
  webjobctl result get 0197... stdout`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			if len(args) == 2 {
				_, record, err := s.Results().Get(c.Context(), args[0])
				if err != nil {
					return fmt.Errorf("result get: %w", err)
				}
				part, found := record.Part(args[1])
				if !found {
					return fmt.Errorf("result get: run %s has no part %q", args[0], args[1])
				}
				return s.Results().WritePart(c.Context(), record, part, c.OutOrStdout())
			}
			if to == "" {
				to = args[0]
			}
			saved, err := s.Results().Save(c.Context(), args[0], to)
			if err != nil {
				return fmt.Errorf("result get: %w", err)
			}
			return cli.List(c, saved, []cli.Column[string]{{Title: "WRITTEN", Cell: func(file string) string { return file }}})
		},
	}
	c.Flags().StringVar(&to, "to", "", "folder to write to (default: the run's id)")
	return c
}
