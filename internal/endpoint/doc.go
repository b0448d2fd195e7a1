// Package endpoint is webjob on one machine: its state folder, its enrolment, and
// the walk of one job through the stages GET, RUN and PUT.
//
// State opens the folder; what is in it is divided into parts that know little of each
// other: Enrolments, RepositoryCache, Tickets, Claims, StandingOrders and KeptJobs. A
// run walks through them in run.go (from a server), ordered.go (for an order) or
// fromfile.go (from removable media).
//
// The stages are packages of their own (fetch, runner, spool, upload); this one
// puts them in order, keeps the state folder, and decides nothing about trust that
// package trust could decide. It writes below the state folder only, listens
// nowhere, and talks only to the servers it is enrolled with.
package endpoint
