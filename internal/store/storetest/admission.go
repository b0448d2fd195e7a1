package storetest

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"webjob.dev/webjob"
)

func token(name string, uses int64) webjob.Token {
	secret := webjob.DigestOf([]byte(name))
	return webjob.Token{
		ID: secret.Short(), Secret: secret, Role: webjob.RoleClient, Labels: webjob.Labels{"env": "prod"}, Uses: uses, Total: uses,
		Expires: now.Add(time.Hour), MadeBy: "olga", MadeAt: now,
	}
}

// tokenFor is one with which the holder of a name comes back.
func tokenFor(role webjob.Role, name string) webjob.Token {
	t := token(fmt.Sprint(role, name), 1)
	t.Role, t.Name, t.Labels = role, name, nil
	return t
}

func operatorToken(name string, uses int64, grants ...webjob.Grant) webjob.Token {
	t := token(name, uses)
	t.Role, t.Labels, t.Grants = webjob.RoleOperator, nil, grants
	return t
}

func client(id string) webjob.Client {
	return webjob.Client{ID: id, Labels: webjob.Labels{"env": "prod"}, Platform: "linux/amd64", Key: webjob.DigestOf([]byte(id)), EnrolledAt: now}
}

// certificate is one of its own that ends in an hour.
func certificate(name string) webjob.Certificate {
	return webjob.Certificate{Serial: new(big.Int).SetBytes([]byte(name)), NotAfter: now.Add(time.Hour)}
}

// enroll adds clients with a new token.
func enroll(t *testing.T, s webjob.Store, ids ...string) {
	t.Helper()
	tok := token(fmt.Sprint(ids), int64(len(ids)))
	must(t, s.AddToken(t.Context(), tok))
	for _, id := range ids {
		must(t, s.Enroll(t.Context(), tok.Secret, client(id), certificate(id), nil))
	}
}

var (
	admin  = webjob.Grant{Role: webjob.Admin}
	inLab  = webjob.Grant{Role: webjob.OrderingRole, On: "site=lab"}
	viewer = webjob.Grant{Role: webjob.Viewer}
)

// operate adds an operator with a new token.
func operate(t *testing.T, s webjob.Store, name string, grants ...webjob.Grant) {
	t.Helper()
	tok := operatorToken("token of "+name, 1, grants...)
	must(t, s.AddToken(t.Context(), tok))
	_, err := s.AddOperator(t.Context(), tok.Secret, operator(name), certificate("of "+name))
	must(t, err)
}

func operator(name string) webjob.Operator {
	return webjob.Operator{Name: name, Key: webjob.DigestOf([]byte(name)), EnrolledAt: now}
}

func tokenUses(t *testing.T, s webjob.Store) {
	tok := token("two uses", 2)
	must(t, s.AddToken(t.Context(), tok))
	wantKind(t, s.AddToken(t.Context(), tok), webjob.Conflict)
	sameID := token("another secret", 1)
	sameID.ID = tok.ID
	wantKind(t, s.AddToken(t.Context(), sameID), webjob.Conflict)
	got, err := s.Token(t.Context(), tok.Secret)
	must(t, err)
	got.Sequence = 0
	wantEqual(t, got, tok)
	enrol := func(secret webjob.Digest, id string) error {
		return s.Enroll(t.Context(), secret, client(id), certificate(id), nil)
	}
	must(t, enrol(tok.Secret, "a"))
	must(t, enrol(tok.Secret, "b"))
	wantKind(t, enrol(tok.Secret, "c"), webjob.Refused)
	_, err = s.Token(t.Context(), tok.Secret)
	wantKind(t, err, webjob.NotFound)
	list, err := s.ListTokens(t.Context(), webjob.Page{Limit: 1})
	must(t, err)
	wantEqual(t, list[0].UsedBy, []string{"a", "b"})
	many := token("many uses", webjob.MaxTokenUsers+2)
	must(t, s.AddToken(t.Context(), many))
	for i := range many.Uses {
		must(t, enrol(many.Secret, fmt.Sprint("many", i)))
	}
	list, err = s.ListTokens(t.Context(), webjob.Page{Limit: 1})
	must(t, err)
	wantEqual(t, len(list[0].UsedBy), webjob.MaxTokenUsers)
	wantEqual(t, list[0].UsedBy[0], "many0")
	wantKind(t, enrol(webjob.DigestOf([]byte("forged")), "c"), webjob.Refused)
	// Of the wrong kind.
	forOperator, forClient := operatorToken("op", 1, viewer), token("machine", 1)
	must(t, s.AddToken(t.Context(), forOperator))
	must(t, s.AddToken(t.Context(), forClient))
	wantKind(t, enrol(forOperator.Secret, "c"), webjob.Refused)
	_, err = s.AddOperator(t.Context(), forClient.Secret, operator("c"), certificate("c"))
	wantKind(t, err, webjob.Refused)
}

