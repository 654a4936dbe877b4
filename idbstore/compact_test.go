package idbstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/storetest"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// Like those in damage_test.go, these tests run natively and in the browser.

// eager makes s compact whatever can be merged, and as soon as it can.
func eager(s *Store) *Store {
	s.compactor.due, s.compactor.quiet = 2, 0
	return s
}

// A store that compacts all the time keeps the contract like one that does not.
func TestContractWhileCompacting(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Storage {
		tab := freshTabs(t)
		return func(testing.TB) core.DurableStore { return eager(tab()) }
	})
}

// records returns the keys and values of all records of stream.
func records(t testing.TB, s *Store, stream string) (keys, values [][]byte) {
	t.Helper()
	err := s.calls.run(context.Background(), "test", stream, readOnly, recordsStore, func(ctx context.Context, tx transaction) (err error) {
		askedKeys, askedValues := tx.keys(recordsFrom(stream, 0), 1e6), tx.values(recordsFrom(stream, 0), 1e6)
		if keys, err = askedKeys.wait(ctx); err == nil {
			values, err = askedValues.wait(ctx)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys, values
}

// everything reads stream with all timestamps.
func everything(t testing.TB, s *Store, stream string) []core.Entry {
	t.Helper()
	entries, err := s.ReadFrom(context.Background(), stream, 0, 1e6)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// write puts records into stream as earlier appends of these sizes have made
// them, three seconds apart and with the clock set back once.
func write(t testing.TB, s *Store, stream string, first uint64, sizes ...int) uint64 {
	t.Helper()
	raw(t, s, recordsStore, func(_ context.Context, tx transaction) error {
		for i, size := range sizes {
			now := 1_700_000_000_000 + int64(3000*i)
			if i == 5 {
				now = 1
			}
			payloads := [][]byte{bytes.Repeat([]byte{byte(i)}, size/2), bytes.Repeat([]byte{byte(i + 1)}, size-size/2)}
			record := encodeRecord(stream, first, now, payloads)
			if err := tx.add(sizedKey(stream, first+2, len(record)), record); err != nil {
				return err
			}
			first += 2
		}
		return nil
	})
	return first
}

func repeat(n, size int) []int { return slices.Repeat([]int{size}, n) }

func TestCompact(t *testing.T) {
	ctx := context.Background()
	const small, large = 100, smallRecord + 1
	for _, c := range []struct {
		name  string
		from  uint64
		sizes []int // of records with two events each
		want  int   // records in the end
	}{
		{"few", 0, repeat(compactDue/2, small), compactDue / 2},
		{"enough", 0, repeat(compactDue, small), 1},
		{"many", 0, repeat(2*compactPage+40, small), 3},
		{"from the middle", 20, repeat(compactDue+10, small), 11},
		{"from within a record", 21, repeat(compactDue+10, small), 11},
		{"up to 256 KiB", 0, repeat(compactDue, 10_000), 3},
		{"the largest small ones", 0, repeat(compactDue, smallRecord-30), 8},
		{"what a page of tiny ones has made", 0, repeat(100, 22_000), 10},
		{"large ones stay", 0, repeat(compactDue, large), compactDue},
		{"around large ones", 0, slices.Concat(repeat(40, small), []int{large, mergedRecord}, repeat(20, small)), 4},
		{"between large ones", 0, slices.Repeat([]int{small, small, large}, 32), 2 * 32},
		{"not worth it", 0, slices.Repeat([]int{small, small, large}, 31), 3 * 31},
		{"empty payloads", 0, repeat(compactDue, 0), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := freshTabs(t)
			s, other := tab(), tab()
			head := write(t, s, "s", 0, c.sizes...)
			fill(t, s, "s\x01", 2) // the neighbour
			before := everything(t, s, "s")
			if err := s.compactor.compact(ctx, "s", tail{from: c.from, end: head}); err != nil {
				t.Fatal(err)
			}
			keys, values := records(t, s, "s")
			if len(keys) != c.want {
				t.Errorf("%d records, want %d", len(keys), c.want)
			}
			for i, value := range values {
				if len(value) > mergedRecord && !slices.Contains(c.sizes, mergedRecord) {
					t.Errorf("record %d has %d bytes", i, len(value))
				}
			}
			if last := keys[len(keys)-1]; !bytes.Equal(last, sizedKey("s", head, len(values[len(values)-1]))) {
				t.Errorf("the last key is %x", last)
			}
			sameReads(t, other, "s", before)
			for _, expected := range []uint64{0, 1, 2, 20, 21, head - 3, head - 2, head - 1, head + 1} {
				var conflict *core.SequenceConflictError
				if _, err := other.Append(ctx, "s", expected, nil); !errors.As(err, &conflict) || conflict.Actual != head {
					t.Errorf("append at %d: %v", expected, err)
				}
			}
			if _, err := other.Append(ctx, "s", head, []byte("next")); err != nil {
				t.Error(err)
			}
			if entries := everything(t, s, "s\x01"); len(entries) != 4 {
				t.Errorf("%d entries are left of the neighbour", len(entries))
			}
		})
	}
}

// sameReads reads stream from every offset and in one.
func sameReads(t testing.TB, s *Store, stream string, want []core.Entry) {
	t.Helper()
	ctx := context.Background()
	scanned, err := s.Scan(ctx, stream)
	scanned = slices.DeleteFunc(scanned, func(e core.Entry) bool { return e.Stream != stream })
	if err != nil || !reflect.DeepEqual(scanned, want) {
		t.Fatalf("scanned %d of %d entries, or others; %v", len(scanned), len(want), err)
	}
	for i := range want {
		entries, err := s.ReadFrom(ctx, stream, want[i].Sequence, 3)
		if err != nil || !reflect.DeepEqual(entries, want[i:min(i+3, len(want))]) {
			t.Fatalf("read from %d: %d entries, %v", want[i].Sequence, len(entries), err)
		}
	}
}

func TestCompactBehindATombstone(t *testing.T) {
	ctx := context.Background()
	s := freshStore(t)
	fill(t, s, "s", 2)
	if err := s.Delete(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	head := write(t, s, "s", 5, repeat(compactDue, 10)...)
	before := everything(t, s, "s")
	for _, from := range []uint64{0, 3, 4, 5} {
		if err := s.compactor.compact(ctx, "s", tail{from: from, end: head}); err != nil {
			t.Errorf("from %d: %v", from, err)
		}
	}
	sameReads(t, s, "s", before)
	keys, _ := records(t, s, "s")
	if len(keys) != 2 || !before[0].Tombstone {
		t.Errorf("%d records", len(keys))
	}
	// And of a stream that was deleted meanwhile, or never was.
	if err := s.Delete(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"s", "absent"} {
		if err := s.compactor.compact(ctx, stream, tail{from: 5, end: head}); err != nil {
			t.Error(err)
		}
	}
}

// Damage is left alone, to the byte, and so is all that is near it.
func TestCompactLeavesDamage(t *testing.T) {
	ctx := context.Background()
	at := func(end uint64) keyRange { return keyRange{recordKey("s", end), recordKey("s", end)} }
	for _, c := range []struct {
		name   string
		damage func(context.Context, transaction) error
		want   error
	}{
		{"a hole", func(_ context.Context, tx transaction) error { return tx.remove(at(20)) }, core.ErrGap},
		{"the first is missing", func(_ context.Context, tx transaction) error { return tx.remove(at(2)) }, core.ErrGap},
		{"rubbish", func(_ context.Context, tx transaction) error { return tx.put(recordKey("s", 20), []byte("rubbish")) }, core.ErrCorrupt},
		{"a record under another key", func(_ context.Context, tx transaction) error {
			return tx.put(recordKey("s", 20), encodeRecord("s", 0, 0, [][]byte{nil, nil}))
		}, core.ErrCorrupt},
		{"a record with another end", func(_ context.Context, tx transaction) error {
			return errors.Join(tx.remove(at(20)), tx.put(recordKey("s", 19), encodeRecord("s", 18, 0, [][]byte{nil, nil})))
		}, core.ErrCorrupt},
		{"of another stream", func(_ context.Context, tx transaction) error {
			return tx.put(recordKey("s", 20), encodeRecord("t", 18, 0, [][]byte{nil, nil}))
		}, core.ErrCorrupt},
		{"a tombstone in between", func(_ context.Context, tx transaction) error {
			return tx.put(recordKey("s", 20), encodeTombstone("s", 18, 0))
		}, core.ErrCorrupt},
		{"a tombstone without its mark", func(_ context.Context, tx transaction) error {
			return tx.put(recordKey("s", 2), encodeTombstone("s", 1, 0))
		}, core.ErrCorrupt},
		{"a newer format", func(_ context.Context, tx transaction) error {
			return tx.put(recordKey("s", 20), wire.Seal("s", []byte{recordVersion + 1, 0, 2, 2, 0, 0, 0, 0, 0}))
		}, core.ErrUnsupportedVersion},
		{"a foreign key", func(_ context.Context, tx transaction) error {
			return tx.put(append(recordKey("s", 20), 7), []byte("foreign"))
		}, core.ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := freshStore(t)
			head := write(t, s, "s", 0, repeat(compactDue, 10)...)
			raw(t, s, recordsStore, c.damage)
			keys, values := records(t, s, "s")
			if err := s.compactor.compact(ctx, "s", tail{from: 0, end: head}); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if !errors.Is(s.LastError(), c.want) {
				t.Errorf("last error: %v", s.LastError())
			}
			if keysAfter, valuesAfter := records(t, s, "s"); !reflect.DeepEqual(keysAfter, keys) || !reflect.DeepEqual(valuesAfter, values) {
				t.Error("something has changed")
			}
		})
	}
}

// Writers, readers and compactions of several tabs: every acknowledged event
// is there, in its place, at all times.
func TestCompactionRaces(t *testing.T) {
	const tabs, each = 3, 60
	ctx := context.Background()
	tab := freshTabs(t)
	var mu sync.Mutex
	acknowledged := map[uint64]string{}
	var writers, others sync.WaitGroup
	done := make(chan struct{})
	running := func() bool {
		runtime.Gosched() // there may be one thread only
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	for n := range tabs {
		s := eager(tab())
		r := rand.New(rand.NewPCG(7, uint64(n)))
		writers.Go(func() {
			for i, head := 0, uint64(0); i < each; {
				payloads := make([][]byte, 1+r.IntN(3))
				for j := range payloads {
					payloads[j] = fmt.Appendf(nil, "tab %d, batch %d, event %d", n, i, j)
				}
				if r.IntN(10) == 0 {
					payloads[0] = append(payloads[0], make([]byte, smallRecord)...)
				}
				first, err := s.Append(ctx, "s", head, payloads...)
				var conflict *core.SequenceConflictError
				switch {
				case err == nil:
					mu.Lock()
					for j, payload := range payloads {
						acknowledged[first+uint64(j)] = string(payload)
					}
					mu.Unlock()
					head = first + uint64(len(payloads))
					i++
				case errors.As(err, &conflict) && conflict.Actual > head:
					head = conflict.Actual
				default:
					t.Errorf("tab %d: %v", n, err)
					return
				}
			}
		})
		others.Go(func() { // besides the timer
			for from := uint64(0); running(); from = (from + 5) % 50 {
				if err := s.compactor.compact(ctx, "s", tail{from: from, end: 1e6}); err != nil {
					t.Errorf("tab %d compacts: %v", n, err)
					return
				}
			}
		})
		others.Go(func() {
			for offset := uint64(0); running(); offset = (offset + 7) % 100 {
				entries, err := s.ReadFrom(ctx, "s", offset, 1e6)
				if err != nil {
					t.Errorf("tab %d reads: %v", n, err)
					return
				}
				mu.Lock()
				for i, entry := range entries {
					if want, known := acknowledged[offset+uint64(i)]; entry.Sequence != offset+uint64(i) || known && string(entry.Payload) != want {
						t.Errorf("tab %d reads %d, %.40q where %d, %.40q is", n, entry.Sequence, entry.Payload, offset+uint64(i), want)
					}
				}
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	close(done)
	others.Wait()
	s := tab()
	entries := everything(t, s, "s")
	if len(entries) != len(acknowledged) {
		t.Errorf("%d events were acknowledged, %d are there", len(acknowledged), len(entries))
	}
	for i, entry := range entries {
		if string(entry.Payload) != acknowledged[uint64(i)] {
			t.Errorf("at %d is %.40q, acknowledged was %.40q", i, entry.Payload, acknowledged[uint64(i)])
		}
	}
	if keys, _ := records(t, s, "s"); len(keys) > 3*tabs*each/4 {
		t.Errorf("%d records: was anything compacted?", len(keys))
	}
}

// A transaction that ends behind the removal, and before what replaces it, has
// removed nothing.
func TestCompactionUndone(t *testing.T) {
	ctx := context.Background()
	s := freshStore(t)
	s.compactor.timer.Stop() // after so many reads it would compact by itself
	head := write(t, s, "s", 0, repeat(compactDue, 10)...)
	before := everything(t, s, "s")
	err := s.calls.run(ctx, "compact", "s", readWriteIdle, recordsStore, func(ctx context.Context, tx transaction) error {
		m := merging{stream: "s"}
		if err := m.merge(ctx, tx, recordsFrom("s", 0), 1); err != nil {
			return err
		}
		return core.ErrCancelled
	})
	if !errors.Is(err, core.ErrCancelled) {
		t.Fatal(err)
	}
	sameReads(t, s, "s", before)
	if keys, _ := records(t, s, "s"); uint64(len(keys)) != head/2 {
		t.Errorf("%d records are left", len(keys))
	}
}

// Closing does not wait for a compaction longer than its transaction takes to
// abort, and what was to be merged is whole.
func TestCloseWhileCompacting(t *testing.T) {
	tab := freshTabs(t)
	s := tab()
	write(t, s, "s", 0, repeat(2000, 10)...)
	before := everything(t, s, "s")
	ended := make(chan error, 1)
	go func() { ended <- s.compactor.compact(s.life, "s", tail{from: 0, end: 4000}) }()
	runtime.Gosched()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil && !errors.Is(err, core.ErrClosed) && !errors.Is(err, core.ErrCancelled) && !errors.Is(err, core.ErrOutcomeUnknown) {
		t.Error(err)
	}
	if entries := everything(t, tab(), "s"); !reflect.DeepEqual(entries, before) {
		t.Errorf("%d of %d entries are left, or others", len(entries), len(before))
	}
}
