package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

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
			if len(list.Items) == 0 {
				if err := tellNoEntries(c, s, filter.Actor); err != nil {
					return fmt.Errorf("audit list: %w", err)
				}
			}
			return cli.List(c, list.Items, auditColumns())
		},
	}
	page.add(c)
	c.Flags().StringVar(&filter.Actor, "actor", "", "by this operator only, or server, client:ID, token:ID")
	c.Flags().StringVar(&filter.Action, "action", "", "this action only, such as client.revoke, or all of a kind, such as client")
	c.Flags().StringVar(&filter.Target, "target", "", "about this client, order, run, operator or token only")
	c.Flags().StringVar(&since, "since", "", "at or after: a time (2006-01-02T15:04:05Z) or a span ago (24h)")
	c.Flags().StringVar(&until, "until", "", "before: a time or a span ago")
	return c
}

// tellNoEntries says on stderr that nothing fits, and when an actor has no entry at all:
// its name may be mistyped.
func tellNoEntries(c *cobra.Command, s *operator.Session, actor string) error {
	if actor == "" {
		cli.Say(c, "no entry fits")
		return nil
	}
	var list api.List[webjob.AuditEntry]
	filter := webjob.ActFilter{Actor: actor, Newest: true, Page: webjob.Page{Limit: 1}}
	if err := s.Call(c.Context(), http.MethodGet, api.PathAudit, api.EncodeActFilter(filter), nil, &list); err != nil {
		return err
	}
	if len(list.Items) > 0 {
		cli.Say(c, "no entry of %s fits", actor)
		return nil
	}
	cli.Say(c, "there is no entry of an actor %s at all; actors are operators (webjobctl operator list), server, client:ID and token:ID", actor)
	return nil
}

// actOf reads the text of an entry. What cannot be read is empty; verify tells.
func actOf(e webjob.AuditEntry) (text webjob.AuditText) {
	_ = json.Unmarshal(e.Text, &text)
	return text
}

// The widest cells of a table, in characters; audit show has all of it.
const (
	widestTarget = 32
	widestReason = 80
)

func auditColumns() []cli.Column[webjob.AuditEntry] {
	column := func(title string, cell func(webjob.AuditText) string) cli.Column[webjob.AuditEntry] {
		return cli.Column[webjob.AuditEntry]{Title: title, Cell: func(e webjob.AuditEntry) string { return cell(actOf(e)) }}
	}
	return []cli.Column[webjob.AuditEntry]{
		{Title: "ENTRY", Cell: func(e webjob.AuditEntry) string { return strconv.FormatInt(e.Sequence, 10) }},
		column("TIME", func(a webjob.AuditText) string { return cli.Time(a.Time) }),
		column("ACTOR", func(a webjob.AuditText) string { return a.Actor }),
		column("ACTION", func(a webjob.AuditText) string { return a.Action }),
		column("TARGET", func(a webjob.AuditText) string { return shortened(a.Target, widestTarget) }),
		column("OUTCOME", func(a webjob.AuditText) string { return string(a.Outcome) }),
		column("REASON", func(a webjob.AuditText) string { return shortened(whyOf(a), widestReason) }),
	}
}

// whyOf joins why something was done and why nothing came of it.
func whyOf(a webjob.AuditText) string {
	if a.Reason != "" && a.Error != "" {
		return a.Reason + ": " + a.Error
	}
	return a.Reason + a.Error
}

// shortened cuts what is too wide for a table.
func shortened(text string, widest int) string {
	if runes := []rune(text); len(runes) > widest {
		return string(runes[:widest-3]) + "..."
	}
	return text
}

func auditShowCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "show ENTRY", Short: "Show one entry of the audit log, all of it", Args: cobra.ExactArgs(1),
		Example: `  webjobctl audit show 4711
  webjobctl audit show 4711 -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			number, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || number < 1 || number >= webjob.MaxVersion {
				return cli.Usagef("%.40q is no number of an entry; webjobctl audit list shows them", args[0])
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			var list api.List[webjob.AuditEntry]
			filter := webjob.ActFilter{Newest: true, Page: webjob.Page{Limit: 1, After: strconv.FormatInt(number+1, 10)}}
			if err := s.Call(c.Context(), http.MethodGet, api.PathAudit, api.EncodeActFilter(filter), nil, &list); err != nil {
				return fmt.Errorf("audit show: %w", err)
			}
			if len(list.Items) == 0 || list.Items[0].Sequence != number {
				return fmt.Errorf("audit show: %w", webjob.Errorf(webjob.NotFound, "there is no entry %d; webjobctl audit list shows the newest", number))
			}
			return showEntry(c, list.Items[0])
		},
	}
}

func showEntry(c *cobra.Command, e webjob.AuditEntry) error {
	a := actOf(e)
	return cli.Show(c, e, []cli.Field{
		{Name: "Entry:", Value: strconv.FormatInt(e.Sequence, 10)},
		{Name: "Time:", Value: cli.Time(a.Time)},
		{Name: "Actor:", Value: a.Actor},
		{Name: "User:", Value: a.User},
		{Name: "From:", Value: a.Address},
		{Name: "Key:", Value: a.Key},
		{Name: "Certificate:", Value: a.Certificate},
		{Name: "Action:", Value: a.Action},
		{Name: "Target:", Value: a.Target},
		{Name: "Outcome:", Value: string(a.Outcome)},
		{Name: "Reason:", Value: a.Reason},
		{Name: "Error:", Value: a.Error},
		{Name: "Before:", Value: string(a.Before)},
		{Name: "After:", Value: string(a.After)},
		{Name: "Tokens revoked:", Value: strings.Join(a.Tokens, ", ")},
		{Name: "Hash:", Value: string(e.Hash)},
	})
}
