// Package trust decides who may make a machine run what: signing keys, the job
// repository (The Update Framework) with its policy, signed orders, detached
// signatures, enrolment tokens, and the certificates that clients, operators and
// servers show each other.
//
// It does no input or output of its own except reading certificate files,
// and it keeps no state: callers hand in bytes and get a verdict. There is no
// switch that turns a check off.
package trust
