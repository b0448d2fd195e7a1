// Package hostfs opens files and folders of a host for reading so that looking at a machine
// changes as little of it as its platform allows.
package hostfs
