package idbstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-dev/holdfast/core"
)

// pageBytes is what the values of one request amount to at most, unless a single
// one is larger.
const pageBytes = 4 << 20

// pages reads the records of a range, one page after the other. It asks for keys
// first, which say how large the records are at most.
type pages struct {
	tx     transaction
	rest   keyRange // whose keys were not read yet
	keys   [][]byte // whose values were not read yet
	ended  bool     // rest has no keys
	singly bool     // read value by value, to find one that is damaged
}

func pagesOf(tx transaction, r keyRange) pages { return pages{tx: tx, rest: r} }

// over reports whether all records were read.
func (p *pages) over() bool { return p.ended && len(p.keys) == 0 }

// next reads the keys and the values of the next records, of a caller that has the
// events before sequence from and wants those before until. It may find none. A
// value is nil where the browser has found fewer values than keys.
func (p *pages) next(ctx context.Context, from, until uint64) (keys, values [][]byte, err error) {
	if len(p.keys) == 0 {
		most := min(until-from, pageBytes/plainBytes) // a record has one event or more
		if values, err = p.ask(ctx, int(most)); err != nil || p.over() {
			return nil, nil, err
		}
	}
	size, end := sizeBound(p.keys[0])
	n := 1
	for ; n < len(p.keys) && end < until; n++ {
		var more int
		if more, end = sizeBound(p.keys[n]); size+more > pageBytes {
			break
		}
		size += more
	}
	keys, p.keys = p.keys[:n], p.keys[n:]
	if unread := keys[len(values):]; len(unread) > 0 {
		more, err := p.read(ctx, unread)
		if err != nil {
			return nil, nil, err
		}
		values = append(values, more...)
	}
	return keys, append(values, make([][]byte, max(n-len(values), 0))...), nil
}

// ask asks for keys, and for the first value, which comes at once because it is
// often the only one.
func (p *pages) ask(ctx context.Context, most int) (first [][]byte, err error) {
	if p.ended = p.ended || bytes.Compare(p.rest.lower, p.rest.upper) > 0; p.ended {
		return nil, nil // IndexedDB refuses such a range
	}
	asked := p.tx.keys(p.rest, most)
	var value answer[[][]byte]
	if !p.singly {
		value = p.tx.values(p.rest, 1)
	}
	if p.keys, err = asked.wait(ctx); err != nil {
		return nil, err
	}
	if p.ended = len(p.keys) < most; !p.ended {
		p.rest.lower = append(slices.Clone(p.keys[most-1]), 0)
	}
	if value == nil {
		return nil, nil
	}
	return value.wait(ctx)
}

// read reads the values at keys, which are neighbours.
func (p *pages) read(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if p.singly {
		return valuesSingly(ctx, p.tx, keys)
	}
	return p.tx.values(keyRange{keys[0], keys[len(keys)-1]}, len(keys)).wait(ctx)
}

// valuesSingly reads the values at keys, record by record. If the keys can be
// read and one of the values cannot, that one is damaged: for some damage a
// browser throws the same exception as for files that it cannot open.
func valuesSingly(ctx context.Context, tx transaction, keys [][]byte) (values [][]byte, err error) {
	values = make([][]byte, len(keys))
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
