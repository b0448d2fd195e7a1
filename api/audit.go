package api

import (
	"net/url"

	"webjob.dev/webjob"
)

// HeaderReason says why, in the operator's words, with every request that changes
// something: one line, escaped as an element of a path is. See [EncodeReason].
const HeaderReason = "Webjob-Reason"

// EncodeReason returns the value of [HeaderReason].
func EncodeReason(reason string) string { return url.PathEscape(reason) }

// DecodeReason reads and checks what EncodeReason returned; nothing is no reason.
func DecodeReason(value string) (string, error) {
	reason, err := url.PathUnescape(value)
	if err != nil {
		return "", webjob.Errorf(webjob.Invalid, "header %s is %.80q; escape it as an element of a path", HeaderReason, value)
	}
	if err := webjob.CheckReason(reason); err != nil {
		return "", err // what is not to be recorded as it is, is no reason
	}
	return reason, nil
}

// Purposes for which a whole audit log is read, as the query's "for" says.
const (
	ForExport = "export"
	ForVerify = "verify"
)
