package main

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/holdfast-dev/holdfast/core"
)

// Each value that crosses costs some microseconds, an object more than a
// number: it gets a reference with a finalizer. So what crosses most, events to
// be recorded, crosses as bytes: the host writes a single one into the inbox,
// in the program's memory, and many cross together, see recordAll.

// posted is what the inbox holds.
type posted struct {
	call, handle int
	event        core.Event
}

// inboxBytes bounds a single event. A larger one goes through recordAll.
const inboxBytes = 16 << 10

// The inbox has two little-endian numbers and then an event.
const (
	inboxCall   = 0 // uint32
	inboxHandle = 4 // uint32
	inboxHead   = 8
)

// An event that is posted has little-endian numbers, and then the bytes of the
// message's id and of the data; web/src/bridge/posted.ts writes it.
const (
	postedKind   = 0  // uint32
	postedIDs    = 4  // uint32, the length of the id
	postedData   = 8  // uint32, the length of the data
	postedForm   = 12 // uint32
	postedNumber = 16 // float64, the time of receipt or the step
	postedHead   = 24
)

// What the data are.
const (
	noData = iota
	bytesData
	textData
)

// read returns what is in the inbox. The event's data are a part of the inbox.
func (b *bridge) read() posted {
	word := func(at int) int { return int(binary.LittleEndian.Uint32(b.inbox[at:])) }
	event, _ := nextPosted(b.inbox[inboxHead:])
	return posted{word(inboxCall), word(inboxHandle), event}
}

// nextPosted returns the event at the beginning of b, with data that are a part
// of b, and the rest of b. The host is trusted with the form.
func nextPosted(b []byte) (e core.Event, rest []byte) {
	word := func(at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }
	idEnd := postedHead + word(postedIDs)
	end := idEnd + word(postedData)
	data, number := b[idEnd:end:end], uint64(math.Float64frombits(binary.LittleEndian.Uint64(b[postedNumber:])))
	var text string
	switch word(postedForm) {
	case noData:
		data = nil
	case textData:
		text, data = string(data), nil
	}
	e = core.Event{Kind: core.Kind(word(postedKind)), MessageID: string(b[postedHead:idEnd])}
	switch e.Kind {
	case core.KindMessageReceived:
		e.ReceivedAt, e.Body = number, data
	case core.KindStepCompleted:
		e.Step, e.Output = uint32(number), data
	case core.KindErrorOccurred:
		e.Error = text
	}
	return e, b[end:]
}

// address is where bytes are in the program's memory, which the host can read.
// They stay there: the heap does not move.
func address(b []byte) int { return int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