func tokenLife(t *testing.T, s webjob.Store) {
	first, second := token("first", 9), token("second", 1)
	must(t, s.AddToken(t.Context(), first))
	must(t, s.AddToken(t.Context(), second))
	page, err := s.ListTokens(t.Context(), webjob.Page{Limit: 1})
	must(t, err)
	wantEqual(t, page[0].ID, second.ID)
	page, err = s.ListTokens(t.Context(), webjob.Page{Limit: 9, After: fmt.Sprint(page[0].Sequence)})
	must(t, err)
	first.Sequence = page[0].Sequence
	wantEqual(t, page, []webjob.Token{first})
	revoked, err := s.RevokeToken(t.Context(), first.ID, now)
	must(t, err)
	first.RevokedAt = now
	wantEqual(t, revoked, first)
	revoked, err = s.RevokeToken(t.Context(), first.ID, now.Add(time.Hour))
	must(t, err)
	wantEqual(t, revoked.RevokedAt, now)
	_, err = s.Token(t.Context(), first.Secret)
	wantKind(t, err, webjob.NotFound)
	wantKind(t, s.Enroll(t.Context(), first.Secret, client("a"), certificate("a"), nil), webjob.Refused)
	_, err = s.RevokeToken(t.Context(), "nonsense", now)
	wantKind(t, err, webjob.NotFound)
}

func enrolmentIsWhole(t *testing.T, s webjob.Store) {
	enroll(t, s, "taken")
	tok := token("new", 1)
	must(t, s.AddToken(t.Context(), tok))
	untouched := func() {
		t.Helper()
		got, err := s.Token(t.Context(), tok.Secret)
		must(t, err)
		wantEqual(t, got.Uses, int64(1))
		_, err = s.Client(t.Context(), "free")
		wantKind(t, err, webjob.NotFound)
		due, err := s.DueDeliveries(t.Context(), "t", now, 9)
		must(t, err)
		wantEqual(t, len(due), 0)
	}
	told := []webjob.Delivery{{Trigger: "t", NextAt: now}}
	wantKind(t, s.Enroll(t.Context(), tok.Secret, client("taken"), certificate("free"), told), webjob.Conflict)
	untouched()
	if err := s.Enroll(t.Context(), tok.Secret, client("free"), certificate("taken"), told); err == nil { // its serial is there already
		t.Fatal("a certificate that cannot be noted was given out")
	}
	untouched()
	must(t, s.Enroll(t.Context(), tok.Secret, client("free"), certificate("free"), told))
	c, err := s.Client(t.Context(), "free")
	must(t, err)
	wantEqual(t, c, client("free"))
	due, err := s.DueDeliveries(t.Context(), "t", now, 9)
	must(t, err)
	wantEqual(t, len(due), 1)
	_, err = s.Client(t.Context(), "nobody")
	wantKind(t, err, webjob.NotFound)
}

func revocation(t *testing.T, s webjob.Store) {
	enroll(t, s, "bad")
	must(t, s.RevokeClient(t.Context(), "bad", "stolen", now))
	must(t, s.RevokeClient(t.Context(), "bad", "again", now.Add(time.Hour)))
	c, err := s.Client(t.Context(), "bad")
	must(t, err)
	if !c.Revoked() || c.Reason != "stolen" || !c.RevokedAt.Equal(now) {
		t.Fatalf("got %+v", c)
	}
	wantKind(t, s.RevokeClient(t.Context(), "nobody", "", now), webjob.NotFound)
}

