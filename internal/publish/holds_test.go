package publish_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/blob/files"
	"webjob.dev/webjob/internal/publish"
	"webjob.dev/webjob/internal/store/sqlite/sqlitetest"
	"webjob.dev/webjob/internal/trust"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The payload of a draft stays for as long as somebody may sign it, a draft of the version
// before too, and is free when it is dropped.
func TestPayloadsOfDraftsStay(t *testing.T) {
	store, err := sqlitetest.Open(t.Context(), t.TempDir()+"/meta.db")
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	blobs, err := files.Open(t.TempDir())
	must(t, err)
	online, err := trust.GenerateKey(trust.Ed25519)
	must(t, err)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	r, err := publish.Open(t.Context(), store, blobs, online, log)
	must(t, err)
	alice, bob := found(t, r)

	payload := []byte("#!/bin/sh\n")
	d := webjob.DigestOf(payload)
	draft := proposal(t, r, d, int64(len(payload)))
	current, _, err := r.Published()
	must(t, err)
	_, err = draft.Sign(current.View, alice)
	must(t, err)
	if _, err := r.Propose(t.Context(), draft, "olga"); webjob.KindOf(err) != webjob.Invalid {
		t.Fatalf("a draft without its payload: %v", err)
	}
	free := func() bool {
		t.Helper()
		unnamed, err := store.UnnamedBlobs(t.Context(), []webjob.Digest{d}, time.Now().Add(1000*time.Hour))
		must(t, err)
		return len(unnamed) == 1
	}
	must(t, r.PutPayload(t.Context(), d, int64(len(payload)), bytes.NewReader(payload)))
	if !free() {
		t.Error("an upload that nobody proposes is kept for good")
	}
	waiting, err := r.Propose(t.Context(), draft, "olga")
	must(t, err)
	if waiting.Accepted || free() {
		t.Fatalf("accepted %v; its payload is free: %v", waiting.Accepted, free())
	}

	must(t, store.ReleaseBlobs(t.Context(), "", "draft/"+waiting.Draft.ID, d)) // as it was before
	r, err = publish.Open(t.Context(), store, blobs, online, log)
	must(t, err)
	must(t, r.HoldDrafts(t.Context()))
	if free() {
		t.Error("the payload of a draft from before is free")
	}
	must(t, r.Drop(t.Context(), waiting.Draft.ID))
	if !free() {
		t.Error("the payload of a draft that was dropped is kept")
	}

	draft = proposal(t, r, d, int64(len(payload)))
	for _, key := range []*trust.PrivateKey{alice, bob} {
		_, err = draft.Sign(current.View, key)
		must(t, err)
	}
	accepted, err := r.Propose(t.Context(), draft, "olga")
	must(t, err)
	if !accepted.Accepted || free() {
		t.Errorf("accepted %v; its payload is free: %v", accepted.Accepted, free())
	}
}

// found makes a job repository of two people who both must sign.
func found(t *testing.T, r *publish.Repository) (alice, bob *trust.PrivateKey) {
	t.Helper()
	alice, err := trust.GenerateKey(trust.Ed25519)
	must(t, err)
	bob, err = trust.GenerateKey(trust.Ed25519)
	must(t, err)
	people := []trust.NamedKey{trust.NewNamedKey("alice", alice.PublicKey), trust.NewNamedKey("bob", bob.PublicKey)}
	d, err := trust.NewDraft(people, 2, r.Online(), time.Now().UTC())
	must(t, err)
	for _, key := range []*trust.PrivateKey{alice, bob} {
		_, err := d.Sign(nil, key)
		must(t, err)
	}
	first, err := r.Propose(context.Background(), d, "olga")
	must(t, err)
	if !first.Accepted {
		t.Fatalf("needs %+v", first.Needs)
	}
	return alice, bob
}

// proposal is a draft of a version with one payload.
func proposal(t *testing.T, r *publish.Repository, d webjob.Digest, size int64) *trust.Draft {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Second)
	m := &webjob.Manifest{
		Format: webjob.JobFormat, Name: "job", Version: 1, Scope: webjob.ScopeCommon, Created: at, Expires: at.Add(time.Hour), Leftovers: webjob.LeftoversStop,
		Limits: webjob.DefaultLimits(), Payloads: []webjob.Payload{{Platform: "any", Digest: d, Size: size}},
	}
	text, err := trust.EncodeManifest(m)
	must(t, err)
	index := trust.NewJobIndex(m.Name)
	must(t, index.Add(m, webjob.DigestOf(text)))
	content, err := index.Encode()
	must(t, err)
	current, _, err := r.Published()
	must(t, err)
	draft, err := trust.Propose(current.View, "publish", map[string][]byte{trust.JobPath(m.Name): content}, at)
	must(t, err)
	draft.Manifests = [][]byte{text}
	return draft
}
