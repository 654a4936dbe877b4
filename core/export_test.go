package core

import (
	"bytes"
	"context"
	"encoding/binary"
)

// ReadBatch is the number of entries that a replay reads at a time.
const ReadBatch = readBatch

// Write appends several payloads at the expected sequence, and settles.
func (c *Conversation) Write(ctx context.Context, payloads ...[]byte) error {
	return c.write(ctx, c.ExpectedSeq(), payloads...)
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
	return binary.LittleEndian.AppendUint32(bytes.Clone(content), snapshotSum(stream, content))
}

// StoredEvent returns what [EncodeEvent] keeps of an event, and where.
func StoredEvent(e Event) (payload []byte, stored Event, err error) { return encodeEvent(e) }

// Unpacked returns a copy of s in which nothing is as a snapshot has it.
func Unpacked(s *State) *State {
	c := s.Clone()
	for _, m := range c.messages {
		m.Steps, m.packed = m.steps(), nil
	}
	return c
}

// EncodeSteps returns steps as a snapshot has them.
func EncodeSteps(steps []Step) []byte { return appendSteps(nil, steps) }

// MostCopied is up to what size the state copies what it keeps.
const MostCopied = mostCopied
