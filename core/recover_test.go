package core_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

func TestRecoverReplaysTheLog(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	story := []core.Event{
		received("m", 1, "hi"), started("m"), completed("m", 0, "a"), completed("m", 1, "b"), finished("m"),
		received("n", 2, "ho"), failed("n", "boom"),
	}
	record(t, newConversation(t, "c", store), story...)
	record(t, newConversation(t, "other", store), received("m", 9, "of another conversation"))
	store.offsets = nil
	c := recovered(t, "c", store)
	if c.ExpectedSeq() != uint64(len(story)) || c.ID() != "c" {
		t.Errorf("%q is at %d", c.ID(), c.ExpectedSeq())
	}
	if got, want := contents(c.State()), contents(stateOf(story...)); !reflect.DeepEqual(got, want) {
		t.Errorf(" got %+v\nwant %+v", got, want)
	}
	if !slices.Equal(store.offsets, []uint64{0}) {
		t.Errorf("it read at %v", store.offsets)
	}
	record(t, c, started("n"))
}

func TestRecoverReadsInBatches(t *testing.T) {
	for _, n := range []int{0, 1, core.ReadBatch - 1, core.ReadBatch, core.ReadBatch + 1, 2*core.ReadBatch + 5} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			store := &scripted{DurableStore: memstore.New()}
			c := newConversation(t, "c", store)
			for i := range n {
				record(t, c, completed("m", uint32(i), "x"))
			}
			store.offsets = nil
			r := recovered(t, "c", store)
			if r.ExpectedSeq() != uint64(n) || !reflect.DeepEqual(contents(r.State(), "m"), contents(c.State(), "m")) {
				t.Errorf("at %d, or another state", r.ExpectedSeq())
			}
			var want []uint64
			for offset := 0; offset <= n; offset += core.ReadBatch {
				want = append(want, uint64(offset))
			}
			if !slices.Equal(store.offsets, want) {
				t.Errorf("it read at %v, want %v", store.offsets, want)
			}
			// A refresh reads one event back, and finds nothing new.
			if err := r.Refresh(t.Context()); err != nil || r.ExpectedSeq() != uint64(n) {
				t.Errorf("refresh: %v, then at %d", err, r.ExpectedSeq())
			}
		})
	}
}

// TestLargeEventsAreReadInParts, by whatever reads a log: of events that replace
// each other, of which the state keeps one, no more than a part is in memory.
func TestLargeEventsAreReadInParts(t *testing.T) {
	const n, size = 40, core.MaxReadBytes / 8
	memory := memstore.New()
	largest := 0
	store := &scripted{DurableStore: memory}
	for range 100 {
		store.reads = append(store.reads, func(read func() ([]core.Entry, error)) ([]core.Entry, error) {
			entries, err := read()
			together := 0
			for _, entry := range entries {
				together += len(entry.Payload)
			}
			largest = max(largest, together)
			return entries, err
		})
	}
	c := newConversation(t, "c", memory)
	record(t, c, received("m", 1, "x"))
	for i := range n {
		record(t, c, completed("m", 0, strings.Repeat("x", size-i)))
	}
	record(t, c, started("m"), completed("m", 0, "late"))
	for what, read := range map[string]func() (int, error){
		"recover": func() (int, error) { return int(recovered(t, "c", store).ExpectedSeq()), nil },
		"events": func() (int, error) {
			events, err := newConversation(t, "c", store).Events(t.Context(), 0, 1000)
			return len(events), err
		},
		"some events": func() (int, error) {
			events, err := newConversation(t, "c", store).Events(t.Context(), 2, n)
			return len(events) + 3, err
		},
		"verify": func() (int, error) { found, err := core.Verify(t.Context(), "c", store); return int(found.Events), err },
		"settle": func() (int, error) {
			store.appends = []step{refuse(core.ErrOutcomeUnknown)}
			_, err := newConversation(t, "c", store).RecordProcessingStarted(t.Context(), "m")
			var conflict *core.SequenceConflictError
			if !errors.As(err, &conflict) {
				return 0, err
			}
			return int(conflict.Actual), nil
		},
		"settle what has landed": func() (int, error) {
			store.appends = []step{func(append func() (uint64, error)) (uint64, error) {
				_, err := append()
				return 0, errors.Join(err, core.ErrOutcomeUnknown)
			}}
			other := newConversation(t, "other", store)
			return n + 3, other.Write(t.Context(), slices.Repeat([][]byte{make([]byte, size)}, 20)...)
		},
	} {
		if got, err := read(); err != nil || got != n+3 {
			t.Errorf("%s: %d of %d, %v", what, got, n+3, err)
		}
		if largest > core.MaxReadBytes+size {
			t.Errorf("%s: a read has returned %d KiB", what, largest>>10)
		}
		largest = 0
	}
}

