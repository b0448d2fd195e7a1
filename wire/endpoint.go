package wire

import (
	"net/url"
	"strconv"
	"time"

	"webjob.dev/webjob"
)

// Paths of the endpoint listener.
const (
	PathEnroll  = "/v1/enroll"
	PathRenew   = "/v1/renew"
	PathRevoked = "/v1/revoked" // list of revoked certificates
	PathJobs    = "/v1/jobs/"   // + name
	PathBlobs   = "/v1/blobs/"  // + digest
	PathResults = "/v1/results"
	PathUploads = "/v1/uploads/" // + digest
)

// MaxRequestJSON bounds every JSON request body, in bytes.
const MaxRequestJSON = 1 << 20

// MaxResponseJSON bounds every JSON response that a client reads, in bytes.
const MaxResponseJSON = 16 << 20

// Headers of our own.
const (
	// HeaderRecordLength is the number of bytes of the record at the start of a
	// result's body; the parts follow in the record's order with the record's sizes.
	HeaderRecordLength = "Webjob-Record-Length"
	// HeaderHave says what the client holds of the job repository: JSON of the domain's
	// RepositoryHave.
	HeaderHave = "Webjob-Have"
	// HeaderBundleLength is the number of bytes of the repository bundle at the start of
	// a job's body, and HeaderManifestLength that of the manifest after it; what follows
	// is the payload for the platform that was asked for.
	HeaderBundleLength   = "Webjob-Bundle-Length"
	HeaderManifestLength = "Webjob-Manifest-Length"
	// HeaderTicket is the newest ticket of single runs in every request of a client. One for
	// a job or a renewal takes a step: it names the value of the next ticket behind a dot,
	// and the answer has that ticket. See docs/protocol.md.
	HeaderTicket = "Webjob-Ticket"
	// HeaderTold comes with the answer that a ticket is not the newest, and is given back
	// when the client asks again with the newest.
	HeaderTold = "Webjob-Told"
	// HeaderLimits carries the server's ceilings for a run as JSON of the domain's
	// Limits; they only ever make a job's own limits tighter.
	HeaderLimits = "Webjob-Limits"
	// HeaderPutURL names the server that results of the job go to.
	HeaderPutURL = "Webjob-Put-Url"
	// HeaderBegin says that hooks want to be asked before the run: POST /v1/runs.
	HeaderBegin = "Webjob-Begin"
)

// ResumableBytes is the size from which on a part of a result does not come in the
// result's body: it is uploaded before, and goes on where it was when a connection broke.
const ResumableBytes = 8 << 20

// Resumable reports whether a part is uploaded before its result.
func Resumable(part webjob.Stream) bool { return part.Size >= ResumableBytes }

// Headers of uploads, as in tus and the IETF's draft on resumable uploads.
const (
	HeaderUploadOffset = "Upload-Offset" // of the first byte of the body
	HeaderUploadLength = "Upload-Length" // bytes of the whole
)

// UploadResponse tells how far an upload is.
type UploadResponse struct {
	Offset int64 `json:"offset"` // bytes that are here
}

// UploadPath returns the path of an upload.
func UploadPath(d webjob.Digest) string { return PathUploads + string(d) }

// InlinePayloadBytes is the size up to which a payload comes along with its
// envelope, so that a typical job costs one request. Larger ones are blobs, which
// can be resumed.
const InlinePayloadBytes = 1 << 20

// ContentTypeJob is the media type of a job's body.
const ContentTypeJob = "application/vnd.webjob.job.v1"

// ContentTypeCRL is the media type of a list of revoked certificates (RFC 5280).
const ContentTypeCRL = "application/pkix-crl"

// ContentTypeResult is the media type of a result's body.
const ContentTypeResult = "application/vnd.webjob.result.v1"

// EnrollRequest asks for a certificate with a one-time token.
type EnrollRequest struct {
	Secret             []byte          `json:"secret"` // of the token
	ID                 string          `json:"id"`     // wished client id or operator name
	Platform           webjob.Platform `json:"platform,omitempty"`
	CertificateRequest []byte          `json:"certificate_request"`  // PKCS #10, DER
	TrustRoot          webjob.Digest   `json:"trust_root,omitempty"` // of the root that the token pins
}

// EnrollResponse is what a new client or operator keeps.
type EnrollResponse struct {
	ID          string        `json:"id"`
	Labels      webjob.Labels `json:"labels,omitempty"`
	Certificate string        `json:"certificate"` // PEM
	Authority   string        `json:"authority"`   // PEM
	// TrustRoot is the root of the job repository. The client compares its digest with
	// the token's, so the server cannot choose it.
	TrustRoot []byte `json:"trust_root,omitempty"`
}

// RenewRequest asks for a new certificate for the key that the client has. With a
// certificate that still holds it is granted; without one an operator must approve.
type RenewRequest struct {
	ID                 string `json:"id"`
	CertificateRequest []byte `json:"certificate_request"` // PKCS #10, DER
}

// RenewResponse is what takes the place of what the client had.
type RenewResponse struct {
	Certificate string `json:"certificate"` // PEM
	Authority   string `json:"authority"`   // PEM, of every CA that counts
}

// JobQuery says which version of a job is wanted, and what for.
type JobQuery struct {
	Platform webjob.Platform
	Version  int64  // 0: the one that this client gets
	Run      string // for hooks
}

// JobPath returns the path of a job by name, with the payload for the platform.
func JobPath(name string, q JobQuery) string {
	values := url.Values{"platform": {string(q.Platform)}}
	if q.Version != 0 {
		values.Set("version", strconv.FormatInt(q.Version, 10))
	}
	if q.Run != "" {
		values.Set("run", q.Run)
	}
	return PathJobs + url.PathEscape(name) + "?" + values.Encode()
}

// DecodeJobQuery reads and checks the query of JobPath.
func DecodeJobQuery(values url.Values) (q JobQuery, err error) {
	if text := values.Get("platform"); text != "" {
		q.Platform = webjob.Platform(text)
		if err := q.Platform.Check(); err != nil {
			return q, err
		}
	}
	if text := values.Get("version"); text != "" {
		if q.Version, err = strconv.ParseInt(text, 10, 64); err != nil || q.Version < 1 || q.Version > webjob.MaxVersion {
			return q, webjob.Errorf(webjob.Invalid, "version %.40q is not a number from 1 to %d", text, int64(webjob.MaxVersion))
		}
	}
	if q.Run = values.Get("run"); q.Run != "" {
		return q, webjob.CheckRunID(q.Run)
	}
	return q, nil
}

// BlobPath returns the path of a blob.
func BlobPath(d webjob.Digest) string { return PathBlobs + string(d) }

// ResultResponse acknowledges a result: it is durable, and the client may delete
// its copy.
type ResultResponse struct {
	Run      string        `json:"run"`
	Record   webjob.Digest `json:"record"` // of the record's bytes
	Received time.Time     `json:"received"`
	Known    bool          `json:"known,omitempty"` // it was there already
}
