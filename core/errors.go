package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code is one entry of the closed list of failures. A Code is itself an error,
// so errors.Is(err, core.ErrCorrupt) finds it in a chain. The same strings are
// the `code` of an error in JavaScript.
type Code string

// The closed list. [Codes] returns it in this order.
const (
	// ErrSequenceConflict: the head of the stream is not the expected one.
	// See [SequenceConflictError].
	ErrSequenceConflict Code = "sequence_conflict"
	// ErrCursorRegression: the stored value is not the expected old one.
	// See [CursorRegressionError].
	ErrCursorRegression Code = "cursor_regression"
	// ErrOutcomeUnknown: the write may or may not have been committed.
	ErrOutcomeUnknown Code = "outcome_unknown"
	// ErrCorrupt: stored bytes are damaged.
	ErrCorrupt Code = "corrupt"
	// ErrGap: records of a stream are missing, between others or at its end.
	ErrGap Code = "gap"
	// ErrStoreReset: the browser or the user emptied the store.
	ErrStoreReset Code = "store_reset"
	// ErrQuotaExceeded: the storage has no room.
	ErrQuotaExceeded Code = "quota_exceeded"
	// ErrTooLarge: a payload or a batch is over its limit.
	ErrTooLarge Code = "too_large"
	// ErrInvalidArgument: an argument can never be accepted.
	ErrInvalidArgument Code = "invalid_argument"
	// ErrUnsupportedVersion: the data was written by a newer release.
	ErrUnsupportedVersion Code = "unsupported_version"
	// ErrOutOfRange: a sequence or a step index would pass its limit.
	ErrOutOfRange Code = "out_of_range"
	// ErrBlocked: another tab holds the database and the deadline has passed.
	ErrBlocked Code = "blocked"
	// ErrClosed: the store was closed by its owner.
	ErrClosed Code = "closed"
	// ErrStorageUnavailable: the storage cannot be opened or read.
	ErrStorageUnavailable Code = "storage_unavailable"
	// ErrInstanceLost: the WebAssembly instance could not start or has died.
	ErrInstanceLost Code = "instance_lost"
	// ErrStepMismatch: a handler calls a step otherwise than before, or in no order.
	ErrStepMismatch Code = "step_mismatch"
	// ErrLostOwnership: another runner has taken the message over.
	ErrLostOwnership Code = "lost_ownership"
	// ErrCancelled: the caller cancelled; nothing was written.
	ErrCancelled Code = "cancelled"
)

// Codes returns the closed list of codes.
func Codes() []Code {
	return []Code{
		ErrSequenceConflict, ErrCursorRegression, ErrOutcomeUnknown, ErrCorrupt, ErrGap,
		ErrStoreReset, ErrQuotaExceeded, ErrTooLarge, ErrInvalidArgument, ErrUnsupportedVersion,
		ErrOutOfRange, ErrBlocked, ErrClosed, ErrStorageUnavailable, ErrInstanceLost,
		ErrStepMismatch, ErrLostOwnership, ErrCancelled,
	}
}

// Error implements error.
func (c Code) Error() string { return string(c) }

// Outcome is what an error means for the write that returned it.
type Outcome string

const (
	// NotWritten: nothing was written; the same call may succeed later.
	NotWritten Outcome = "not_written"
	// Unknown: the write may have been committed; read it back.
	Unknown Outcome = "unknown"
	// Permanent: nothing was written, and the same call can never succeed.
	Permanent Outcome = "permanent"
)

// Outcome returns what the code means for a write.
func (c Code) Outcome() Outcome {
	switch c {
	case ErrOutcomeUnknown, ErrInstanceLost:
		return Unknown
	case ErrQuotaExceeded, ErrBlocked, ErrStorageUnavailable, ErrCancelled:
		return NotWritten
	default:
		return Permanent
	}
}

// CodeOf returns the code of err: the outermost one in its chain. An error
// without a code comes from a context or from a store that breaks its
// contract; a context's is [ErrCancelled], any other [ErrStorageUnavailable].
// The code of nil is empty.
func CodeOf(err error) Code {
	var coded interface{ code() Code }
	var code Code
	switch {
	case err == nil:
		return ""
	case errors.As(err, &coded):
		return coded.code()
	case errors.As(err, &code):
		return code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ErrCancelled
	default:
		return ErrStorageUnavailable
	}
}

// Error adds to a code what was attempted, on which stream, and why it failed.
type Error struct {
	Code   Code
	Op     string // the operation: "append", "recover", …
	Stream string // the stream or key it was about; may be empty
	Detail string // what is wrong and what to do about it
	Err    error  // the cause; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("holdfast: ")
	if e.Op != "" {
		b.WriteString(e.Op)
		if e.Stream != "" {
			fmt.Fprintf(&b, " %q", e.Stream)
		}
		b.WriteString(": ")
	}
	b.WriteString(string(e.Code))
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is e's code.
func (e *Error) Is(target error) bool { return target == error(e.Code) }

func (e *Error) code() Code { return e.Code }

// SequenceConflictError says that an append lost: the stream's head was not
// the expected sequence. Nothing was written. Refresh, decide again, append.
type SequenceConflictError struct {
	Stream   string
	Expected uint64 // the head the caller expected
	Actual   uint64 // the head found
}

// Error implements error.
func (e *SequenceConflictError) Error() string {
	return fmt.Sprintf("holdfast: append %q: sequence_conflict: expected sequence %d, actual %d; refresh and decide again",
		e.Stream, e.Expected, e.Actual)
}

// Is reports whether target is [ErrSequenceConflict].
func (e *SequenceConflictError) Is(target error) bool { return target == error(ErrSequenceConflict) }

func (e *SequenceConflictError) code() Code { return ErrSequenceConflict }

// CursorRegressionError says that a compare-and-swap lost: the stored value was
// not the attempted old one. Nothing was written.
type CursorRegressionError struct {
	Key       string
	Stored    uint64 // the value found; an absent one is 0
	Attempted uint64 // the old value the caller expected
}

// Error implements error.
func (e *CursorRegressionError) Error() string {
	return fmt.Sprintf("holdfast: compare-and-swap %q: cursor_regression: stored %d, attempted %d; read the value and decide again",
		e.Key, e.Stored, e.Attempted)
}

// Is reports whether target is [ErrCursorRegression].
func (e *CursorRegressionError) Is(target error) bool { return target == error(ErrCursorRegression) }

func (e *CursorRegressionError) code() Code { return ErrCursorRegression }

// detailOf returns what err says is wrong, without the operation.
func detailOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}
