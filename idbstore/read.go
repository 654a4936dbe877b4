package idbstore

import (
	"context"
	"math"

	"github.com/holdfast-dev/holdfast/core"
)

// ReadFrom implements [core.DurableStore].
func (s *Store) ReadFrom(ctx context.Context, stream string, offset uint64, limit int) ([]core.Entry, error) {
	const op = "read"
	if err := core.CheckName(op, stream); err != nil {
		return nil, err
	}
	if err := core.CheckLimit(stream, limit); err != nil {
		return nil, err
	}
	offset = min(offset, core.MaxSequence) // where no stream goes
	var small tail
	try := 0
	entries, err := view(ctx, s.calls, op, stream, recordsStore, func(ctx context.Context, tx transaction) (entries []core.Entry, err error) {
		small = tail{}
		size, next, p := 0, offset, pagesOf(tx, recordsFrom(stream, offset))
		try++
		p.singly = try == maxTries
		for limit > len(entries) && !p.over() {
			_, values, err := p.next(ctx, next, offset+uint64(limit))
			if err != nil {
				return nil, err
			}
			for _, value := range values {
				r, err := decodeRecord(stream, value)
				if err != nil {
					return nil, err
				}
				if err := follows(r, next, next == offset); err != nil {
					return nil, err
				}
				before := len(entries)
				entries = r.appendTo(entries, next, limit)
				for _, entry := range entries[before:] {
					size += len(entry.Payload)
				}
				next = r.end()
				if !r.deleted {
					small = small.with(r.first, next, len(value))
				}
				if len(entries) == limit || size >= core.MaxReadBytes {
					return entries, nil
				}
			}
		}
		return entries, nil
	})
	if err == nil {
		s.compactor.seen(stream, small)
	}
	return entries, err
}

// ReadAt implements [core.DurableStore].
func (s *Store) ReadAt(ctx context.Context, stream string, sequence uint64) (core.Entry, bool, error) {
	entries, err := s.ReadFrom(ctx, stream, sequence, 1)
	if err != nil || len(entries) == 0 || entries[0].Sequence != sequence {
		return core.Entry{}, false, err
	}
	return entries[0], true, nil
}

// Scan implements [core.DurableStore].
func (s *Store) Scan(ctx context.Context, prefix string) ([]core.Entry, error) {
	const op = "scan"
	if err := core.CheckPrefix(op, prefix); err != nil {
		return nil, err
	}
	return view(ctx, s.calls, op, prefix, recordsStore, func(ctx context.Context, tx transaction) (entries []core.Entry, err error) {
		p := pagesOf(tx, namesWithPrefix(prefix))
		stream, next := "", uint64(0)
		for !p.over() {
			keys, values, err := p.next(ctx, 0, math.MaxUint64)
			if err != nil {
				return nil, err
			}
			for i, key := range keys {
				name, end, _, ok := parseKey(key)
				if !ok {
					return nil, corruptKey(prefix)
				}
				if name != stream {
					stream, next = name, 0
				}
				r, err := decodeRecord(stream, values[i])
				if err != nil {
					return nil, err
				}
				if err := follows(r, next, next == 0); err != nil {
					return nil, err
				}
				if r.end() != end {
					return nil, corruptKey(stream)
				}
				entries = r.appendTo(entries, r.first, math.MaxInt)
				next = end
			}
		}
		return entries, nil
	})
}
