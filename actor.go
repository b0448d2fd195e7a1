package webjob

import (
	"slices"
	"strings"
)

// Right is what an actor may do. The route table of the operator listener names one for
// every route.
type Right string

// The rights.
const (
	MayView    Right = "view"    // read everything but secrets
	MayOrder   Right = "order"   // order, stop, resume; suspend clients
	MayPublish Right = "publish" // propose changes of the job repository and upload payloads
	MayApprove Right = "approve" // add signatures to others' proposals and orders
	MayAdmin   Right = "admin"   // operators, tokens, clients, configuration
)

// Rights lists the rights.
func Rights() []Right { return []Right{MayView, MayOrder, MayPublish, MayApprove, MayAdmin} }

// OperatorRole is a set of rights with a name.
type OperatorRole string

// The roles.
const (
	Viewer       OperatorRole = "viewer"
	OrderingRole OperatorRole = "operator"
	Publisher    OperatorRole = "publisher"
	Approver     OperatorRole = "approver"
	Admin        OperatorRole = "admin"
)

// OperatorRoles lists the roles, those that may least first.
func OperatorRoles() []OperatorRole {
	return []OperatorRole{Viewer, OrderingRole, Publisher, Approver, Admin}
}

// Rights returns what the role may; of an unknown one, nothing.
func (r OperatorRole) Rights() []Right {
	switch r {
	case Viewer:
		return []Right{MayView}
	case OrderingRole:
		return []Right{MayView, MayOrder}
	case Publisher:
		return []Right{MayView, MayPublish}
	case Approver:
		return []Right{MayView, MayApprove}
	case Admin:
		return Rights()
	}
	return nil
}

// Grant gives an operator a role, narrowed to the clients that On selects; "" means all.
type Grant struct {
	Role OperatorRole `json:"role"`
	On   string       `json:"on,omitempty"`
}

// MaxGrants bounds what one operator is granted.
const MaxGrants = 8

const grantOn = " on "

// ParseGrant reads "ROLE" or "ROLE on SELECTOR".
func ParseGrant(text string) (Grant, error) {
	role, on, narrowed := strings.Cut(strings.TrimSpace(text), grantOn)
	g := Grant{Role: OperatorRole(role), On: strings.TrimSpace(on)}
	if !slices.Contains(OperatorRoles(), g.Role) {
		return Grant{}, Errorf(Invalid, "role %.40q is unknown; use viewer, operator, publisher, approver or admin, or such as \"operator on site=lab\"", role)
	}
	if !narrowed {
		return g, nil
	}
	selector, err := ParseSelector(on)
	if err != nil {
		return Grant{}, Errorf(Invalid, "role %s: %w", role, err)
	}
	if selector.IsAll() {
		g.On = ""
	} else if g.Role == Publisher {
		return Grant{}, Errorf(Invalid, "a publisher cannot be narrowed: the job repository is for all clients")
	}
	return g, nil
}

// String returns the form that [ParseGrant] reads.
func (g Grant) String() string {
	if g.On == "" {
		return string(g.Role)
	}
	return string(g.Role) + grantOn + g.On
}

// CheckGrants accepts 1 to [MaxGrants] known roles whose selectors can be read, also all
// of them in one.
func CheckGrants(grants []Grant) error {
	if len(grants) == 0 || len(grants) > MaxGrants {
		return Errorf(Invalid, "%d roles are given; an operator has 1 to %d", len(grants), MaxGrants)
	}
	var selectors []string
	for i, g := range grants {
		read, err := ParseGrant(g.String())
		if err != nil {
			return err
		}
		if read != g {
			return Errorf(Invalid, "role %.80q is not in its plain form, %q", g.String(), read.String())
		}
		if slices.Contains(grants[:i], g) {
			return Errorf(Invalid, "role %q is given twice", g.String())
		}
		if g.On != "" {
			selectors = append(selectors, g.On)
		}
	}
	if len(selectors) == 0 {
		return nil
	}
	_, err := ParseSelector(EitherSelector(selectors))
	return err
}

// EitherSelector returns the selector that means whom any of them means.
func EitherSelector(selectors []string) string {
	if len(selectors) == 1 {
		return selectors[0]
	}
	return "(" + strings.Join(selectors, ") or (") + ")"
}

// GrantsText returns grants for a table.
func GrantsText(grants []Grant) string {
	words := make([]string, len(grants))
	for i, g := range grants {
		words[i] = g.String()
	}
	return strings.Join(words, ", ")
}

// AdministersAll reports whether the grants hold the role admin for all clients.
func AdministersAll(grants []Grant) bool { return slices.Contains(grants, Grant{Role: Admin}) }
