// Package dispatch decides which client does which run of an order when: orders and their
// states, offers, canaries, rates, schedules, late joiners, and the clients that wait.
//
// Which changes there are stands in transitions.go, as two tables. The store is the truth:
// every change is made there first, and only if what it expects is so; what is kept in
// memory (state.go) is a cache of it that may be out of date, and is read anew when a
// change meets a Conflict. So two servers may work on the same orders.
//
// Orders come in through [Dispatcher.Create], which checks them as clients will. A client
// asks for work through [Dispatcher.Wait] and is answered with runs to do. That a run has
// ended is told by the room of results, through [Dispatcher.Ended]. It knows no HTTP.
package dispatch
