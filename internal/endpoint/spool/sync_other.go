//go:build !unix

package spool

// directoriesSync is false where directories cannot be synced; there the file
// system keeps names by itself (NTFS journals them).
const directoriesSync = false

// renamesOpenFiles says that a folder can be renamed while a file in it is open.
const renamesOpenFiles = false