// entries is a store that holds just these, whether or not that can be.
func entries(all ...core.Entry) *scripted {
	store := &scripted{DurableStore: memstore.New()}
	for range 3 {
		store.reads = append(store.reads, func(func() ([]core.Entry, error)) ([]core.Entry, error) { return all, nil })
	}
	return store
}

func entry(t *testing.T, sequence uint64, e core.Event) core.Entry {
	t.Helper()
	payload, err := core.EncodeEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	return core.Entry{Stream: "c", Sequence: sequence, Payload: payload}
}

func tombstone(sequence uint64) core.Entry {
	return core.Entry{Stream: "c", Sequence: sequence, Tombstone: true}
}

// TestRecoverRefuses: a log that is not whole gives no conversation, and the
// error says where.
func TestRecoverRefuses(t *testing.T) {
	start := func(sequence uint64) core.Entry { return entry(t, sequence, started("m")) }
	bytes := func(sequence uint64, payload string) core.Entry {
		return core.Entry{Stream: "c", Sequence: sequence, Payload: []byte(payload)}
	}
	tests := []struct {
		name   string
		store  core.DurableStore
		want   error
		detail string
	}{
		{"damaged event", entries(start(0), bytes(1, "\x93\x02")), core.ErrCorrupt, "sequence 1 "},
		{"empty payload", entries(bytes(0, "")), core.ErrCorrupt, "sequence 0 "},
		{"newer kind", entries(start(0), start(1), bytes(2, "\x93\x11\xc0\xc0\xc0")), core.ErrUnsupportedVersion, "sequence 2 "},
		{"newer field", entries(bytes(0, "\x96\x02\xc0\xc0\xc0\xc0\xc0")), core.ErrUnsupportedVersion, "sequence 0 "},
		{"hole", entries(start(0), start(1), start(3)), core.ErrGap, "sequence 3 follows where 2 is expected"},
		{"hole at the beginning", entries(start(1)), core.ErrGap, "sequence 1 follows where 0 is expected"},
		{"twice the same sequence", entries(start(0), start(0)), core.ErrGap, "sequence 0 follows where 1 is expected"},
		{"hole behind a tombstone", entries(tombstone(4), start(6)), core.ErrGap, "sequence 6 follows where 5 is expected"},
		{"tombstone behind its place", entries(start(0), start(1), tombstone(1)), core.ErrGap, "sequence 1 follows where 2 is expected"},
		{"sequence past 2^53-1", entries(tombstone(core.MaxSequence)), core.ErrOutOfRange, "passes"},
		{"event past 2^53-1", entries(tombstone(core.MaxSequence-1), start(core.MaxSequence)), core.ErrOutOfRange, "passes"},
		{"unreadable", &scripted{reads: []look{unreadable}}, core.ErrStorageUnavailable, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := core.Recover(t.Context(), "c", tt.store)
			var typed *core.Error
			if !errors.As(err, &typed) || !errors.Is(err, tt.want) || typed.Op != "recover" || typed.Stream != "c" || !strings.Contains(typed.Detail, tt.detail) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if c != nil {
				t.Error("there is a conversation beside the error")
			}
		})
	}
}

