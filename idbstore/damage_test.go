package idbstore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// These tests run natively over the fake, and in the browser over the real
// thing: freshStore gives the one or the other.

// rawPut writes into the database behind the store's back.
func rawPut(t testing.TB, s *Store, store string, key, value []byte) {
	t.Helper()
	raw(t, s, store, func(ctx context.Context, tx transaction) error { return tx.put(key, value) })
}

func raw(t testing.TB, s *Store, store string, fn func(context.Context, transaction) error) {
	t.Helper()
	if err := s.calls.update(context.Background(), "test", "", store, fn); err != nil {
		t.Fatal(err)
	}
}

// fill appends n batches of two events.
func fill(t testing.TB, s *Store, stream string, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.Append(context.Background(), stream, uint64(2*i), []byte("x"), []byte("y")); err != nil {
			t.Fatal(err)
		}
	}
}

// Damage to a stream is told from the end of the stream.
func TestDamagedStream(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		damage func(context.Context, transaction) error
		want   error
		offset uint64 // where reads fail
		before uint64 // where reads of one entry still work
	}{
		{"a record is missing", func(_ context.Context, tx transaction) error {
			k := recordKey("s", 4)
			return tx.remove(keyRange{k, k})
		}, core.ErrGap, 2, 1},
		{"the first record is missing", func(_ context.Context, tx transaction) error {
			k := recordKey("s", 2)
			return tx.remove(keyRange{k, k})
		}, core.ErrGap, 0, 2},
		{"a record is overwritten", func(_ context.Context, tx transaction) error {
			return tx.put(recordKey("s", 4), []byte("rubbish and more rubbish"))
		}, core.ErrCorrupt, 3, 1},
		{"a record stands under another key", func(_ context.Context, tx transaction) error {
			return tx.put(recordKey("s", 4), encodeRecord("s", 0, 0, [][]byte{nil, nil}))
		}, core.ErrCorrupt, 2, 1},
		{"a record of a newer format", func(_ context.Context, tx transaction) error {
			return tx.put(recordKey("s", 4), wire.Seal("s", []byte{recordVersion + 1, 0, 2, 2, 0, 0, 0, 0, 0}))
		}, core.ErrUnsupportedVersion, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := freshStore(t)
			fill(t, s, "s", 3)
			fill(t, s, "t", 1)
			raw(t, s, recordsStore, c.damage)
			for _, offset := range []uint64{0, c.offset} {
				if _, err := s.ReadFrom(ctx, "s", offset, 100); !errors.Is(err, c.want) {
					t.Errorf("read from %d: %v, want %v", offset, err, c.want)
				}
			}
			if _, err := s.Scan(ctx, ""); !errors.Is(err, c.want) {
				t.Errorf("scan: %v, want %v", err, c.want)
			}
			if _, ok, err := s.ReadAt(ctx, "s", c.before); err != nil || !ok {
				t.Errorf("read at %d: %v, %v", c.before, ok, err)
			}
			if entries, err := s.ReadFrom(ctx, "t", 0, 100); err != nil || len(entries) != 2 {
				t.Errorf("another stream: %d entries, %v", len(entries), err)
			}
			if s.LastError() == nil {
				t.Error("no last error")
			}
		})
	}
}

// A key that cannot be read hides no stream from the list, also not its own.
func TestDamagedKey(t *testing.T) {
	for _, key := range [][]byte{
		{}, {0}, []byte("s"), []byte("s\xff"), append(recordKey("s", 2), 9), recordKey("s", 0), recordKey("s", 1<<60), recordKey("s\xff", 2), bytes.Repeat([]byte("z"), 3000),
	} {
		s := freshStore(t)
		for _, stream := range []string{"a", "s", "t"} {
			fill(t, s, stream, 1)
		}
		rawPut(t, s, recordsStore, key, []byte("rubbish and more rubbish"))
		want := []core.StreamInfo{{Name: "a", Head: 2}, {Name: "s", Head: 2}, {Name: "t", Head: 2}}
		if streams, err := s.Streams(context.Background(), ""); err != nil || !slices.Equal(streams, want) {
			t.Errorf("beside %x: %+v, %v", key, streams, err)
		}
		for _, stream := range []string{"a", "t"} {
			if _, err := s.Append(context.Background(), stream, 2, nil); err != nil {
				t.Errorf("beside %x: %v", key, err)
			}
		}
	}
}

// A last key that says more than its record. Reads do not look at it, and an
// append that was told of a conflict would be tried again for ever.
func TestDamagedHead(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name string
		key  []byte
		last []byte
		want error
	}{
		{"none", recordKey("s", 4), encodeRecord("s", 2, 0, [][]byte{nil, nil}), core.ErrSequenceConflict},
		{"the key is higher", recordKey("s", 4+1<<41), encodeRecord("s", 2, 0, [][]byte{nil, nil}), core.ErrCorrupt},
		{"the key is that of a tombstone", tombstoneKey("s", 4), encodeRecord("s", 2, 0, [][]byte{nil, nil}), core.ErrCorrupt},
		{"the record is overwritten", recordKey("s", 4), []byte("rubbish and more rubbish"), core.ErrCorrupt},
		{"the record is of a newer format", recordKey("s", 4), wire.Seal("s", []byte{recordVersion + 1, 0, 2, 2, 0, 0, 0, 0, 0}), core.ErrUnsupportedVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := freshStore(t)
			fill(t, s, "s", 1)
			rawPut(t, s, recordsStore, c.key, c.last)
			if _, err := s.Append(ctx, "s", 2, nil); !errors.Is(err, c.want) {
				t.Errorf("append: %v, want %v", err, c.want)
			}
			if err := s.Delete(ctx, "s"); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
	}
}

