package server

import (
	"context"
	"time"

	"webjob.dev/webjob/trust"
)

// AuthorityOf lets tests issue certificates as the server would.
func AuthorityOf(s *Server) *trust.Authority { return s.authority }

// TidyAt does what housekeeping would do at a time.
func TidyAt(ctx context.Context, s *Server, at time.Time) error { return s.tidy(ctx, at) }

// FolderOf tells where the server's configuration is.
func FolderOf(s *Server) string { return s.settings.dir }
