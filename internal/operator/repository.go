package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Repository is the job repository: what this operator verified of it, and how it is
// changed, by drafts that are signed here and handed in.
type Repository struct{ session *Session }

// RepositoryState is the job repository as this operator verified it, and the drafts that
// wait for signatures. View is nil before there is one.
type RepositoryState struct {
	View   *trust.View
	Drafts []*trust.Draft
	Online *trust.PublicKey // of the server
	// Unpinned says that the server has a repository and none is pinned here: nothing that
	// it says of it counts.
	Unpinned bool
}

// PinFirst refuses what needs the repository while none is pinned here.
func (r *RepositoryState) PinFirst() error {
	if !r.Unpinned {
		return nil
	}
	return webjob.Errorf(webjob.Refused, "no job repository is pinned here; pin first what a colleague tells of theirs: webjobctl repo pin DIGEST (the digest is Root: in webjobctl repo status)")
}

// PinnedRepository returns the view that was verified last. NotFound says that none is
// pinned here.
func (h *Home) PinnedRepository() (*trust.View, error) {
	data, err := os.ReadFile(h.path(repositoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, webjob.Errorf(webjob.NotFound, "no job repository is pinned here; make one with webjobctl repo init, or pin your colleagues' with webjobctl repo pin DIGEST")
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	r, err := trust.ParseViewAsSeen(data, time.Now())
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w; remove it and pin again", h.path(repositoryFile), err)
	}
	return r, nil
}

// keep keeps a view as the one that was verified last.
func (repo Repository) keep(r *trust.View) error {
	data, err := r.Encode()
	if err != nil {
		return err
	}
	return repo.session.home.replaceFile(repositoryFile, data)
}

// Get gets what is new in the job repository, verifies and keeps it.
func (repo Repository) Get(ctx context.Context) (*RepositoryState, error) {
	return repo.get(ctx, (*trust.View).Update)
}

// GetAsSeen is Get also when parts of it have expired.
func (repo Repository) GetAsSeen(ctx context.Context) (*RepositoryState, error) {
	return repo.get(ctx, (*trust.View).UpdateAsSeen)
}

func (repo Repository) get(ctx context.Context, update func(*trust.View, webjob.RepositoryBundle, time.Time) (*trust.View, error)) (*RepositoryState, error) {
	pinned, err := repo.session.home.PinnedRepository()
	if err != nil && webjob.KindOf(err) != webjob.NotFound {
		return nil, err
	}
	request := wire.RepositoryRequest{}
	if pinned != nil {
		request.Have = pinned.Have()
	}
	state, err := repo.state(ctx, request)
	if err != nil {
		return nil, err
	}
	r, err := readState(state)
	if err != nil {
		return nil, err
	}
	if r.Unpinned = pinned == nil && state.First != nil; pinned == nil || state.First == nil {
		return r, nil
	}
	if r.View, err = update(pinned, state.Bundle, time.Now()); err != nil {
		return nil, err
	}
	return r, repo.keep(r.View)
}

func (repo Repository) state(ctx context.Context, request wire.RepositoryRequest) (api.RepositoryState, error) {
	var state api.RepositoryState
	err := repo.session.Call(ctx, http.MethodPost, api.PathRepositoryState, nil, request, &state)
	return state, err
}

func readState(state api.RepositoryState) (*RepositoryState, error) {
	r := &RepositoryState{}
	var err error
	if r.Online, err = trust.ParsePublicKey(state.Online); err != nil {
		return nil, err
	}
	for _, encoded := range state.Drafts {
		var d trust.Draft
		if err := json.Unmarshal(encoded, &d); err != nil {
			return nil, webjob.Errorf(webjob.Invalid, "a draft is not readable: %w", err)
		}
		r.Drafts = append(r.Drafts, &d)
	}
	return r, nil
}

// trusted returns the view, which must be there.
func (repo Repository) trusted(ctx context.Context) (*trust.View, error) {
	r, err := repo.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.PinFirst(); err != nil {
		return nil, webjob.Errorf(webjob.NotFound, "%w", err)
	}
	if r.View == nil {
		_, err := repo.session.home.PinnedRepository()
		if err == nil {
			err = webjob.Errorf(webjob.NotFound, "this server has no job repository yet; the draft of one may wait: webjobctl repo status")
		}
		return nil, err
	}
	return r.View, nil
}

// Pin pins the server's job repository when its first or its newest root has the
// digest that a colleague told.
func (repo Repository) Pin(ctx context.Context, want webjob.Digest) (*trust.View, error) {
	state, err := repo.state(ctx, wire.RepositoryRequest{Have: webjob.RepositoryHave{Roles: map[string]int64{trust.RoleRoot: 1}}})
	if err != nil {
		return nil, err
	}
	if state.First == nil {
		return nil, webjob.Errorf(webjob.NotFound, "this server has no job repository yet")
	}
	roots := append([][]byte{state.First}, state.Bundle.Roots...)
	for i, root := range roots {
		if webjob.DigestOf(root) != want {
			continue
		}
		r, err := trust.NewView(root)
		if err != nil {
			return nil, err
		}
		state.Bundle.Roots = roots[i+1:]
		if r, err = r.Update(state.Bundle, time.Now()); err != nil {
			return nil, err
		}
		return r, repo.keep(r)
	}
	return nil, webjob.Errorf(webjob.Refused, "no root of the server's job repository is %s (the first is %s, the newest %s); nothing was pinned",
		want, webjob.DigestOf(roots[0]), webjob.DigestOf(roots[len(roots)-1]))
}

// People returns the named public keys of this folder.
func (h *Home) People(names []string) ([]trust.NamedKey, error) {
	var people []trust.NamedKey
	for _, name := range names {
		key, err := h.PublicKey(name)
		if err != nil {
			return nil, err
		}
		people = append(people, trust.NewNamedKey(name, key))
	}
	return people, nil
}

// Begin drafts a job repository that so many of the people sign, signs it with
// the keys that are here, and hands it in.
func (repo Repository) Begin(ctx context.Context, people []trust.NamedKey, threshold int) (*trust.Draft, Handed, error) {
	r, err := repo.Get(ctx)
	if err != nil {
		return nil, Handed{}, err
	}
	if _, err := repo.session.home.PinnedRepository(); webjob.KindOf(err) != webjob.NotFound {
		return nil, Handed{}, errors.Join(err, webjob.Errorf(webjob.Conflict, "a job repository is pinned here already; webjobctl repo rotate gives it to other people"))
	}
	d, err := trust.NewDraft(people, threshold, r.Online, time.Now())
	if err != nil {
		return nil, Handed{}, err
	}
	response, err := repo.Hand(ctx, nil, d, nil)
	return d, response, err
}

// Handed is what became of a draft that was handed in.
type Handed struct {
	api.DraftResponse
	MaySign []string `json:"may_sign,omitempty"` // names of those whose signatures can still count
}

// Hand signs a draft and hands it in: a new one, or one that waits. It signs with the
// keys of these names or, without names, with those of this folder that may. What
// accepted is verified, and pinned when nothing was.
func (repo Repository) Hand(ctx context.Context, base *trust.View, d *trust.Draft, names []string) (Handed, error) {
	var response Handed
	if _, err := d.Changes(base, time.Now(), repo.Names(nil)); err != nil {
		return response, err
	}
	chosen, err := repo.Signers(base, d, names)
	if err != nil {
		return response, err
	}
	keys, err := repo.session.home.SigningKeys(chosen)
	if err != nil {
		return response, err
	}
	if _, err := d.Sign(base, keys...); err != nil {
		return response, err
	}
	encoded, err := json.Marshal(d)
	if err != nil {
		return response, err
	}
	path := api.PathDrafts
	if d.ID != "" {
		path = api.DraftPath(d.ID)
	}
	if err := repo.session.Call(ctx, http.MethodPost, path, nil, api.DraftRequest{Draft: encoded}, &response.DraftResponse); err != nil {
		return response, err
	}
	if !response.Accepted {
		response.MaySign, err = repo.maySign(base, d)
		return response, err
	}
	root := d.Roles[trust.RoleRoot]
	if base != nil || root == nil {
		return response, nil
	}
	// A first root: what was signed here is what this operator trusts.
	state, err := repo.state(ctx, wire.RepositoryRequest{Have: webjob.RepositoryHave{Roles: map[string]int64{trust.RoleRoot: 1}}})
	if err != nil {
		return response, err
	}
	if !d.SameRoot(state.First) {
		return response, webjob.Errorf(webjob.Refused, "the server made another root of the draft than what was signed here; nothing was pinned")
	}
	_, err = repo.Pin(ctx, webjob.DigestOf(state.First))
	return response, err
}

// SetLabels signs and hands in the labels of a client.
func (repo Repository) SetLabels(ctx context.Context, client string, labels webjob.Labels, keys []string) (Handed, error) {
	r, err := repo.trusted(ctx)
	if err != nil {
		return Handed{}, err
	}
	content, err := trust.EncodeLabels(labels)
	if err != nil {
		return Handed{}, err
	}
	draft, err := trust.Propose(r, fmt.Sprintf("labels of %s: %s", client, labels), map[string][]byte{trust.ClientPath(client): content}, time.Now())
	if err != nil {
		return Handed{}, err
	}
	return repo.Hand(ctx, r, draft, keys)
}

// Signers returns the names of the keys of this folder, of these names if there are
// any, whose signatures are still to come. Refused says that there are none.
func (repo Repository) Signers(base *trust.View, d *trust.Draft, names []string) ([]string, error) {
	needs, err := d.Needs(base)
	if err != nil {
		return nil, err
	}
	keys, err := repo.session.home.Keys()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !slices.ContainsFunc(keys, func(k Key) bool { return k.Name == name && k.Private }) {
			return nil, webjob.Errorf(webjob.NotFound, "there is no private key %s here; webjobctl key list shows what is", name)
		}
	}
	var chosen []string
	for _, key := range keys {
		wanted := slices.ContainsFunc(needs, func(n trust.Need) bool { return slices.Contains(n.Keys, key.ID) && !slices.Contains(n.Have, key.ID) })
		if wanted && key.Private && (len(names) == 0 || slices.Contains(names, key.Name)) {
			chosen = append(chosen, key.Name)
		}
	}
	if len(chosen) == 0 {
		return nil, repo.nothingToSign(base, d)
	}
	return chosen, nil
}

// nothingToSign says why none of the keys helps.
func (repo Repository) nothingToSign(base *trust.View, d *trust.Draft) error {
	may, err := repo.maySign(base, d)
	if err != nil {
		return err
	}
	if len(may) == 0 {
		return webjob.Errorf(webjob.Conflict, "the draft has all its signatures")
	}
	return webjob.Errorf(webjob.Refused, "none of the keys here may sign this, or they have signed it already; it needs signatures of %s", strings.Join(may, ", "))
}

// maySign returns the names of those who have not signed and whose signatures count.
func (repo Repository) maySign(base *trust.View, d *trust.Draft) ([]string, error) {
	needs, err := d.Needs(base)
	if err != nil {
		return nil, err
	}
	names := repo.namesIn(base)
	if p, err := trust.ParsePolicy(d.Contents[trust.PolicyPath]); err == nil {
		names = repo.Names(p)
	}
	var may []string
	for _, need := range needs {
		for _, id := range need.Keys {
			if need.Missing() > 0 && !slices.Contains(need.Have, id) {
				may = append(may, names(id))
			}
		}
	}
	slices.Sort(may)
	return slices.Compact(may), nil
}
