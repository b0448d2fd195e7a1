// Package server is webjobd: it wires the rooms (identity, access, audit, publish, dispatch,
// results, rules) to each other, to their [webjob.Store] and [webjob.Blobs], and to its
// listeners, for endpoints, operators and telemetry.
//
// No rule and no SQL is here. The handlers (endpoint.go, poll.go, and operator_table.go with
// the files beside it) translate requests to calls of rooms and their answers back; serve.go
// owns listeners, what runs beside them, and their end; init.go makes a server folder. Rooms
// never call this package: what they need of others they are given in server.go.
//
// The server signs certificates, never jobs: one in the wrong hands can withhold, not
// invent.
package server