func TestDamagedValue(t *testing.T) {
	s := freshStore(t)
	for _, value := range [][]byte{{}, make([]byte, valueSize), encodeValue("other", 7)} {
		rawPut(t, s, valuesStore, []byte("k"), value)
		if _, _, err := s.ReadValue(context.Background(), "k"); !errors.Is(err, core.ErrCorrupt) {
			t.Errorf("read %x: %v", value, err)
		}
		if err := s.CompareAndSwap(context.Background(), "k", 0, 1); !errors.Is(err, core.ErrCorrupt) {
			t.Errorf("swap %x: %v", value, err)
		}
	}
}

// A lost race is an answer, not a failure of the storage.
func TestLostRaceIsNoFailure(t *testing.T) {
	s := freshStore(t)
	fill(t, s, "s", 1)
	var conflict *core.SequenceConflictError
	if _, err := s.Append(context.Background(), "s", 1, nil); !errors.As(err, &conflict) || conflict.Expected != 1 || conflict.Actual != 2 {
		t.Errorf("a late append: %v", err)
	}
	if err := s.CompareAndSwap(context.Background(), "k", 7, 8); !errors.Is(err, core.ErrCursorRegression) {
		t.Errorf("a late swap: %v", err)
	}
	if err := s.LastError(); err != nil {
		t.Errorf("last error: %v", err)
	}
}

// Pages grow and shrink with the records, and lose none between them.
func TestReadAcrossPages(t *testing.T) {
	ctx := context.Background()
	s := freshStore(t)
	n := uint64(0)
	for i := range 20 {
		payload := make([]byte, 10+700_000*(i%2)) // pages of a few MiB
		for _, stream := range []string{"s", "t"} {
			if _, err := s.Append(ctx, stream, n, payload); err != nil {
				t.Fatal(err)
			}
		}
		n++
	}
	entries, err := s.ReadFrom(ctx, "s", 0, 10_000)
	if err != nil || uint64(len(entries)) != n {
		t.Errorf("read %d of %d entries, %v", len(entries), n, err)
	}
	all, err := s.Scan(ctx, "")
	if err != nil || uint64(len(all)) != 2*n {
		t.Errorf("scanned %d of %d entries, %v", len(all), 2*n, err)
	}
}

// A page may end with a foreign key that is the upper bound of the range. Nothing
// comes after it, and a range above its own upper bound is refused.
func TestPageEndsAtTheUpperBound(t *testing.T) {
	s := freshStore(t)
	rawPut(t, s, recordsStore, recordsFrom("s", 0).upper, []byte("rubbish"))
	n, err := view(context.Background(), s.calls, "test", "s", recordsStore, func(ctx context.Context, tx transaction) (n int, err error) {
		for p := pagesOf(tx, recordsFrom("s", 0)); !p.over(); {
			keys, _, err := p.next(ctx, 0, 1) // a key at a time
			if err != nil {
				return n, err
			}
			n += len(keys)
		}
		return n, nil
	})
	if n != 1 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
}

// Streams must not pass 2^53-1, where JavaScript numbers cease to be exact.
func TestSequenceLimit(t *testing.T) {
	ctx := context.Background()
	s := freshStore(t)
	rawPut(t, s, recordsStore, tombstoneKey("s", core.MaxSequence-1), encodeTombstone("s", core.MaxSequence-2, 0))
	if at, err := s.Append(ctx, "s", core.MaxSequence-1, []byte("last")); err != nil || at != core.MaxSequence-1 {
		t.Fatalf("the last sequence: %d, %v", at, err)
	}
	if _, err := s.Append(ctx, "s", core.MaxSequence, []byte("over")); !errors.Is(err, core.ErrOutOfRange) {
		t.Errorf("past the last sequence: %v", err)
	}
	if err := s.Delete(ctx, "s"); !errors.Is(err, core.ErrOutOfRange) {
		t.Errorf("delete at the limit: %v", err)
	}
	var conflict *core.SequenceConflictError
	if _, err := s.Append(ctx, "s", 5, nil); !errors.As(err, &conflict) || conflict.Actual != core.MaxSequence {
		t.Errorf("a late writer: %v", err)
	}
	entries, err := s.ReadFrom(ctx, "s", core.MaxSequence-1, 10)
	if err != nil || len(entries) != 1 || entries[0].Sequence != core.MaxSequence-1 {
		t.Errorf("read: %+v, %v", entries, err)
	}
}

// Of events that are recorded together those have room that would have it one by
// one.
func TestGroupAtTheSequenceLimit(t *testing.T) {
	s := freshStore(t)
	rawPut(t, s, recordsStore, tombstoneKey("s", core.MaxSequence-2), encodeTombstone("s", core.MaxSequence-3, 0))
	c, err := core.Recover(context.Background(), "s", s)
	if err != nil {
		t.Fatal(err)
	}
	started := core.Event{Kind: core.KindProcessingStarted, MessageID: "m"}
	recorded := c.RecordAll(context.Background(), []core.Event{started, started, started, started})
	for i, r := range recorded {
		if fits := i < 2; fits != (r.Err == nil) || !fits && !errors.Is(r.Err, core.ErrOutOfRange) || fits && r.Sequence != core.MaxSequence-2+uint64(i) {
			t.Errorf("event %d: %+v", i, r)
		}
	}
}
