package wire

import "webjob.dev/webjob"

// Paths of the job repository.
const (
	PathRepository      = "/v1/repository" // what a client lacks, in one answer
	PathRepositoryFiles = "/repo/"         // + name, in the layout of The Update Framework
)

// RepositoryRequest says what its sender holds of the job repository and which jobs it
// wants to look up. The policy and the client's own labels always come along.
type RepositoryRequest struct {
	Have webjob.RepositoryHave `json:"have"`
	Jobs []string              `json:"jobs,omitempty"`
}
