package endpoint

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/endpoint/runner"
	"webjob.dev/webjob/internal/trust"
)

// signedFile is a program from removable media and what must have signed it.
type signedFile struct {
	path      string
	lines     []byte // of its signature file
	who       []trust.Certified
	threshold int
}

// RunFile runs a program from a file, with no server, when enough of those who count
// here have signed it: of the certificates that webjob.toml names or, without any, of
// the people who sign the job repository that this client pinned. ID is what this
// machine calls itself when it is not enrolled.
func RunFile(ctx context.Context, s *State, settings *Settings, path string, arguments []string, id string) (*Ran, error) {
	get, err := s.Enrolments.With(TargetGet)
	if webjob.KindOf(err) == webjob.NotFound {
		get, err = &Enrolment{ID: id}, webjob.CheckClientID(id)
	}
	if err != nil {
		return nil, err
	}
	file, err := readSigned(s, settings, get, path)
	if err != nil {
		return nil, err
	}
	content, err := os.Open(path)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	digest, size, err := webjob.DigestReader(content)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", errors.Join(err, content.Close()))
	}
	offer, err := fileOffer(path, get.ID, webjob.Payload{Platform: "any", Digest: digest, Size: size}, content)
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	defer func() { _ = offer.Close() }() // only read
	r, err := newFileRun(s, settings, get, Request{Job: offer.Name, Arguments: arguments}, file)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	r.record.Times.Get.Start = start.UTC()
	entry, err := r.runOffer(ctx, ctx, start, offer)
	if err != nil {
		return nil, err
	}
	ran := &Ran{Record: r.record, Refused: r.refused}
	if r.to.URL == "" {
		ran.PutError = webjob.Errorf(webjob.Unavailable, "this machine is not enrolled anywhere")
		return ran, nil
	}
	r.client = r.to.Connect()
	defer r.client.Close()
	r.put(ctx, entry, ran)
	return ran, nil
}

func newFileRun(s *State, settings *Settings, get *Enrolment, request Request, file *signedFile) (*run, error) {
	put := get
	if get.URL != "" {
		var err error
		if put, err = s.Enrolments.forResults(settings.PutURL, get); err != nil {
			return nil, err
		}
	}
	sp, err := s.Spool()
	if err != nil {
		return nil, err
	}
	if err := s.work.sweep(sp); err != nil {
		return nil, err
	}
	return &run{state: s, settings: settings, spool: sp, get: get, to: put, request: request, record: newRecord(put, request), file: file}, nil
}

// readSigned reads the signature of a file and finds out whose counts.
func readSigned(s *State, settings *Settings, get *Enrolment, path string) (*signedFile, error) {
	f := &signedFile{path: path, threshold: int(settings.File.Threshold)}
	var err error
	if f.lines, err = os.ReadFile(path + trust.SignatureSuffix); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, webjob.Errorf(webjob.Refused, "%s is not there; nothing runs unsigned", path+trust.SignatureSuffix)
		}
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if settings.File.Certificates != "" {
		place := settings.File.Certificates
		if !filepath.IsAbs(place) {
			place = s.path(place)
		}
		f.who, err = trust.LoadCertified(place)
		return f, err
	}
	if get.URL == "" {
		return nil, webjob.Errorf(webjob.Refused, "this machine is not enrolled and webjob.toml names no certificates, so that nobody's signature counts; set file.certificates in %s", s.path(settingsFile))
	}
	view, err := s.Repository.AsSeen(get)
	if err != nil {
		return nil, err
	}
	keys, threshold, err := view.Signers()
	for _, key := range keys {
		f.who = append(f.who, trust.Certified{Name: key.Fingerprint(), Key: key})
	}
	f.threshold = threshold
	return f, err
}

var notInJobName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// fileOffer describes the file as a job of one payload, so that it runs as any other.
func fileOffer(path, client string, payload webjob.Payload, content io.ReadCloser) (*fetch.Offer, error) {
	name := strings.Trim(notInJobName.ReplaceAllString(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), "-"), "-._")
	if err := webjob.CheckJobName(name); err != nil {
		name = "file"
	}
	now := time.Now().UTC().Truncate(time.Second)
	text, err := trust.EncodeManifest(&webjob.Manifest{
		Format: webjob.JobFormat, Name: name, Version: 1, Scope: webjob.ClientScope(client), Created: now, Expires: now.Add(24 * time.Hour),
		Arguments: []string{".*"}, Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(), Payloads: []webjob.Payload{payload},
	})
	if err != nil {
		return nil, err
	}
	return fetch.Kept(text, webjob.DigestOf(text), name, nil, now, content, payload.Size)
}

// inspect looks at a payload in its place, before it runs: its signatures when it came
// from a file, and what the hook of this endpoint says.
func (r *run) inspect(ctx context.Context, placed *runner.Placed, payload webjob.Payload, m *trust.SignedManifest) error {
	if r.file != nil {
		signers, err := trust.CheckDetached(r.file.lines, placed.Content(), r.file.who, time.Now())
		if err == nil && len(signers) < r.file.threshold {
			err = webjob.Errorf(webjob.Refused, "%s has %d of %d required signatures, of %s", r.file.path, len(signers), r.file.threshold, strings.Join(signers, ", "))
		}
		if err != nil {
			return &fetch.VerificationError{Err: err}
		}
	}
	if err := r.settings.GetHook.ask(ctx, r.record.Run, placed, payload, m); err != nil {
		return &fetch.VerificationError{Err: err}
	}
	return nil
}
