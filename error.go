package webjob

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is, so that a caller can act on it.
// It is translated to an HTTP status in package wire and to an exit status in
// package cli, and nowhere else.
type Kind string

// The kinds. An error without a kind is Internal.
const (
	Invalid      Kind = "invalid"      // the request or value is malformed or out of range
	NotFound     Kind = "not_found"    // the named thing does not exist, or not for this caller
	Conflict     Kind = "conflict"     // it exists already with other content
	Unauthorized Kind = "unauthorized" // the caller did not prove who it is
	Refused      Kind = "refused"      // the caller is known but may not, or verification failed
	TooLarge     Kind = "too_large"    // a body, stream or name is over its limit
	Unavailable  Kind = "unavailable"  // try again later: busy, unreachable, disk full
	Internal     Kind = "internal"     // a defect or a broken backend
)

// Error is an error with a kind and one line for people: what, why, what to do.
type Error struct {
	Kind Kind
	Text string
	Err  error // the cause, may be nil; Text already tells what matters of it
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] of the kind. The format works as in [fmt.Errorf], so
// %w keeps the cause.
func Errorf(kind Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Text: err.Error(), Err: errors.Unwrap(err)}
}

// KindOf returns the kind of the outermost [Error] in err's chain, Internal when
// there is none, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
