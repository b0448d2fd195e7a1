package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
)

func orderApproveCommand(open openHome) *cobra.Command {
	var yes bool
	var names []string
	var depth operator.Depth
	c := &cobra.Command{
		Use: "approve ORDER", Short: "Look at an order that waits for signatures, and sign it", Args: cobra.ExactArgs(1),
		Long: `Approve shows exactly what would run where, as it is signed: the order in words, the
description of the job version and its payloads, compared with the version before where they
differ. Then it adds a signature of this folder's key. What is shown is verified here: the
server cannot show one order and have another one signed. It is text on standard error, on a
terminal through $PAGER or less; standard output has the order.`,
		RunE: func(c *cobra.Command, args []string) error {
			h, err := open()
			if err != nil {
				return err
			}
			s, err := h.Session()
			if err != nil {
				return err
			}
			err = s.MayApprove(c.Context())
			var p *operator.Pending
			if err == nil {
				p, err = s.Orders().Pending(c.Context(), args[0])
			}
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
			if err := s.Orders().Helps(c.Context(), p, keys); err != nil {
				return fmt.Errorf("order approve: %w", err)
			}
			r, err := s.Reviews().Order(c.Context(), p, depth)
			if err != nil {
				return fmt.Errorf("order approve: %w", err)
			}
			if err := showReview(c, c.ErrOrStderr(), r, !yes); err != nil {
				return err
			}
			cli.Say(c, "it waits for %s", operator.SignaturesOf(p.Missing, p.MaySign))
			if !yes && !confirmReview(c, "Sign this order?", r) {
				return fmt.Errorf("order approve: %w", webjob.Errorf(webjob.Refused, "not signed"))
			}
			status, err := s.Orders().Approve(c.Context(), p, keys)
			if err != nil {
				return fmt.Errorf("order approve: %w", err)
			}
			return showGiven(c, s, status)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	addDepthFlags(c, &depth)
	c.Flags().StringArrayVar(&names, "key", nil, "key that signs; may be repeated (default: the only one here)")
	return c
}
