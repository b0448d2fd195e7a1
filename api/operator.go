package api

import (
	"net/url"
	"strconv"
	"time"

	"webjob.dev/webjob"
)

// Paths of the operator listener.
const (
	PathLogin           = "/api/v1/login"
	PathTokens          = "/api/v1/tokens"
	PathClients         = "/api/v1/clients"
	PathOperatorJobs    = "/api/v1/jobs"
	PathOperatorBlobs   = "/api/v1/blobs/" // + digest
	PathOperatorResults = "/api/v1/results"
	PathOrders          = "/api/v1/orders"
	PathSelect          = "/api/v1/select"
	PathDeliveries      = "/api/v1/deliveries"
	PathHooks           = "/api/v1/hooks"
	PathConfig          = "/api/v1/config"
	PathOperators       = "/api/v1/operators"
	PathRenew           = "/api/v1/renew"
	PathAudit           = "/api/v1/audit"
)

// NewTokenRequest registers a one-time token. The secret itself stays with the
// operator until someone enrols with it.
type NewTokenRequest struct {
	Secret webjob.Digest `json:"secret"` // digest of the secret
	Role   webjob.Role   `json:"role"`
	// Name is of the client or operator that comes back with the token; with Grants, of a
	// new operator.
	Name       string         `json:"name,omitempty"`
	Labels     webjob.Labels  `json:"labels,omitempty"`
	Grants     []webjob.Grant `json:"grants,omitempty"`
	Uses       int64          `json:"uses"`
	TTLSeconds int64          `json:"ttl_seconds"`
	Reason     string         `json:"reason,omitempty"` // of programs that do not know HeaderReason; so below
}

// NewTokenResponse is the token as the server keeps it.
type NewTokenResponse struct {
	Token webjob.Token `json:"token"`
}

// ServerInfo is what an operator's program needs to make tokens.
type ServerInfo struct {
	EndpointURL string `json:"endpoint_url"`
	Version     string `json:"version"`
}

// PathServer answers with a ServerInfo.
const PathServer = "/api/v1/server"

// ClientPath returns the path of a client, or of an action on it.
func ClientPath(id string, action ...string) string { return join(PathClients, id, action) }

// OperatorJobPath returns the path of a job, or of something below it.
func OperatorJobPath(name string, rest ...string) string { return join(PathOperatorJobs, name, rest) }

// OperatorBlobPath returns the path of a blob.
func OperatorBlobPath(d webjob.Digest) string { return PathOperatorBlobs + string(d) }

// ResultPath returns the path of a result, or of something below it.
func ResultPath(run string, rest ...string) string { return join(PathOperatorResults, run, rest) }

// TokenPath returns the path of an action on a token.
func TokenPath(id string, action ...string) string { return join(PathTokens, id, action) }

// OperatorPath returns the path of an operator, or of an action on it.
func OperatorPath(name string, action ...string) string { return join(PathOperators, name, action) }

func join(base, name string, rest []string) string {
	path := base + "/" + url.PathEscape(name)
	for _, element := range rest {
		path += "/" + url.PathEscape(element)
	}
	return path
}

// OrderPath returns the path of an order, or of something below it.
func OrderPath(id string, rest ...string) string { return join(PathOrders, id, rest) }

// OrderRequest carries a signed order.
type OrderRequest struct {
	Envelope []byte `json:"envelope"`
}

// StopRequest stops an order.
type StopRequest struct {
	Reason  string `json:"reason,omitempty"`
	Running bool   `json:"running,omitempty"` // end the runs under way as well
}

// OrderDetail is an order and the runs that are worth a look.
type OrderDetail struct {
	webjob.OrderStatus
	Slowest []webjob.OrderRun `json:"slowest,omitempty"` // running, the longest first
	Failing []webjob.OrderRun `json:"failing,omitempty"`
	// CanaryRuns are those that the rest waits for, and Waits what for, in words; both empty when the
	// order waits for no canary.
	CanaryRuns []CanaryRun `json:"canary_runs,omitempty"`
	Waits      string      `json:"waits,omitempty"`
	// Missing is how many signatures a pending order still needs, and MaySign whose count.
	Missing int64    `json:"missing,omitempty"`
	MaySign []string `json:"may_sign,omitempty"`
	// Envelope is the signed order, exact.
	Envelope []byte `json:"envelope"`
}

