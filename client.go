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
	// Storage is what its results take; only where one client is shown.
	Storage *Storage `json:"storage,omitempty"`
}

// Chain is how far the tickets of a client are on one line; see package tickets.
type Chain struct {
	Client     string
	Line       string
	Generation uint64 // how often it was begun anew; with Number the order of its versions
	Number     uint64 // of the newest ticket
	Ticket     string // the newest ticket, "" for none
	Address    string // of the last exchange
	At         time.Time
}

// Certificate is what is noted of a certificate that was issued.
type Certificate struct {
	Serial   *big.Int
	NotAfter time.Time
}

// RevokedCertificate is a certificate of a client or operator that does not count any
// more, though it has not expired.
type RevokedCertificate struct {
	Role   Role
	Holder string // client id or operator name
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
	Grants     []Grant   `json:"grants"`
	EnrolledAt time.Time `json:"enrolled_at"`
	AddedBy    string    `json:"added_by,omitempty"` // who made the token; "" of operators from before that was noted
	Expires    time.Time `json:"expires"`            // of the newest certificate
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	Reason     string    `json:"reason,omitempty"` // of the revocation
}

// Revoked reports whether the operator may no longer do anything.
func (o Operator) Revoked() bool { return !o.RevokedAt.IsZero() }

// Role says which listener a certificate or token is for.
type Role string

// The roles.
const (
	RoleClient   Role = "client"
	RoleOperator Role = "operator"
)

// CheckName accepts the names of those who have the role.
func (r Role) CheckName(s string) error {
	if r == RoleOperator {
		return CheckOperatorName(s)
	}
	return CheckClientID(s)
}

// Token is a one-time token as the server keeps it: never the secret itself.
type Token struct {
	Sequence int64  `json:"-"`  // given by the store
	ID       string `json:"id"` // the first digits of Secret, for people
	Secret   Digest `json:"-"`  // digest of the token's secret
	Role     Role   `json:"role"`
	// Name binds the token to one client or operator; "" is for any new one. Without grants
	// it is one that comes back with a new key, under its own name.
	Name    string    `json:"name,omitempty"`
	Labels  Labels    `json:"labels,omitempty"`
	Grants  []Grant   `json:"grants,omitempty"`  // of a new operator
	Uses    int64     `json:"uses"`              // how many enrolments are left
	Total   int64     `json:"total"`             // how many there were
	UsedBy  []string  `json:"used_by,omitempty"` // who came in with it, the first [MaxTokenUsers]
	Expires time.Time `json:"expires"`
	MadeBy  string    `json:"made_by,omitempty"`
	MadeAt  time.Time `json:"made_at,omitzero"`
	// RevokedAt is set when nobody can use it any more, whatever uses are left.
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// Readmits reports whether the token lets one who is known come back.
func (t Token) Readmits() bool { return t.Name != "" && len(t.Grants) == 0 }

// ReadmissionReason stands in the reason for which somebody is revoked who is to come back with a
// token, at its end, before the token's id.
const ReadmissionReason = "comes back with a new key, by token "

// Bounds of a token.
const (
	MaxTokenUses     = 100_000
	MaxTokenUsers    = 20 // whose names are kept
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
	if t.Name != "" {
		if err := t.Role.CheckName(t.Name); err != nil {
			return err
		}
		if t.Uses != 1 {
			return Errorf(Invalid, "token uses is %d; a token for %s by name is used once", t.Uses, t.Name)
		}
	}
	switch t.Role {
	case RoleClient:
		if len(t.Grants) > 0 {
			return Errorf(Invalid, "the token is for a client, which has no role of an operator")
		}
	case RoleOperator:
		if t.Readmits() {
			break // it has the roles of before
		}
		if err := CheckGrants(t.Grants); err != nil {
			return Errorf(Invalid, "token for an operator: %w", err)
		}
	default:
		return Errorf(Invalid, "token role %.40q is unknown; use client or operator", string(t.Role))
	}
	return t.Labels.Check()
}
