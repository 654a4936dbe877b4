package main

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/holdfast-dev/holdfast/core"
)

// Each value that crosses costs some microseconds, an object more than a number:
// it gets a reference, and that a finalizer. So what crosses most, an event to be
// recorded, crosses without: the host writes it into the program's memory.

// inboxBytes bounds such an event. A larger one goes through recordAll.
const inboxBytes = 16 << 10

// The inbox has little-endian numbers, and then the bytes of the message's id
// and of the data; web/src/inbox.ts writes it.
const (
	inboxCall   = 0  // uint32
	inboxHandle = 4  // uint32
	inboxKind   = 8  // uint32
	inboxIDs    = 12 // uint32, the length of the id
	inboxData   = 16 // uint32, the length of the data
	inboxForm   = 20 // uint32
	inboxNumber = 24 // float64, the time of receipt or the step
	inboxHead   = 32
)

// What the data are.
const (
	noData = iota
	bytesData
	textData
)

// posted is what the inbox holds.
type posted struct {
	call, handle int
	event        core.Event
}

// read copies what is in the inbox, which the host is trusted with.
func (b *bridge) read() posted {
	word := func(at int) int { return int(binary.LittleEndian.Uint32(b.inbox[at:])) }
	idEnd := inboxHead + word(inboxIDs)
	id, rest := string(b.inbox[inboxHead:idEnd]), b.inbox[idEnd:idEnd+word(inboxData)]
	number := uint64(math.Float64frombits(binary.LittleEndian.Uint64(b.inbox[inboxNumber:])))
	var data []byte
	var text string
	switch word(inboxForm) {
	case bytesData:
		data = append([]byte{}, rest...)
	case textData:
		text = string(rest)
	}
	return posted{word(inboxCall), word(inboxHandle), eventOf(core.Kind(word(inboxKind)), id, number, data, text)}
}

// eventOf makes an event of its parts: the number is the time of receipt or the
// step, the data are the body or the output, the text is that of an error.
func eventOf(kind core.Kind, message string, number uint64, data []byte, text string) core.Event {
	e := core.Event{Kind: kind, MessageID: message}
	switch kind {
	case core.KindMessageReceived:
		e.ReceivedAt, e.Body = number, data
	case core.KindStepCompleted:
		e.Step, e.Output = uint32(number), data
	case core.KindErrorOccurred:
		e.Error = text
	}
	return e
}

// address is where bytes are in the program's memory, which the host can read.
// They stay there: the heap does not move.
func address(b []byte) int { return int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
