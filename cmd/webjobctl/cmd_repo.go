package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

func repoCommand(open openHome) *cobra.Command {
	c := &cobra.Command{
		Use: "repo", Short: "The signed job repository: who signs jobs and orders, and what waits for signatures",
		Long: `The job repository (The Update Framework) says which versions of which jobs may run, which
labels clients have, and who may give orders. People sign it with keys that stay on their
machines; the server only keeps it fresh. Clients pin its root when they enrol, and run
only what enough of these people signed, whatever the server says.

A change waits as a draft until enough people have signed it. When one signature is
enough, it takes effect at once.`,
		Example: `  webjobctl repo init alice                               one person signs
  webjobctl repo init alice bob carol --threshold 2       two of three sign
  webjobctl repo sign                                     look at what waits, and sign it`,
	}
	c.AddCommand(repoInitCommand(open), repoStatusCommand(open), repoSignCommand(open), repoDropCommand(open), repoPinCommand(open),
		repoRotateCommand(open), repoDelegateCommand(open), repoRenewCommand(open), repoPolicyCommand(open))
	return c
}

// tellDraft says what became of a draft: who must do what before it is in effect.
func tellDraft(c *cobra.Command, h operator.Handed) {
	if !h.Accepted {
		cli.Say(c, "draft %s waits for %d more signature(s), of %s; who signs looks at it first: webjobctl repo sign %s", h.ID, h.Missing, strings.Join(h.MaySign, ", "), h.ID)
	}
}

func repoInitCommand(open openHome) *cobra.Command {
	var threshold int
	var depth operator.Depth
	c := &cobra.Command{
		Use: "init KEY...", Short: "Make the job repository, signed by these keys", Args: cobra.MinimumNArgs(1),
		Long: `Init makes the job repository of a new server. The keys are those of this folder
(webjobctl key list); colleagues' public keys are added with webjobctl key import. The
people named sign everything in it, and may give orders.`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			h, err := open()
			if err != nil {
				return err
			}
			people, err := h.People(args)
			if err != nil {
				return fmt.Errorf("repo init: %w", err)
			}
			d, response, err := s.Repository().Begin(c.Context(), people, threshold)
			if err != nil {
				return fmt.Errorf("repo init: %w", err)
			}
			tellDraft(c, response)
			if response.Accepted {
				return showRepository(c, s)
			}
			return showDraft(c, s.Reviews(), nil, d, depth)
		},
	}
	c.Flags().BoolVar(&depth.Details, "details", false, "show each role of the job repository")
	c.Flags().IntVar(&threshold, "threshold", 1, "how many of the keys must sign")
	return c
}

// showDraft shows a draft of one's own.
func showDraft(c *cobra.Command, reviews operator.Reviews, base *trust.View, d *trust.Draft, depth operator.Depth) error {
	r, err := reviews.Draft(c.Context(), base, d, depth)
	if err != nil {
		return err
	}
	return showReview(c, c.OutOrStdout(), r, false)
}

func repoStatusCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show roles, keys, expiry, and drafts that wait", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			return showRepository(c, s)
		},
	}
}

// repositoryInfo is what repo status prints as JSON.
type repositoryInfo struct {
	Root   webjob.Digest      `json:"root,omitempty"`
	Roles  []trust.RoleStatus `json:"roles,omitempty"`
	Policy *trust.Policy      `json:"policy,omitempty"`
	// OrderOnly are the people of the policy who sign nothing in the repository.
	OrderOnly []string    `json:"order_only,omitempty"`
	Unpinned  bool        `json:"unpinned,omitempty"` // the server has one, and none is pinned here
	Drafts    []draftInfo `json:"drafts"`
}

type draftInfo struct {
	ID      string       `json:"id"`
	Summary string       `json:"summary"`
	By      string       `json:"by"`
	Created time.Time    `json:"created"`
	Needs   []trust.Need `json:"needs"`
}

