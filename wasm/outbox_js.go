package main

import (
	"encoding/binary"
	"math"
)

// outbox is where the program reports an append to the host without a crossing.
// It has little-endian numbers; web/src/bridge/outbox.ts reads it.
type outbox struct {
	bytes [outboxBytes]byte
	rows  []byte // kept for as long as the host may read them
}

const (
	outboxState    = 0  // uint32
	outboxHandle   = 4  // uint32, of the conversation that has changed
	outboxRows     = 8  // uint32, the address of the messages' rows
	outboxLength   = 12 // uint32, their length
	outboxSequence = 16 // float64, of the event that is recorded
	outboxBytes    = 24
)

// States of the outbox.
const (
	outboxShut = iota
	outboxOpen // by the host, for a change
	outboxFull
)

func (o *outbox) state() uint32 { return binary.LittleEndian.Uint32(o.bytes[outboxState:]) }

// begin sets the sequence that an event gets if it is recorded.
func (o *outbox) begin(sequence uint64) {
	binary.LittleEndian.PutUint64(o.bytes[outboxSequence:], math.Float64bits(float64(sequence)))
}

// change sets what the event with that sequence has changed.
func (o *outbox) change(handle int, sequence uint64, rows []byte) {
	o.rows = rows
	o.begin(sequence)
	put := func(at, n int) { binary.LittleEndian.PutUint32(o.bytes[at:], uint32(n)) }
	put(outboxHandle, handle)
	put(outboxRows, address(rows))
	put(outboxLength, len(rows))
	put(outboxState, outboxFull)
}
