package wire

import (
	"net/url"
	"time"

	"webjob.dev/webjob"
)

// Paths of the endpoint listener.
const (
	PathEnroll  = "/v1/enroll"
	PathJobs    = "/v1/jobs/"  // + name
	PathBlobs   = "/v1/blobs/" // + digest
	PathResults = "/v1/results"
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
	// HeaderPayloadFor names the job whose payload a blob is asked for as. It is for
	// the log only.
	HeaderPayloadFor = "Webjob-Job"
)

// ContentTypeResult is the media type of a result's body.
const ContentTypeResult = "application/vnd.webjob.result.v1"

// EnrollRequest asks for a certificate with a one-time token.
type EnrollRequest struct {
	Secret             []byte          `json:"secret"` // of the token
	ID                 string          `json:"id"`     // wished client id or operator name
	Platform           webjob.Platform `json:"platform,omitempty"`
	CertificateRequest []byte          `json:"certificate_request"`  // PKCS #10, DER
	TrustRoot          webjob.Digest   `json:"trust_root,omitempty"` // that the token pins
}

// EnrollResponse is what a new client or operator keeps.
type EnrollResponse struct {
	ID          string        `json:"id"`
	Labels      webjob.Labels `json:"labels,omitempty"`
	Certificate string        `json:"certificate"` // PEM
	Authority   string        `json:"authority"`   // PEM
	// TrustRoot is the canonical trust root. The client compares its digest with the
	// token's, so the server cannot choose it.
	TrustRoot []byte `json:"trust_root,omitempty"`
}

// JobPath returns the path of a job by name.
func JobPath(name string) string { return PathJobs + url.PathEscape(name) }

// BlobPath returns the path of a blob.
func BlobPath(d webjob.Digest) string { return PathBlobs + string(d) }

// JobResponse is the version of a job that this client gets.
type JobResponse struct {
	Name     string        `json:"name"`
	Version  int64         `json:"version"`
	Manifest webjob.Digest `json:"manifest"`
	Envelope []byte        `json:"envelope"` // DSSE, exact bytes
}

// ResultResponse acknowledges a result: it is durable, and the client may delete
// its copy.
type ResultResponse struct {
	Run      string        `json:"run"`
	Record   webjob.Digest `json:"record"` // of the record's bytes
	Received time.Time     `json:"received"`
	Known    bool          `json:"known,omitempty"` // it was there already
}
