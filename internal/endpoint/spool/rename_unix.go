//go:build unix

package spool

// renamesOpenFiles says that a folder can be renamed while a file in it is open.
const renamesOpenFiles = true
