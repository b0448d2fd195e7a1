//go:build unix

package spool

// directoriesSync says that a directory must be synced for a new name to last.
const directoriesSync = true

// renamesOpenFiles says that a folder can be renamed while a file in it is open.
const renamesOpenFiles = true
