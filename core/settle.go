package core

import (
	"bytes"
	"context"
	"errors"
)

// write appends payloads at expected, all or none, and settles the outcome if
// the store does not know it. Nil means that they are committed there.
func (c *Conversation) write(ctx context.Context, expected uint64, payloads ...[]byte) error {
	if c.isUnreported() { // what is appended would hide a lost end
		if err := c.complete(); err != nil {
			return err
		}
	}
	_, err := c.store.Append(ctx, c.id, expected, payloads...)
	if !errors.Is(err, ErrOutcomeUnknown) {
		return err
	}
	return c.settle(ctx, expected, payloads, err)
}

// settle finds out the outcome of an append that ended with unknown. The ids in
// the payloads make them unlike any others, so own bytes at expected mean that
// the append landed, and other bytes that it never will.
//
// If there is nothing, settle sends the payloads once more, at the same
// sequence: should the first append land after all, at most one of both does.
// If that fails for any reason, what is then at expected decides.
func (c *Conversation) settle(ctx context.Context, expected uint64, payloads [][]byte, unknown error) error {
	ctx, cancel := graced(ctx)
	defer cancel()
	found, err := c.look(ctx, expected, payloads)
	if err != nil {
		return unknown
	}
	if found.head == expected {
		if _, err := c.store.Append(ctx, c.id, expected, payloads...); err == nil {
			return nil
		}
		if found, err = c.look(ctx, expected, payloads); err != nil || found.head == expected {
			return unknown
		}
	}
	if !found.own {
		return &SequenceConflictError{Stream: c.id, Expected: expected, Actual: found.head}
	}
	return nil
}

// position is what look found at a sequence.
type position struct {
	own  bool   // the payloads are there
	head uint64 // of the stream; the sequence itself if nothing is there
}

// look reads the stream from expected to the head. Others are rarely more than
// a few events ahead, so this costs one call; Streams would list all streams
// with the same prefix, and no deleted one.
func (c *Conversation) look(ctx context.Context, expected uint64, payloads [][]byte) (position, error) {
	found := position{head: expected}
	limit := max(readBatch, len(payloads))
	for {
		entries, err := c.store.ReadFrom(ctx, c.id, found.head, limit)
		if err != nil {
			return position{}, err
		}
		found.own = holds(entries, expected, payloads)
		if len(entries) > 0 {
			found.head = entries[len(entries)-1].Sequence + 1
		}
		if found.own || len(entries) < limit {
			return found, nil
		}
	}
}

// holds reports whether entries begin with payloads at sequence first. A
// tombstone there is none of them: the events are gone, own or not.
func holds(entries []Entry, first uint64, payloads [][]byte) bool {
	if len(entries) < len(payloads) {
		return false
	}
	for i, payload := range payloads {
		entry := entries[i]
		if entry.Tombstone || entry.Sequence != first+uint64(i) || !bytes.Equal(entry.Payload, payload) {
			return false
		}
	}
	return true
}
