package idbstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hack-pad/safejs"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/storetest"
)

func TestContract(t *testing.T) {
	for _, durability := range []struct {
		name    string
		relaxed bool
	}{{"strict", false}, {"default", true}} {
		t.Run(durability.name, func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) storetest.Storage {
				name := freshDatabase(t)
				return func(t testing.TB) core.DurableStore {
					return open(t, name, Options{Relaxed: durability.relaxed})
				}
			})
		})
	}
}

var databases int

// freshDatabase returns the name of a database that is absent, and removes the
// database and what is kept beside it when the test ends.
func freshDatabase(t testing.TB) string {
	t.Helper()
	databases++
	name := fmt.Sprintf("test-%d", databases)
	forget := func() { deleteDatabase(t, name); keepEpoch(t, name, "") }
	forget()
	t.Cleanup(forget)
	return name
}

func open(t testing.TB, name string, options Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), name, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closing(t testing.TB, s *Store) *Store {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// must returns v, or panics if JavaScript has thrown, which ends the test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func keepEpoch(t testing.TB, database, epoch string) {
	t.Helper()
	storage := must(safejs.Global().Get("localStorage"))
	if epoch == "" {
		must(storage.Call("removeItem", "holdfast:"+database+":epoch"))
	} else {
		must(storage.Call("setItem", "holdfast:"+database+":epoch", epoch))
	}
}

