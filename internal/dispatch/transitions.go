package dispatch

import (
	"slices"

	"webjob.dev/webjob"
)

// orderEvent is what happens to an order.
type orderEvent string

const (
	eventSigned orderEvent = "signed"  // it came in, or somebody added signatures
	eventStop   orderEvent = "stop"    // by an operator, a canary, too many failures
	eventResume orderEvent = "resume"  // by an operator
	eventDue    orderEvent = "due"     // a time of its schedule has come
	eventAllRun orderEvent = "all run" // no run is open any more
	eventExpire orderEvent = "expire"  // its window has closed
)

// runEvent is what happens to a run.
type runEvent string

const (
	runOffer   runEvent = "offer"    // the server gives it to its client
	runHeld    runEvent = "held"     // its client says that it holds it
	runNotHeld runEvent = "not held" // its client says that it does not
	runYield   runEvent = "yield"    // its client is away, and another one is to go first
	runLost    runEvent = "lost"     // its client says that it ran, and that nothing is left of it
	runResult  runEvent = "result"   // its result is durable
	runStop    runEvent = "stop"     // its order is stopped
	runResume  runEvent = "resume"   // its order is resumed
	runPassed  runEvent = "passed"   // the next time of the schedule has come
	runExpire  runEvent = "expire"   // the window of its order has closed
)

// guard is what else must be so for a transition.
type guard string

const (
	always      guard = ""
	enough      guard = "enough signatures"
	noneOpen    guard = "no run is queued or offered"
	noneMissing guard = "no run is queued or offered, and none expired or was stopped"
	orderOpen   guard = "the order is open"
	orderStops  guard = "the order is stopped"
	offerOver   guard = "the offer is over"
)

// created is the state of an order before the first.
const created webjob.OrderState = ""

// orderTransitions is what may become of an order. The first line that fits counts; an
// event that fits none is refused. docs/design.md draws it.
var orderTransitions = []struct {
	from  []webjob.OrderState
	event orderEvent
	guard guard
	to    webjob.OrderState
	runs  runEvent // what happens to all of its runs with it; "" nothing
}{
	{[]webjob.OrderState{created}, eventSigned, enough, webjob.OrderOpen, ""},
	{[]webjob.OrderState{created}, eventSigned, always, webjob.OrderPending, ""},
	{[]webjob.OrderState{webjob.OrderPending}, eventSigned, enough, webjob.OrderOpen, ""},
	{[]webjob.OrderState{webjob.OrderPending}, eventSigned, always, webjob.OrderPending, ""},
	{[]webjob.OrderState{webjob.OrderStopped}, eventSigned, always, webjob.OrderStopped, ""}, // counts when it is resumed
	{[]webjob.OrderState{webjob.OrderPending, webjob.OrderOpen, webjob.OrderStopped}, eventStop, always, webjob.OrderStopped, runStop},
	{[]webjob.OrderState{webjob.OrderStopped}, eventResume, enough, webjob.OrderOpen, runResume},
	{[]webjob.OrderState{webjob.OrderStopped}, eventResume, always, webjob.OrderPending, runResume},
	{[]webjob.OrderState{webjob.OrderOpen}, eventDue, always, webjob.OrderOpen, runPassed},
	{[]webjob.OrderState{webjob.OrderOpen, webjob.OrderStopped}, eventAllRun, noneMissing, webjob.OrderDone, ""},
	{[]webjob.OrderState{webjob.OrderOpen, webjob.OrderStopped}, eventAllRun, noneOpen, webjob.OrderExpired, ""},
	{[]webjob.OrderState{webjob.OrderPending, webjob.OrderOpen, webjob.OrderStopped}, eventExpire, noneMissing, webjob.OrderDone, ""},
	{[]webjob.OrderState{webjob.OrderPending, webjob.OrderOpen, webjob.OrderStopped}, eventExpire, noneOpen, webjob.OrderExpired, ""},
}

// byOutcome stands for the state that the outcome of a result gives a run.
const byOutcome webjob.RunState = "by its outcome"

