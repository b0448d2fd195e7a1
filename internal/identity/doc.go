// Package identity decides who is let in: it makes clients and operators of those who hold
// a token, renews their certificates, shuts them out, and lets them come back. It issues
// the certificates of the installation and tells which of them were revoked.
//
// Enrolment is one change of the store: the token's use, the client or operator, its
// certificate, and what triggers are told. The certificate is issued before, so that
// nothing is taken from the token when that fails.
//
// Requests come from the handlers of package server, which have checked the certificate
// that a peer shows; what is checked here is whether its holder still counts. It knows no
// HTTP, and leaves tickets, by which a copied identity shows, to others: they call
// [Room.Cloned].
package identity
