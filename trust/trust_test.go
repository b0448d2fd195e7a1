package trust_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/trust"
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

func newRoot(t testing.TB, threshold int, keys map[string]*trust.PrivateKey) *trust.Root {
	t.Helper()
	public := map[string]*trust.PublicKey{}
	for name, key := range keys {
		public[name] = key.PublicKey
	}
	root, err := trust.NewRoot(threshold, public)
	must(t, err)
	return root
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

func TestSignaturesReachTheThreshold(t *testing.T) {
	keys := map[string]*trust.PrivateKey{"alice": newKey(t, trust.Ed25519), "bob": newKey(t, trust.ECDSA), "carol": newKey(t, trust.RSA)}
	mallory := newKey(t, trust.Ed25519)
	root := newRoot(t, 2, keys)
	for name, c := range map[string]struct {
		signers []*trust.PrivateKey
		good    bool
	}{
		"two of three":            {[]*trust.PrivateKey{keys["alice"], keys["bob"]}, true},
		"all three":               {[]*trust.PrivateKey{keys["alice"], keys["bob"], keys["carol"]}, true},
		"two and a stranger":      {[]*trust.PrivateKey{keys["carol"], mallory, keys["bob"]}, true},
		"one":                     {[]*trust.PrivateKey{keys["alice"]}, false},
		"one, twice":              {[]*trust.PrivateKey{keys["alice"], keys["alice"]}, false},
		"one and a stranger":      {[]*trust.PrivateKey{keys["alice"], mallory}, false},
		"a stranger, three times": {[]*trust.PrivateKey{mallory, mallory, mallory}, false},
	} {
		t.Run(name, func(t *testing.T) {
			envelope, err := trust.SignManifest(manifest(), c.signers...)
			must(t, err)
			m, err := root.VerifyManifest(envelope, at)
			if c.good {
				must(t, err)
				if m.Name != "job" || len(m.SignedBy) < 2 {
					t.Fatalf("got %+v", m)
				}
			} else if webjob.KindOf(err) != webjob.Refused {
				t.Fatalf("got %v, %v", m, err)
			}
		})
	}
}

// editPayload changes the manifest inside an envelope and keeps its signatures.
func editPayload(t *testing.T, envelope []byte, edit func([]byte) []byte) []byte {
	t.Helper()
	var e map[string]any
	must(t, json.Unmarshal(envelope, &e))
	payload, err := base64.StdEncoding.DecodeString(e["payload"].(string))
	must(t, err)
	e["payload"] = base64.StdEncoding.EncodeToString(edit(payload))
	edited, err := json.Marshal(e)
	must(t, err)
	return edited
}

func TestEditedEnvelopesAreRefused(t *testing.T) {
	key := newKey(t, trust.Ed25519)
	root := newRoot(t, 1, map[string]*trust.PrivateKey{"alice": key})
	good, err := trust.SignManifest(manifest(), key)
	must(t, err)
	if _, err := root.VerifyManifest(good, at); err != nil {
		t.Fatal(err)
	}
	replace := func(old, text string) []byte {
		return editPayload(t, good, func(p []byte) []byte { return bytes.Replace(p, []byte(old), []byte(text), 1) })
	}
	for name, envelope := range map[string][]byte{
		"version":          replace(`"version":7`, `"version":8`),
		"limit":            replace(`"run_ms":600000`, `"run_ms":600001`),
		"arguments":        replace(`[a-z]+`, `.*`),
		"added member":     replace(`{`, `{"x":1,`),
		"white space":      replace(`{`, `{ `),
		"payload type":     bytes.Replace(good, []byte("webjob.job.v1"), []byte("webjob.job.v2"), 1),
		"no signatures":    []byte(`{"payloadType":"` + trust.ManifestType + `","payload":"e30=","signatures":[]}`),
		"trailing bytes":   append(bytes.Clone(good), "{}"...),
		"unknown member":   bytes.Replace(good, []byte(`{`), []byte(`{"x":1,`), 1),
		"empty":            {},
		"not an envelope":  []byte(`[]`),
		"cut short":        good[:len(good)/2],
		"1,000 signatures": bytes.Replace(good, []byte(`"signatures":[`), []byte(`"signatures":[`+strings.Repeat(`{"keyid":"","sig":""},`, 1000)), 1),
		"two megabytes":    append(bytes.Clone(good), bytes.Repeat([]byte(" "), 2<<20)...),
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := root.VerifyManifest(envelope, at); err == nil {
				t.Fatalf("accepted as %+v", m)
			}
		})
	}
}

