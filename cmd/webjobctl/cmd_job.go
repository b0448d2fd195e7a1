package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

func jobCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "job", Short: "Jobs: new, lint, test, publish, list, show, get, withdraw, restore"}
	c.AddCommand(jobNewCommand(), jobLintCommand(), jobTestCommand(), jobPublishCommand(open), jobListCommand(open), jobShowCommand(open), jobGetCommand(open),
		jobWithdrawCommand(open), jobRestoreCommand(open))
	return c
}

// publishFlags override what the description says.
type publishFlags struct {
	name, description, interpreter, client, group string
	keys, arguments                               []string
	version                                       int64
	validFor, runLimit                            time.Duration
}

func jobPublishCommand(open openHome) *cobra.Command {
	f := &publishFlags{}
	c := &cobra.Command{
		Use:   "publish FILE|DIR",
		Short: "Sign a job and publish it as a new version",
		Long: `Publish describes a job in a manifest, signs it with keys of this folder, and hands both
to the server. FILE is a script that starts with #! or a program; DIR is a folder with a
job.toml that names a payload for each platform. A published version never changes; the
next one gets the next number.

A job takes no arguments unless patterns allow them: every argument of a run must match
one of the patterns as a whole (RE2 syntax).`,
		Example: `  webjobctl job publish check-disks.sh
  webjobctl job publish inventory --args '--[a-z]+' --args '/[a-z/]*'
  webjobctl job publish jobs/diagnostics --key alice --key bob
  webjobctl job publish fix.sh --client web1`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := publishAndTell(c, open, f, args[0]); err != nil {
				return fmt.Errorf("job publish: %w", err)
			}
			return nil
		},
	}
	f.add(c)
	return c
}

func (f *publishFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.name, "name", "", "job name (default: the file's name without ending, or the description's)")
	flags.StringVar(&f.description, "description", "", "one line about the job")
	flags.StringVar(&f.interpreter, "interpreter", "", "program and options that run the payload, separated by spaces")
	flags.StringArrayVar(&f.arguments, "args", nil, "pattern of allowed arguments; may be repeated; '.*' allows all")
	addKeyFlag(c, &f.keys)
	flags.StringVar(&f.client, "client", "", "publish for this client alone")
	flags.StringVar(&f.group, "group", "", "publish for the clients with this label, key=value")
	flags.Int64Var(&f.version, "version", 0, "version (default: the next one)")
	flags.DurationVar(&f.validFor, "valid-for", 0, "how long the version is good for (default 8760h)")
	flags.DurationVar(&f.runLimit, "run-limit", 0, "RUN time limit (default 10m)")
}

func publishAndTell(c *cobra.Command, open openHome, f *publishFlags, path string) error {
	v, err := publish(c, open, f, path)
	if err != nil {
		return err
	}
	tellDraft(c, v.Draft)
	what, next := "Published:", cli.Field{Name: "Run it:", Value: "webjob run " + v.Name}
	if !v.Draft.Accepted {
		what = "Proposed:"
		next = cli.Field{Name: "Not in effect yet:", Value: fmt.Sprintf("%s must sign, %d more: webjobctl repo sign %s", strings.Join(v.Draft.MaySign, " or "), v.Draft.Missing, v.Draft.ID)}
	}
	return cli.Show(c, v, []cli.Field{
		{Name: what, Value: fmt.Sprintf("%s version %d", v.Name, v.Version)},
		{Name: "For:", Value: string(v.Scope)},
		{Name: "Manifest:", Value: string(v.Manifest)},
		{Name: "Expires:", Value: cli.Time(v.Expires)},
		next,
	})
}

func publish(c *cobra.Command, open openHome, f *publishFlags, path string) (operator.Published, error) {
	d, err := operator.ReadDescription(path)
	if err != nil {
		return operator.Published{}, err
	}
	f.apply(c, d)
	scope := webjob.ScopeCommon
	switch {
	case f.client != "" && f.group != "":
		return operator.Published{}, cli.Usagef("--client and --group exclude each other")
	case f.client != "":
		scope = webjob.ClientScope(f.client)
	case f.group != "":
		scope = webjob.GroupScope(f.group)
	}
	h, err := open()
	if err != nil {
		return operator.Published{}, err
	}
	s, err := h.Session()
	if err != nil {
		return operator.Published{}, err
	}
	return s.Jobs().Publish(c.Context(), operator.Publication{Description: d, Scope: scope, Version: f.version, Keys: f.keys})
}

func (f *publishFlags) apply(c *cobra.Command, d *operator.Description) {
	given := c.Flags().Changed
	if given("name") {
		d.Name = f.name
	}
	if given("description") {
		d.Text = f.description
	}
	if given("interpreter") {
		d.Interpreter = strings.Fields(f.interpreter)
	}
	if given("args") {
		d.Arguments = f.arguments
	}
	if given("valid-for") {
		d.ValidFor = config.Duration(f.validFor)
	}
	if given("run-limit") {
		d.Limits.Run = config.Duration(f.runLimit)
	}
}

