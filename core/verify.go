package core

import (
	"bytes"
	"context"
	"errors"
)

// Verification is what [Verify] has found.
type Verification struct {
	ID       string
	Head     uint64 // the sequence that the next event gets
	Events   uint64 // that can be read; those before a deletion do not count
	Damage   []Damage
	Snapshot SnapshotHealth
}

// SnapshotHealth is what [Verify] has found of a snapshot.
type SnapshotHealth string

const (
	// SnapshotNone: there is none, or it is of another release. Nothing depends
	// on one.
	SnapshotNone SnapshotHealth = "none"
	// SnapshotOK: it is whole, and the log gives the same state, unless damage
	// before its end leaves nothing to compare it with.
	SnapshotOK SnapshotHealth = "ok"
	// SnapshotDamaged: it cannot be read, is damaged, or differs from the log.
	SnapshotDamaged SnapshotHealth = "damaged"
)

// Verify reads the whole log of a conversation, past any damage, and changes
// nothing. Where [Recover] returns [ErrCorrupt], [ErrGap] or
// [ErrUnsupportedVersion], Verify returns the sequences, also of what a
// snapshot hides from Recover. [Conversation.Events] of a [New] conversation
// reads what is between them.
//
// An absent log is not damaged. One that has lost its end looks like a shorter
// one, unless a snapshot goes further, or the store remembers that the log did:
// then the end is a gap, after Head. Bodies and outputs are opaque, and not
// looked into.
//
// Errors are those of the store; of one that is no [Inspector], also those of
// [DurableStore].ReadFrom for damage.
func Verify(ctx context.Context, id string, store DurableStore) (Verification, error) {
	const op = "verify"
	if err := CheckName(op, id); err != nil {
		return Verification{}, err
	}
	ctx, cancel := withDeadline(ctx, store)
	defer cancel()
	v := verifier{found: Verification{ID: id, Snapshot: SnapshotNone}, state: NewState()}
	err := v.readSnapshot(ctx, store)
	if err == nil {
		err = v.readLog(ctx, store)
	}
	if err != nil {
		return Verification{}, (&log{id: id}).fail(op, err)
	}
	v.compare()
	return v.found, nil
}

// verifier reads a log, and replays it up to where its snapshot was taken.
type verifier struct {
	found    Verification
	stored   []byte    // the snapshot
	snapshot *snapshot // what is in it; nil if there is nothing to compare
	state    *State
	last     EventID // the last event in state
}

func (v *verifier) readSnapshot(ctx context.Context, store DurableStore) error {
	snapshots, ok := store.(Snapshotter)
	if !ok {
		return nil
	}
	var err error
	v.stored, err = snapshots.ReadSnapshot(ctx, v.found.ID)
	// If more than the snapshot is lost, reading the log fails too.
	if errors.Is(err, ErrStorageUnavailable) || errors.Is(err, ErrCorrupt) {
		v.found.Snapshot = SnapshotDamaged
		return nil
	}
	if err != nil || v.stored == nil {
		return err
	}
	switch s, err := decodeSnapshot(v.found.ID, v.stored); {
	case err == nil:
		v.snapshot, v.found.Snapshot = &s, SnapshotOK
	case !errors.Is(err, ErrUnsupportedVersion):
		v.found.Snapshot = SnapshotDamaged
	}
	return nil
}

func (v *verifier) readLog(ctx context.Context, store DurableStore) error {
	inspector, ok := store.(Inspector)
	if !ok {
		inspector = readable{store}
	}
	for offset := uint64(0); ; offset = v.found.Head {
		part, err := inspector.Inspect(ctx, v.found.ID, offset)
		if err != nil {
			return err
		}
		for i, entry := range part.Entries {
			for len(part.Damage) > 0 && part.Damage[0].From < entry.Sequence {
				v.damaged(part.Damage[0])
				part.Damage = part.Damage[1:]
			}
			if entry.Tombstone && i == 0 && v.found.Head == offset {
				v.buried(entry.Sequence)
			}
			v.take(entry)
		}
		for _, d := range part.Damage {
			v.damaged(d)
		}
		if v.found.Head = part.End; part.End <= offset {
			return nil
		}
	}
}

// buried forgets what was before a tombstone: a deletion may have removed it.
func (v *verifier) buried(sequence uint64) {
	v.found.Head, v.found.Events, v.found.Damage, v.state = sequence, 0, nil, NewState()
	if v.snapshot != nil && v.snapshot.sequence <= sequence {
		v.snapshot, v.found.Snapshot = nil, SnapshotNone
	}
}

func (v *verifier) take(entry Entry) {
	v.reach(entry.Sequence)
	v.found.Head = entry.Sequence + 1
	if entry.Tombstone {
		return
	}
	event, err := DecodeEvent(entry.Payload)
	if err != nil {
		v.damaged(Damage{From: entry.Sequence, To: entry.Sequence, Code: CodeOf(err), Detail: detailOf(err)})
		return
	}
	v.found.Events++
	if v.snapshot != nil && entry.Sequence < v.snapshot.sequence {
		v.state.take(&LoggedEvent{Timestamp: entry.Timestamp, Event: event})
		v.last = event.ID
	}
}

// reach notes that everything from the head up to sequence is missing.
func (v *verifier) reach(sequence uint64) {
	if head := v.found.Head; head < sequence {
		v.add(Damage{From: head, To: sequence - 1, Code: ErrGap, Detail: "there is no record of it"})
	}
}

func (v *verifier) damaged(d Damage) {
	v.reach(d.From)
	v.found.Head = d.To + 1
	v.add(d)
}

func (v *verifier) add(d Damage) {
	if n := len(v.found.Damage); n > 0 {
		if last := &v.found.Damage[n-1]; last.Code == d.Code && last.To+1 == d.From {
			last.To = d.To
			return
		}
	}
	v.found.Damage = append(v.found.Damage, d)
}

// compare compares the snapshot with the log.
func (v *verifier) compare() {
	if v.snapshot == nil {
		return
	}
	v.state.dates = v.snapshot.state.dates // those of a store that is no Beginner are its own
	switch end := v.snapshot.sequence; {
	case v.found.Head < end:
		if n := len(v.found.Damage); n > 0 && v.found.Damage[n-1].From == v.found.Head {
			// The store remembers the lost end, too.
			v.found.Damage[n-1].To = max(v.found.Damage[n-1].To, end-1)
			return
		}
		v.add(Damage{From: v.found.Head, To: end - 1, Code: ErrGap, Detail: "the log ends before it, and the snapshot goes further"})
	case len(v.found.Damage) > 0 && v.found.Damage[0].From < end:
		// The snapshot is all there is of what was damaged.
	case !bytes.Equal(encodeSnapshot(v.found.ID, end, v.last, v.state), v.stored):
		v.found.Snapshot = SnapshotDamaged
	}
}

// readable makes an Inspector of a store that is none.
type readable struct{ DurableStore }

func (r readable) Inspect(ctx context.Context, stream string, offset uint64) (Inspection, error) {
	entries, err := r.ReadFrom(ctx, stream, offset, readBatch)
	if err != nil || len(entries) == 0 {
		return Inspection{End: offset}, err
	}
	return Inspection{Entries: entries, End: entries[len(entries)-1].Sequence + 1}, nil
}
