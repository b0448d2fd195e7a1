// Package e2e runs the three real programs against each other, as people do: the
// files of testdata are sessions, one for each behaviour.
package e2e
