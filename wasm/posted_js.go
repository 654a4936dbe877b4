package main

import (
	"encoding/binary"
	"math"
	"time"
	"unsafe"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/runner"
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

// A step that is posted has little-endian numbers, and then the texts of its
// scopes, separated by zeros, its name and its key; web/src/bridge/posted.ts writes
// it.
const (
	stepCall    = 0  // uint32
	stepAttempt = 4  // uint32
	stepWithin  = 8  // uint32
	stepAfter   = 12 // uint32
	stepFlags   = 16 // uint32
	stepPolicy  = 20 // uint32
	stepRetry   = 24 // uint32 each: how often, and three times in milliseconds
	stepScopes  = 40 // uint32, the length of the scopes
	stepName    = 44 // uint32, that of the name
	stepKey     = 48 // uint32, that of the key
	stepHead    = 52
)

// Flags of a step.
const (
	stepUnordered = 1 << iota
	stepStreams
	stepResumes
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

// where is where a step is called, and as what: by the handler of an attempt or,
// unless within is 0, within the function of that call, and within scopes, whose
// names are separated by zeros.
type where struct {
	attempt, within int
	scopes, name    string
	after           uint32
	unordered       bool
}

// postedStep is a step that the host calls.
type postedStep struct {
	call    int
	where   where
	streams bool
	options runner.StepOptions
}

// readStep returns the step in the inbox.
func (b *bridge) readStep() postedStep {
	word := func(at int) int { return int(binary.LittleEndian.Uint32(b.inbox[at:])) }
	milliseconds := func(at int) time.Duration { return time.Duration(word(at)) * time.Millisecond }
	rest := b.inbox[stepHead:]
	text := func(length int) (s string) {
		s, rest = string(rest[:word(length)]), rest[word(length):]
		return s
	}
	flags := word(stepFlags)
	p := postedStep{call: word(stepCall), streams: flags&stepStreams != 0}
	p.where = where{attempt: word(stepAttempt), within: word(stepWithin), after: uint32(word(stepAfter)), unordered: flags&stepUnordered != 0}
	p.where.scopes, p.where.name = text(stepScopes), text(stepName)
	policy := runner.Policy(word(stepPolicy))
	p.options = runner.StepOptions{
		Key: text(stepKey), SideEffect: policy, Later: policy != runner.Pure, Resume: flags&stepResumes != 0,
		Retry: runner.Retry{MaxAttempts: word(stepRetry), Initial: milliseconds(stepRetry + 4), Max: milliseconds(stepRetry + 8), Timeout: milliseconds(stepRetry + 12)},
	}
	return p
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
