package webjob

import (
	"math/big"
	"strings"
	"time"
)

// Client is an enrolled endpoint as the server knows it.
type Client struct {
	ID         string    `json:"id"`
	Labels     Labels    `json:"labels,omitempty"`
	Platform   Platform  `json:"platform"`
	Key        Digest    `json:"key"` // of the public key (PKIX DER) that the client made
	EnrolledAt time.Time `json:"enrolled_at"`
	LastSeen   time.Time `json:"last_seen,omitzero"` // to about a minute
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	Reason     string    `json:"reason,omitempty"` // of the revocation or suspension
	// SuspendedAt is set while the client is shut out for now.
	SuspendedAt time.Time `json:"suspended_at,omitzero"`
	OverdueAt   time.Time `json:"overdue_at,omitzero"` // when it was told that the client is overdue
	// AskedAt is set while a client whose certificate expired asks for a new one, and
	// ApprovedUntil while it may have it.
	AskedAt       time.Time `json:"asked_at,omitzero"`
	ApprovedUntil time.Time `json:"approved_until,omitzero"`
	Clone         *Clone    `json:"clone,omitempty"` // the last sign of a second holder; readmit clears it
	Facts         *Facts    `json:"facts,omitempty"` // what its agent says; nil before the first agent
}

// Chain is how far the tickets of a client are on one line; see package server.
type Chain struct {
	Client    string
	Line      string
	Counter   uint64
	Branch    uint64
	Abandoned []Branch // that nobody may go on with
	Address   string   // of the last exchange
	At        time.Time
}

// Branch is a line of tickets that was left behind after one of them.
type Branch struct {
	ID    uint64 `json:"id"`
	After uint64 `json:"after"` // tickets with a higher counter prove a second holder
}

// RevokedCertificate is a certificate of a revoked client that has not expired.
type RevokedCertificate struct {
	Client string
	Serial *big.Int
	At     time.Time
}

// Clone is what shows that two hold one client's identity.
type Clone struct {
	Client       string    `json:"client"`
	Reason       string    `json:"reason"`
	Address      string    `json:"address"` // that showed it, and when
	At           time.Time `json:"at"`
	OtherAddress string    `json:"other_address"` // of the exchange before
	OtherAt      time.Time `json:"other_at"`
}

// Subject returns what selectors look at. Before an agent told facts, the platform
// that the client enrolled with serves.
func (c Client) Subject() Subject {
	s := Subject{ID: c.ID, Labels: c.Labels}
	s.Facts.OS, s.Facts.Arch, _ = strings.Cut(string(c.Platform), "/")
	if c.Facts != nil {
		s.Facts = *c.Facts
	}
	return s
}

// Revoked reports whether the client may no longer do anything.
func (c Client) Revoked() bool { return !c.RevokedAt.IsZero() }

// Operator is a person or program that may use the operator interface.
type Operator struct {
	Name       string    `json:"name"`
	Key        Digest    `json:"key"`
	EnrolledAt time.Time `json:"enrolled_at"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
}

// Role says which listener a certificate or token is for.
type Role string

// The roles.
const (
	RoleClient   Role = "client"
	RoleOperator Role = "operator"
)

// Token is a one-time token as the server keeps it: never the secret itself.
type Token struct {
	ID      string    `json:"id"` // the first digits of Secret, for people
	Secret  Digest    `json:"-"`  // digest of the token's secret
	Role    Role      `json:"role"`
	Labels  Labels    `json:"labels,omitempty"`
	Uses    int64     `json:"uses"` // how many enrolments are left
	Expires time.Time `json:"expires"`
}

// Bounds of a token.
const (
	MaxTokenUses     = 100_000
	MaxTokenLifetime = 90 * 24 * time.Hour
)

// Check reports the first value that is out of range at the time now.
func (t Token) Check(now time.Time) error {
	if t.Uses < 1 || t.Uses > MaxTokenUses {
		return Errorf(Invalid, "token uses is %d; it must be 1 to %d", t.Uses, MaxTokenUses)
	}
	if lifetime := t.Expires.Sub(now); lifetime <= 0 || lifetime > MaxTokenLifetime {
		return Errorf(Invalid, "token lifetime is %s; it must be more than 0 and at most %s", lifetime.Round(time.Second), MaxTokenLifetime)
	}
	return t.Labels.Check()
}