// CanaryRun is a run of the canary.
type CanaryRun struct {
	webjob.OrderRun
	Connected bool      `json:"connected"`          // its client waits for work now
	LastPoll  time.Time `json:"last_poll,omitzero"` // when it did last, since the server started
}

// SelectRequest asks whom a selector means.
type SelectRequest struct {
	On string `json:"on"`
}

// SelectResponse tells whom.
type SelectResponse struct {
	Matching int64    `json:"matching"` // clients that are not revoked
	Enrolled int64    `json:"enrolled"` // of so many
	Examples []string `json:"examples"` // at most five
}

// RetryRequest makes dead deliveries due again: one, or all when Sequence is 0.
type RetryRequest struct {
	Sequence int64 `json:"sequence"`
}

// RetryResponse tells how many.
type RetryResponse struct {
	Retried int64 `json:"retried"`
}

// HookInfo is one hook or trigger as it is configured.
type HookInfo struct {
	Kind      string             `json:"kind"` // hook, trigger
	Name      string             `json:"name"`
	On        []webjob.EventKind `json:"on"`
	Jobs      []string           `json:"jobs,omitempty"`
	Clients   string             `json:"clients,omitempty"`
	Command   []string           `json:"command,omitempty"`
	URL       string             `json:"url,omitempty"`
	OnFailure string             `json:"on_failure,omitempty"`
}

// Explained is what holds for a client and a job.
type Explained struct {
	Client string           `json:"client"`
	Job    string           `json:"job,omitempty"`
	Values []webjob.Setting `json:"values"`
	Error  string           `json:"error,omitempty"` // why the files on disk are not in use
}

// RolesRequest gives an operator other roles than it has.
type RolesRequest struct {
	Grants []webjob.Grant `json:"grants"`
	Reason string         `json:"reason,omitempty"`
}

// RenewRequest asks for a new certificate for the key of the operator who asks.
type RenewRequest struct {
	CertificateRequest []byte `json:"certificate_request"` // PKCS #10, DER
}

// RevokeRequest says why a client, operator or token is revoked, or a client suspended, as
// programs do that do not know [HeaderReason].
type RevokeRequest struct {
	Reason string `json:"reason,omitempty"`
}

// JobDetail is one published version with its exact manifest.
type JobDetail struct {
	webjob.JobVersion
	Text []byte `json:"manifest_text"` // canonical JSON
}

// LatestResponse tells the highest version of a name, 0 when there is none.
type LatestResponse struct {
	Version int64 `json:"version"`
}

// List is one page. Next continues it; empty means that this is the last.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// ResultDetail is one result with its record.
type ResultDetail struct {
	webjob.Result
	Record []byte        `json:"record"` // exact JSON
	Notes  []webjob.Note `json:"notes,omitempty"`
}

// EncodeResultFilter returns the filter as a query.
func EncodeResultFilter(f webjob.ResultFilter) url.Values {
	q := EncodePage(f.Page)
	set := func(key, value string) {
		if value != "" {
			q.Set(key, value)
		}
	}
	set("client", f.Client)
	set("job", f.Job)
	set("outcome", string(f.Outcome))
	encodeTime(q, "since", f.Since)
	encodeTime(q, "until", f.Until)
	return q
}

// DecodeResultFilter reads and checks a query made by EncodeResultFilter.
func DecodeResultFilter(q url.Values) (webjob.ResultFilter, error) {
	f := webjob.ResultFilter{Client: q.Get("client"), Job: q.Get("job"), Outcome: webjob.Outcome(q.Get("outcome"))}
	if f.Client != "" {
		if err := webjob.CheckClientID(f.Client); err != nil {
			return f, err
		}
	}
	if f.Job != "" {
		if err := webjob.CheckJobName(f.Job); err != nil {
			return f, err
		}
	}
	if f.Outcome != "" {
		if err := f.Outcome.Check(); err != nil {
			return f, err
		}
	}
	var err error
	if f.Since, err = decodeTime(q, "since"); err != nil {
		return f, err
	}
	if f.Until, err = decodeTime(q, "until"); err != nil {
		return f, err
	}
	if f.Page, err = DecodeSequencePage(q); err != nil {
		return f, err
	}
	return f, nil
}

