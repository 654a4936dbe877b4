package core_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// noted is a store with snapshots that notes what is asked of it. The contract
// of a core.Snapshotter, and random logs, are tested in package storetest.
type noted struct {
	*memstore.Store

	mu      sync.Mutex
	offsets []uint64 // of the reads
	saves   []uint64 // their sequences
	broken  error    // the answer to everything about snapshots
	entered chan struct{}
	proceed chan struct{} // what a save waits for; nil if for nothing
}

func newNoted() *noted { return &noted{Store: memstore.New(), entered: make(chan struct{}, 1)} }

func (n *noted) ReadFrom(ctx context.Context, stream string, offset uint64, limit int) ([]core.Entry, error) {
	n.mu.Lock()
	n.offsets = append(n.offsets, offset)
	n.mu.Unlock()
	return n.Store.ReadFrom(ctx, stream, offset, limit)
}

func (n *noted) SaveSnapshot(ctx context.Context, stream string, sequence uint64, snapshot []byte) error {
	n.mu.Lock()
	n.saves = append(n.saves, sequence)
	n.mu.Unlock()
	if n.proceed != nil {
		n.entered <- struct{}{}
		<-n.proceed
	}
	if n.broken != nil {
		return n.broken
	}
	return n.Store.SaveSnapshot(ctx, stream, sequence, snapshot)
}

func (n *noted) ReadSnapshot(ctx context.Context, stream string) ([]byte, error) {
	if n.broken != nil {
		return []byte("not to be looked at"), n.broken
	}
	return n.Store.ReadSnapshot(ctx, stream)
}

// saved returns where snapshots were saved after a while.
func (n *noted) saved(d time.Duration) []uint64 {
	<-time.After(d) // inside of synctest, at once
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.saves
}

// recordMany appends n events.
func recordMany(t *testing.T, c *core.Conversation, n int, output string) {
	t.Helper()
	for range n {
		record(t, c, completed("m", 0, output))
	}
}

func TestRecoverStartsAtTheSnapshot(t *testing.T) {
	store := newNoted()
	c := recovered(t, "c", store)
	record(t, c, received("m", 1, "x"), started("m"), completed("m", 0, "a"))
	if err := c.SaveSnapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(t, c, completed("m", 1, "b"), received("n", 2, "y"))
	store.offsets = nil
	r := recovered(t, "c", store)
	if !reflect.DeepEqual(store.offsets, []uint64{2}) { // the last event of the snapshot, to see that it is this log
		t.Errorf("it read from %v", store.offsets)
	}
	if r.ExpectedSeq() != 5 || !reflect.DeepEqual(known(r.State()), known(c.State())) {
		t.Errorf("at %d: %+v", r.ExpectedSeq(), known(r.State()))
	}
	record(t, r, finished("m"))
	if err := c.Refresh(t.Context()); err != nil || !c.State().IsFullyProcessed("m") {
		t.Errorf("the other: %v", err)
	}
}