func showRepository(c *cobra.Command, s *operator.Session) error {
	r, err := s.Repository().GetAsSeen(c.Context())
	if err != nil {
		return fmt.Errorf("repo status: %w", err)
	}
	info := repositoryInfo{Drafts: []draftInfo{}}
	var fields []cli.Field
	if r.View != nil {
		info.Root = r.View.Digest()
		if info.Roles, err = r.View.Status(); err != nil {
			return fmt.Errorf("repo status: %w", err)
		}
		if info.Policy, err = r.View.Policy(); err != nil {
			return fmt.Errorf("repo status: %w", err)
		}
		info.OrderOnly = info.Policy.OrderOnly(info.Roles)
		fields = append(fields, cli.Field{Name: "Root:", Value: string(info.Root)})
		fields = append(fields, roleFields(info, s.Repository().Names(info.Policy))...)
	}
	if r.View == nil && !r.Unpinned && len(r.Drafts) == 0 {
		fields = append(fields, cli.Field{Name: "Root:", Value: "none; this server has no job repository yet: webjobctl repo init"})
	}
	if err := r.PinFirst(); err != nil {
		info.Unpinned = true
		return cli.Show(c, info, append(fields, cli.Field{Name: "Root:", Value: err.Error()}, cli.Field{Name: "Drafts:", Value: fmt.Sprint(len(r.Drafts))}))
	}
	for _, d := range r.Drafts {
		needs, err := d.Needs(r.View)
		if err != nil {
			return fmt.Errorf("repo status: draft %s: %w", d.ID, err)
		}
		missing := 0
		for _, need := range needs {
			missing = max(missing, need.Missing())
		}
		info.Drafts = append(info.Drafts, draftInfo{ID: d.ID, Summary: d.Summary, By: d.By, Created: d.Created, Needs: needs})
		fields = append(fields, cli.Field{Name: "Draft " + d.ID + ":", Value: fmt.Sprintf("%s, by %s; waits for %d more signature(s)", d.Summary, d.By, missing)})
	}
	return cli.Show(c, info, fields)
}

func roleFields(info repositoryInfo, names func(string) string) []cli.Field {
	var fields []cli.Field
	for _, role := range info.Roles {
		var people []string
		for _, id := range role.Keys {
			people = append(people, names(id))
		}
		slices.Sort(people)
		signers := fmt.Sprintf("%d of %s", role.Threshold, strings.Join(people, ", "))
		if role.Role == trust.RoleTimestamp || role.Role == trust.RoleSnapshot {
			signers = "the server"
		}
		value := fmt.Sprintf("version %d until %s, signed by %s", role.Version, cli.Time(role.Expires), signers)
		if len(role.Paths) > 0 {
			value += fmt.Sprintf(", for %s (%d)", strings.Join(role.Paths, ", "), role.Targets)
		}
		if soon := time.Now().Add(30 * 24 * time.Hour); role.Expires.Before(soon) && signers != "the server" {
			value += "; renew it: webjobctl repo renew"
		}
		fields = append(fields, cli.Field{Name: "Role " + role.Role + ":", Value: value})
	}
	for _, person := range info.Policy.People {
		fields = append(fields, cli.Field{Name: "Key " + person.Name + ":", Value: person.Key().Fingerprint()})
	}
	for i, rule := range info.Policy.Orders {
		fields = append(fields, cli.Field{Name: fmt.Sprintf("Orders %d:", i+1), Value: fmt.Sprintf("%s on %s: %d of %s", strings.Join(rule.Jobs, ", "), rule.On, rule.Threshold, strings.Join(rule.Keys, ", "))})
	}
	for _, name := range info.OrderOnly {
		fields = append(fields, cli.Field{Name: "Warning:", Value: fmt.Sprintf("key %s may give orders and is not, or no more, among the people who sign here; if it was lost or stolen, take it out: webjobctl repo policy show, webjobctl repo policy set", name)})
	}
	return fields
}

