package trust_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// FuzzRepository gives a client whatever a server might send.
func FuzzRepository(f *testing.F) {
	h := newHistory(f)
	pinned := h.Pinned()
	good, err := json.Marshal(h.Bundle(pinned, historyPaths...))
	must(f, err)
	f.Add(good)
	f.Add([]byte(`{"roots":["e30="],"timestamp":"e30=","snapshot":"e30=","roles":{"targets":"e30="}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var bundle webjob.RepositoryBundle
		if json.Unmarshal(data, &bundle) != nil {
			return
		}
		r, err := pinned.Update(bundle, historyTime)
		if err != nil {
			return
		}
		for _, path := range historyPaths {
			if content, err := r.Content(path); err == nil && !h.signed(path, content) {
				t.Fatalf("believed of %s: %s", path, content)
			}
		}
	})
}

// FuzzKeptRepository reads what may have become of a state folder.
func FuzzKeptRepository(f *testing.F) {
	h := newHistory(f)
	good, err := h.View.Encode()
	must(f, err)
	f.Add(good)
	f.Fuzz(func(_ *testing.T, data []byte) {
		if r, err := trust.ParseView(data, historyTime); err == nil {
			_, _ = r.Policy()
			_, _ = r.Index("job0")
			_ = r.Have(historyPaths...)
		}
		_, _ = trust.ParseViewAsSeen(data, historyTime)
	})
}

func FuzzPolicy(f *testing.F) {
	policy, _ := orderSigners(f, 2)
	good, err := policy.Encode()
	must(f, err)
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := trust.ParsePolicy(data)
		if err != nil {
			return
		}
		if again, err := p.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted another spelling: %q", data)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"format":"webjob-index/1","job":"j","latest":2,"versions":[{"manifest":"` + string(webjob.EmptyDigest) + `","scope":"common","version":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := trust.ParseJobIndex(data)
		if err != nil {
			return
		}
		if again, err := x.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted another spelling: %q", data)
		}
		_, _ = x.For(webjob.ScopesFor("web1", nil))
	})
}

func FuzzDraft(f *testing.F) {
	h := newHistory(f)
	_, d := h.Publication(jobManifest("job9", 1, "x"))
	good, err := json.Marshal(d)
	must(f, err)
	f.Add(good)
	f.Fuzz(func(_ *testing.T, data []byte) {
		var d trust.Draft
		if json.Unmarshal(data, &d) != nil {
			return
		}
		_, _ = d.Needs(h.View)
		_ = d.Merge(&d)
		_, _ = h.Published.Accept(&d, h.Online, historyTime)
	})
}

func FuzzDetached(f *testing.F) {
	key := newKey(f, trust.Ed25519)
	text := []byte("#!/bin/sh\n")
	line, err := trust.SignDetached(key, bytes.NewReader(text))
	must(f, err)
	f.Add([]byte(line), text)
	who := []trust.Certified{{Name: "alice", Key: key.PublicKey}}
	f.Fuzz(func(t *testing.T, lines, file []byte) {
		if _, err := trust.CheckDetached(lines, bytes.NewReader(file), who, historyTime); err == nil && !bytes.Equal(file, text) {
			t.Fatalf("a file that nobody signed was accepted: %q", file)
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	f.Add(newKey(f, trust.Ed25519).DER())
	f.Add([]byte("\x00\x00\x00\x1ask-ssh-ed25519@openssh.com\x00\x00\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00\x00\x00\x04ssh:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := trust.ParsePublicKey(data)
		if err != nil {
			return
		}
		again, err := trust.ParsePublicPEM(key.PEM())
		if err != nil || again.ID() != key.ID() {
			t.Fatalf("another key after being written and read: %v", err)
		}
		_ = key.Verify(t.Context(), data, data)
	})
}