// settled waits for the events onsuccess or onerror of a request.
func settled(t testing.TB, request safejs.Value) error {
	t.Helper()
	done := make(chan error, 1)
	var handlers listeners
	err := handlers.listen(request, map[string]func(safejs.Value){
		"onsuccess": func(safejs.Value) { done <- nil },
		"onerror":   func(safejs.Value) { done <- errorProperty(request) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer handlers.release()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("a request of the test was not answered")
		return nil
	}
}

func deleteDatabase(t testing.TB, name string) {
	t.Helper()
	factory := must(safejs.Global().Get("indexedDB"))
	if err := settled(t, must(factory.Call("deleteDatabase", name))); err != nil {
		t.Fatal(err)
	}
}

// rawPut writes into the database behind the store's back.
func rawPut(t testing.TB, s *Store, store string, key, value []byte) {
	t.Helper()
	raw(t, s, store, func(ctx context.Context, tx transaction) error { return tx.put(key, value) })
}

func raw(t testing.TB, s *Store, store string, fn func(context.Context, transaction) error) {
	t.Helper()
	if err := s.update(context.Background(), "test", "", store, fn); err != nil {
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
			return tx.put(recordKey("s", 4), seal("s", []byte{recordVersion + 1, 0, 2, 2, 0, 0, 0, 0, 0}))
		}, core.ErrUnsupportedVersion, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := closing(t, open(t, freshDatabase(t), Options{}))
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

func TestDamagedValue(t *testing.T) {
	s := closing(t, open(t, freshDatabase(t), Options{}))
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

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	t.Run("a newer format", func(t *testing.T) {
		name := freshDatabase(t)
		s := open(t, name, Options{})
		rawPut(t, s, metaStore, []byte(metaFormat), []byte("2"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(ctx, name, Options{}); !errors.Is(err, core.ErrUnsupportedVersion) {
			t.Error(err)
		}
	})
	t.Run("a newer database version", func(t *testing.T) {
		name := freshDatabase(t)
		request := must(must(safejs.Global().Get("indexedDB")).Call("open", name, 2))
		if err := settled(t, request); err != nil {
			t.Fatal(err)
		}
		must(must(request.Get("result")).Call("close"))
		if _, err := Open(ctx, name, Options{}); !errors.Is(err, core.ErrUnsupportedVersion) {
			t.Error(err)
		}
	})
	t.Run("somebody else's database", func(t *testing.T) {
		name := freshDatabase(t)
		request := must(must(safejs.Global().Get("indexedDB")).Call("open", name, 1))
		if err := settled(t, request); err != nil {
			t.Fatal(err)
		}
		must(must(request.Get("result")).Call("close"))
		if _, err := Open(ctx, name, Options{}); !errors.Is(err, core.ErrInvalidArgument) {
			t.Error(err)
		}
	})
	t.Run("a bad name", func(t *testing.T) {
		if _, err := Open(ctx, "", Options{}); !errors.Is(err, core.ErrInvalidArgument) {
			t.Error(err)
		}
	})
	t.Run("while another tab keeps it from opening", func(t *testing.T) {
		name := freshDatabase(t)
		request := must(must(safejs.Global().Get("indexedDB")).Call("open", name, 1))
		if err := settled(t, request); err != nil {
			t.Fatal(err)
		}
		holder := must(request.Get("result")) // which ignores onversionchange
		deletion := must(must(safejs.Global().Get("indexedDB")).Call("deleteDatabase", name))
		_, err := Open(ctx, name, Options{Timeout: 200 * time.Millisecond})
		if !errors.Is(err, core.ErrBlocked) {
			t.Error(err)
		}
		must(holder.Call("close"))
		if err := settled(t, deletion); err != nil {
			t.Error(err)
		}
		closing(t, open(t, name, Options{})) // and it opens once it can
	})
}

// The database that was emptied under an open store, or between two lives of a
// page, is noticed, reported once, and can then be opened afresh.
func TestStoreReset(t *testing.T) {
	ctx := context.Background()
	t.Run("while open", func(t *testing.T) {
		name := freshDatabase(t)
		s := closing(t, open(t, name, Options{}))
		fill(t, s, "s", 1)
		deleteDatabase(t, name)
		if _, err := s.Append(ctx, "s", 2, nil); !errors.Is(err, core.ErrStoreReset) {
			t.Errorf("append: %v", err)
		}
		if _, err := s.ReadFrom(ctx, "s", 0, 1); !errors.Is(err, core.ErrStoreReset) {
			t.Errorf("read: %v", err)
		}
		again := closing(t, open(t, name, Options{}))
		if _, err := again.Append(ctx, "s", 0, nil); err != nil {
			t.Errorf("a store opened afresh: %v", err)
		}
	})
	t.Run("between two lives", func(t *testing.T) {
		name := freshDatabase(t)
		keepEpoch(t, name, "the epoch of a former database")
		if _, err := Open(ctx, name, Options{}); !errors.Is(err, core.ErrStoreReset) {
			t.Fatalf("open: %v", err)
		}
		closing(t, open(t, name, Options{}))
	})
}

// A connection that the browser has closed is opened again without a word.
func TestReopen(t *testing.T) {
	ctx := context.Background()
	s := closing(t, open(t, freshDatabase(t), Options{}))
	fill(t, s, "s", 1)
	closeBehindItsBack := func() { must(s.db.(*jsDatabase).db.Call("close")) }
	closeBehindItsBack()
	if _, err := s.Append(ctx, "s", 2, []byte("z")); err != nil {
		t.Errorf("append: %v", err)
	}
	closeBehindItsBack()
	if entries, err := s.ReadFrom(ctx, "s", 0, 100); err != nil || len(entries) != 3 {
		t.Errorf("read: %d entries, %v", len(entries), err)
	}
	s.missed() // as after a return from the back/forward cache
	if entries, err := s.ReadFrom(ctx, "s", 0, 100); err != nil || len(entries) != 3 {
		t.Errorf("read: %d entries, %v", len(entries), err)
	}
}

// A write that waits behind a stuck transaction of another tab gives up in
// time, leaves nothing behind, and works once the other has let go.
func TestStuckPeer(t *testing.T) {
	ctx := context.Background()
	name := freshDatabase(t)
	peer := closing(t, open(t, name, Options{}))
	s := closing(t, open(t, name, Options{Timeout: 300 * time.Millisecond}))
	release := make(chan struct{})
	holding := make(chan struct{})
	stuck := make(chan error, 1)
	go func() {
		stuck <- peer.update(ctx, "hold", "", recordsStore, func(ctx context.Context, tx transaction) error {
			for first := true; ; first = false { // one request after the other keeps it alive
				if _, err := tx.get([]byte("x")).wait(ctx); err != nil {
					return err
				}
				if first {
					close(holding)
				}
				select {
				case <-release:
					return nil
				default:
				}
			}
		})
	}()
	<-holding
	if _, err := s.Append(ctx, "s", 0, []byte("late")); !errors.Is(err, core.ErrBlocked) {
		t.Errorf("append behind a stuck peer: %v", err)
	}
	if core.CodeOf(s.LastError()) != core.ErrBlocked {
		t.Errorf("last error: %v", s.LastError())
	}
	cancelled, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { _, err := s.Append(cancelled, "s", 0, []byte("late")); result <- err }()
	cancel()
	if err := <-result; !errors.Is(err, core.ErrCancelled) {
		t.Errorf("cancelled append: %v", err)
	}
	close(release)
	if err := <-stuck; err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(ctx, "s", 0, []byte("in time")); err != nil {
		t.Errorf("append after the peer: %v", err)
	}
}

// A request that the browser refuses at the call, behind one that it has
// taken, undoes that one.
func TestRefusedSecondRequest(t *testing.T) {
	ctx := context.Background()
	s := closing(t, open(t, freshDatabase(t), Options{}))
	err := s.update(ctx, "test", "", recordsStore, func(_ context.Context, tx transaction) error {
		if err := tx.add(recordKey("s", 1), encodeRecord("s", 0, 0, [][]byte{nil})); err != nil {
			return err
		}
		_, err := tx.(*jsTransactionRef).call(nil, "add", 1, must(safejs.Global().Get("NaN"))) // no valid key
		return err
	})
	if !errors.Is(err, core.ErrInvalidArgument) {
		t.Errorf("the refused request: %v", err)
	}
	if entries, err := s.Scan(ctx, ""); err != nil || len(entries) != 0 {
		t.Errorf("%d entries were left behind, %v", len(entries), err)
	}
}

// A lost race is an answer, not a failure of the storage.
func TestLostRaceIsNoFailure(t *testing.T) {
	s := closing(t, open(t, freshDatabase(t), Options{}))
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

// A transaction that is left idle is not partly committed: the browser ends
// it, and the store says that it does not know.
func TestNothingIsCommittedByAccident(t *testing.T) {
	ctx := context.Background()
	s := closing(t, open(t, freshDatabase(t), Options{}))
	err := s.update(ctx, "test", "", recordsStore, func(ctx context.Context, tx transaction) error {
		if err := tx.wait(ctx); err != nil { // waits for a timer's worth: until the browser has ended it
			return err
		}
		return tx.add(recordKey("s", 1), encodeRecord("s", 0, 0, [][]byte{nil}))
	})
	if err == nil {
		t.Error("a write into a transaction that was over is acknowledged")
	}
	if entries, err := s.Scan(ctx, ""); err != nil || len(entries) != 0 {
		t.Errorf("%d entries were left behind, %v", len(entries), err)
	}
}

// Pages grow and shrink with the records, and lose none between them.
func TestReadAcrossPages(t *testing.T) {
	ctx := context.Background()
	s := closing(t, open(t, freshDatabase(t), Options{Relaxed: true}))
	n := uint64(0)
	for i := range 2*firstPage + 7 {
		payload := make([]byte, 10+40_000*(i%2)) // pages of a few MiB in between
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

// Streams must not pass 2^53-1, where JavaScript numbers cease to be exact.
func TestSequenceLimit(t *testing.T) {
	ctx := context.Background()
	s := closing(t, open(t, freshDatabase(t), Options{}))
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
