package idbstore

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"

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
	streams, err := view(ctx, s.calls, op, prefix, recordsStore, func(ctx context.Context, tx transaction) ([]core.StreamInfo, error) {
		return readHeads(ctx, tx, namesWithPrefix(prefix), mostKeys)
	})
	if err != nil {
		return nil, err
	}
	return notDeleted(s.heads.withLost(streams, prefix)), nil
}

// withLost adds the streams that are remembered and have lost all their records,
// also that of a deletion, as long as that was not reported: then somebody
// recovers them, and is told.
func (h *heads) withLost(streams []core.StreamInfo, prefix string) []core.StreamInfo {
	byName := func(stream core.StreamInfo, name string) int { return strings.Compare(stream.Name, name) }
	for _, name := range h.due(prefix) {
		if at, found := slices.BinarySearchFunc(streams, name, byName); !found {
			streams = slices.Insert(streams, at, core.StreamInfo{Name: name})
		}
	}
	return streams
}

// deletedHead stands for the head of a deleted stream.
const deletedHead = math.MaxUint64

func notDeleted(streams []core.StreamInfo) []core.StreamInfo {
	return slices.DeleteFunc(streams, func(stream core.StreamInfo) bool { return stream.Head == deletedHead })
}

// readHeads reads the heads of the streams in r, also of deleted ones, with requests for up to most
// keys. It skips what is left of the stream in which a batch of keys ends, so a
// stream with very many records costs no more than one with a few.
//
// Keys that Holdfast did not write are skipped: one damaged key must not hide
// all streams.
func readHeads(ctx context.Context, tx transaction, r keyRange, most int) ([]core.StreamInfo, error) {
	var streams []core.StreamInfo
	note := func(key []byte) {
		name, head, deleted, ok := parseKey(key)
		if deleted {
			head = deletedHead
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
	return streams, nil
}

// lastKey returns the last key of stream that Holdfast wrote.
func lastKey(ctx context.Context, tx transaction, stream string) ([]byte, error) {
	for r := recordsEndingFrom(stream, 0); bytes.Compare(r.lower, r.upper) <= 0; {
		key, err := tx.last(r).wait(ctx)
		if err != nil || key == nil {
			return nil, err
		}
		if _, _, _, ok := parseKey(key); ok {
			return key, nil
		}
		r.upper = before(key)
	}
	return nil, nil
}

// lastRecord returns the last key of stream, and the head, which it contains.
func lastRecord(ctx context.Context, tx transaction, stream string) (key []byte, head uint64, deleted bool, err error) {
	key, err = tx.last(recordsEndingFrom(stream, 0)).wait(ctx)
	if err != nil || key == nil {
		return nil, 0, false, err
	}
	_, head, deleted, ok := parseKey(key)
	if !ok {
		return nil, 0, false, corruptKey(stream)
	}
	return key, head, deleted, nil
}
