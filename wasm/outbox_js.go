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
	text  []byte // and so is this
}

const (
	outboxState    = 0  // uint32
	outboxHandle   = 4  // uint32, of the conversation that has changed
	outboxRows     = 8  // uint32, the address of the messages' rows
	outboxLength   = 12 // uint32, their length
	outboxSequence = 16 // float64, of the event that is recorded
	outboxOrder    = 24 // uint32, of the outcome that is recorded
	outboxIndex    = 28 // uint32, of its step
	outboxCall     = 32 // uint32, the call that has run it
	outboxText     = 36 // uint32, the address of the path of a step that was called, and then its idempotency key
	outboxPath     = 40 // uint32, the length of the path
	outboxSettled  = 44 // uint32, whether the program has reported what became of the append, and leaves the call to the host
	outboxBytes    = 48
)

// States of the outbox.
const (
	outboxShut = iota
	outboxOpen // by the host, for a change
	outboxFull
)

func (o *outbox) state() uint32 { return binary.LittleEndian.Uint32(o.bytes[outboxState:]) }

// recorded settles an event with its sequence.
func (o *outbox) recorded(sequence uint64) {
	o.at(sequence)
	o.put(outboxSettled, 1)
}

func (o *outbox) at(sequence uint64) {
	binary.LittleEndian.PutUint64(o.bytes[outboxSequence:], math.Float64bits(float64(sequence)))
}

// change sets what the event with that sequence has changed.
func (o *outbox) change(handle int, sequence uint64, rows []byte) {
	o.rows = rows
	o.at(sequence)
	o.put(outboxHandle, handle)
	o.put(outboxRows, address(rows))
	o.put(outboxLength, len(rows))
	o.put(outboxState, outboxFull)
}

// completed settles a step with its outcome.
func (o *outbox) completed(call int, order, index uint32) {
	o.put(outboxSettled, 1)
	o.put(outboxCall, call)
	o.put(outboxOrder, int(order))
	o.put(outboxIndex, int(index))
}

// called sets who a step is that was called.
func (o *outbox) called(path, key string) {
	o.text = append(append(o.text[:0], path...), key...)
	o.put(outboxText, address(o.text))
	o.put(outboxPath, len(path))
}

func (o *outbox) put(at, n int) { binary.LittleEndian.PutUint32(o.bytes[at:], uint32(n)) }