// What is signed but not canonical, or out of range, is refused all the same: it was
// made by another program than ours.
func TestSignedNonsenseIsRefused(t *testing.T) {
	key := newKey(t, trust.Ed25519)
	root := newRoot(t, 1, map[string]*trust.PrivateKey{"alice": key})
	canonical, err := trust.Canonical(manifest())
	must(t, err)
	for name, payload := range map[string]string{
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
		t.Run(name, func(t *testing.T) {
			envelope := trust.SealForTest(t, key, []byte(payload))
			if m, err := root.VerifyManifest(envelope, at); err == nil {
				t.Fatalf("accepted as %+v", m)
			}
		})
	}
}

func TestManifestsExpire(t *testing.T) {
	key := newKey(t, trust.Ed25519)
	root := newRoot(t, 1, map[string]*trust.PrivateKey{"alice": key})
	envelope, err := trust.SignManifest(manifest(), key)
	must(t, err)
	if _, err := root.VerifyManifest(envelope, at.Add(24*time.Hour-time.Second)); err != nil {
		t.Error(err)
	}
	_, err = root.VerifyManifest(envelope, at.Add(24*time.Hour))
	if webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), "expired at 2026-03-02T12:00:00Z") {
		t.Errorf("at its expiry: %v", err)
	}
}

func TestBadRootsAreRefused(t *testing.T) {
	key := newKey(t, trust.Ed25519)
	for name, threshold := range map[string]int{"threshold zero": 0, "threshold above the keys": 2, "negative threshold": -1} {
		if _, err := trust.NewRoot(threshold, map[string]*trust.PublicKey{"alice": key.PublicKey}); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One key under two names would count twice.
	if _, err := trust.NewRoot(2, map[string]*trust.PublicKey{"alice": key.PublicKey, "alias": key.PublicKey}); err == nil {
		t.Error("the same key twice was accepted")
	}
	good, err := newRoot(t, 1, map[string]*trust.PrivateKey{"alice": key}).Encode()
	must(t, err)
	if _, err := trust.ParseRoot(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{}", "[]", strings.Replace(string(good), ":1", ":0", 1), strings.Replace(string(good), "alice", "../alice", 1), string(good) + " "} {
		if _, err := trust.ParseRoot([]byte(bad)); err == nil {
			t.Errorf("%.60q was accepted", bad)
		}
	}
}

func TestTokensKeepEveryBit(t *testing.T) {
	token, err := trust.NewToken("https://jobs.example.org:8443", webjob.DigestOf([]byte("ca")), webjob.DigestOf([]byte("root")))
	must(t, err)
	text := token.String()
	again, err := trust.ParseToken(" " + text + "\n")
	must(t, err)
	if again != token {
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
	token, err := trust.NewToken("https://h:1", webjob.EmptyDigest, webjob.EmptyDigest)
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

func FuzzEnvelope(f *testing.F) {
	key := newKey(f, trust.Ed25519)
	root := newRoot(f, 1, map[string]*trust.PrivateKey{"alice": key})
	good, err := trust.SignManifest(manifest(), key)
	must(f, err)
	f.Add(good)
	f.Add([]byte(`{"payloadType":"x","payload":"","signatures":[{"keyid":"","sig":""}]}`))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		m, err := root.VerifyManifest(envelope, at)
		if err != nil {
			return
		}
		if again, err := trust.Canonical(m.Manifest); err != nil || webjob.DigestOf(again) != m.Digest || m.Version != 7 {
			t.Fatalf("accepted what was never signed: %s", envelope)
		}
	})
}

// FuzzManifest signs whatever it is given, so that the parser behind the signatures
// is reached.
func FuzzManifest(f *testing.F) {
	key := newKey(f, trust.Ed25519)
	root := newRoot(f, 1, map[string]*trust.PrivateKey{"alice": key})
	canonical, err := trust.Canonical(manifest())
	must(f, err)
	f.Add(canonical)
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := root.VerifyManifest(trust.SealForTest(t, key, payload), at)
		if err != nil {
			return
		}
		must(t, m.Check())
		if again, err := trust.Canonical(m.Manifest); err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("accepted another spelling: %q", payload)
		}
		_ = m.CheckArguments([]string{"x", ""})
	})
}

func FuzzRoot(f *testing.F) {
	good, err := newRoot(f, 1, map[string]*trust.PrivateKey{"alice": newKey(f, trust.Ed25519)}).Encode()
	must(f, err)
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := trust.ParseRoot(data)
		if err != nil {
			return
		}
		if again, err := root.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted another spelling: %q", data)
		}
	})
}
