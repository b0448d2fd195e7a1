package sums

import "os"

func openQuietly(name string) (*os.File, error) { return os.Open(name) }
