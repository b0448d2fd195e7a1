//go:build race

package e2e

// raceEnabled says that the programs under test are built with the race detector.
const raceEnabled = true
