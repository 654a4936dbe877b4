package core

import (
	"fmt"
	"math"
	"slices"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// This file knows the bytes of a snapshot, which is a state and its place in
// the log:
//
//	[version, sequence, id of the last event, created, updated,
//	 metadata, rows of all notes, rows of all messages]
//	then zeros, as many as paddingOf says
//	then the seal, see wire.Seal, with the stream's name
//
// Raise snapshotVersion with any change of this, of a row, and of what
// State.Apply makes of events. Snapshots of another version are ignored, and
// the log is replayed.
const snapshotVersion = 8

// snapshot is a decoded snapshot.
type snapshot struct {
	sequence uint64
	last     EventID
	state    *State
}

// paddingOf returns how many zeros follow content of a size, so that decoding
// allocates no more than 64 KiB + 2 x input. Half of the 64 KiB is left for
// what does not depend on the input. Only many messages and steps with little
// in them need padding.
func paddingOf(content, cost int) int { return max((cost-32<<10+1)/2-content, 0) }

// encodeSnapshot returns the snapshot of s, which is the state of stream before
// sequence, where last is the id of the last event. A state that does not fit
// into [MaxPayloadBytes] has none: nil.
func encodeSnapshot(stream string, sequence uint64, last EventID, s *State) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	size, cost := s.notes.size()
	size, cost = size+len(s.metadata.packed)+128, cost+metadataCost*len(s.metadata.packed)
	for m := range s.all {
		n, c := m.rowSize()
		size, cost = size+n, cost+c
	}
	if size = max(size, paddingOf(0, cost)) + wire.SealBytes; size > MaxPayloadBytes {
		return nil
	}
	w := wire.NewWriter(make([]byte, 0, size))
	w.Array(8)
	w.Uint(snapshotVersion)
	w.Uint(sequence)
	w.Bytes(last[:])
	w.Uint(s.created)
	w.Uint(s.updated)
	writeMetadata(w, s.metadata)
	w.Array(len(s.notes.list))
	for i := range s.notes.list {
		writeNote(w, &s.notes.list[i])
	}
	w.Array(len(s.messages))
	for m := range s.all {
		writeRow(w, m, nil)
	}
	w.Raw(make([]byte, paddingOf(w.Len(), cost)))
	return wire.Seal(stream, w.End())
}

// decodeSnapshot returns the snapshot of stream whose bytes are b. It accepts
// exactly what encodeSnapshot writes, and shares b with the state, so b must
// not change afterwards. As for [DecodeEvent], b may come from anywhere.
func decodeSnapshot(stream string, b []byte) (snapshot, error) {
	if len(b) > MaxPayloadBytes {
		return snapshot{}, errSnapshot("it is too large")
	}
	content, whole := wire.Unseal(stream, b)
	if !whole {
		return snapshot{}, errSnapshot("its checksum is wrong")
	}
	r := newRowReader(content, 32<<10+2*len(content))
	count := r.ArrayLen("the snapshot")
	version := r.Uint("the version", math.MaxUint64)
	if r.Defect() == "" && version != snapshotVersion {
		return snapshot{}, &Error{Code: ErrUnsupportedVersion, Op: "decode snapshot",
			Detail: fmt.Sprintf("the snapshot has version %d, this release reads %d", version, snapshotVersion)}
	}
	if count != 8 {
		r.Refuse("the snapshot", " has a wrong number of elements")
	}
	var s snapshot
	s.sequence = r.Uint("the sequence", MaxSequence)
	r.ID("the last event's id", s.last[:])
	d := dates{r.Uint("a time", MaxSequence), r.Uint("a time", MaxSequence)}
	metadata := readMetadata(&r.Reader)
	r.spend(metadataCost * len(metadata.packed))
	s.state = r.state()
	s.state.metadata, s.state.dates = metadata, d
	padding := r.Rest()
	other := func(b byte) bool { return b != 0 }
	if len(padding) != paddingOf(len(content)-len(padding), r.cost) || slices.ContainsFunc(padding, other) {
		r.Refuse("the snapshot", " is followed by other bytes")
	}
	if s.sequence == 0 {
		r.Refuse("the sequence", " is zero")
	}
	if defect := r.Defect(); defect != "" {
		return snapshot{}, errSnapshot(defect)
	}
	return s, nil
}

func errSnapshot(detail string) error {
	return &Error{Code: ErrCorrupt, Op: "decode snapshot", Detail: "the snapshot is damaged: " + detail}
}

// state reads the rows of all notes and messages.
func (r *rowReader) state() *State {
	s := NewState()
	s.notes = r.notes()
	count := r.ArrayLen("the messages")
	if !r.spend(count * messageCost) {
		return s
	}
	s.messages = make(map[string]*kept, count)
	s.order = make([]*kept, 0, count)
	for range count {
		m := r.row()
		if r.Defect() != "" {
			return s
		}
		if _, known := s.messages[m.ID]; known || m.Received && len(s.early) > 0 {
			r.Refuse("a message", " stands in the wrong place")
			return s
		}
		s.add(m)
		if int(m.back) > max(m.Position, 0) || m.began > m.changed || int(m.noted) > len(s.notes.list) {
			r.Refuse("a message", " follows what is not before it")
			return s
		}
		s.begun = max(s.begun, m.changed)
	}
	return s
}

// notes reads the rows of all notes.
func (r *rowReader) notes() notes {
	count := r.ArrayLen("the notes")
	if !r.spend(count * noteCost) {
		return newNotes(0)
	}
	all := newNotes(count)
	for range count {
		r.pause()
		if note := readNote(&r.Reader, r.name); r.Defect() == "" && !all.add(note) {
			r.Refuse("a note", " is there twice")
		}
		if r.Defect() != "" {
			break
		}
	}
	return all
}
