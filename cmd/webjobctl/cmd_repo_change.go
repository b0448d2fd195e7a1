package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/internal/trust"
)

// proposal makes a draft of what the repository is now; nil says that there is nothing
// to change.
type proposal func(h *operator.Home, r *operator.RepositoryState) (*trust.Draft, error)

// propose makes a draft, shows it, signs it with the keys and hands it in.
func propose(c *cobra.Command, open openHome, what string, f *proposeFlags, make proposal) error {
	s, err := open.session()
	if err != nil {
		return err
	}
	h, err := open()
	if err != nil {
		return err
	}
	r, err := s.Repository().GetAsSeen(c.Context())
	if err == nil {
		err = r.PinFirst()
	}
	if err == nil && r.View == nil {
		_, err = h.PinnedRepository()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	d, err := make(h, r)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if d == nil {
		cli.Say(c, "%s: nothing is to be done", what)
		return nil
	}
	if _, err := s.Repository().Signers(r.View, d, f.names); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := showDraft(c, s.Reviews(), r.View, d, f.depth); err != nil {
		return err
	}
	response, err := s.Repository().Hand(c.Context(), r.View, d, f.names)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	tellDraft(c, response)
	return nil
}

// proposeFlags are how a change is proposed.
type proposeFlags struct {
	names []string
	depth operator.Depth
}

func (f *proposeFlags) add(c *cobra.Command) {
	addKeyFlag(c, &f.names)
	c.Flags().BoolVar(&f.depth.Details, "details", false, "show each role of the job repository")
}

func addKeyFlag(c *cobra.Command, names *[]string) {
	c.Flags().StringArrayVar(names, "key", nil, "key that signs; may be repeated (default: the keys here that may)")
}

func repoRotateCommand(open openHome) *cobra.Command {
	var threshold int
	f := &proposeFlags{}
	c := &cobra.Command{
		Use: "rotate KEY...", Short: "Give the job repository to these people from now on", Args: cobra.MinimumNArgs(1),
		Long: `Rotate replaces the people who sign: to add a colleague, to take out a key that was lost or
stolen, to change how many must sign. Enough of the people before and enough of the new
ones must sign. Clients follow by themselves. Who is taken out also leaves the rules of
the policy; when a rule would then lack keys, it is to be changed first. A team keeps its
keys: webjobctl repo delegate changes them.`,
		Example: `  webjobctl repo rotate alice carol dave     bob's key was lost`,
		RunE: func(c *cobra.Command, args []string) error {
			return propose(c, open, "repo rotate", f, func(h *operator.Home, r *operator.RepositoryState) (*trust.Draft, error) {
				people, err := h.People(args)
				if err != nil {
					return nil, err
				}
				if !c.Flags().Changed("threshold") {
					if threshold, err = keepThreshold(c, r.View, len(people)); err != nil {
						return nil, err
					}
				}
				if err := warnOfTeams(c, r.View, people); err != nil {
					return nil, err
				}
				policy, err := trust.PolicyFor(r.View, people, threshold)
				if err != nil {
					return nil, err
				}
				return trust.ProposeSigners(r.View, people, threshold, r.Online, policy, time.Now())
			})
		},
	}
	c.Flags().IntVar(&threshold, "threshold", 0, "how many of the keys must sign (default: as many as before)")
	f.add(c)
	return c
}

// keepThreshold returns how many must sign as before, or as many as there are.
func keepThreshold(c *cobra.Command, base *trust.View, people int) (int, error) {
	_, threshold, err := base.Signers()
	if err == nil && threshold > people {
		cli.Say(c, "repo rotate: %d had to sign, and there are only %d keys; from now on %d must sign", threshold, people, people)
		threshold = people
	}
	return threshold, err
}

// warnOfTeams tells that a key which is taken out still signs for a team.
func warnOfTeams(c *cobra.Command, base *trust.View, people []trust.NamedKey) error {
	keys, _, err := base.Signers()
	if err != nil {
		return err
	}
	var leaving []string
	for _, key := range keys {
		if !slices.ContainsFunc(people, func(p trust.NamedKey) bool { return p.Key().ID() == key.ID() }) {
			leaving = append(leaving, key.ID())
		}
	}
	teams, err := trust.TeamsOf(base, leaving)
	for _, team := range teams {
		cli.Say(c, "repo rotate: team %s keeps a key that is taken out here; if it was lost or stolen, change that, too: webjobctl repo delegate %s", team, team)
	}
	return err
}

func repoDelegateCommand(open openHome) *cobra.Command {
	var keys, jobs []string
	f := &proposeFlags{}
	threshold := 1
	c := &cobra.Command{
		Use: "delegate TEAM", Short: "Let a team sign the jobs of its own names, and nobody else", Args: cobra.ExactArgs(1),
		Example: `  webjobctl repo delegate web --jobs 'web-*' --by dora --by emil --threshold 2`,
		RunE: func(c *cobra.Command, args []string) error {
			return propose(c, open, "repo delegate", f, func(h *operator.Home, r *operator.RepositoryState) (*trust.Draft, error) {
				people, err := h.People(keys)
				if err != nil {
					return nil, err
				}
				var public []*trust.PublicKey
				for _, person := range people {
					public = append(public, person.Key())
				}
				if len(jobs) == 0 {
					return nil, cli.Usagef("no --jobs; say which names are the team's, such as --jobs 'web-*'")
				}
				return trust.ProposeTeam(r.View, args[0], jobs, public, threshold, time.Now())
			})
		},
	}
	c.Flags().StringArrayVar(&jobs, "jobs", nil, "glob of job names; may be repeated")
	c.Flags().StringArrayVar(&keys, "by", nil, "key of the team; may be repeated")
	c.Flags().IntVar(&threshold, "threshold", 1, "how many of the team must sign")
	f.add(c)
	return c
}

func repoRenewCommand(open openHome) *cobra.Command {
	var within time.Duration
	f := &proposeFlags{}
	c := &cobra.Command{
		Use: "renew", Short: "Sign anew what expires soon", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return propose(c, open, "repo renew", f, func(_ *operator.Home, r *operator.RepositoryState) (*trust.Draft, error) {
				now := time.Now()
				return trust.ProposeRenewal(r.View, now.Add(within), now)
			})
		},
	}
	c.Flags().DurationVar(&within, "within", 60*24*time.Hour, "what counts as soon")
	f.add(c)
	return c
}

func repoPolicyCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Who may order what"}
	f := &proposeFlags{}
	set := &cobra.Command{
		Use: "set FILE", Short: "Propose the policy of a JSON file", Args: cobra.ExactArgs(1),
		Long: `Set proposes a policy. Start from what webjobctl repo policy show prints. The first rule
whose jobs and clients fit decides; put strict rules first. A threshold of 0 accepts orders
that nobody signed: only for laboratories.`,
		Example: `  webjobctl repo policy show >policy.json
  webjobctl repo policy set policy.json`,
		RunE: func(c *cobra.Command, args []string) error {
			return propose(c, open, "repo policy set", f, func(_ *operator.Home, r *operator.RepositoryState) (*trust.Draft, error) {
				text, err := os.ReadFile(args[0])
				if err != nil {
					return nil, webjob.Errorf(webjob.Invalid, "%w", err)
				}
				var policy trust.Policy
				decoder := json.NewDecoder(strings.NewReader(string(text)))
				decoder.DisallowUnknownFields()
				if err := decoder.Decode(&policy); err != nil {
					return nil, webjob.Errorf(webjob.Invalid, "%s: %w", args[0], err)
				}
				slices.SortFunc(policy.People, func(a, b trust.NamedKey) int { return strings.Compare(a.Name, b.Name) })
				if err := policy.Check(); err != nil {
					return nil, webjob.Errorf(webjob.Invalid, "%s: %w", args[0], err)
				}
				content, err := policy.Encode()
				if err != nil {
					return nil, err
				}
				return trust.Propose(r.View, "policy", map[string][]byte{trust.PolicyPath: content}, time.Now())
			})
		},
	}
	f.add(set)
	show := &cobra.Command{
		Use: "show", Short: "Print the policy as JSON", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := open.session()
			if err != nil {
				return err
			}
			r, err := s.Repository().GetAsSeen(c.Context())
			if err != nil {
				return fmt.Errorf("repo policy show: %w", err)
			}
			if err := r.PinFirst(); err != nil {
				return fmt.Errorf("repo policy show: %w", err)
			}
			if r.View == nil {
				return fmt.Errorf("repo policy show: %w", webjob.Errorf(webjob.NotFound, "this server has no job repository yet"))
			}
			policy, err := r.View.Policy()
			if err != nil {
				return fmt.Errorf("repo policy show: %w", err)
			}
			encoder := json.NewEncoder(c.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(policy)
		},
	}
	c.AddCommand(show, set)
	return c
}