// EncodeOrderFilter returns the filter as a query.
func EncodeOrderFilter(f webjob.OrderFilter) url.Values {
	q := EncodePage(f.Page)
	for key, value := range map[string]string{"job": f.Job, "state": string(f.State), "tag": f.Tag} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return q
}

// DecodeOrderFilter reads and checks a query made by EncodeOrderFilter.
func DecodeOrderFilter(q url.Values) (f webjob.OrderFilter, err error) {
	f = webjob.OrderFilter{Job: q.Get("job"), State: webjob.OrderState(q.Get("state")), Tag: q.Get("tag")}
	if f.State != "" {
		if err := f.State.Check(); err != nil {
			return f, err
		}
	}
	if f.Page, err = DecodeSequencePage(q); err != nil {
		return f, err
	}
	return f, webjob.CheckLine("tag", f.Tag, 100)
}

// EncodeActFilter returns the filter as a query.
func EncodeActFilter(f webjob.ActFilter) url.Values {
	q := EncodePage(f.Page)
	for key, value := range map[string]string{"actor": f.Actor, "action": f.Action, "target": f.Target} {
		if value != "" {
			q.Set(key, value)
		}
	}
	encodeTime(q, "since", f.Since)
	encodeTime(q, "until", f.Until)
	if f.Newest {
		q.Set("newest", "true")
	}
	return q
}

// DecodeActFilter reads and checks a query made by EncodeActFilter.
func DecodeActFilter(q url.Values) (f webjob.ActFilter, err error) {
	f = webjob.ActFilter{Actor: q.Get("actor"), Action: q.Get("action"), Target: q.Get("target"), Newest: q.Get("newest") == "true"}
	for key, value := range map[string]string{"actor": f.Actor, "action": f.Action, "target": f.Target} {
		if err := webjob.CheckLine(key, value, 200); err != nil {
			return f, err
		}
	}
	if f.Since, err = decodeTime(q, "since"); err != nil {
		return f, err
	}
	if f.Until, err = decodeTime(q, "until"); err != nil {
		return f, err
	}
	f.Page, err = DecodeSequencePage(q)
	return f, err
}

func encodeTime(q url.Values, key string, t time.Time) {
	if !t.IsZero() {
		q.Set(key, t.UTC().Format(time.RFC3339Nano))
	}
}

func decodeTime(q url.Values, key string) (time.Time, error) {
	text := q.Get(key)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, webjob.Errorf(webjob.Invalid, "%s is %.40q; write a time as 2006-01-02T15:04:05Z", key, text)
	}
	return t, nil
}

// EncodePage returns the page as a query.
func EncodePage(p webjob.Page) url.Values {
	q := url.Values{}
	if p.After != "" {
		q.Set("after", p.After)
	}
	q.Set("limit", strconv.Itoa(p.Limit))
	return q
}

// DecodeSequencePage is DecodePage of a list that goes by sequence.
func DecodeSequencePage(q url.Values) (webjob.Page, error) {
	p, err := DecodePage(q)
	if err != nil || p.After == "" {
		return p, err
	}
	if n, err := strconv.ParseInt(p.After, 10, 64); err != nil || n < 0 {
		return p, webjob.Errorf(webjob.Invalid, "after is %.40q; use the \"next\" of the page before", p.After)
	}
	return p, nil
}

// DecodePage reads and checks a query made by EncodePage.
func DecodePage(q url.Values) (webjob.Page, error) {
	p := webjob.Page{After: q.Get("after"), Limit: webjob.DefaultPage}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > webjob.MaxPage {
			return p, webjob.Errorf(webjob.Invalid, "limit is %.40q; it must be 1 to %d", text, webjob.MaxPage)
		}
		p.Limit = n
	}
	if len(p.After) > 256 {
		return p, webjob.Errorf(webjob.Invalid, "after has %d characters; use the \"next\" of the page before", len(p.After))
	}
	return p, nil
}