// runTransitions is what may become of a run. A result counts whatever was thought of the
// run before: what was given up before it came did happen.
var runTransitions = []struct {
	from  []webjob.RunState // nil: any
	event runEvent
	guard guard
	to    webjob.RunState
}{
	{[]webjob.RunState{webjob.RunQueued, webjob.RunOffered}, runOffer, orderOpen, webjob.RunOffered}, // again, when the client has not got it
	{[]webjob.RunState{webjob.RunQueued, webjob.RunOffered}, runHeld, always, webjob.RunOffered},
	{[]webjob.RunState{webjob.RunOffered}, runNotHeld, orderStops, webjob.RunStopped},
	{[]webjob.RunState{webjob.RunOffered}, runYield, offerOver, webjob.RunQueued},
	{[]webjob.RunState{webjob.RunQueued, webjob.RunOffered}, runLost, always, webjob.RunLost},
	{nil, runResult, always, byOutcome},
	{[]webjob.RunState{webjob.RunQueued}, runStop, always, webjob.RunStopped},
	{[]webjob.RunState{webjob.RunStopped}, runResume, always, webjob.RunQueued},
	{[]webjob.RunState{webjob.RunQueued}, runPassed, always, webjob.RunExpired},
	{[]webjob.RunState{webjob.RunQueued}, runExpire, always, webjob.RunExpired},
	{[]webjob.RunState{webjob.RunOffered}, runExpire, offerOver, webjob.RunExpired},
}

// nextOrder returns what an event makes of an order, and what happens to its runs with it.
func nextOrder(o webjob.OrderStatus, event orderEvent, isEnough bool) (webjob.OrderState, runEvent, error) {
	for _, t := range orderTransitions {
		if t.event == event && slices.Contains(t.from, o.State) && holds(t.guard, o, isEnough) {
			return t.to, t.runs, nil
		}
	}
	return o.State, "", impossible(o, event)
}

// possible reports whether an event may happen to an order, guards aside.
func possible(o webjob.OrderStatus, event orderEvent) bool {
	for _, t := range orderTransitions {
		if t.event == event && slices.Contains(t.from, o.State) {
			return true
		}
	}
	return false
}

func holds(g guard, o webjob.OrderStatus, isEnough bool) bool {
	none := o.Counts[webjob.RunQueued]+o.Counts[webjob.RunOffered] == 0
	switch g {
	case enough:
		return isEnough
	case noneOpen:
		return none
	case noneMissing:
		return none && o.Counts[webjob.RunExpired]+o.Counts[webjob.RunStopped] == 0
	}
	return true
}

func impossible(o webjob.OrderStatus, event orderEvent) error {
	switch ended := !o.EndedAt.IsZero(); {
	case event == eventSigned:
		return webjob.Errorf(webjob.Conflict, "order %s is %s; it waits for no signature", o.ID, o.State)
	case event == eventStop && ended:
		return webjob.Errorf(webjob.Conflict, "order %s has ended; there is nothing to stop", o.ID)
	case event == eventResume && ended:
		return webjob.Errorf(webjob.Conflict, "order %s has ended; order it anew", o.ID)
	case event == eventResume:
		return webjob.Errorf(webjob.Conflict, "order %s is %s, not stopped; there is nothing to resume", o.ID, o.State)
	}
	return webjob.Errorf(webjob.Conflict, "order %s is %s, and has runs that have not ended", o.ID, o.State)
}

// moves returns how an event moves runs: those named, or all of the order when runs is
// nil. The store sees to it that nothing else moves.
func moves(event runEvent, runs []string) []webjob.RunMove {
	var list []webjob.RunMove
	for _, t := range runTransitions {
		if t.event != event {
			continue
		}
		move := webjob.RunMove{From: t.from, To: t.to, Runs: runs}
		switch t.guard {
		case orderOpen:
			move.While = webjob.OrderOpen
		case orderStops:
			move.While = webjob.OrderStopped
		case offerOver:
			move.OfferedBefore = now()
		}
		list = append(list, move)
	}
	return list
}
