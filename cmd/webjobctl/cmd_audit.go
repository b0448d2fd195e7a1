package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

func auditCommand(open openHome) *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "Who did what: list, show, verify, export",
		Long: `The audit log holds what operators did and tried, from where, why, and what was so before
and after; who came in with which token; and what the server did by itself. Entries are only
ever added. Each names the hash of the one before, so that whoever knows one hash can tell
whether anything before it was changed. Reads and refusals of the same operator and
host about the same thing are recorded once in ten minutes; of those who are not let in, ten tries a minute
from one address are, and the rest is counted in one entry.`,
	}
	c.AddCommand(auditListCommand(open), auditShowCommand(open), auditVerifyCommand(open), auditExportCommand(open))
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
				if err := s.Audit().Each(c.Context(), api.ForExport, func(e webjob.AuditEntry) error { return operator.WriteAct(out, e) }); err != nil {
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
