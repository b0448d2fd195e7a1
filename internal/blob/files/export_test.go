package files

// TellReread makes the store tell how much of an upload it had to read again.
func TellReread(s *Store, visit func(bytes int64)) { s.reread = visit }
