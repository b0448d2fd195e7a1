package api

import "webjob.dev/webjob"

// Paths of the job repository.
const (
	PathRepositoryState = "/api/v1/repository"
	PathDrafts          = "/api/v1/drafts"
)

// DraftPath returns the path of a draft.
func DraftPath(id string) string { return join(PathDrafts, id, nil) }

// MaxDraftBytes bounds a draft on its way.
const MaxDraftBytes = 16 << 20

// RepositoryState is the whole job repository, for operators.
type RepositoryState struct {
	Online []byte                  `json:"online"`          // the server's public key, PKIX DER
	First  []byte                  `json:"first,omitempty"` // root of version 1; none before webjobctl repo init
	Bundle webjob.RepositoryBundle `json:"bundle"`
	Drafts [][]byte                `json:"drafts,omitempty"` // JSON, oldest first
}

// DraftRequest carries a draft, or a copy of one with more signatures.
type DraftRequest struct {
	Draft []byte `json:"draft"` // JSON
}

// DraftResponse says what became of a draft. An accepted one is in effect; it "landed", as
// the wire has it.
type DraftResponse struct {
	ID       string `json:"id"`
	Accepted bool   `json:"landed"`
	Missing  int64  `json:"missing,omitempty"` // signatures still to come
}
