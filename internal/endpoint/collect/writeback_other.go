//go:build !linux

package collect

import "os"

func startWriteback(*os.File) {}
