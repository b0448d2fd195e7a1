package operator

import (
	"slices"

	"webjob.dev/webjob/internal/trust"
)

// namesIn returns what tells the name of a key by its id: of the people of the policy,
// of the keys in this folder, else the id itself.
func (repo Repository) namesIn(base *trust.View) func(id string) string {
	var policy *trust.Policy
	if base != nil {
		policy, _ = base.Policy() // names are only for people
	}
	return repo.Names(policy)
}

// Names returns what tells the name of a key by its id.
func (repo Repository) Names(policy *trust.Policy) func(id string) string {
	names := map[string]string{}
	if keys, err := repo.session.home.Keys(); err == nil {
		for _, key := range keys {
			names[key.ID] = key.Name
		}
	}
	return func(id string) string {
		if policy != nil {
			if name := policy.NameOf(id); name != "" {
				return name
			}
		}
		if name := names[id]; name != "" {
			return name
		}
		return id[:16]
	}
}

// signersOf returns the names of who signed the index of a job.
func (repo Repository) signersOf(r *trust.View, job string) (by []string, err error) {
	ids, err := r.SignedBy(trust.JobPath(job))
	names := repo.namesIn(r)
	for _, id := range ids {
		by = append(by, names(id))
	}
	slices.Sort(by)
	return by, err
}
