// Package server is webjobd: it enrols clients and operators, takes signed jobs,
// gives them out, and receives results.
//
// The services (enrol.go, publish.go, dispatch.go, receive.go) hold the rules and
// know no HTTP; the handlers (endpoint.go, operator.go, telemetry.go) translate
// requests to services; serve.go owns listeners and their end. Everything the
// server knows is in a [webjob.Store] and [webjob.Blobs]; it keeps nothing else
// between requests but last-seen times. It signs certificates, never jobs: a
// server in the wrong hands can withhold, not invent.
package server
