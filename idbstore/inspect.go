package idbstore

import (
	"context"
	"errors"
	"math"

	"github.com/holdfast-dev/holdfast/core"
)

// inspectEntries is how many entries of a stream are inspected in one
// transaction, and then those of a few more records. It is fewer if they amount
// to pageBytes.
const inspectEntries = 2048

// Inspect implements [core.Inspector]. The key of a record that cannot be read
// says where it ends. Where it begins is not known, and taken to be where the
// record before it ends.
//
// After the last record, it reports what is remembered to have been there.
func (s *Store) Inspect(ctx context.Context, stream string, offset uint64) (core.Inspection, error) {
	const op = "inspect"
	if err := core.CheckName(op, stream); err != nil {
		return core.Inspection{}, err
	}
	ctx, cancel := s.WithDeadline(ctx)
	defer cancel()
	offset = min(offset, core.MaxSequence)
	part, err := inspect(ctx, s.calls, op, stream, offset)
	if unreadable(err) {
		part, err = inspectOne(ctx, s.calls, op, stream, offset)
	}
	if err == nil && part.End == offset && len(part.Damage) == 0 {
		part.Damage, err = lostFrom(ctx, s.calls, op, stream, offset, s.heads.furthest(stream))
	}
	return part, err
}

// LostEnd implements [core.Witness].
func (s *Store) LostEnd(stream string, head uint64, goesOn bool) (reached uint64) {
	return s.heads.lostEnd(stream, head, goesOn)
}

// lostFrom returns what is remembered of stream from its end on. What was lost
// before a deletion and was reported is gone like what was deleted.
func lostFrom(ctx context.Context, c *calls, op, stream string, end uint64, known remembered) ([]core.Damage, error) {
	if end >= known.head {
		return nil, nil
	}
	deleted, err := view(ctx, c, op, stream, recordsStore, func(ctx context.Context, tx transaction) (deleted bool, err error) {
		key, err := lastKey(ctx, tx, stream)
		_, _, deleted, _ = parseKey(key)
		return deleted, err
	})
	if err != nil || deleted && end >= known.due {
		return nil, err
	}
	return []core.Damage{{From: end, To: known.head - 1, Code: core.ErrGap,
		Detail: "the log ends before it, and the browser remembers that it went further"}}, nil
}

// inspect reads many records at once.
func inspect(ctx context.Context, c *calls, op, stream string, offset uint64) (core.Inspection, error) {
	return view(ctx, c, op, stream, recordsStore, func(ctx context.Context, tx transaction) (core.Inspection, error) {
		part := core.Inspection{End: offset}
		p, size := pagesOf(tx, recordsFrom(stream, offset)), 0
		for len(part.Entries) < inspectEntries && size < pageBytes && !p.over() {
			keys, values, err := p.next(ctx, part.End, part.End+inspectEntries)
			if err != nil {
				return part, err
			}
			for i, key := range keys {
				size += len(values[i])
				inspectRecord(&part, stream, key, values[i], part.End == offset)
			}
		}
		return part, nil
	})
}

// inspectOne inspects one record, which the browser may not be able to read.
// The records after it may be whole.
func inspectOne(ctx context.Context, c *calls, op, stream string, offset uint64) (core.Inspection, error) {
	part := core.Inspection{End: offset}
	keys, err := view(ctx, c, op, stream, recordsStore, func(ctx context.Context, tx transaction) ([][]byte, error) {
		return tx.keys(recordsFrom(stream, offset), 1).wait(ctx)
	})
	if err != nil || len(keys) == 0 {
		return part, err
	}
	value, err := view(ctx, c, op, stream, recordsStore, func(ctx context.Context, tx transaction) ([]byte, error) {
		return tx.get(keys[0]).wait(ctx)
	})
	if err != nil && !unreadable(err) {
		return part, err
	}
	inspectRecord(&part, stream, keys[0], value, true)
	return part, nil
}

// inspectRecord adds a record to part.
func inspectRecord(part *core.Inspection, stream string, key, value []byte, first bool) {
	_, end, deleted, ok := parseKey(key)
	if !ok || end <= part.End {
		part.Damage = append(part.Damage, core.Damage{From: part.End, To: part.End, Code: core.ErrCorrupt,
			Detail: "before it the database has a key that Holdfast did not write"})
		return
	}
	r, err := decodeRecordAt(stream, value, end, deleted)
	if err == nil && r.first < part.End && !first {
		err = misplaced(stream, r)
	}
	var failure *core.Error
	if errors.As(err, &failure) {
		part.Damage = append(part.Damage, core.Damage{From: part.End, To: end - 1, Code: failure.Code, Detail: failure.Detail})
	} else {
		part.Entries = r.appendTo(part.Entries, part.End, math.MaxInt)
	}
	part.End = end
}