// TestRecoverWithoutASnapshotThatHelps: it replays the log, without a word.
func TestRecoverWithoutASnapshotThatHelps(t *testing.T) {
	snapshot := func(t *testing.T, sequence uint64, last core.EventID, events ...core.Event) []byte {
		return core.EncodeSnapshot("c", sequence, last, stateOf(events...))
	}
	for _, tt := range []struct {
		name     string
		snapshot func(t *testing.T, last core.EventID) []byte
	}{
		{"rubbish", func(*testing.T, core.EventID) []byte { return []byte("rubbish") }},
		{"of another conversation", func(_ *testing.T, last core.EventID) []byte {
			return core.EncodeSnapshot("d", 3, last, core.NewState())
		}},
		{"of a newer release", func(*testing.T, core.EventID) []byte {
			return core.SealSnapshot("c", []byte{0x94, 2, 0xc0, 0xc0, 0xc0})
		}},
		{"beyond the head", func(t *testing.T, last core.EventID) []byte { return snapshot(t, 4, last, received("z", 1, "")) }},
		{"far beyond the head", func(t *testing.T, last core.EventID) []byte {
			return snapshot(t, core.MaxSequence, last, received("z", 1, ""))
		}},
		{"behind another event", func(t *testing.T, last core.EventID) []byte {
			last[0] ^= 1
			return snapshot(t, 3, last, received("z", 1, ""))
		}},
		{"earlier than it says", func(t *testing.T, last core.EventID) []byte { return snapshot(t, 2, last, received("z", 1, "")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := newNoted()
			c := recovered(t, "c", store)
			record(t, c, received("m", 1, "x"), started("m"), completed("m", 0, "a"))
			events, err := c.Events(t.Context(), 2, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Store.SaveSnapshot(t.Context(), "c", 3, tt.snapshot(t, events[0].Event.ID)); err != nil {
				t.Fatal(err)
			}
			r := recovered(t, "c", store)
			if r.ExpectedSeq() != 3 || !reflect.DeepEqual(known(r.State()), known(c.State())) {
				t.Errorf("at %d: %+v", r.ExpectedSeq(), known(r.State()))
			}
			record(t, r, finished("m"))
		})
	}
}

// TestRecoverBehindADeletion: also if the store has kept the snapshot.
func TestRecoverBehindADeletion(t *testing.T) {
	for behind := range 4 {
		store := newNoted()
		c := recovered(t, "c", store)
		record(t, c, received("old", 1, "x"))
		if err := c.SaveSnapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		b, err := store.ReadSnapshot(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Delete(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		c = recovered(t, "c", store)
		for range behind {
			record(t, c, started("new"))
		}
		if err := store.Store.SaveSnapshot(t.Context(), "c", 3, b); err != nil {
			t.Fatal(err)
		}
		r := recovered(t, "c", store)
		if r.ExpectedSeq() != uint64(2+behind) || r.State().IsReceived("old") {
			t.Errorf("%d events behind: at %d, or another state", behind, r.ExpectedSeq())
		}
	}
}

// TestSnapshotsAreSavedWhenQuiet, by whoever has appended or replayed enough.
func TestSnapshotsAreSavedWhenQuiet(t *testing.T) {
	story := func(name string, tell func(t *testing.T, store *noted, c *core.Conversation)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newNoted()
				tell(t, store, recovered(t, "c", store))
			})
		})
	}
	wantSaves := func(t *testing.T, store *noted, d time.Duration, want ...uint64) {
		t.Helper()
		if got := store.saved(d); !reflect.DeepEqual(got, want) {
			t.Errorf("after %v snapshots were saved at %d, want %d", d, got, want)
		}
	}
	story("after enough appends", func(t *testing.T, store *noted, c *core.Conversation) {
		recordMany(t, c, core.SnapshotEvents-1, "x")
		wantSaves(t, store, time.Hour)
		recordMany(t, c, 1, "x")
		wantSaves(t, store, 0)
		wantSaves(t, store, 3*time.Second, core.SnapshotEvents)
		recordMany(t, c, core.SnapshotEvents-1, "x")
		wantSaves(t, store, time.Hour, core.SnapshotEvents)
		recordMany(t, c, 1, "x")
		wantSaves(t, store, time.Hour, core.SnapshotEvents, 2*core.SnapshotEvents)
	})
	story("not while it appends, but not for ever", func(t *testing.T, store *noted, c *core.Conversation) {
		recordMany(t, c, core.SnapshotEvents, "x")
		for range 8 {
			<-time.After(900 * time.Millisecond)
			recordMany(t, c, 1, "x")
		}
		wantSaves(t, store, 0)
		for range 10 {
			<-time.After(900 * time.Millisecond)
			recordMany(t, c, 1, "x")
		}
		if n := len(store.saved(0)); n != 1 {
			t.Errorf("%d snapshots", n)
		}
	})
	story("after a long replay", func(t *testing.T, store *noted, c *core.Conversation) {
		for range 4 {
			recordMany(t, newConversationAt(t, store), core.SnapshotEvents/4, "x")
		}
		wantSaves(t, store, time.Hour)
		recovered(t, "c", store)
		wantSaves(t, store, time.Hour, core.SnapshotEvents)
		recovered(t, "c", store)
		wantSaves(t, store, time.Hour, core.SnapshotEvents)
	})
	story("not by who only follows", func(t *testing.T, store *noted, c *core.Conversation) {
		for range 2 {
			recordMany(t, newConversationAt(t, store), core.SnapshotEvents/2, "x")
		}
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		wantSaves(t, store, time.Hour)
	})
	story("in proportion to what there is", func(t *testing.T, store *noted, c *core.Conversation) {
		record(t, c, received("large", 1, string(make([]byte, 200_000))))
		recordMany(t, c, core.SnapshotEvents, "x")
		wantSaves(t, store, time.Hour, core.SnapshotEvents+1)
		recordMany(t, c, core.SnapshotEvents, "x") // some 20 KB
		wantSaves(t, store, time.Hour, core.SnapshotEvents+1)
		record(t, c, completed("m", 1, string(make([]byte, 100_000))))
		wantSaves(t, store, time.Hour, core.SnapshotEvents+1, 2*core.SnapshotEvents+2)
	})
	story("soon enough behind a deletion", func(t *testing.T, store *noted, c *core.Conversation) {
		record(t, c, received("large", 1, string(make([]byte, 200_000))))
		recordMany(t, c, core.SnapshotEvents, "x")
		wantSaves(t, store, time.Hour, core.SnapshotEvents+1)
		if err := store.Delete(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		recordMany(t, c, core.SnapshotEvents, "x")
		wantSaves(t, store, time.Hour, core.SnapshotEvents+1, 2*core.SnapshotEvents+2)
	})
	story("never of nothing", func(t *testing.T, store *noted, c *core.Conversation) {
		if err := c.SaveSnapshot(t.Context()); err != nil {
			t.Error(err)
		}
		record(t, c, started("m"))
		if err := store.Delete(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.SaveSnapshot(t.Context()); err != nil {
			t.Error(err)
		}
		wantSaves(t, store, 0)
	})
	story("in nobody's way", func(t *testing.T, store *noted, c *core.Conversation) {
		store.proceed = make(chan struct{})
		recordMany(t, c, core.SnapshotEvents, "x")
		<-store.entered
		recordMany(t, c, core.SnapshotEvents, "x")
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		close(store.proceed)
		wantSaves(t, store, 0, core.SnapshotEvents)
		recordMany(t, c, 1, "x")
		wantSaves(t, store, time.Hour, core.SnapshotEvents, 2*core.SnapshotEvents+1)
	})
	story("and if that fails, later", func(t *testing.T, store *noted, c *core.Conversation) {
		store.broken = core.ErrQuotaExceeded
		recordMany(t, c, core.SnapshotEvents, "x")
		wantSaves(t, store, time.Hour, core.SnapshotEvents)
		if r := recovered(t, "c", store); r.ExpectedSeq() != core.SnapshotEvents {
			t.Errorf("recovered at %d", r.ExpectedSeq())
		}
		err := c.SaveSnapshot(t.Context())
		var typed *core.Error
		if !errors.As(err, &typed) || !errors.Is(err, core.ErrQuotaExceeded) || typed.Op != "save snapshot" || typed.Stream != "c" {
			t.Errorf("got %v", err)
		}
	})
}

// newConversationAt returns a conversation c at the head of its log that has
// replayed nothing of it.
func newConversationAt(t *testing.T, store *noted) *core.Conversation {
	t.Helper()
	c := recovered(t, "c", store)
	return c.Clone()
}

// TestSnapshotOfASnapshot: saved, read, and saved again it has the same bytes.
func TestSnapshotOfASnapshot(t *testing.T) {
	store := newNoted()
	c := recovered(t, "c", store)
	record(t, c, received("m", 1, "x"), started("m"), failed("m", "boom"), received("n", 2, "y"), completed("n", 7, "z"))
	var before []byte
	for range 3 {
		if err := recovered(t, "c", store).SaveSnapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := store.ReadSnapshot(t.Context(), "c")
		if err != nil || before != nil && !bytes.Equal(after, before) {
			t.Errorf("%x, then %x, %v", before, after, err)
		}
		before = after
	}
}
