package idbstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// appendSteps appends a batch of n events behind head.
func appendSteps(t testing.TB, s *Store, stream string, head uint64, n int) {
	t.Helper()
	var batch [][]byte
	for i := range n {
		step := uint32(head) + uint32(i)
		b, err := core.EncodeEvent(core.Event{Kind: core.KindStepCompleted, ID: core.EventID{byte(step), byte(step >> 8)}, MessageID: "m", Step: step})
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, b)
	}
	if _, err := s.Append(context.Background(), stream, head, batch...); err != nil {
		t.Fatal(err)
	}
}

// verify leaves out what the damage is called in words.
func verify(t testing.TB, s *Store, stream string) core.Verification {
	t.Helper()
	found, err := core.Verify(context.Background(), stream, s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range found.Damage {
		if found.Damage[i].Detail == "" {
			t.Errorf("without words: %+v", found.Damage[i])
		}
		found.Damage[i].Detail = ""
	}
	return found
}

type damaging func(context.Context, transaction) error

// without removes the record that ends at end.
func without(end uint64) damaging {
	return func(_ context.Context, tx transaction) error {
		key := recordKey("s", end)
		return tx.remove(keyRange{key, key})
	}
}

func with(key, value []byte) damaging {
	return func(_ context.Context, tx transaction) error { return tx.put(key, value) }
}

// Five records of two events each.
func TestVerify(t *testing.T) {
	corrupt := func(from, to uint64) core.Damage { return core.Damage{From: from, To: to, Code: core.ErrCorrupt} }
	gap := func(from, to uint64) core.Damage { return core.Damage{From: from, To: to, Code: core.ErrGap} }
	unsupported := func(from, to uint64) core.Damage {
		return core.Damage{From: from, To: to, Code: core.ErrUnsupportedVersion}
	}
	rubbish := []byte("rubbish and more rubbish")
	for _, c := range []struct {
		name   string
		damage []damaging
		head   uint64
		events uint64
		want   []core.Damage
	}{
		{"nothing", nil, 10, 10, nil},
		{"a record is missing", []damaging{without(4)}, 10, 8, []core.Damage{gap(2, 3)}},
		{"the first is missing", []damaging{without(2)}, 10, 8, []core.Damage{gap(0, 1)}},
		{"two are missing", []damaging{without(4), without(6)}, 10, 6, []core.Damage{gap(2, 5)}},
		{"the first and the third are missing", []damaging{without(2), without(6)}, 10, 6, []core.Damage{gap(0, 1), gap(4, 5)}},
		{"a record is overwritten", []damaging{with(recordKey("s", 4), rubbish)}, 10, 8, []core.Damage{corrupt(2, 3)}},
		{"all are overwritten", []damaging{
			with(recordKey("s", 2), rubbish), with(recordKey("s", 4), nil), with(recordKey("s", 6), rubbish),
			with(recordKey("s", 8), rubbish), with(recordKey("s", 10), rubbish),
		}, 10, 0, []core.Damage{corrupt(0, 9)}},
		{"a record of a newer format", []damaging{with(recordKey("s", 6), wire.Seal("s", []byte{recordVersion + 1, 0, 4, 2, 0}))},
			10, 8, []core.Damage{unsupported(4, 5)}},
		{"different damage side by side", []damaging{without(8), with(recordKey("s", 6), rubbish), with(recordKey("s", 10), rubbish)},
			10, 4, []core.Damage{corrupt(4, 9)}}, // where a damaged record begins cannot be told
		{"a gap behind damage", []damaging{with(recordKey("s", 4), rubbish), without(6)}, 10, 6, []core.Damage{corrupt(2, 3), gap(4, 5)}},
		{"a record stands under another's key", []damaging{with(recordKey("s", 6), encodeRecord("s", 0, 0, [][]byte{nil, nil}))},
			10, 8, []core.Damage{corrupt(4, 5)}},
		{"a record of another stream", []damaging{with(recordKey("s", 6), encodeRecord("t", 4, 0, [][]byte{nil, nil}))},
			10, 8, []core.Damage{corrupt(4, 5)}},
		{"a record overlaps", []damaging{with(recordKey("s", 5), encodeRecord("s", 3, 0, [][]byte{nil, nil}))},
			10, 8, []core.Damage{corrupt(4, 5)}},
		{"events that are none", []damaging{with(recordKey("s", 6), encodeRecord("s", 4, 0, [][]byte{{0x93}, {0x93, 99}}))},
			10, 8, []core.Damage{corrupt(4, 5)}},
		{"an event of a newer release", []damaging{with(recordKey("s", 6), encodeRecord("s", 4, 0, [][]byte{{0x93, 99, 0, 0}, {0x93, 99, 0, 0}}))},
			10, 8, []core.Damage{unsupported(4, 5)}},
		{"a key beyond all", []damaging{with(append(recordKey("s", 4), 7, 7), rubbish)}, 10, 10, []core.Damage{corrupt(4, 4)}},
		{"a key behind the end", []damaging{with(append(recordKey("s", 10), 7, 7), rubbish)}, 10, 10, []core.Damage{corrupt(10, 10)}},
		{"the end under a higher key", []damaging{without(10), with(recordKey("s", 1000), encodeRecord("s", 8, 0, [][]byte{nil, nil}))},
			1000, 8, []core.Damage{corrupt(8, 999)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := freshStore(t)
			for i := range uint64(5) {
				appendSteps(t, s, "s", 2*i, 2)
			}
			appendSteps(t, s, "t", 0, 2)
			for _, damage := range c.damage {
				raw(t, s, recordsStore, damage)
			}
			want := core.Verification{ID: "s", Head: c.head, Events: c.events, Damage: c.want, Snapshot: core.SnapshotNone}
			if got := verify(t, s, "s"); !reflect.DeepEqual(got, want) {
				t.Errorf("found %+v, want %+v", got, want)
			}
			if got := verify(t, s, "t"); got.Events != 2 || got.Damage != nil {
				t.Errorf("another stream: %+v", got)
			}
		})
	}
}

func TestVerifyDeleted(t *testing.T) {
	ctx := context.Background()
	s := freshStore(t)
	if got, want := verify(t, s, "s"), (core.Verification{ID: "s", Snapshot: core.SnapshotNone}); !reflect.DeepEqual(got, want) {
		t.Errorf("absent: %+v", got)
	}
	appendSteps(t, s, "s", 0, 3)
	if err := s.Delete(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	if got, want := verify(t, s, "s"), (core.Verification{ID: "s", Head: 4, Snapshot: core.SnapshotNone}); !reflect.DeepEqual(got, want) {
		t.Errorf("deleted: %+v", got)
	}
	appendSteps(t, s, "s", 4, 2)
	raw(t, s, recordsStore, with(recordKey("s", 7), encodeRecord("s", 6, 0, [][]byte{nil})))
	want := core.Verification{ID: "s", Head: 7, Events: 2, Damage: []core.Damage{{From: 6, To: 6, Code: core.ErrCorrupt}}, Snapshot: core.SnapshotNone}
	if got := verify(t, s, "s"); !reflect.DeepEqual(got, want) {
		t.Errorf("appended to again: %+v", got)
	}
}

// What verify tells is what reads meet, at each sequence of a log with random
// damage, which is longer than what is inspected at a time.
func TestVerifyAgreesWithReads(t *testing.T) {
	ctx := context.Background()
	const seed = 1
	random := rand.New(rand.NewPCG(seed, 0))
	s := freshStore(t)
	var ends []uint64
	head := uint64(0)
	for head < 3*inspectEntries/2 {
		n := 1 + random.IntN(100)
		appendSteps(t, s, "s", head, n)
		head += uint64(n)
		ends = append(ends, head)
	}
	for range 12 {
		end := ends[random.IntN(len(ends)-1)]
		damage := without(end)
		if random.IntN(2) == 0 {
			damage = with(recordKey("s", end), []byte{1, 2, 3, 4, 5, 6, 7, 8})
		}
		raw(t, s, recordsStore, damage)
	}
	found := verify(t, s, "s")
	at, lost := found.Damage, uint64(0)
	for sequence := range head {
		for len(at) > 0 && at[0].To < sequence {
			at = at[1:]
		}
		_, there, err := s.ReadAt(ctx, "s", sequence)
		code := core.CodeOf(err)
		if len(at) == 0 || sequence < at[0].From {
			if err != nil || !there {
				t.Fatalf("seed %d: sequence %d is not damaged, %v", seed, sequence, err)
			}
			continue
		}
		if lost++; code != at[0].Code && !(at[0].Code == core.ErrCorrupt && code == core.ErrGap) {
			t.Fatalf("seed %d: sequence %d is %v, reads say %v", seed, sequence, at[0], err)
		}
	}
	if found.Head != head || found.Events != head-lost || len(found.Damage) < 5 {
		t.Errorf("seed %d: %d events of %d are lost, %+v", seed, lost, head, found)
	}
}

// What the browser itself cannot read costs the record, not those behind it.
func TestVerifyUnreadable(t *testing.T) {
	for _, failure := range []*engineError{
		{unknownError, "Corruption detected, unable to continue"}, // as Chromium says with SQLite
		{unknownError, "Internal error."},
	} {
		d := newDisk()
		s := startFake(t, d, 0)
		for i := range uint64(5) {
			appendSteps(t, s, "s", 2*i, 2)
		}
		var faults []fault
		for _, step := range []string{"values", "get"} {
			for range maxTries {
				faults = append(faults, fault{step: step, err: failure})
			}
		}
		d.inject(append([]fault{{step: "get", err: failure}, {step: "get", err: failure}, {step: "get", err: failure}}, faults...)...)
		want := core.Verification{ID: "s", Head: 10, Events: 8, Damage: []core.Damage{{From: 0, To: 1, Code: core.ErrCorrupt}}, Snapshot: core.SnapshotDamaged}
		if got := verify(t, s, "s"); !reflect.DeepEqual(got, want) || d.unmet() > 0 {
			t.Errorf("%v: found %+v", failure, got)
		}
		// One that cannot be read while its key can is damaged, whatever the browser says of it.
		d.inject(fault{step: "values", err: failure}, fault{step: "values", err: failure}, fault{step: "get", err: failure})
		if _, err := s.ReadFrom(t.Context(), "s", 0, 10); !errors.Is(err, core.ErrCorrupt) || d.unmet() > 0 {
			t.Errorf("%v: read: %v", failure, err)
		}
		code := codeOf(failure)
		d.inject(fault{step: "values", err: failure}, fault{step: "values", err: failure}, fault{step: "keys", err: failure})
		if _, err := s.ReadFrom(t.Context(), "s", 0, 10); !errors.Is(err, code) || d.unmet() > 0 {
			t.Errorf("%v: read no key: %v", failure, err)
		}
		d.inject(fault{step: "values", err: failure}, fault{step: "values", err: failure})
		if entries, err := s.ReadFrom(t.Context(), "s", 0, 10); err != nil || len(entries) != 10 {
			t.Errorf("%v: read one by one: %d entries, %v", failure, len(entries), err)
		}
	}
	if code := codeOf(&engineError{unknownError, "Corruption detected, unable to continue"}); code != core.ErrCorrupt {
		t.Errorf("corruption is %v", code)
	}
}
