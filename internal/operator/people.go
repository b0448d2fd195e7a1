package operator

import "webjob.dev/webjob/internal/trust"

// namesIn returns what tells the name of a key by its id: of the people of the policy,
// of the keys in this folder, else the id itself.
func (s *Session) namesIn(base *trust.View) func(id string) string {
	var policy *trust.Policy
	if base != nil {
		policy, _ = base.Policy() // names are only for people
	}
	return s.Names(policy)
}

// Names returns what tells the name of a key by its id.
func (s *Session) Names(policy *trust.Policy) func(id string) string {
	names := map[string]string{}
	if keys, err := s.home.Keys(); err == nil {
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
