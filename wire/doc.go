// Package wire is the HTTP contract between the programs: paths, headers,
// request and response bodies, and the one translation of error kinds to HTTP
// statuses and back. Both sides import it; it imports only the domain.
// docs/protocol.md describes the same contract for people.
package wire
