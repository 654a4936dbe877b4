package core

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// ReadBatch is the number of entries that a replay reads at a time.
const ReadBatch = readBatch

// Write appends several payloads at the expected sequence, and settles.
func (c *Conversation) Write(ctx context.Context, payloads ...[]byte) error {
	write := Write{Stream: c.ID(), Expected: c.ExpectedSeq(), Payloads: payloads}
	ended := make(chan error, 1)
	c.log.begin(ctx, write, func(err error) { ended <- err })
	err := <-ended
	if errors.Is(err, ErrOutcomeUnknown) {
		err = c.log.settle(ctx, write, err)
	}
	return err
}

// GroupBytes bounds the events that are appended together.
const GroupBytes = groupBytes

// SnapshotEvents is how many events are replayed without a snapshot.
const SnapshotEvents = snapshotEvents

// EncodeSnapshot returns the snapshot of a state.
func EncodeSnapshot(stream string, sequence uint64, last EventID, s *State) []byte {
	return encodeSnapshot(stream, sequence, last, s)
}

// DecodeSnapshot is the inverse of EncodeSnapshot.
func DecodeSnapshot(stream string, b []byte) (sequence uint64, last EventID, s *State, err error) {
	found, err := decodeSnapshot(stream, b)
	return found.sequence, found.last, found.state, err
}

// SealSnapshot gives content the checksum that makes it worth decoding.
func SealSnapshot(stream string, content []byte) []byte {
	return wire.Seal(stream, bytes.Clone(content))
}

// StoredEvent returns what [EncodeEvent] keeps of an event, and where.
func StoredEvent(e Event) (payload []byte, stored Event, err error) { return encodeEvent(e) }

// Unpacked returns a copy of s in which nothing is as a snapshot has it.
func Unpacked(s *State) *State {
	c := s.Clone()
	for _, m := range c.messages {
		m.Steps, m.packed, m.row = m.steps(), nil, nil
	}
	return c
}

// EncodeSteps returns steps as a snapshot has them.
func EncodeSteps(steps []Step) []byte { return appendSteps(nil, steps) }

// Known returns the ids of all messages that any event has named: those received
// in order of arrival, then the others.
func (s *State) Known() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var ids []string
	for m := range s.all {
		ids = append(ids, m.ID)
	}
	return ids
}

// AllNotes returns the notes of all types, in order.
func (s *State) AllNotes() []Note {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.notes.list)
}

// PackedSteps returns the completed steps of a message as its row has them, nil
// if no event has named it.
func (s *State) PackedSteps(id string) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	if m == nil {
		return nil
	}
	return slices.Clip(m.packedBytes())
}

// MostCopied is up to what size the state copies what it keeps.
const MostCopied = mostCopied

// NewStep returns a step with an outcome.
func NewStep(index uint32, name string, output []byte, d Details) Step {
	return Step{Index: index, Name: name, Output: output, details: d.encode()}
}

// FunctionOf returns the path of the function that a scope belongs to.
func FunctionOf(scope string) string { return functionOf(scope) }
