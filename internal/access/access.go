// Package access decides what an actor of the operator interface may do: at all, for every
// client, or on certain ones. It knows roles, rights and selectors, and neither requests
// nor the store; who the actor is was proved before. Rooms of the server ask it with the
// right that the route table names.
package access

import (
	"fmt"
	"slices"
	"strings"

	"webjob.dev/webjob"
)

// Actor is an operator who makes a request.
type Actor struct {
	Name   string
	grants []grant
}

// grant is a webjob.Grant that was read.
type grant struct {
	webjob.Grant

	selects webjob.Selector // of a narrowed one
}

func (g grant) has(right webjob.Right) bool {
	return slices.Contains(g.Role.Rights(), right)
}

func (g grant) reaches(s webjob.Subject) bool { return g.On == "" || g.selects.Matches(s) }

// For returns the actor that an operator is. Grants that cannot be read give nothing, and
// are an error.
func For(o webjob.Operator) (*Actor, error) {
	a := &Actor{Name: o.Name}
	for _, g := range o.Grants {
		read := grant{Grant: g}
		if g.On != "" {
			var err error
			if read.selects, err = webjob.ParseSelector(g.On); err != nil {
				return nil, webjob.Errorf(webjob.Internal, "role %q of operator %s: %w", g.String(), o.Name, err)
			}
		}
		a.grants = append(a.grants, read)
	}
	return a, nil
}

// May refuses an actor who has the right nowhere.
func (a *Actor) May(right webjob.Right) error {
	for _, g := range a.grants {
		if g.has(right) {
			return nil
		}
	}
	return webjob.Errorf(webjob.Refused, "operator %s may not do this: it needs the right %q, of the role %s; an admin can give it: %s",
		a.Name, right, strings.Join(rolesWith(right), " or "), a.remedy(right))
}

// MayEverywhere refuses an actor who does not have the right for all clients.
func (a *Actor) MayEverywhere(right webjob.Right) error {
	within, err := a.Within(right)
	if err != nil || within == "" {
		return err
	}
	return webjob.Errorf(webjob.Refused, "operator %s has the right %q on %q only, and this concerns all clients; an admin can widen it: %s",
		a.Name, right, within, a.remedy(right))
}

// MayOn refuses an actor who does not have the right on the client.
func (a *Actor) MayOn(right webjob.Right, client webjob.Client) error {
	return a.MayOnAll(right, []webjob.Client{client})
}

// MayOnAll refuses an actor who does not have the right on every one of the clients. It
// names at most five of the others.
func (a *Actor) MayOnAll(right webjob.Right, clients []webjob.Client) error {
	within, err := a.Within(right)
	if err != nil || within == "" {
		return err
	}
	var outside []string
	for _, c := range clients {
		if !a.reaches(right, c.Subject()) {
			outside = append(outside, c.ID)
		}
	}
	if len(outside) == 0 {
		return nil
	}
	return webjob.Errorf(webjob.Refused, "operator %s has the right %q on %q only, and not on %s; an admin can widen it: %s",
		a.Name, right, within, someOf(outside), a.remedy(right))
}

// Within returns the selector of the clients on which the actor has the right, "" for all.
// It is Refused when there is nowhere.
func (a *Actor) Within(right webjob.Right) (string, error) {
	if err := a.May(right); err != nil {
		return "", err
	}
	var selectors []string
	for _, g := range a.grants {
		switch {
		case !g.has(right):
		case g.On == "":
			return "", nil
		default:
			selectors = append(selectors, g.On)
		}
	}
	return webjob.EitherSelector(selectors), nil
}

// Sees reports whether the actor may look at the client and at what is the client's.
func (a *Actor) Sees(client webjob.Client) bool { return a.reaches(webjob.MayView, client.Subject()) }

// SeesAll reports whether the actor may look at every client.
func (a *Actor) SeesAll() bool { return a.MayEverywhere(webjob.MayView) == nil }

func (a *Actor) reaches(right webjob.Right, s webjob.Subject) bool {
	for _, g := range a.grants {
		if g.has(right) && g.reaches(s) {
			return true
		}
	}
	return false
}

// rolesWith returns the roles that have the right, the one that may least first.
func rolesWith(right webjob.Right) []string {
	var roles []string
	for _, role := range webjob.OperatorRoles() {
		if (grant{Grant: webjob.Grant{Role: role}}).has(right) {
			roles = append(roles, string(role))
		}
	}
	return roles
}

// remedy returns the command that gives the actor the right on all clients, beside what
// it has.
func (a *Actor) remedy(right webjob.Right) string {
	words := []string{"webjobctl operator role", a.Name}
	widened := false
	for _, g := range a.grants {
		if g.has(right) {
			g.On, widened = "", true
		}
		words = append(words, quoted(g.String()))
	}
	if !widened {
		words = append(words, rolesWith(right)[0])
	}
	return strings.Join(words, " ")
}

// quoted makes one word of a shell's command line.
func quoted(word string) string {
	if !strings.ContainsAny(word, " '\"\\$*?[]()<>!&|;~`#") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// mostNamed bounds the clients that a refusal names.
const mostNamed = 5

func someOf(ids []string) string {
	if len(ids) <= mostNamed {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:mostNamed], ", "), len(ids)-mostNamed)
}
