// Package results is the room of what clients send back: it receives results and the
// uploads that come before large ones, opens their parts, and removes them when their time
// is over, with the blobs that nothing needs any more.
//
// Bytes come from the endpoint listener and go to the blobs and to the store; what hooks say
// of a result, for how long it is kept and how much a client may have, the rules tell; that a
// run has ended, the orders are told. There is no HTTP here, and nothing is decided here
// about what runs.
//
// # A blob that is needed is never removed
//
// Nobody waits for a lock. Whoever is to name a blob holds it in the store first, then looks
// whether it is there or puts it there, then names it; the transaction that names it makes
// sure that the hold is still there. Whoever removes a blob condemns it in the store first:
// only when nothing names it and nobody holds it; then removes it; then says so. A condemned
// blob cannot be held. So a blob is never held and condemned at once, and between a hold and
// the name that follows nobody can have removed it.
package results
