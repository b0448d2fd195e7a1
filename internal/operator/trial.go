package operator

import (
	"os"
	"path/filepath"

	"webjob.dev/webjob"
)

// Trial is a job made ready to be tried on this machine.
type Trial struct {
	Manifest string // file with the manifest's JSON
	Payload  string // file with the payload for this platform
}

// NewTrial describes the job as it would be published, in the folder dir.
func NewTrial(d *Description, dir string) (Trial, error) {
	var trial Trial
	if err := d.Check(); err != nil {
		return trial, err
	}
	m, text, files, err := d.manifest(dir, 1, webjob.ScopeCommon)
	if err != nil {
		return trial, err
	}
	payload, found := webjob.ChoosePayload(m.Payloads, webjob.ThisPlatform)
	if !found {
		return trial, webjob.Errorf(webjob.Invalid, "the job has no payload for this platform, %s; try it on a machine that it is for", webjob.ThisPlatform)
	}
	trial = Trial{Manifest: filepath.Join(dir, "manifest.json"), Payload: files[payload.Digest]}
	if err := os.WriteFile(trial.Manifest, text, 0o600); err != nil {
		return trial, webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	return trial, nil
}