func clientReadmitted(t *testing.T, s webjob.Store) {
	enroll(t, s, "web1", "web2")
	must(t, s.SuspendClient(t.Context(), "web1", "odd", now))
	must(t, s.SetFacts(t.Context(), "web1", webjob.Facts{OS: "linux"}))
	must(t, s.SetLateRenewal(t.Context(), "web1", now, now))
	must(t, s.AddClone(t.Context(), webjob.Clone{Client: "web1"}, nil))
	must(t, s.SaveChains(t.Context(), []webjob.Chain{{Client: "web1", Line: "run", At: now}, {Client: "web2", Line: "run", At: now}}))
	must(t, s.ChangeRepository(t.Context(), webjob.RepositoryChange{Labels: map[string]webjob.Labels{"web1": {"env": "lab"}}}, now))
	wantKind(t, s.AddToken(t.Context(), tokenFor(webjob.RoleClient, "nobody")), webjob.NotFound)

	tok := tokenFor(webjob.RoleClient, "web1")
	must(t, s.AddToken(t.Context(), tok))
	c, err := s.Client(t.Context(), "web1")
	must(t, err)
	wantEqual(t, c.RevokedAt, now) // its key of before ends at once
	next := client("web1")
	next.Key, next.Platform, next.EnrolledAt, next.Labels = webjob.DigestOf([]byte("new")), "linux/arm64", now.Add(time.Minute), webjob.Labels{"env": "other"}
	as := func(id string) webjob.Client { c := next; c.ID = id; return c }
	wantKind(t, s.Enroll(t.Context(), tok.Secret, as("web2"), certificate("new"), nil), webjob.Refused)
	wantKind(t, s.Enroll(t.Context(), tok.Secret, as("web3"), certificate("new"), nil), webjob.Refused)
	must(t, s.Enroll(t.Context(), tok.Secret, next, certificate("new"), nil))
	c, err = s.Client(t.Context(), "web1")
	must(t, err)
	next.Labels = webjob.Labels{"env": "lab"} // as they were signed
	wantEqual(t, c, next)
	var chains []string
	must(t, s.Chains(t.Context(), func(c webjob.Chain) error { chains = append(chains, c.Client); return nil }))
	wantEqual(t, chains, []string{"web2"})
	revoked, err := s.RevokedCertificates(t.Context(), now)
	must(t, err)
	wantEqual(t, revoked, []webjob.RevokedCertificate{{Role: webjob.RoleClient, Holder: "web1", Serial: certificate("web1").Serial, At: now}})

	// Who is revoked meanwhile does not come back with a token of before.
	again := tokenFor(webjob.RoleClient, "web2")
	must(t, s.AddToken(t.Context(), again))
	must(t, s.RevokeClient(t.Context(), "web2", "stolen", now))
	wantKind(t, s.Enroll(t.Context(), again.Secret, client("web2"), certificate("x"), nil), webjob.Refused)
	// Nor with an older one, once there is another.
	newest := tokenFor(webjob.RoleClient, "web2")
	newest.Secret = webjob.DigestOf([]byte("newest"))
	newest.ID = newest.Secret.Short()
	older := newest
	older.Secret = webjob.DigestOf([]byte("older"))
	older.ID = older.Secret.Short()
	must(t, s.AddToken(t.Context(), older))
	must(t, s.AddToken(t.Context(), newest))
	wantKind(t, s.Enroll(t.Context(), older.Secret, client("web2"), certificate("x"), nil), webjob.Refused)
	must(t, s.Enroll(t.Context(), newest.Secret, client("web2"), certificate("x"), nil))
}

func operators(t *testing.T, s webjob.Store) {
	tok := operatorToken("op", 2, inLab, viewer)
	must(t, s.AddToken(t.Context(), tok))
	want := operator("alice")
	want.Grants, want.AddedBy, want.Expires = []webjob.Grant{inLab, viewer}, "olga", certificate("a").NotAfter
	got, err := s.AddOperator(t.Context(), tok.Secret, operator("alice"), certificate("a"))
	must(t, err)
	wantEqual(t, got, want)
	_, err = s.AddOperator(t.Context(), tok.Secret, operator("alice"), certificate("b"))
	wantKind(t, err, webjob.Conflict)
	_, err = s.AddOperator(t.Context(), tok.Secret, operator("bob"), certificate("a"))
	if err == nil {
		t.Fatal("a certificate that cannot be noted was given out")
	}
	left, err := s.Token(t.Context(), tok.Secret)
	must(t, err)
	wantEqual(t, left.Uses, int64(1))
	got, err = s.Operator(t.Context(), "alice")
	must(t, err)
	wantEqual(t, got, want)
	_, err = s.Operator(t.Context(), "mallory")
	wantKind(t, err, webjob.NotFound)
	named := operatorToken("for bob", 1, admin)
	named.Name = "bob"
	must(t, s.AddToken(t.Context(), named))
	_, err = s.AddOperator(t.Context(), named.Secret, operator("carol"), certificate("c"))
	wantKind(t, err, webjob.Refused)
	_, err = s.AddOperator(t.Context(), named.Secret, operator("bob"), certificate("c"))
	must(t, err)
	list, err := s.ListOperators(t.Context(), webjob.Page{Limit: 1})
	must(t, err)
	wantEqual(t, list, []webjob.Operator{want})
	list, err = s.ListOperators(t.Context(), webjob.Page{Limit: 9, After: "alice"})
	must(t, err)
	wantEqual(t, []any{len(list), list[0].Name}, []any{1, "bob"})
}

