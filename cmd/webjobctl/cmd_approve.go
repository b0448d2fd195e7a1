package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

func orderApproveCommand(open openHome) *cobra.Command {
	var yes bool
	var names []string
	c := &cobra.Command{
		Use: "approve ORDER", Short: "Look at an order that waits for signatures, and sign it", Args: cobra.ExactArgs(1),
		Long: `Approve shows exactly what would run where, as it is signed, and adds a signature of this
folder's key. What is shown is verified here: the server cannot show one order and have
another one signed.`,
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			s, err := h.Session()
			if err != nil {
				return err
			}
			p, err := s.Pending(c.Context(), args[0])
			if err != nil {
				return fmt.Errorf("order approve: %w", err)
			}
			if p.Status.State != webjob.OrderPending {
				return fmt.Errorf("order approve: %w", webjob.Errorf(webjob.Conflict, "order %s is %s; it waits for no signature", args[0], p.Status.State))
			}
			keys, err := h.SigningKeys(names)
			if err != nil {
				return fmt.Errorf("order approve: %w", err)
			}
			if err := showPending(c, p); err != nil {
				return err
			}
			if !yes && !confirm(c, "Sign this order?") {
				return fmt.Errorf("order approve: %w", webjob.Errorf(webjob.Refused, "not signed"))
			}
			status, err := s.Approve(c.Context(), p, keys)
			if err != nil {
				return fmt.Errorf("order approve: %w", err)
			}
			if status.State == webjob.OrderPending {
				c.PrintErrf("order %s waits for more signatures\n", status.ID)
			}
			return showOrder(c, api.OrderDetail{OrderStatus: status})
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().StringArrayVar(&names, "key", nil, "key that signs; may be repeated (default: the only one here)")
	return c
}

// showPending tells people what they sign, on stderr: stdout is for the result.
func showPending(c *cobra.Command, p *operator.Pending) error {
	o, m := p.Signed, p.Manifest
	signed := "nobody"
	if len(o.SignedBy) > 0 {
		signed = strings.Join(o.SignedBy, ", ")
	}
	out := c.ErrOrStderr()
	lines := []string{
		fmt.Sprintf("Order %s would run %s version %d: %s", o.ID, o.Job, o.Version, m.Description),
		fmt.Sprintf("  manifest    %s", o.Manifest),
		fmt.Sprintf("  arguments   %q", o.Arguments),
		fmt.Sprintf("  on          %s, now %d of %d clients: %s", o.On, p.Selected.Matching, p.Selected.Enrolled, examples(p.Selected)),
		fmt.Sprintf("  window      %s to %s", cli.Time(o.NotBefore), cli.Time(o.Expires)),
	}
	if schedule := scheduleOf(webjob.OrderStatus{Order: o.Order}); schedule != "" {
		lines = append(lines, "  repeated    "+schedule)
	}
	for _, payload := range m.Payloads {
		lines = append(lines, fmt.Sprintf("  payload     %s, %d bytes, %s", payload.Platform, payload.Size, payload.Digest))
	}
	lines = append(lines, "  signed by   "+signed)
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}