// TestRecoverTheLastSequence: the head may be 2^53-1, and no more.
func TestRecoverTheLastSequence(t *testing.T) {
	c := recovered(t, "c", entries(tombstone(core.MaxSequence-2), entry(t, core.MaxSequence-1, started("m"))))
	if c.ExpectedSeq() != core.MaxSequence {
		t.Fatalf("at %d", c.ExpectedSeq())
	}
	unmoved(t, c, func() {
		if _, err := c.RecordProcessingStarted(t.Context(), "m"); !errors.Is(err, core.ErrOutOfRange) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRecoverFailsInTheSecondBatch(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	c := newConversation(t, "c", store)
	for range core.ReadBatch {
		record(t, c, started("m"))
	}
	store.reads = []look{readable, unreadable}
	if c, err := core.Recover(t.Context(), "c", store); !errors.Is(err, core.ErrStorageUnavailable) || c != nil {
		t.Errorf("got %v", err)
	}
}

// TestRecoverADeletedLog: nothing of before the tombstone is left, and the
// sequences go on behind it.
func TestRecoverADeletedLog(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	record(t, c, received("old", 1, "x"), finished("old"))
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	r := recovered(t, "c", store)
	if _, known := r.State().Message("old"); known || r.ExpectedSeq() != 3 {
		t.Errorf("at %d, old is known: %v", r.ExpectedSeq(), known)
	}
	if d, err := r.ReceiveMessage(t.Context(), "old", 2, []byte("y")); err != nil || d.Kind != core.Start {
		t.Errorf("the message is received anew: %v, %v", d, err)
	}
	_, err := c.RecordProcessingStarted(t.Context(), "old")
	isConflict(t, err, 2, 4)

	again := recovered(t, "c", store)
	if m, _ := again.State().Message("old"); string(m.Body) != "y" || m.Finished || again.ExpectedSeq() != 4 {
		t.Errorf("at %d: %+v", again.ExpectedSeq(), m)
	}
}

// TestRecoverWhileTheLogIsDeleted: the deletion happens between two reads.
func TestRecoverWhileTheLogIsDeleted(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	c := newConversation(t, "c", store)
	for range core.ReadBatch + 10 {
		record(t, c, received("old", 1, "x"))
	}
	store.reads = []look{func(read func() ([]core.Entry, error)) ([]core.Entry, error) {
		all, err := read()
		if err := store.Delete(t.Context(), "c"); err != nil {
			t.Error(err)
		}
		return all, err
	}}
	r := recovered(t, "c", store)
	if r.ExpectedSeq() != core.ReadBatch+11 || r.State().Len() != 0 {
		t.Errorf("at %d with %d messages", r.ExpectedSeq(), r.State().Len())
	}
}

func TestRefreshReadsWhatOthersAppended(t *testing.T) {
	store := memstore.New()
	c, other := newConversation(t, "c", store), newConversation(t, "c", store)
	for n := range 4 { // from nothing, then from what it saw
		record(t, other, received("m"+strconv.Itoa(n), 1, "x"), completed("m0", uint32(n), "x"))
		for range 2 { // the second finds nothing new
			if err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.ExpectedSeq() != other.ExpectedSeq() || !reflect.DeepEqual(contents(c.State()), contents(other.State())) {
				t.Fatalf("at %d, the other at %d; or another state", c.ExpectedSeq(), other.ExpectedSeq())
			}
		}
		record(t, c, started("m0"))
		if err := other.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefreshOfManyBatches(t *testing.T) {
	store := memstore.New()
	other := newConversation(t, "c", store)
	record(t, other, received("m", 1, "x"))
	c := recovered(t, "c", store)
	for i := range 2*core.ReadBatch + 3 {
		record(t, other, completed("m", uint32(i), "x"))
	}
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.ExpectedSeq() != other.ExpectedSeq() || !reflect.DeepEqual(contents(c.State()), contents(other.State())) {
		t.Errorf("at %d, or another state", c.ExpectedSeq())
	}
}

// TestRefreshNoticesAnotherLog: the log must continue the one that was seen.
func TestRefreshNoticesAnotherLog(t *testing.T) {
	append := func(t *testing.T, store core.DurableStore, events ...core.Event) {
		record(t, recovered(t, "c", store), events...)
	}
	remove := func(t *testing.T, store core.DurableStore) {
		if err := store.Delete(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
	}
	two := []core.Event{received("m", 1, "x"), started("m")}
	tests := []struct {
		name   string
		before func(*testing.T, core.DurableStore) // what was seen
		after  func(*testing.T, core.DurableStore) // the log of the new store
		reset  bool
	}{
		{"the same", func(t *testing.T, s core.DurableStore) { append(t, s, two...) }, nil, false},
		{"emptied", func(t *testing.T, s core.DurableStore) { append(t, s, two...) },
			func(t *testing.T, s core.DurableStore) {}, true},
		{"shorter", func(t *testing.T, s core.DurableStore) { append(t, s, two...) },
			func(t *testing.T, s core.DurableStore) { append(t, s, two[0]) }, true},
		{"as long, of other events", func(t *testing.T, s core.DurableStore) { append(t, s, two...) },
			func(t *testing.T, s core.DurableStore) { append(t, s, two...) }, true},
		{"longer", func(t *testing.T, s core.DurableStore) { append(t, s, two...) },
			func(t *testing.T, s core.DurableStore) { append(t, s, two...); append(t, s, two...) }, true},
		{"deleted at the sequence that was seen", func(t *testing.T, s core.DurableStore) { append(t, s, two...) },
			func(t *testing.T, s core.DurableStore) { append(t, s, two[0]); remove(t, s) }, true},
		{"the same deletion", func(t *testing.T, s core.DurableStore) { append(t, s, two...); remove(t, s) }, nil, false},
		{"an event where a deletion was", func(t *testing.T, s core.DurableStore) { append(t, s, two...); remove(t, s) },
			func(t *testing.T, s core.DurableStore) { append(t, s, two...); append(t, s, two...) }, true},
		{"emptied after a deletion", func(t *testing.T, s core.DurableStore) { append(t, s, two...); remove(t, s) },
			func(t *testing.T, s core.DurableStore) {}, true},
		{"nothing was seen", func(t *testing.T, s core.DurableStore) {},
			func(t *testing.T, s core.DurableStore) { append(t, s, two...) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &scripted{DurableStore: memstore.New()}
			tt.before(t, store)
			c := recovered(t, "c", store)
			if tt.after != nil {
				store.DurableStore = memstore.New()
				tt.after(t, store)
			}
			if !tt.reset {
				if err := c.Refresh(t.Context()); err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			unmoved(t, c, func() {
				if err := c.Refresh(t.Context()); !errors.Is(err, core.ErrStoreReset) {
					t.Errorf("got %v, want %v", err, core.ErrStoreReset)
				}
			})
		})
	}
}

// TestRefreshKnowsItsOwnEvents: what it appended itself is what it saw last.
func TestRefreshKnowsItsOwnEvents(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	for range 3 {
		record(t, c, started("m"))
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRefreshOverADeletion, once and several times, with and without new events.
func TestRefreshOverADeletion(t *testing.T) {
	for deletions := 1; deletions <= 3; deletions++ {
		for behind := range 3 {
			store := memstore.New()
			c := newConversation(t, "c", store)
			record(t, c, received("old", 1, "x"), completed("old", 0, "x"))
			state := c.State()
			var changes []core.Change
			c.Subscribe(func(change core.Change) {
				change.Events = nil
				changes = append(changes, change)
			})
			for range deletions {
				record(t, recovered(t, "c", store), started("between"))
				if err := store.Delete(t.Context(), "c"); err != nil {
					t.Fatal(err)
				}
			}
			want := core.Change{Reset: true}
			for i := range behind {
				record(t, recovered(t, "c", store), received("new"+strconv.Itoa(i), 1, "y"))
				want.Messages = append(want.Messages, "new"+strconv.Itoa(i))
			}
			for range 2 { // the second finds the tombstone, or what is behind it, again
				if err := c.Refresh(t.Context()); err != nil {
					t.Fatalf("%d deletions, %d events behind: %v", deletions, behind, err)
				}
			}
			if state != c.State() || !reflect.DeepEqual(contents(state, "old", "between"), contents(recovered(t, "c", store).State(), "old", "between")) {
				t.Errorf("%d deletions, %d events behind: the state is %+v", deletions, behind, contents(state, "old", "between"))
			}
			if !reflect.DeepEqual(changes, []core.Change{want}) {
				t.Errorf("%d deletions, %d events behind: told %+v", deletions, behind, changes)
			}
			record(t, c, started("m"))
		}
	}
}

func TestFailedRefreshChangesNothing(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	other := newConversation(t, "c", store)
	record(t, other, received("m", 1, "x"))
	c := recovered(t, "c", store)
	record(t, other, finished("m"))
	good := entry(t, 2, started("m"))
	reads := map[core.Code]look{
		core.ErrStorageUnavailable: unreadable,
		core.ErrCorrupt: func(read func() ([]core.Entry, error)) ([]core.Entry, error) {
			all, err := read()
			return append(all, good, core.Entry{Sequence: 3, Payload: []byte("?")}), err
		},
		core.ErrGap: func(read func() ([]core.Entry, error)) ([]core.Entry, error) {
			all, err := read()
			return append(all, good, entry(t, 4, started("m"))), err
		},
	}
	for code, read := range reads {
		store.reads = []look{read}
		unmoved(t, c, func() {
			err := c.Refresh(t.Context())
			var typed *core.Error
			if !errors.Is(err, code) || !errors.As(err, &typed) || typed.Op != "refresh" || typed.Stream != "c" {
				t.Errorf("got %v, want %v", err, code)
			}
		})
	}
	if err := c.Refresh(t.Context()); err != nil || !c.State().IsFullyProcessed("m") {
		t.Errorf("the next refresh: %v", err)
	}
}

// TestRefreshGoesOnBehindDamage that is no longer there: what was read before it
// remains, and is told of once.
func TestRefreshGoesOnBehindDamage(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	c, other := newConversation(t, "c", store), newConversation(t, "c", store)
	const events = 600
	for i := range events {
		record(t, other, completed("m", uint32(i), strconv.Itoa(i)))
	}
	var told []uint64
	c.Subscribe(func(change core.Change) {
		for _, e := range change.Events {
			told = append(told, e.Sequence)
		}
	})
	store.reads = []look{func(read func() ([]core.Entry, error)) ([]core.Entry, error) {
		all, err := read()
		all = slices.Clone(all)
		all[events-1].Payload = []byte("?")
		return all, err
	}}
	if err := c.Refresh(t.Context()); !errors.Is(err, core.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	last, _ := c.State().LastCompletedStep("m")
	if at := c.ExpectedSeq(); at == 0 || at >= events || uint64(len(told)) != at || uint64(last) != at-1 {
		t.Errorf("at %d, told of %d, the last step is %d", at, len(told), last)
	}
	if err := c.Refresh(t.Context()); err != nil || c.ExpectedSeq() != events {
		t.Errorf("got %v, then at %d", err, c.ExpectedSeq())
	}
	for i, sequence := range told {
		if len(told) != events || sequence != uint64(i) {
			t.Fatalf("told of %d events: %v", len(told), told)
		}
	}
}

// TestRefreshGoesOnAfterAnError in a later batch.
func TestRefreshGoesOnAfterAnError(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	c, other := newConversation(t, "c", store), newConversation(t, "c", store)
	for range core.ReadBatch + 5 {
		record(t, other, started("m"))
	}
	store.reads = []look{readable, unreadable}
	if err := c.Refresh(t.Context()); !errors.Is(err, core.ErrStorageUnavailable) || c.ExpectedSeq() != core.ReadBatch {
		t.Errorf("got %v, then at %d", err, c.ExpectedSeq())
	}
	if err := c.Refresh(t.Context()); err != nil || c.ExpectedSeq() != core.ReadBatch+5 {
		t.Errorf("got %v, then at %d", err, c.ExpectedSeq())
	}
}

func TestEvents(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	story := []core.Event{received("m", 1, "x"), started("m"), completed("m", 0, "a"), finished("m")}
	record(t, recovered(t, "c", store), story...)
	tests := []struct {
		offset uint64
		limit  int
		want   []core.Event
	}{
		{0, 10, story}, {0, 2, story[:2]}, {1, 2, story[1:3]}, {3, 5, story[3:]}, {4, 5, nil}, {99, 5, nil}, {0, 0, nil},
	}
	for _, tt := range tests {
		logged, err := c.Events(t.Context(), tt.offset, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []core.Event
		for i, l := range logged {
			if l.Sequence != tt.offset+uint64(i) || l.Tombstone || l.Timestamp == 0 || l.Event.ID == (core.EventID{}) {
				t.Errorf("event %d from %d is %+v", i, tt.offset, l)
			}
			l.Event.ID = core.EventID{}
			got = append(got, l.Event)
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%d events from %d:\n got %+v\nwant %+v", tt.limit, tt.offset, got, tt.want)
		}
	}
	if c.ExpectedSeq() != 0 || c.State().Len() != 0 {
		t.Error("reading the log has changed the conversation")
	}
	if _, err := c.Events(t.Context(), 0, -1); !errors.Is(err, core.ErrInvalidArgument) {
		t.Errorf("a negative limit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Events(ctx, 0, 1); !errors.Is(err, core.ErrCancelled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := newConversation(t, "c", entries(entry(t, 0, started("m")), entry(t, 2, started("m")))).Events(t.Context(), 0, 9); !errors.Is(err, core.ErrGap) {
		t.Errorf("a hole: %v", err)
	}
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	logged, err := c.Events(t.Context(), 0, 10)
	if err != nil || len(logged) != 1 || !logged[0].Tombstone || logged[0].Sequence != 4 || !reflect.DeepEqual(logged[0].Event, core.Event{}) {
		t.Errorf("a deleted log: %+v, %v", logged, err)
	}
}

// remembering is a store that remembers how far its logs had come.
type remembering struct {
	core.DurableStore
	reached map[string]uint64
}

func (r *remembering) LostEnd(stream string, head uint64, goesOn bool) uint64 {
	reached := r.reached[stream]
	if goesOn {
		r.reached[stream] = min(reached, head)
	}
	if reached <= head {
		return 0
	}
	return reached
}

// A log that has lost its end is told of once, to whoever reads it to its end first.
func TestRecoverOfALogThatHasLostItsEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(store core.DurableStore) error
	}{
		{"recover", func(store core.DurableStore) error { _, err := core.Recover(t.Context(), "c", store); return err }},
		{"refresh", func(store core.DurableStore) error { return newConversation(t, "c", store).Refresh(t.Context()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &remembering{memstore.New(), map[string]uint64{"c": 5}}
			record(t, newConversation(t, "c", store), received("m", 1, "x"), started("m"))
			err := c.read(store)
			if !errors.Is(err, core.ErrGap) || !strings.Contains(err.Error(), "sequences 2 to 4") {
				t.Errorf("the first time: %v", err)
			}
			if err := c.read(store); err != nil {
				t.Errorf("once more: %v", err)
			}
			record(t, recovered(t, "c", store), finished("m"))
		})
	}
	t.Run("a log that has not", func(t *testing.T) {
		store := &remembering{memstore.New(), map[string]uint64{"c": 2}}
		record(t, newConversation(t, "c", store), received("m", 1, "x"), started("m"))
		for range 2 {
			c := recovered(t, "c", store)
			record(t, c, started("m"))
			if err := c.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRecoverOfDamageSaysWhatToDo(t *testing.T) {
	store := memstore.New()
	if _, err := store.Append(t.Context(), "c", 0, []byte("no event")); err != nil {
		t.Fatal(err)
	}
	_, err := core.Recover(t.Context(), "c", store)
	if !errors.Is(err, core.ErrCorrupt) || !strings.Contains(err.Error(), "verify tells") {
		t.Errorf("got %v", err)
	}
}
