package operator

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
)

// maxAuditLine bounds an entry of an exported audit log, in bytes.
const maxAuditLine = 256 << 10

// AuditHead is an entry of an audit log up to which it was verified.
type AuditHead struct {
	Sequence int64         `json:"sequence"`
	Hash     webjob.Digest `json:"hash"`
	Time     time.Time     `json:"time"`
}

// AuditReport tells of an audit log that is whole.
type AuditReport struct {
	Entries int64      `json:"entries"`
	Head    AuditHead  `json:"head"`
	Before  *AuditHead `json:"before,omitempty"` // up to which it was verified last time
}

// AuditLog reads the audit log of the server.
type AuditLog struct{ session *Session }

// Each visits all entries of the audit log, page by page, for a purpose.
func (a AuditLog) Each(ctx context.Context, purpose string, visit func(webjob.AuditEntry) error) error {
	filter := webjob.ActFilter{Page: webjob.Page{Limit: webjob.MaxPage}}
	for {
		query := api.EncodeActFilter(filter)
		query.Set("for", purpose)
		var list api.List[webjob.AuditEntry]
		if err := a.session.Call(ctx, http.MethodGet, api.PathAudit, query, nil, &list); err != nil {
			return err
		}
		for _, e := range list.Items {
			if err := visit(e); err != nil {
				return err
			}
			filter.Page.After = strconv.FormatInt(e.Sequence, 10)
		}
		if list.Next == "" || len(list.Items) == 0 {
			return nil
		}
	}
}

// auditChain checks entries one after another, and that a known one is among them.
type auditChain struct {
	head  AuditHead
	known *AuditHead
}

func newAuditChain(known *AuditHead) *auditChain {
	return &auditChain{head: AuditHead{Hash: webjob.EmptyDigest}, known: known}
}

func (c *auditChain) add(e webjob.AuditEntry) error {
	act, err := e.CheckAfter(c.head.Sequence, c.head.Hash)
	if err != nil {
		return err
	}
	c.head = AuditHead{Sequence: e.Sequence, Hash: e.Hash, Time: act.Time}
	if k := c.known; k != nil && k.Sequence == e.Sequence && k.Hash != e.Hash {
		return webjob.Errorf(webjob.Refused, "the audit log was rewritten: entry %d was %s when it was verified last, and is %s", e.Sequence, k.Hash.Short(), e.Hash.Short())
	}
	return nil
}

func (c *auditChain) report() (AuditReport, error) {
	if k := c.known; k != nil && c.head.Sequence < k.Sequence {
		return AuditReport{}, webjob.Errorf(webjob.Refused, "the audit log was cut: it ends at entry %d, and entry %d (%s, of %s) was in it when it was verified last",
			c.head.Sequence, k.Sequence, k.Hash.Short(), k.Time.Format(time.RFC3339))
	}
	return AuditReport{Entries: c.head.Sequence, Head: c.head, Before: c.known}, nil
}

// Verify walks the whole audit log of the server and checks that no entry was changed,
// removed or put in, and that it goes on from what was verified in this folder last time.
func (a AuditLog) Verify(ctx context.Context) (AuditReport, error) {
	heads, err := a.heads()
	if err != nil {
		return AuditReport{}, err
	}
	var known *AuditHead
	if head, found := heads[a.session.Base()]; found {
		known = &head
	}
	chain := newAuditChain(known)
	if err := a.Each(ctx, api.ForVerify, chain.add); err != nil {
		return AuditReport{}, err
	}
	report, err := chain.report()
	if err != nil {
		return report, err
	}
	heads[a.session.Base()] = report.Head
	encoded, err := json.Marshal(heads)
	if err != nil {
		return report, err
	}
	return report, a.session.home.replaceFile(auditFile, encoded)
}

// heads returns up to where audit logs were verified, by the address of the server.
func (a AuditLog) heads() (map[string]AuditHead, error) {
	file := a.session.home.path(auditFile)
	heads := map[string]AuditHead{}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return heads, nil
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if err := json.Unmarshal(text, &heads); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w; compare the audit log with an export, then remove the file", file, err)
	}
	return heads, nil
}

// WriteAct writes an entry as one line, with its exact text.
func WriteAct(w io.Writer, e webjob.AuditEntry) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false) // the text is what it is
	if err := encoder.Encode(e); err != nil {
		return err
	}
	_, err := w.Write(line.Bytes())
	return err
}

// VerifyExport checks an exported audit log: one entry a line, from the first one on.
func VerifyExport(r io.Reader) (AuditReport, error) {
	chain := newAuditChain(nil)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAuditLine)
	for n := 1; lines.Scan(); n++ {
		var e webjob.AuditEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return AuditReport{}, webjob.Errorf(webjob.Invalid, "line %d is no entry of an audit log: %w", n, err)
		}
		if err := chain.add(e); err != nil {
			return AuditReport{}, webjob.Errorf(webjob.KindOf(err), "line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return AuditReport{}, webjob.Errorf(webjob.Invalid, "line after entry %d: %w", chain.head.Sequence, err)
	}
	return chain.report()
}
