package idbstore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/holdfast-dev/holdfast/core"
)

// A page is what one request reads. Records differ in size by orders of
// magnitude, so the number asked for follows the sizes seen. The first page is
// short: a few merged records can hold thousands of events, more than a caller
// wants.
const (
	firstPage = 2
	maxPage   = 4096
	pageBytes = 1 << 20
)

// nextPage returns how many records to ask for, after a page of records with
// the given number of bytes.
func nextPage(records, bytes int) int {
	if bytes == 0 {
		return firstPage
	}
	return min(max(records*pageBytes/bytes, 1), maxPage)
}

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
	entries, err := view(ctx, s, op, stream, recordsStore, func(ctx context.Context, tx transaction) (entries []core.Entry, err error) {
		small = tail{}
		next, page := offset, firstPage
		try++
		for limit > len(entries) {
			page = min(page, limit-len(entries)) // a record has one entry or more
			var values [][]byte
			if rest := recordsFrom(stream, next); try < maxTries {
				values, err = tx.values(rest, page).wait(ctx)
			} else {
				values, err = valuesSingly(ctx, tx, rest, page)
			}
			if err != nil {
				return nil, err
			}
			size := 0
			for _, value := range values {
				size += len(value)
				r, err := decodeRecord(stream, value)
				if err != nil {
					return nil, err
				}
				if err := follows(r, next, next == offset); err != nil {
					return nil, err
				}
				entries = r.appendTo(entries, next, limit)
				next = r.end()
				if !r.deleted {
					small = small.with(r.first, next, len(value))
				}
				if len(entries) == limit {
					return entries, nil
				}
			}
			if len(values) < page {
				return entries, nil
			}
			page = nextPage(len(values), size)
		}
		return entries, nil
	})
	if err == nil {
		s.seen(stream, small)
	}
	return entries, err
}

// valuesSingly reads what tx.values would, record by record. If the keys can be
// read and one of the values cannot, that one is damaged: for some damage a
// browser throws the same exception as for files that it cannot open.
func valuesSingly(ctx context.Context, tx transaction, r keyRange, limit int) ([][]byte, error) {
	keys, err := tx.keys(r, limit).wait(ctx)
	if err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		var failure *engineError
		if values[i], err = tx.get(key).wait(ctx); errors.As(err, &failure) && (failure.name == unknownError || failure.name == notReadable) {
			_, end, _, _ := parseKey(key)
			return nil, &core.Error{Code: core.ErrCorrupt, Err: err,
				Detail: fmt.Sprintf("the browser finds what it has stored up to sequence %d, and cannot read it; verify tells what else is damaged", end-1)}
		}
		if err != nil {
			return nil, err
		}
	}
	return values, nil
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
	return view(ctx, s, op, prefix, recordsStore, func(ctx context.Context, tx transaction) (entries []core.Entry, err error) {
		rest, page := namesWithPrefix(prefix), firstPage
		stream, next := "", uint64(0)
		for {
			keys, values, err := readRecords(ctx, tx, rest, page)
			if err != nil {
				return nil, err
			}
			size := 0
			for i, key := range keys {
				name, end, _, ok := parseKey(key)
				if !ok {
					return nil, corruptKey(prefix)
				}
				if name != stream {
					stream, next = name, 0
				}
				size += len(values[i])
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
			if len(keys) < page {
				return entries, nil
			}
			rest.lower = recordKey(stream, next+1)
			page = nextPage(len(keys), size)
		}
	})
}
