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
		name        string
		fromBrowser bool
	}{{"strict", false}, {"default", true}} {
		t.Run(durability.name, func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) storetest.Storage {
				name := freshDatabase(t)
				return func(t testing.TB) core.DurableStore {
					return open(t, name, Options{DefaultDurability: durability.fromBrowser})
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
	return fresh(t, fmt.Sprintf("test-%d", databases))
}

func fresh(t testing.TB, name string) string {
	t.Helper()
	remove := func() { deleteDatabase(t, name); forget(t, name) }
	remove()
	t.Cleanup(remove)
	return name
}

const defaultModelOps = 2_000

// modelDatabase is that of fresh_test.go. Logic is what the model is about, so
// nothing waits for a sync.
func modelDatabase(t testing.TB, _ bool) (tab func() *Store, remove func()) {
	t.Helper()
	databases++
	name := fmt.Sprintf("model-%d", databases)
	remove = func() {
		deleteDatabase(t, name)
		forget(t, name)
	}
	remove()
	return func() *Store { return open(t, name, Options{DefaultDurability: true}) }, remove
}

func open(t testing.TB, name string, options Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), name, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func freshStore(t testing.TB) *Store {
	t.Helper()
	return closing(t, open(t, freshDatabase(t), Options{}))
}

// freshTabs returns what opens an empty database, once more with each call.
func freshTabs(t testing.TB) func() *Store {
	t.Helper()
	name := freshDatabase(t)
	return func() *Store {
		t.Helper()
		return closing(t, open(t, name, Options{}))
	}
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

// forget removes what is kept beside a database.
func forget(t testing.TB, database string) {
	t.Helper()
	m := must(newJSMemory(database))
	if directory, err := await(context.Background(), m.files, "getDirectory"); err == nil { // else there are no files
		_, _ = await(context.Background(), directory, "removeEntry", m.name) // it may not be there
	}
	if storage := at(safejs.Global(), "localStorage"); storage.Type() == safejs.TypeObject {
		must(storage.Call("removeItem", m.name))
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

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	t.Run("a newer format", func(t *testing.T) {
		name := freshDatabase(t)
		s := open(t, name, Options{})
		rawPut(t, s, metaStore, []byte(metaFormat), []byte("3"))
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
		if err := must(newJSEngine(name, false)).remember(ctx, memory{epoch: "former"}.encode()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(ctx, name, Options{}); !errors.Is(err, core.ErrStoreReset) {
			t.Fatalf("open: %v", err)
		}
		closing(t, open(t, name, Options{}))
	})
}

// A connection that the browser has closed is opened again without a word.
func TestReopen(t *testing.T) {
	ctx := context.Background()
	s := freshStore(t)
	fill(t, s, "s", 1)
	closeBehindItsBack := func() { must(s.calls.connection.db.(*jsDatabase).db.Call("close")) }
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
		stuck <- peer.calls.update(ctx, "hold", "", recordsStore, func(ctx context.Context, tx transaction) error {
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
	s := freshStore(t)
	err := s.calls.update(ctx, "test", "", recordsStore, func(_ context.Context, tx transaction) error {
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

// A transaction that is left idle is not partly committed: the browser ends
// it, and the store says that it does not know.
func TestNothingIsCommittedByAccident(t *testing.T) {
	ctx := context.Background()
	s := freshStore(t)
	err := s.calls.update(ctx, "test", "", recordsStore, func(ctx context.Context, tx transaction) error {
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

// Databases share no lock, whatever the names of their streams are.
func TestLocksOfTwoDatabases(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	name := freshDatabase(t)
	for _, of := range []struct{ database, stream string }{{name, "a:b"}, {fresh(t, name+":a"), "b"}} {
		lock, err := closing(t, open(t, of.database, Options{})).Lock(ctx, of.stream)
		if err != nil {
			t.Fatalf("the lock of %q in %q: %v", of.stream, of.database, err)
		}
		defer lock.Release()
	}
}