func operatorReadmitted(t *testing.T, s webjob.Store) {
	operate(t, s, "olga", admin)
	operate(t, s, "paul", inLab)
	operate(t, s, "rosa", admin)
	tok := tokenFor(webjob.RoleOperator, "paul")
	must(t, s.AddToken(t.Context(), tok))
	get := func(name string) webjob.Operator {
		o, err := s.Operator(t.Context(), name)
		must(t, err)
		return o
	}
	wantEqual(t, get("paul").RevokedAt, now)
	next := operator("paul")
	next.Key, next.EnrolledAt = webjob.DigestOf([]byte("new")), now.Add(time.Minute)
	_, err := s.AddOperator(t.Context(), tok.Secret, operator("other"), certificate("new"))
	wantKind(t, err, webjob.Refused)
	_, err = s.AddOperator(t.Context(), tok.Secret, next, certificate("new"))
	must(t, err)
	next.Grants, next.AddedBy, next.Expires = []webjob.Grant{inLab}, "olga", certificate("new").NotAfter
	wantEqual(t, get("paul"), next)

	// What a revoked operator made is of no more use, and neither is what names it.
	must(t, s.AddToken(t.Context(), tokenFor(webjob.RoleOperator, "rosa")))
	made := token("made by rosa", 5)
	made.MadeBy = "rosa"
	must(t, s.AddToken(t.Context(), made))
	must(t, s.RevokeOperator(t.Context(), "rosa", "left us", now))
	must(t, s.RevokeOperator(t.Context(), "rosa", "again", now.Add(time.Hour)))
	wantEqual(t, get("rosa").RevokedAt, now)
	for _, gone := range []webjob.Token{tokenFor(webjob.RoleOperator, "rosa"), made} {
		_, err := s.Token(t.Context(), gone.Secret)
		wantKind(t, err, webjob.NotFound)
	}
	wantKind(t, s.RevokeOperator(t.Context(), "nobody", "", now), webjob.NotFound)
	wantKind(t, s.AddToken(t.Context(), tokenFor(webjob.RoleOperator, "nobody")), webjob.NotFound)
}

func operatorRoles(t *testing.T, s webjob.Store) {
	operate(t, s, "olga", admin)
	operate(t, s, "paul", viewer)
	change := func(before, after webjob.Grant) error {
		return s.ChangeOperator(t.Context(), "paul", []webjob.Grant{before}, []webjob.Grant{after}, now)
	}
	must(t, change(viewer, inLab))
	wantKind(t, change(viewer, admin), webjob.Conflict)
	o, err := s.Operator(t.Context(), "paul")
	must(t, err)
	wantEqual(t, o.Grants, []webjob.Grant{inLab})
	must(t, s.RevokeOperator(t.Context(), "paul", "", now))
	wantKind(t, change(inLab, viewer), webjob.Conflict)
	wantKind(t, s.ChangeOperator(t.Context(), "nobody", nil, []webjob.Grant{viewer}, now), webjob.NotFound)
}

// Who is no admin any more cannot become one again with a token that it made before.
func demotedAdmin(t *testing.T, s webjob.Store) {
	adminOfLab := webjob.Grant{Role: webjob.Admin, On: "site=lab"}
	operate(t, s, "olga", admin)
	for name, c := range map[string]struct {
		before, after []webjob.Grant
		left          bool
	}{
		"taken away": {[]webjob.Grant{admin, viewer}, []webjob.Grant{viewer}, false},
		"narrowed":   {[]webjob.Grant{admin}, []webjob.Grant{adminOfLab}, false},
		"of the lab": {[]webjob.Grant{adminOfLab}, []webjob.Grant{inLab}, false},
		"widened":    {[]webjob.Grant{adminOfLab}, []webjob.Grant{admin}, true},
		"added to":   {[]webjob.Grant{admin}, []webjob.Grant{admin, viewer}, true},
	} {
		who := webjob.DigestOf([]byte(name)).Short()
		operate(t, s, who, c.before...)
		made := operatorToken("made by "+who, 1, admin)
		made.MadeBy = who
		must(t, s.AddToken(t.Context(), made))
		must(t, s.ChangeOperator(t.Context(), who, c.before, c.after, now))
		if _, err := s.Token(t.Context(), made.Secret); (err == nil) != c.left {
			t.Errorf("%s: its token: %v", name, err)
		}
	}
}

