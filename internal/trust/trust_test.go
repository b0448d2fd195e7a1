package trust_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"reflect"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB, kind trust.KeyType) *trust.PrivateKey {
	t.Helper()
	key, err := trust.GenerateKey(kind)
	must(t, err)
	return key
}

func manifest() *webjob.Manifest {
	return &webjob.Manifest{
		Format: webjob.JobFormat, Name: "job", Version: 7, Scope: webjob.ScopeCommon, Description: "what it does",
		Created: at, Expires: at.Add(24 * time.Hour), Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(),
		Arguments: []string{"[a-z]+"},
		Payloads:  []webjob.Payload{{Platform: "any", Digest: webjob.DigestOf([]byte("x")), Size: 1}},
	}
}

func TestEveryKindOfKeySigns(t *testing.T) {
	for _, kind := range []trust.KeyType{trust.Ed25519, trust.ECDSA, trust.RSA} {
		t.Run(string(kind), func(t *testing.T) {
			key := newKey(t, kind)
			text, err := key.PrivatePEM()
			must(t, err)
			again, err := trust.ParsePrivateKey(text)
			must(t, err)
			public, err := trust.ParsePublicPEM(key.PEM())
			must(t, err)
			if again.ID() != key.ID() || public.ID() != key.ID() || public.Type() != kind {
				t.Fatal("the key is another one after being written and read")
			}
			sig, err := again.Sign(t.Context(), []byte("text"))
			must(t, err)
			must(t, public.Verify(t.Context(), []byte("text"), sig))
			if public.Verify(t.Context(), []byte("Text"), sig) == nil {
				t.Error("the signature counts for another text")
			}
			sig[len(sig)/2] ^= 1
			if public.Verify(t.Context(), []byte("text"), sig) == nil {
				t.Error("a changed signature counts")
			}
			if newKey(t, kind).Verify(t.Context(), []byte("text"), sig) == nil {
				t.Error("the signature counts for another key")
			}
		})
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	if _, err := trust.NewPublicKey(weak.Public()); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("RSA of 1024 bits: %v", err)
	}
}

// What is signed but not canonical, or out of range, is refused all the same: it was
// made by another program than ours.
func TestSignedNonsenseIsRefused(t *testing.T) {
	canonical, err := trust.EncodeManifest(manifest())
	must(t, err)
	if _, err := trust.ParseManifest(canonical, webjob.DigestOf(canonical), at); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"not canonical":   strings.Replace(string(canonical), ",", ", ", 1),
		"a member twice":  strings.Replace(string(canonical), `"version":7`, `"version":7,"version":7`, 1),
		"another case":    strings.Replace(string(canonical), `"version"`, `"Version"`, 1),
		"another zone":    strings.Replace(string(canonical), `T12:00:00Z`, `T12:00:00+00:00`, 1),
		"version zero":    strings.Replace(string(canonical), `"version":7`, `"version":0`, 1),
		"path as name":    strings.Replace(string(canonical), `"name":"job"`, `"name":"../job"`, 1),
		"another format":  strings.Replace(string(canonical), webjob.JobFormat, "webjob-job/2", 1),
		"no payload":      strings.Replace(string(canonical), `"payloads":[`, `"payloads":[],"x":[`, 1),
		"NUL in argument": strings.Replace(string(canonical), `[a-z]+`, `\u0000`, 1),
	} {
		if m, err := trust.ParseManifest([]byte(text), webjob.DigestOf([]byte(text)), at); err == nil || text == string(canonical) {
			t.Errorf("%s: accepted as %+v", name, m)
		}
	}
	// And what differs from what was signed is not looked at.
	other := strings.Replace(string(canonical), `"version":7`, `"version":8`, 1)
	if _, err := trust.ParseManifest([]byte(other), webjob.DigestOf(canonical), at); webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), "the server swapped it") {
		t.Errorf("another manifest: %v", err)
	}
}

func TestManifestsExpire(t *testing.T) {
	text, err := trust.EncodeManifest(manifest())
	must(t, err)
	if _, err := trust.ParseManifest(text, webjob.DigestOf(text), at.Add(24*time.Hour-time.Second)); err != nil {
		t.Error(err)
	}
	_, err = trust.ParseManifest(text, webjob.DigestOf(text), at.Add(24*time.Hour))
	if webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), "expired at 2026-03-02T12:00:00Z") {
		t.Errorf("at its expiry: %v", err)
	}
}

func TestTokensKeepEveryBit(t *testing.T) {
	token, err := trust.NewToken("https://jobs.example.org:8443", webjob.DigestOf([]byte("ca")), webjob.DigestOf([]byte("root")), webjob.Labels{"env": "prod", "role": "db"})
	must(t, err)
	text := token.String()
	again, err := trust.ParseToken(" " + text + "\n")
	must(t, err)
	if !reflect.DeepEqual(again, token) {
		t.Fatalf("got %+v, want %+v", again, token)
	}
	for i := range text {
		for _, c := range []byte{'A', 'b', '0', '_', '!'} {
			changed := text[:i] + string(c) + text[i+1:]
			if _, err := trust.ParseToken(changed); err == nil && changed != text {
				t.Fatalf("a changed character %d was accepted", i)
			} else if err != nil && strings.Contains(err.Error(), text[10:30]) {
				t.Fatal("the error repeats the secret")
			}
		}
		if _, err := trust.ParseToken(text[:i]); err == nil {
			t.Fatalf("a token cut at %d was accepted", i)
		}
	}
}

func TestServerURLs(t *testing.T) {
	for address, good := range map[string]bool{
		"https://h": true, "https://h:1": true, "https://[::1]:8443": true, "https://192.0.2.1:8443": true,
		"http://h": false, "https://": false, "https://h/": false, "https://h?x": false, "https://h?": false, "https://u@h": false,
		"https://u:p@h": false, "https://h#x": false, "h:1": false, "": false, "https:h": false, "https://h:x": false,
		"https://" + strings.Repeat("h", 600): false, "https://h\n": false,
	} {
		if err := trust.CheckServerURL(address); (err == nil) != good {
			t.Errorf("%.60q: %v, want good = %v", address, err, good)
		}
	}
}

func FuzzToken(f *testing.F) {
	token, err := trust.NewToken("https://h:1", webjob.EmptyDigest, webjob.EmptyDigest, webjob.Labels{"a": "b"})
	must(f, err)
	f.Add(token.String())
	f.Add("wjt1_")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := trust.ParseToken(text)
		if err == nil && token.String() != strings.TrimSpace(text) {
			t.Fatalf("%q is another spelling of %q", text, token)
		}
	})
}

func FuzzManifest(f *testing.F) {
	canonical, err := trust.EncodeManifest(manifest())
	must(f, err)
	f.Add(canonical)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := trust.ParseManifest(text, webjob.DigestOf(text), at)
		if err != nil {
			return
		}
		must(t, m.Check())
		if again, err := trust.Canonical(m.Manifest); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("accepted another spelling: %q", text)
		}
		_ = m.CheckArguments([]string{"x", ""})
	})
}
