// Package api is the operator API: paths, request and response bodies, and a client.
// webjobctl uses nothing else, and other people's programs may. It imports the domain
// and package wire, whose errors and connections it shares; docs/protocol.md describes
// the same contract for people.
package api
