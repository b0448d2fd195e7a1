package server

import (
	"context"
	"fmt"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// Finding is one line of a check: what was looked at, and what is wrong with it.
type Finding struct {
	What   string `json:"what"`
	Detail string `json:"detail"`
	Error  string `json:"error,omitempty"`
}

// Check reaches every backend, compares every blob with the metadata that names
// it, and tells what it found. It changes nothing but a file that it removes.
func (s *Server) Check(ctx context.Context) []Finding {
	findings := []Finding{
		{What: "configuration", Detail: s.settings.path(settingsFile)},
		checkCertificate(s.settings, s.authority),
		finding("metadata", s.settings.path(metadataFile), s.store.Ping(ctx)),
		finding("blobs", s.settings.path(blobsFolder), s.blobs.Ping(ctx)),
	}
	checked, bytes := 0, int64(0)
	err := s.store.BlobDigests(ctx, func(d webjob.Digest, size int64) error {
		checked++
		bytes += size
		if err := checkBlob(ctx, s.blobs, d, size); err != nil {
			findings = append(findings, finding("blob", string(d), err))
		}
		return ctx.Err()
	})
	return append(findings, finding("content", fmt.Sprintf("%d blobs, %d bytes compared with their digests", checked, bytes), err))
}

func finding(what, detail string, err error) Finding {
	f := Finding{What: what, Detail: detail}
	if err != nil {
		f.Error = err.Error()
	}
	return f
}

func checkCertificate(settings *Settings, authority *trust.Authority) Finding {
	folder := settings.identityFolder()
	certificate, err := folder.ReadCertificate()
	if err != nil {
		return finding("certificate", settings.dir, webjob.Errorf(webjob.KindOf(err), "%w; the next start issues it anew", err))
	}
	if err = folder.Judge(certificate, authority, now()); err != nil {
		err = webjob.Errorf(webjob.Invalid, "%w; when the clock and the settings are right, start the server anew: it issues another", err)
	}
	return finding("certificate", "valid until "+certificate.Leaf.NotAfter.UTC().Format(time.RFC3339), err)
}

func checkBlob(ctx context.Context, blobs webjob.Blobs, d webjob.Digest, size int64) error {
	content, _, err := blobs.Open(ctx, d)
	if err != nil {
		return err
	}
	got, n, err := webjob.DigestReader(content)
	if closeErr := content.Close(); err == nil {
		err = closeErr
	}
	if err == nil && (got != d || n != size) {
		err = webjob.Errorf(webjob.Internal, "content is %s with %d bytes, not %d; restore it from a backup", got, n, size)
	}
	return err
}
