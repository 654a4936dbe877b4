package core_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// What a store says of damaged records is tested in package idbstore.

func verified(t *testing.T, store core.DurableStore) core.Verification {
	t.Helper()
	found, err := core.Verify(t.Context(), "chat", store)
	if err != nil {
		t.Fatal(err)
	}
	for i := range found.Damage {
		found.Damage[i].Detail = ""
	}
	return found
}

func TestVerifySnapshot(t *testing.T) {
	ctx := t.Context()
	// A log of six events, and a snapshot at sequence 4.
	fill := func(t *testing.T) (*memstore.Store, *core.Conversation) {
		store := memstore.New()
		c, err := core.New("chat", store)
		if err != nil {
			t.Fatal(err)
		}
		for step := range uint32(6) {
			if _, err := c.RecordStepCompleted(ctx, "m", step, []byte{byte(step)}); err != nil {
				t.Fatal(err)
			}
			if step == 3 {
				if err := c.SaveSnapshot(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		return store, c
	}
	replaced := func(change func([]byte) []byte) func(t *testing.T, store *memstore.Store) {
		return func(t *testing.T, store *memstore.Store) {
			b, err := store.ReadSnapshot(ctx, "chat")
			if err != nil || b == nil {
				t.Fatal(b, err)
			}
			if err := store.SaveSnapshot(ctx, "chat", 6, change(b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, store *memstore.Store)
		want   core.SnapshotHealth
		events uint64
		damage []core.Damage
	}{
		{"whole", func(*testing.T, *memstore.Store) {}, core.SnapshotOK, 6, nil},
		{"damaged", replaced(func(b []byte) []byte { b[9] ^= 1; return b }), core.SnapshotDamaged, 6, nil},
		{"of another release", replaced(func(b []byte) []byte { b[1]++; return core.SealSnapshot("chat", b[:len(b)-4]) }), core.SnapshotNone, 6, nil},
		{"of another state", replaced(func(b []byte) []byte {
			_, last, _, _ := core.DecodeSnapshot("chat", b)
			return core.EncodeSnapshot("chat", 4, last, stateOf(completed("m", 0, "x")))
		}), core.SnapshotDamaged, 6, nil},
		{"of another event", replaced(func(b []byte) []byte {
			_, _, state, _ := core.DecodeSnapshot("chat", b)
			return core.EncodeSnapshot("chat", 4, testID, state)
		}), core.SnapshotDamaged, 6, nil},
		{"of more than there is", replaced(func(b []byte) []byte {
			_, last, state, _ := core.DecodeSnapshot("chat", b)
			return core.EncodeSnapshot("chat", 9, last, state)
		}), core.SnapshotOK, 6, []core.Damage{{From: 6, To: 8, Code: core.ErrGap}}},
		{"of what was deleted", func(t *testing.T, store *memstore.Store) {
			b, _ := store.ReadSnapshot(ctx, "chat")
			if err := store.Delete(ctx, "chat"); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Append(ctx, "chat", 7, []byte{0}); err != nil {
				t.Fatal(err)
			}
			if err := store.SaveSnapshot(ctx, "chat", 8, b); err != nil {
				t.Fatal(err)
			}
		}, core.SnapshotNone, 0, []core.Damage{{From: 7, To: 7, Code: core.ErrCorrupt}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, _ := fill(t)
			c.change(t, store)
			got := verified(t, store)
			if got.Snapshot != c.want || got.Events != c.events || !reflect.DeepEqual(got.Damage, c.damage) {
				t.Errorf("found %+v, want %v, %v", got, c.want, c.damage)
			}
		})
	}
	t.Run("behind a deletion", func(t *testing.T) {
		store, c := fill(t)
		if err := store.Delete(ctx, "chat"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Refresh(ctx), c.SaveSnapshot(ctx)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.RecordStepCompleted(ctx, "m", 7, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.SaveSnapshot(ctx); err != nil {
			t.Fatal(err)
		}
		want := core.Verification{ID: "chat", Head: 8, Events: 1, Snapshot: core.SnapshotOK}
		if got := verified(t, store); !reflect.DeepEqual(got, want) {
			t.Errorf("found %+v", got)
		}
	})
}

// inspected is a store whose parts are given.
type inspected struct {
	core.DurableStore
	parts map[uint64]core.Inspection
	err   error
}

func (s inspected) Inspect(_ context.Context, _ string, offset uint64) (core.Inspection, error) {
	part, ok := s.parts[offset]
	if !ok {
		part.End = offset
	}
	return part, s.err
}

func entriesOf(t *testing.T, sequences ...uint64) (entries []core.Entry) {
	t.Helper()
	for _, sequence := range sequences {
		b, err := core.EncodeEvent(completed("m", uint32(sequence), ""))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, core.Entry{Stream: "chat", Sequence: sequence, Payload: b})
	}
	return entries
}

func TestVerifyJoinsParts(t *testing.T) {
	damage := func(from, to uint64, code core.Code) core.Damage { return core.Damage{From: from, To: to, Code: code} }
	store := inspected{parts: map[uint64]core.Inspection{
		0:  {Entries: entriesOf(t, 1, 2, 6), Damage: []core.Damage{damage(3, 4, core.ErrCorrupt), damage(7, 9, core.ErrUnsupportedVersion)}, End: 10},
		10: {Damage: []core.Damage{damage(10, 11, core.ErrUnsupportedVersion)}, End: 12},
		12: {Entries: entriesOf(t, 14), End: 15},
	}}
	want := core.Verification{ID: "chat", Head: 15, Events: 4, Snapshot: core.SnapshotNone, Damage: []core.Damage{
		damage(0, 0, core.ErrGap), damage(3, 4, core.ErrCorrupt), damage(5, 5, core.ErrGap),
		damage(7, 11, core.ErrUnsupportedVersion), damage(12, 13, core.ErrGap),
	}}
	if got := verified(t, store); !reflect.DeepEqual(got, want) {
		t.Errorf("found %+v\nwant  %+v", got, want)
	}
	// Deleted between two parts.
	store.parts[12] = core.Inspection{Entries: append([]core.Entry{{Sequence: 20, Tombstone: true}}, entriesOf(t, 21)...), End: 22}
	want = core.Verification{ID: "chat", Head: 22, Events: 1, Snapshot: core.SnapshotNone}
	if got := verified(t, store); !reflect.DeepEqual(got, want) {
		t.Errorf("deleted meanwhile: found %+v", got)
	}
	store.err = &core.Error{Code: core.ErrBlocked}
	var failure *core.Error
	if _, err := core.Verify(t.Context(), "chat", store); !errors.As(err, &failure) || failure.Code != core.ErrBlocked || failure.Stream != "chat" {
		t.Errorf("an error of the store: %v", err)
	}
	if _, err := core.Verify(t.Context(), "", store); !errors.Is(err, core.ErrInvalidArgument) {
		t.Errorf("no name: %v", err)
	}
}

func ExampleVerify() {
	ctx := context.Background()
	store := memstore.New()
	chat, err := core.New("support", store)
	if err != nil {
		panic(err)
	}
	if _, err := chat.Send(ctx, "m1", 0, []byte("hello")); err != nil {
		panic(err)
	}
	// Another program writes what is no event.
	if _, err := store.Append(ctx, "support", 1, []byte("?")); err != nil {
		panic(err)
	}
	found, err := core.Verify(ctx, "support", store)
	if err != nil {
		panic(err)
	}
	fmt.Println(found.Events, "of", found.Head, "events can be read")
	for _, d := range found.Damage {
		fmt.Println(d.From, d.To, d.Code)
	}
	// Output:
	// 1 of 2 events can be read
	// 1 1 corrupt
}
