// Package noatime opens files and folders for reading so that looking at a machine
// changes as little of it as its platform allows.
package noatime