func jobListCommand(open openHome) *cobra.Command {
	var page pageFlags
	c := &cobra.Command{
		Use: "list [NAME]", Short: "List published versions, by name", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			query := page.query()
			if len(args) == 1 {
				query.Set("name", args[0])
			}
			var list api.List[webjob.JobVersion]
			if err := s.Call(c.Context(), http.MethodGet, api.PathOperatorJobs, query, nil, &list); err != nil {
				return fmt.Errorf("job list: %w", err)
			}
			next(c, list.Next)
			return cli.List(c, list.Items, []cli.Column[webjob.JobVersion]{
				{Title: "NAME", Cell: func(v webjob.JobVersion) string { return v.Name }},
				{Title: "VERSION", Cell: func(v webjob.JobVersion) string { return strconv.FormatInt(v.Version, 10) }},
				{Title: "FOR", Cell: func(v webjob.JobVersion) string { return string(v.Scope) }},
				{Title: "STATE", Cell: jobState},
				{Title: "PUBLISHED", Cell: func(v webjob.JobVersion) string { return cli.Time(v.PublishedAt) }},
				{Title: "BY", Cell: func(v webjob.JobVersion) string { return v.PublishedBy }},
				{Title: "DESCRIPTION", Cell: func(v webjob.JobVersion) string { return v.Description }},
			})
		},
	}
	page.add(c)
	return c
}

func jobState(v webjob.JobVersion) string {
	switch {
	case !v.WithdrawnAt.IsZero():
		return "withdrawn"
	case !time.Now().Before(v.Expires):
		return "expired"
	}
	return "published"
}

// parseJob splits NAME@VERSION; the version is 0 when there is none.
func parseJob(text string) (string, int64, error) {
	name, after, found := strings.Cut(text, "@")
	if err := webjob.CheckJobName(name); err != nil || !found {
		return name, 0, err
	}
	version, err := strconv.ParseInt(after, 10, 64)
	if err != nil || version < 1 {
		return name, 0, webjob.Errorf(webjob.Invalid, "version %q is not a number; write NAME@VERSION", after)
	}
	return name, version, nil
}

func jobShowCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME[@VERSION]", Short: "Show a published version and who signed it", Args: cobra.ExactArgs(1),
		Example: `  webjobctl job show inventory@3 -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			s, err := h.Session()
			if err != nil {
				return err
			}
			v, err := getJob(c, s, args[0])
			if err != nil {
				return fmt.Errorf("job show: %w", err)
			}
			m, by, err := s.Jobs().Verify(c.Context(), v)
			if err != nil {
				return fmt.Errorf("job show: %s version %d: %w", v.Name, v.Version, err)
			}
			return showJob(c, v, m, by)
		},
	}
}

func getJob(c *cobra.Command, s *operator.Session, text string) (api.JobDetail, error) {
	var v api.JobDetail
	name, version, err := parseJob(text)
	if err != nil {
		return v, err
	}
	if version == 0 {
		var latest api.LatestResponse
		if err := s.Call(c.Context(), http.MethodGet, api.OperatorJobPath(name, "latest"), nil, nil, &latest); err != nil {
			return v, err
		}
		if version = latest.Version; version == 0 {
			return v, webjob.Errorf(webjob.NotFound, "job %s is not published; webjobctl job list shows what is", name)
		}
	}
	err = s.Call(c.Context(), http.MethodGet, api.OperatorJobPath(name, strconv.FormatInt(version, 10)), nil, nil, &v)
	return v, err
}

func showJob(c *cobra.Command, v api.JobDetail, m *trust.SignedManifest, by []string) error {
	limits, err := json.Marshal(m.Limits)
	if err != nil {
		return err
	}
	fields := []cli.Field{
		{Name: "Job:", Value: fmt.Sprintf("%s version %d", m.Name, m.Version)},
		{Name: "State:", Value: jobState(v.JobVersion)},
		{Name: "For:", Value: string(m.Scope)},
		{Name: "Description:", Value: m.Description},
		{Name: "Signed by:", Value: strings.Join(by, ", ")},
		{Name: "Manifest:", Value: string(m.Digest)},
		{Name: "Published:", Value: cli.Time(v.PublishedAt) + " by " + v.PublishedBy},
		{Name: "Withdrawn:", Value: cli.Time(v.WithdrawnAt)},
		{Name: "Expires:", Value: cli.Time(m.Expires)},
		{Name: "Interpreter:", Value: strings.Join(m.Interpreter, " ")},
		{Name: "Arguments:", Value: strings.Join(m.Arguments, "  ")},
		{Name: "Leftovers:", Value: string(m.Leftovers)},
		{Name: "Limits:", Value: string(limits)},
	}
	for _, p := range m.Payloads {
		fields = append(fields, cli.Field{Name: "Payload:", Value: fmt.Sprintf("%s %s %s", p.Platform, cli.Bytes(p.Size), p.Digest)})
	}
	return cli.Show(c, struct {
		webjob.JobVersion
		SignedBy []string         `json:"signed_by"`
		Content  *webjob.Manifest `json:"content"`
	}{v.JobVersion, by, &m.Manifest}, fields)
}

// pageFlags are --after and --limit.
type pageFlags struct{ page webjob.Page }

func (p *pageFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&p.page.After, "after", "", "continue a list after this row")
	c.Flags().IntVar(&p.page.Limit, "limit", webjob.DefaultPage, fmt.Sprintf("rows, 1 to %d", webjob.MaxPage))
}

func (p *pageFlags) query() url.Values { return api.EncodePage(p.page) }