func repoSignCommand(open openHome) *cobra.Command {
	f := &signFlags{}
	c := &cobra.Command{
		Use: "sign [DRAFT...]", Short: "Look at drafts and sign them", Args: cobra.ArbitraryArgs,
		Long: `Sign shows what each draft changes and, of each job version in it, what would run: its
description and its payloads, compared with the version before. Scripts are shown as text,
folders file by file, programs by what they say of themselves. Payloads come from the server
and are checked against the digests that are signed. Then it asks, and adds the signatures of
this folder's keys. Without names it takes all drafts that wait.

On a terminal what does not fit goes through $PAGER, or less. With -o json it prints a
document for each draft with everything that was shown; then it asks on standard error, or
with --yes not at all.`,
		Example: `  webjobctl repo sign
  webjobctl repo sign 3f2a9c01 --full
  webjobctl repo sign --yes -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			r, err := s.Repository().GetAsSeen(c.Context())
			if err == nil {
				err = r.PinFirst()
			}
			if err == nil {
				err = s.MayApprove(c.Context())
			}
			if err != nil {
				return fmt.Errorf("repo sign: %w", err)
			}
			drafts, err := chooseDrafts(r, args)
			if err != nil {
				return fmt.Errorf("repo sign: %w", err)
			}
			var signed []signedDraft
			for _, d := range drafts {
				one, err := f.sign(c, s, r.View, d)
				if err != nil {
					return errors.Join(fmt.Errorf("repo sign: draft %s: %w", d.ID, err), printSigned(c, signed))
				}
				signed = append(signed, one)
			}
			return printSigned(c, signed)
		},
	}
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	addDepthFlags(c, &f.depth)
	addKeyFlag(c, &f.names)
	return c
}

func chooseDrafts(r *operator.RepositoryState, ids []string) ([]*trust.Draft, error) {
	if len(ids) == 0 {
		if len(r.Drafts) == 0 {
			return nil, webjob.Errorf(webjob.NotFound, "nothing waits for signatures")
		}
		return r.Drafts, nil
	}
	var chosen []*trust.Draft
	for _, id := range ids {
		d, err := r.Draft(id)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, d)
	}
	return chosen, nil
}

// signFlags are how drafts are signed.
type signFlags struct {
	yes   bool
	names []string
	depth operator.Depth
}

// sign shows a draft, asks, and signs it. As JSON, what is shown stands in the document
// that is printed at the end, and is text only where a person is asked.
func (f *signFlags) sign(c *cobra.Command, s *operator.Session, base *trust.View, d *trust.Draft) (signedDraft, error) {
	r, err := s.Reviews().Draft(c.Context(), base, d, f.depth)
	if err != nil {
		return signedDraft{}, err
	}
	out, isTable := c.OutOrStdout(), cli.FormatOf(c) == cli.Table
	if !isTable {
		out = c.ErrOrStderr()
	}
	if isTable || !f.yes {
		if err := writeLines(out, []string{fmt.Sprintf("Draft %s: %s, by %s", r.ID, r.Summary, r.By)}); err != nil {
			return signedDraft{}, err
		}
		if err := showReview(c, out, r, !f.yes); err != nil {
			return signedDraft{}, err
		}
	}
	if _, err := s.Repository().Signers(base, d, f.names); err != nil {
		return signedDraft{}, err
	}
	if !f.yes && !confirmReview(c, "Sign this?", r) {
		return signedDraft{}, webjob.Errorf(webjob.Refused, "not signed")
	}
	handed, err := s.Repository().Hand(c.Context(), base, d, f.names)
	if err != nil {
		return signedDraft{}, err
	}
	tellDraft(c, handed)
	if isTable && handed.Accepted {
		_, err = fmt.Fprintf(out, "Signed, and in effect: %s\n", r.Summary)
	}
	return newSignedDraft(r, handed), err
}

// printSigned prints what was signed, for programs.
func printSigned(c *cobra.Command, signed []signedDraft) error {
	if cli.FormatOf(c) == cli.Table {
		return nil
	}
	return cli.List(c, signed, nil)
}

// confirm asks on the terminal; anything but yes is no.
func confirm(c *cobra.Command, question string) bool {
	fmt.Fprint(c.ErrOrStderr(), cli.OneLine(question)+" [y/N] ")
	answer, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n') // the end of input is no
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

func repoDropCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "drop DRAFT", Short: "Forget a draft that waits", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			if err := s.Call(c.Context(), http.MethodDelete, api.DraftPath(args[0]), nil, nil, nil); err != nil {
				return fmt.Errorf("repo drop: %w", err)
			}
			return cli.Show(c, map[string]string{"dropped": args[0]}, []cli.Field{{Name: "Dropped:", Value: args[0]}})
		},
	}
}

func repoPinCommand(open openHome) *cobra.Command {
	return &cobra.Command{
		Use: "pin DIGEST", Short: "Trust the server's job repository, if it has the root that a colleague told", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			want, err := webjob.ParseDigest(args[0])
			if err != nil {
				return fmt.Errorf("repo pin: %w", err)
			}
			s, err := open.session()
			if err != nil {
				return err
			}
			if _, err := s.Repository().Pin(c.Context(), want); err != nil {
				return fmt.Errorf("repo pin: %w", err)
			}
			return showRepository(c, s)
		},
	}
}
