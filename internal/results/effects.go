package results

import (
	"context"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/rules"
)

// ask asks the hooks of a put, and gathers what goes with the result.
func (a *arrival) ask(ctx context.Context) error {
	record := a.record
	if keep := a.k.Rules.Retention(a.client, record.Job); keep > 0 {
		a.result.KeepUntil = a.result.Received.Add(keep)
	}
	order, owner, at, found := webjob.ParseRunID(record.Run)
	if found && record.Order == order {
		if err := webjob.CheckRunOwner(record.Run, a.client.ID); err != nil {
			return err
		}
		a.effects.OrderRun = &webjob.OrderRun{
			Run: record.Run, Order: order, Client: owner, At: at, Rank: webjob.MaxOrderRuns, State: webjob.StateOf(record.Outcome), Updated: a.result.Received,
		}
		a.effects.AddRun = a.k.Orders.Keeps(order, a.client, at)
	}
	if a.k.Rules.None() {
		return nil
	}
	event := rules.NewEvent(webjob.OnPut, a.client)
	event.Job, event.Version, event.Run, event.Order, event.Arguments = record.Job, record.Version, record.Run, record.Order, possible(record.Arguments)
	event.Outcome, event.ExitStatus, event.Reason = record.Outcome, record.ExitStatus, shortened(record.Reason)
	if stdout, found := record.Part(webjob.Stdout); found {
		event.Stdout = stdout.Digest
	}
	said, err := a.k.Rules.Ask(ctx, event, a.client)
	if err != nil {
		return err
	}
	a.effects.Notes = said.Notes
	a.tellTriggers(event)
	return nil
}

// maxReason bounds the reason in an event, in bytes.
const maxReason = 2 << 10

// possible returns the arguments of a run for its event, unless they are more than any job
// takes: then it was refused, or they are made up. Records may be large, and count in what
// their client may store; events are kept, told and read many at a time for each trigger.
func possible(arguments []string) []string {
	if len(arguments) > webjob.MaxArguments || len(strings.Join(arguments, "")) > webjob.MaxCommandBytes {
		return nil
	}
	return arguments
}

func shortened(reason string) string {
	return strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}

// tellTriggers sets what triggers are told once it is known what the output was before.
func (a *arrival) tellTriggers(event webjob.Event) {
	subject := a.client.Subject()
	follows := event.Stdout != "" && event.Outcome != webjob.NotStarted && event.Outcome != webjob.RunRefused && a.k.Rules.Follows(event.Job, subject)
	if follows {
		a.effects.Output = event.Stdout
	}
	a.effects.Deliveries = func(before webjob.Digest) []webjob.Delivery {
		list := a.k.Rules.Deliveries(event, subject)
		tell := func(kind webjob.EventKind) {
			other := event
			other.Kind, other.ID, other.Before = kind, event.ID+"-"+string(kind), before
			list = append(list, a.k.Rules.Deliveries(other, subject)...)
		}
		if event.Outcome != webjob.Succeeded {
			tell(webjob.OnFailure)
		}
		if follows && before != event.Stdout {
			tell(webjob.OnDiff)
		}
		return list
	}
}
