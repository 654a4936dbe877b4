package core

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits. Each is checked before anything is sent to a store.
const (
	// MaxNameBytes is the greatest length of a stream name, of a key and of a
	// message id, in bytes of UTF-8.
	MaxNameBytes = 1024
	// MaxPayloadBytes is the greatest size of one payload.
	MaxPayloadBytes = 8 << 20
	// MaxBatchBytes is the greatest size of all payloads of one append.
	// Chromium refuses a stored value at 133 MB.
	MaxBatchBytes = 64 << 20
	// MaxSequence is the greatest head of a stream, 2^53-1: up to it JavaScript
	// numbers are exact integers (ECMA-262, Number.MAX_SAFE_INTEGER).
	MaxSequence = 1<<53 - 1
	// MaxReadBytes is how many bytes of payloads one read returns before it ends
	// early: no more than that, and one record.
	MaxReadBytes = 8 << 20
	// MaxListing is the greatest number of summaries that a [Directory] returns
	// at once.
	MaxListing = 1000
	// MaxDue is the greatest number of streams that [Directory].Due returns.
	MaxDue = 1024
)

// CheckName reports whether name may name a stream, a key or a message:
// 1 to [MaxNameBytes] bytes of valid UTF-8 without NUL. The error is
// [ErrInvalidArgument], of the operation op.
func CheckName(op, name string) error {
	if name == "" {
		return &Error{Code: ErrInvalidArgument, Op: op, Detail: "a name must not be empty"}
	}
	return CheckPrefix(op, name)
}

// CheckPrefix is [CheckName] for a prefix of names, which may be empty.
func CheckPrefix(op, prefix string) error {
	var detail string
	switch {
	case len(prefix) > MaxNameBytes:
		detail = fmt.Sprintf("a name of %d bytes is longer than the limit of %d", len(prefix), MaxNameBytes)
	case !utf8.ValidString(prefix):
		detail = "a name must be valid UTF-8"
	case strings.IndexByte(prefix, 0) >= 0:
		detail = "a name must not contain NUL"
	default:
		return nil
	}
	return &Error{Code: ErrInvalidArgument, Op: op, Detail: detail}
}

// CheckWrites validates what [DurableStore].Append or [Beginner].Begin is given:
// at least one write, each to another stream, the names, at least one payload
// each, their sizes, and that no sequence passes [MaxSequence].
func CheckWrites(writes []Write) error {
	const op = "append"
	if len(writes) == 0 {
		return &Error{Code: ErrInvalidArgument, Op: op, Detail: "there is nothing to append"}
	}
	total := 0
	for i, w := range writes {
		if err := w.check(op); err != nil {
			return err
		}
		if slices.ContainsFunc(writes[:i], func(other Write) bool { return other.Stream == w.Stream }) {
			return &Error{Code: ErrInvalidArgument, Op: op, Stream: w.Stream, Detail: "there are two writes to one stream; make one of them"}
		}
		for _, payload := range w.Payloads {
			total += len(payload)
		}
	}
	if total > MaxBatchBytes {
		return &Error{Code: ErrTooLarge, Op: op, Stream: writes[0].Stream,
			Detail: fmt.Sprintf("the batch has %d bytes, the limit is %d; append it in parts", total, MaxBatchBytes)}
	}
	return nil
}

func (w *Write) check(op string) error {
	if err := CheckSummary(op, w.Stream, w.Summary); err != nil {
		return err
	}
	if len(w.Payloads) == 0 {
		return &Error{Code: ErrInvalidArgument, Op: op, Stream: w.Stream, Detail: "there is nothing to append"}
	}
	for i, payload := range w.Payloads {
		if len(payload) > MaxPayloadBytes {
			return &Error{Code: ErrTooLarge, Op: op, Stream: w.Stream,
				Detail: fmt.Sprintf("payload %d has %d bytes, the limit is %d; store large data elsewhere and append a reference", i, len(payload), MaxPayloadBytes)}
		}
	}
	if w.Expected > MaxSequence || uint64(len(w.Payloads)) > MaxSequence-w.Expected {
		return &Error{Code: ErrOutOfRange, Op: op, Stream: w.Stream,
			Detail: fmt.Sprintf("sequence %d + %d passes 2^53-1; go on in a new stream", w.Expected, len(w.Payloads))}
	}
	return nil
}

// CheckSummary validates what a [Directory] is to keep for a stream: the name of
// that, and a summary of it, or nil.
func CheckSummary(op, stream string, s *Summary) error {
	if err := CheckName(op, stream); err != nil {
		return err
	}
	if s != nil && s.ID != stream {
		return &Error{Code: ErrInvalidArgument, Op: op, Stream: stream, Detail: "the summary is that of another stream"}
	}
	return nil
}

// CheckListing validates what [Directory].List is given: its limit or the number
// of its ids, and the names.
func CheckListing(l Listing) error {
	const op = "list"
	if l.IDs == nil {
		if l.Limit < 1 || l.Limit > MaxListing {
			return &Error{Code: ErrInvalidArgument, Op: op, Detail: fmt.Sprintf("the limit must be from 1 to %d", MaxListing)}
		}
		if l.After != nil {
			if err := CheckName(op, l.After.ID); err != nil {
				return err
			}
		}
		return CheckPrefix(op, l.Prefix)
	}
	if len(l.IDs) > MaxListing {
		return &Error{Code: ErrInvalidArgument, Op: op, Detail: fmt.Sprintf("there are %d ids, the limit is %d; list them in parts", len(l.IDs), MaxListing)}
	}
	for _, id := range l.IDs {
		if err := CheckName(op, id); err != nil {
			return err
		}
	}
	return nil
}

// CheckLimit validates the limit of [DurableStore.ReadFrom].
func CheckLimit(stream string, limit int) error {
	if limit < 0 {
		return &Error{Code: ErrInvalidArgument, Op: "read", Stream: stream, Detail: "a limit must not be negative"}
	}
	return nil
}

// CheckSnapshot validates the arguments of [Snapshotter].SaveSnapshot: the
// name, a sequence with entries before it, and 1 to [MaxPayloadBytes] bytes.
func CheckSnapshot(stream string, sequence uint64, snapshot []byte) error {
	const op = "save snapshot"
	if err := CheckName(op, stream); err != nil {
		return err
	}
	switch {
	case sequence == 0 || sequence > MaxSequence:
		return &Error{Code: ErrOutOfRange, Op: op, Stream: stream,
			Detail: fmt.Sprintf("there is no log up to sequence %d; it goes from 1 to 2^53-1", sequence)}
	case len(snapshot) == 0:
		return &Error{Code: ErrInvalidArgument, Op: op, Stream: stream, Detail: "a snapshot must not be empty"}
	case len(snapshot) > MaxPayloadBytes:
		return &Error{Code: ErrTooLarge, Op: op, Stream: stream,
			Detail: fmt.Sprintf("the snapshot has %d bytes, the limit is %d", len(snapshot), MaxPayloadBytes)}
	}
	return nil
}
