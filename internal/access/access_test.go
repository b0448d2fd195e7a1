package access

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"webjob.dev/webjob"
)

func actor(t *testing.T, grants ...string) *Actor {
	t.Helper()
	o := webjob.Operator{Name: "paul"}
	for _, text := range grants {
		g, err := webjob.ParseGrant(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Grants = append(o.Grants, g)
	}
	a, err := For(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func clients(ids ...string) (list []webjob.Client) {
	for _, id := range ids {
		site, _, _ := strings.Cut(id, "-")
		list = append(list, webjob.Client{ID: id, Labels: webjob.Labels{"site": site}, Platform: "linux/amd64"})
	}
	return list
}

// Each role has its rights and no others, for all clients.
func TestRoles(t *testing.T) {
	rights := []webjob.Right{webjob.MayView, webjob.MayOrder, webjob.MayPublish, webjob.MayApprove, webjob.MayAdmin}
	for role, want := range map[string]string{"viewer": "10000", "operator": "11000", "publisher": "10100", "approver": "10010", "admin": "11111"} {
		a := actor(t, role)
		got := ""
		for _, right := range rights {
			allowed := a.MayEverywhere(right) == nil
			if on := a.MayOn(right, clients("lab-1")[0]) == nil; on != allowed || (a.May(right) == nil) != allowed {
				t.Errorf("%s: %s is %t for all, %t on a client", role, right, allowed, on)
			}
			got += map[bool]string{true: "1", false: "0"}[allowed]
		}
		if got != want {
			t.Errorf("%s: rights %s, want %s", role, got, want)
		}
	}
}

func TestNarrowed(t *testing.T) {
	for name, c := range map[string]struct {
		grants []string
		right  webjob.Right
		within string
		on     []webjob.Client
		says   string // "" for allowed
	}{
		"within": {[]string{"operator on site=lab"}, webjob.MayOrder, "site=lab", clients("lab-1", "lab-2"), ""},
		"one outside": {
			[]string{"operator on site=lab"},
			webjob.MayOrder, "site=lab", clients("lab-1", "prod-1"),
			`operator paul has the right "order" on "site=lab" only, and not on prod-1; an admin can widen it: webjobctl operator role paul operator`,
		},
		"many outside": {
			[]string{"operator on site=lab"},
			webjob.MayOrder, "site=lab", clients("a-1", "a-2", "a-3", "a-4", "a-5", "a-6", "a-7"),
			"not on a-1, a-2, a-3, a-4, a-5 and 2 more;",
		},
		"two grants":                  {[]string{"operator on site=lab", "operator on site=prod"}, webjob.MayOrder, "(site=lab) or (site=prod)", clients("lab-1", "prod-1"), ""},
		"narrowed beside all":         {[]string{"operator on site=lab", "viewer"}, webjob.MayView, "", clients("prod-1"), ""},
		"the other right stays":       {[]string{"operator on site=lab", "viewer"}, webjob.MayOrder, "site=lab", clients("prod-1"), "webjobctl operator role paul operator viewer"},
		"a narrowed role keeps other": {[]string{"approver on site=lab"}, webjob.MayOrder, "", clients("lab-1"), `webjobctl operator role paul 'approver on site=lab' operator`},
		"missing":                     {[]string{"viewer"}, webjob.MayOrder, "", clients("lab-1"), `it needs the right "order", of the role operator or admin; an admin can give it: webjobctl operator role paul viewer operator`},
	} {
		a := actor(t, c.grants...)
		err := a.MayOnAll(c.right, c.on)
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || webjob.KindOf(err) != webjob.Refused) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		if within, err := a.Within(c.right); within != c.within {
			t.Errorf("%s: within %q, %v", name, within, err)
		}
	}
	narrowed := actor(t, "admin on site=lab")
	if err := narrowed.MayEverywhere(webjob.MayAdmin); err == nil || !strings.Contains(err.Error(), "concerns all clients") {
		t.Errorf("a narrowed admin for all clients: %v", err)
	}
	if narrowed.SeesAll() || !narrowed.Sees(clients("lab-1")[0]) || narrowed.Sees(clients("prod-1")[0]) {
		t.Error("a narrowed actor sees what is within, and nothing else")
	}
}

// What a refusal advises gives the right.
func TestRemedyHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grants := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"viewer", "operator on site=lab", "operator on (id=a* or id=b*)", "approver on not site=lab", "admin on site=lab"}), 1, 3, rapid.ID).Draw(t, "grants")
		right := rapid.SampledFrom([]webjob.Right{webjob.MayView, webjob.MayOrder, webjob.MayPublish, webjob.MayApprove, webjob.MayAdmin}).Draw(t, "right")
		o := webjob.Operator{Name: "paul"}
		for _, text := range grants {
			g, err := webjob.ParseGrant(text)
			if err != nil {
				t.Fatal(err)
			}
			o.Grants = append(o.Grants, g)
		}
		a, err := For(o)
		if err != nil {
			t.Fatal(err)
		}
		err = a.MayEverywhere(right)
		if err == nil {
			return
		}
		_, command, _ := strings.Cut(err.Error(), "webjobctl operator role paul ")
		o.Grants = nil
		for _, word := range words(command) {
			g, err := webjob.ParseGrant(word)
			if err != nil {
				t.Fatalf("%q: %v", command, err)
			}
			o.Grants = append(o.Grants, g)
		}
		better, err := For(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := better.MayEverywhere(right); err != nil {
			t.Fatalf("after %q: %v", command, err)
		}
	})
}

// words splits a command line as a shell does, for words that are plain or in quotes.
func words(line string) (list []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := " "
		if strings.HasPrefix(line, "'") {
			line, end = line[1:], "'"
		}
		word, rest, _ := strings.Cut(line, end)
		list, line = append(list, word), rest
	}
	return list
}

// Within is the same as asking about each client.
func TestWithinIsWhatIsReached(t *testing.T) {
	a := actor(t, "operator on site=lab or site=dev", "operator on id=prod-1 and site=prod", "viewer")
	within, err := a.Within(webjob.MayOrder)
	if err != nil {
		t.Fatal(err)
	}
	selector, err := webjob.ParseSelector(within)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients("lab-1", "dev-1", "prod-1", "prod-2") {
		if (a.MayOn(webjob.MayOrder, c) == nil) != selector.Matches(c.Subject()) {
			t.Errorf("%s: %q says otherwise", c.ID, within)
		}
	}
}

func TestUnreadableGrantsGiveNothing(t *testing.T) {
	if a, err := For(webjob.Operator{Name: "paul", Grants: []webjob.Grant{{Role: webjob.Admin, On: "site="}}}); err == nil {
		t.Errorf("got %+v", a)
	}
	a, err := For(webjob.Operator{Name: "paul", Grants: []webjob.Grant{{Role: "emperor"}}})
	if err != nil || a.May(webjob.MayView) == nil {
		t.Errorf("an unknown role may look: %v", err)
	}
}
