// Package trust decides who may make a machine run what: signing keys, the
// pinned trust root, signed envelopes, enrolment tokens, and the certificates
// that clients, operators and servers show each other.
//
// It does no input or output of its own except reading and writing key files,
// and it keeps no state: callers hand in bytes and get a verdict. There is no
// switch that turns a check off.
package trust
