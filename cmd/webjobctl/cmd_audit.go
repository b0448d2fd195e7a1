package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

func auditCommand(open openHome) *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "Who did what: list, verify, export",
		Long: `The audit log holds what operators did and tried, from where, and what was so before and
after. Entries are only ever added. Each names the hash of the one before, so that whoever
knows one hash can tell whether anything before it was changed. Reads and refusals of the
same operator and host about the same thing are recorded once in ten minutes.`,
	}
	c.AddCommand(auditListCommand(open), auditVerifyCommand(open), auditExportCommand(open))
	return c
}

func auditListCommand(open openHome) *cobra.Command {
	var page pageFlags
	var filter webjob.ActFilter
	var since, until string
	c := &cobra.Command{
		Use: "list", Short: "List what operators did, the newest first", Args: cobra.NoArgs,
		Example: `  webjobctl audit list --actor paul --since 24h
  webjobctl audit list --action order --until 2026-03-01
  webjobctl audit list --target web1 -o jsonl`,
		RunE: func(c *cobra.Command, _ []string) error {
			filter.Page, filter.Newest = page.page, true
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
			var list api.List[webjob.AuditEntry]
			if err := s.Call(c.Context(), http.MethodGet, api.PathAudit, api.EncodeActFilter(filter), nil, &list); err != nil {
				return fmt.Errorf("audit list: %w", err)
			}
			next(c, list.Next)
			act := func(e webjob.AuditEntry) (text webjob.AuditText) {
				_ = json.Unmarshal(e.Text, &text) // what cannot be read is empty; verify tells
				return text
			}
			column := func(title string, cell func(webjob.AuditText) string) cli.Column[webjob.AuditEntry] {
				return cli.Column[webjob.AuditEntry]{Title: title, Cell: func(e webjob.AuditEntry) string { return cell(act(e)) }}
			}
			return cli.List(c, list.Items, []cli.Column[webjob.AuditEntry]{
				{Title: "ENTRY", Cell: func(e webjob.AuditEntry) string { return strconv.FormatInt(e.Sequence, 10) }},
				column("TIME", func(a webjob.AuditText) string { return cli.Time(a.Time) }),
				column("ACTOR", func(a webjob.AuditText) string { return a.Actor }),
				column("FROM", func(a webjob.AuditText) string { return a.Address }),
				column("ACTION", func(a webjob.AuditText) string { return a.Action }),
				column("TARGET", func(a webjob.AuditText) string { return a.Target }),
				column("OUTCOME", func(a webjob.AuditText) string { return string(a.Outcome) }),
				column("BEFORE", func(a webjob.AuditText) string { return string(a.Before) }),
				column("AFTER", func(a webjob.AuditText) string { return string(a.After) }),
				column("REASON", func(a webjob.AuditText) string { return a.Reason }),
			})
		},
	}
	page.add(c)
	c.Flags().StringVar(&filter.Actor, "actor", "", "by this operator only")
	c.Flags().StringVar(&filter.Action, "action", "", "this action only, such as client.revoke, or all of a kind, such as client")
	c.Flags().StringVar(&filter.Target, "target", "", "about this client, order, run, operator or token only")
	c.Flags().StringVar(&since, "since", "", "at or after: a time (2006-01-02T15:04:05Z) or a span ago (24h)")
	c.Flags().StringVar(&until, "until", "", "before: a time or a span ago")
	return c
}

func auditVerifyCommand(open openHome) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "verify", Short: "Check that the audit log is whole", Args: cobra.NoArgs,
		Long: `Verify walks the whole audit log and checks that each entry follows the one before. It
remembers in the operator folder how far it came, and next time refuses a log that does
not hold that entry: one that was cut or rewritten. With --file it checks an export,
without a server.`,
		Example: `  webjobctl audit verify
  webjobctl audit verify --file audit.jsonl`,
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := verifyAudit(c, open, file)
			if err != nil {
				return fmt.Errorf("audit verify: %w", err)
			}
			fields := []cli.Field{
				{Name: "Entries:", Value: fmt.Sprintf("%d, each follows the one before", report.Entries)},
				{Name: "Newest:", Value: headText(report.Head)},
			}
			if report.Before != nil {
				fields = append(fields, cli.Field{Name: "Goes on from:", Value: headText(*report.Before)})
			}
			return cli.Show(c, report, fields)
		},
	}
	c.Flags().StringVar(&file, "file", "", "check this export instead; - reads standard input")
	return c
}

func verifyAudit(c *cobra.Command, open openHome, file string) (operator.AuditReport, error) {
	if file == "-" {
		return operator.VerifyExport(c.InOrStdin())
	}
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return operator.AuditReport{}, webjob.Errorf(webjob.Invalid, "%w", err)
		}
		defer func() { _ = f.Close() }() // only read
		return operator.VerifyExport(f)
	}
	s, err := open.session()
	if err != nil {
		return operator.AuditReport{}, err
	}
	return s.Audit().Verify(c.Context())
}

func headText(h operator.AuditHead) string {
	if h.Sequence == 0 {
		return ""
	}
	return fmt.Sprintf("entry %d of %s, %s", h.Sequence, cli.Time(h.Time), h.Hash)
}

func auditExportCommand(open openHome) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "export", Short: "Write the whole audit log as JSON lines", Args: cobra.NoArgs,
		Long: `Export writes one entry a line, exactly as it is hashed, from the first one on.
webjobctl audit verify --file checks it anywhere.`,
		Example: `  webjobctl audit export --to audit.jsonl
  webjobctl audit export | gzip >audit.jsonl.gz`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			export := func(w io.Writer) error {
				out := bufio.NewWriter(w)
				if err := s.Audit().Each(c.Context(), webjob.ActFilter{}, func(e webjob.AuditEntry) error { return operator.WriteAct(out, e) }); err != nil {
					return err
				}
				return out.Flush()
			}
			if to == "" {
				err = export(c.OutOrStdout())
			} else {
				err = writeNew(to, export)
			}
			if err != nil {
				return fmt.Errorf("audit export: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&to, "to", "", "new file (default: standard output)")
	return c
}

// writeNew writes a private file that was not there; when it cannot be written it is
// removed.
func writeNew(file string, write func(io.Writer) error) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(file) // half an export is none
	}
	return err
}