func lastAdmin(t *testing.T, s webjob.Store) {
	operate(t, s, "olga", admin)
	operate(t, s, "paul", viewer, webjob.Grant{Role: webjob.Admin, On: "site=lab"}) // not of all
	ends := func(want webjob.Kind, at time.Time) {
		t.Helper()
		wantKind(t, s.RevokeOperator(t.Context(), "olga", "", at), want)
		wantKind(t, s.ChangeOperator(t.Context(), "olga", []webjob.Grant{admin}, []webjob.Grant{viewer}, at), want)
		renewal := tokenFor(webjob.RoleOperator, "olga")
		renewal.MadeAt = at
		wantKind(t, s.AddToken(t.Context(), renewal), want)
		o, err := s.Operator(t.Context(), "olga")
		must(t, err)
		wantEqual(t, []any{o.Revoked(), o.Grants}, []any{false, []webjob.Grant{admin}})
	}
	ends(webjob.Refused, now)
	operate(t, s, "rosa", admin)
	ends(webjob.Refused, now.Add(time.Hour)) // when rosa's certificate has expired, she can do nothing
	must(t, s.RevokeOperator(t.Context(), "rosa", "", now))
	ends(webjob.Refused, now)
	must(t, s.RevokeOperator(t.Context(), "paul", "", now))
	operate(t, s, "sven", admin)
	must(t, s.RevokeOperator(t.Context(), "olga", "", now))
	// The server itself lets the last one come back.
	renewal := tokenFor(webjob.RoleOperator, "sven")
	wantKind(t, s.AddToken(t.Context(), renewal), webjob.Refused)
	renewal.MadeBy = webjob.ServerActor
	must(t, s.AddToken(t.Context(), renewal))
	_, err := s.AddOperator(t.Context(), renewal.Secret, operator("sven"), certificate("back"))
	must(t, err)
}

func certificates(t *testing.T, s webjob.Store) {
	enroll(t, s, "a", "b")
	operate(t, s, "olga", admin)
	operate(t, s, "a", viewer) // an operator may have a client's name
	second := certificate("second")
	second.NotAfter = now
	must(t, s.SetLateRenewal(t.Context(), "a", now, now))
	must(t, s.RenewClient(t.Context(), "a", client("a").Key, second))
	wantKind(t, s.RenewClient(t.Context(), "a", "another key", certificate("third")), webjob.Conflict)
	c, err := s.Client(t.Context(), "a")
	must(t, err)
	wantEqual(t, c, client("a")) // it no longer asks
	renewed := certificate("renewed")
	renewed.NotAfter = now.Add(2 * time.Hour)
	must(t, s.RenewOperator(t.Context(), "olga", operator("olga").Key, renewed))
	wantKind(t, s.RenewOperator(t.Context(), "olga", "another key", certificate("fourth")), webjob.Conflict)
	o, err := s.Operator(t.Context(), "olga")
	must(t, err)
	wantEqual(t, o.Expires, renewed.NotAfter)

	revoked := func(at time.Time, want ...string) {
		t.Helper()
		list, err := s.RevokedCertificates(t.Context(), at)
		must(t, err)
		got := []string{}
		for _, r := range list {
			got = append(got, fmt.Sprint(r.Role, " ", r.Holder, " ", string(r.Serial.Bytes())))
			wantEqual(t, r.At, now)
		}
		wantEqual(t, got, append([]string{}, want...))
	}
	revoked(now)
	must(t, s.RevokeClient(t.Context(), "a", "", now))
	must(t, s.SuspendClient(t.Context(), "b", "", now))
	wantKind(t, s.RenewClient(t.Context(), "a", client("a").Key, certificate("fifth")), webjob.Conflict)
	wantKind(t, s.RenewClient(t.Context(), "b", client("b").Key, certificate("fifth")), webjob.Conflict)
	revoked(now, "client a a") // the second one has expired
	must(t, s.RevokeOperator(t.Context(), "a", "", now))
	wantKind(t, s.RenewOperator(t.Context(), "a", operator("a").Key, certificate("sixth")), webjob.Conflict)
	revoked(now, "operator a of a", "client a a")
	must(t, s.PruneCertificates(t.Context(), now.Add(time.Hour)))
	revoked(now)
}
