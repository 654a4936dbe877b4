package core

import (
	"bytes"
	"context"
)

// settle finds out the outcome of a write that ended with unknown. The ids in the
// payloads make them unlike any others, so own bytes at the expected sequence mean
// that the write landed, and other bytes that it never will.
//
// If there is nothing, settle sends the payloads once more, at the same
// sequence: should the first write land after all, at most one of both does.
// If that fails for any reason, what is then at expected decides.
func (l *log) settle(ctx context.Context, write Write, unknown error) error {
	ctx, cancel := graced(ctx)
	defer cancel()
	found, err := l.look(ctx, write)
	if err != nil {
		return unknown
	}
	if found.head == write.Expected {
		ended := make(chan error, 1)
		l.begin(ctx, write, func(err error) { ended <- err })
		if err := <-ended; err == nil {
			return nil
		}
		if found, err = l.look(ctx, write); err != nil || found.head == write.Expected {
			return unknown
		}
	}
	if !found.own {
		return &SequenceConflictError{Stream: l.id, Expected: write.Expected, Actual: found.head}
	}
	return nil
}

// position is what look found at a sequence.
type position struct {
	own  bool   // the payloads are there
	head uint64 // of the stream; the sequence itself if nothing is there
}

// look reads the stream from the expected sequence to the head. Others are rarely more than
// a few events ahead, so this costs one call; Streams would list all streams
// with the same prefix, and no deleted one.
func (l *log) look(ctx context.Context, write Write) (position, error) {
	found := position{head: write.Expected}
	var entries []Entry // in the place of the write
	for {
		more, end, err := l.part(ctx, found.head, readBatch)
		if err != nil {
			return position{}, err
		}
		if len(entries) < len(write.Payloads) {
			entries = append(entries, more...)
		}
		found.own = holds(entries, write)
		if len(more) > 0 {
			found.head = more[len(more)-1].Sequence + 1
		}
		if found.own || end {
			return found, nil
		}
	}
}

// holds reports whether entries begin with those of write. A
// tombstone there is none of them: the events are gone, own or not.
func holds(entries []Entry, write Write) bool {
	if len(entries) < len(write.Payloads) {
		return false
	}
	for i, payload := range write.Payloads {
		entry := entries[i]
		if entry.Tombstone || entry.Sequence != write.Expected+uint64(i) || !bytes.Equal(entry.Payload, payload) {
			return false
		}
	}
	return true
}
