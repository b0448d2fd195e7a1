package server

import "webjob.dev/webjob/trust"

// AuthorityOf lets tests issue certificates as the server would.
func AuthorityOf(s *Server) *trust.Authority { return s.authority }
