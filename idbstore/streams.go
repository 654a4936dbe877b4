package idbstore

import (
	"bytes"
	"context"
	"slices"

	"github.com/holdfast-dev/holdfast/core"
)

// mostKeys is how many keys are read with one request, at most.
const mostKeys = 512

// Streams implements [core.DurableStore]. It reads nothing but keys, and costs
// one or two requests for up to mostKeys of them.
func (s *Store) Streams(ctx context.Context, prefix string) ([]core.StreamInfo, error) {
	const op = "streams"
	if err := core.CheckPrefix(op, prefix); err != nil {
		return nil, err
	}
	return view(ctx, s, op, prefix, recordsStore, func(ctx context.Context, tx transaction) ([]core.StreamInfo, error) {
		return readHeads(ctx, tx, namesWithPrefix(prefix), mostKeys)
	})
}

// readHeads reads the heads of the streams in r, with requests for up to most
// keys. It skips what is left of the stream in which a batch of keys ends, so a
// stream with very many records costs no more than one with a few.
//
// Keys that Holdfast did not write are skipped: one damaged key must not hide
// all streams.
func readHeads(ctx context.Context, tx transaction, r keyRange, most int) ([]core.StreamInfo, error) {
	var streams []core.StreamInfo // of one that was deleted the head is 0
	note := func(key []byte) {
		name, head, deleted, ok := parseKey(key)
		if deleted {
			head = 0
		}
		switch last := len(streams) - 1; {
		case !ok:
		case last >= 0 && streams[last].Name == name:
			streams[last].Head = head
		default:
			streams = append(streams, core.StreamInfo{Name: name, Head: head})
		}
	}
	for limit := most; bytes.Compare(r.lower, r.upper) <= 0; {
		keys, err := tx.keys(r, limit).wait(ctx)
		if err != nil {
			return nil, err
		}
		known := len(streams)
		for _, key := range keys {
			note(key)
		}
		if len(keys) < limit {
			break
		}
		r.lower = append(keys[len(keys)-1], 0)
		if last := len(streams) - 1; last >= 0 {
			name := streams[last].Name
			if next := append([]byte(name), 1); bytes.Compare(r.lower, next) < 0 { // there may be more of its keys
				key, err := lastKey(ctx, tx, name)
				if err != nil {
					return nil, err
				}
				note(key)
				r.lower = next
			}
		}
		// Few streams have more records than compactDue, for then they are
		// merged. Among those that have more, a small batch reads less in vain.
		limit = min(max(len(streams)-known, 1)*compactDue, most)
	}
	return slices.DeleteFunc(streams, func(stream core.StreamInfo) bool { return stream.Head == 0 }), nil
}

// lastKey returns the last key of stream that Holdfast wrote.
func lastKey(ctx context.Context, tx transaction, stream string) ([]byte, error) {
	for r := recordsEndingFrom(stream, 0); ; {
		key, err := tx.last(r).wait(ctx)
		if err != nil || key == nil {
			return nil, err
		}
		if _, _, _, ok := parseKey(key); ok {
			return key, nil
		}
		r.upper = before(key)
	}
}

// lastRecord returns the head of stream, which its last key contains.
func lastRecord(ctx context.Context, tx transaction, stream string) (head uint64, deleted bool, err error) {
	key, err := tx.last(recordsEndingFrom(stream, 0)).wait(ctx)
	if err != nil || key == nil {
		return 0, false, err
	}
	_, head, deleted, ok := parseKey(key)
	if !ok {
		return 0, false, corruptKey(stream)
	}
	return head, deleted, nil
}
