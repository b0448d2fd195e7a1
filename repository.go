package webjob

// RepositoryBundle is metadata and contents of a job repository on their way. Nothing
// in it is trusted before its reader has verified it.
type RepositoryBundle struct {
	Roots     [][]byte          `json:"roots,omitempty"` // versions that follow the one that the reader has
	Timestamp []byte            `json:"timestamp,omitempty"`
	Snapshot  []byte            `json:"snapshot,omitempty"`
	Roles     map[string][]byte `json:"roles,omitempty"`    // the targets role and those delegated, by name
	Contents  map[string][]byte `json:"contents,omitempty"` // of targets, by path
}

// RepositoryHave says what a reader holds of a job repository, so that it is not sent
// again.
type RepositoryHave struct {
	Roles    map[string]int64 `json:"roles"`              // versions, by role
	Contents []Digest         `json:"contents,omitempty"` // of targets
}

// RepositoryChange is what accepting a draft, or a new timestamp, changes: all of it or
// nothing.
type RepositoryChange struct {
	// Was names files that must have these contents now, else the change is Conflict; the
	// empty digest means that there is no such file.
	Was     map[string]Digest
	Files   map[string][]byte  // by name; empty ones are removed
	Publish []JobVersion       // new versions
	Listed  map[string][]int64 // versions that the index of a job lists; only others are withdrawn
	Labels  map[string]Labels  // of clients; those that are not enrolled are passed over
	// Held are the numbers of the holds of payloads that the change or its draft names; when
	// one is not there any more the change is Unavailable. The server's own holds for a file
	// go on as long as the file is there.
	Held []int64
}
