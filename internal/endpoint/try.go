package endpoint

import (
	"context"
	"errors"
	"os"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/trust"
)

// tryClient is what an endpoint is called that only tries a job.
const tryClient = "try"

// Try runs a job of one's own on this machine as it would run on an endpoint: placed,
// with its limits, its context and its collected files. Nobody has signed it and nothing
// that a server says leads here; whoever calls it could as well run the payload by hand.
// The result stays in dir, an empty folder that is private to this user; Try returns the
// record and the folder of its parts.
func Try(ctx context.Context, dir string, manifest []byte, payload string, data []byte, arguments []string) (record *webjob.Record, parts string, err error) {
	s, err := CreateState(dir)
	if err != nil {
		return nil, "", err
	}
	content, err := os.Open(payload)
	if err != nil {
		return nil, "", webjob.Errorf(webjob.Invalid, "%w", err)
	}
	offer, err := tryOffer(manifest, content)
	if err != nil {
		return nil, "", errors.Join(err, content.Close())
	}
	defer func() { _ = offer.Close() }() // only read
	r, err := newFileRun(s, DefaultSettings(), &Enrolment{ID: tryClient}, Request{Job: offer.Name, Arguments: arguments}, nil)
	if err != nil {
		return nil, "", err
	}
	r.data = data
	start := time.Now()
	r.record.Times.Get.Start = start.UTC()
	entry, err := r.runOffer(ctx, ctx, start, offer)
	if err != nil {
		return nil, "", err
	}
	return r.record, s.path(spoolFolder, entry.Run()), errors.Join(r.refused, entry.Unlock())
}

func tryOffer(manifest []byte, content *os.File) (*fetch.Offer, error) {
	digest, now := webjob.DigestOf(manifest), time.Now()
	m, err := trust.ParseManifest(manifest, digest, now)
	if err != nil {
		return nil, err
	}
	info, err := content.Stat()
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return fetch.Kept(manifest, digest, m.Name, nil, now, content, info.Size())
}
