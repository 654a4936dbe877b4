package core

import (
	"fmt"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// This file is the only one that knows the bytes of an event, a msgpack array:
//
//	[1, id, message id, received at]        message received, without a body
//	[1, id, message id, received at, body]  message received
//	[2, id, message id]                     processing started, without a runner
//	[2, id, message id, runner]             processing started
//	[3, id, message id, step, output]       step completed, without a name
//	[3, id, message id, step, output, name] step completed
//	[4, id, message id]                     processing finished, without a result
//	[4, id, message id, output]             processing finished
//	[5, id, message id, error]              error occurred
//	[6, id, message id, step, name]         step started
//	[7, id, message id, step, name, offset, output]  step streamed
//	[8, id, message id]                     message cancelled
//	[9, id, message id]                     message retried
//	[10, id, message id]                    processing stopped
//
// id, body, runner and output are of type bin, message id, name and error of
// type str, the rest are unsigned integers. Every length and integer takes its
// shortest form, so an event has exactly one encoding, which can be compared
// byte by byte. A new optional field goes at the end of an array.

// fields returns how many elements an event of this kind has at least and at
// most; 0 for a kind that this release does not know.
func (k Kind) fields() (least, most int) {
	switch k {
	case KindMessageReceived:
		return 4, 5
	case KindProcessingStarted, KindProcessingFinished:
		return 3, 4
	case KindStepCompleted:
		return 5, 6
	case KindErrorOccurred:
		return 4, 4
	case KindStepStarted:
		return 5, 5
	case KindStepStreamed:
		return 7, 7
	case KindMessageCancelled, KindMessageRetried, KindProcessingStopped:
		return 3, 3
	default:
		return 0, 0
	}
}

// optional reports whether e has the field that its kind may have or not.
func (e *Event) optional() bool {
	switch e.Kind {
	case KindMessageReceived:
		return e.Body != nil
	case KindProcessingStarted:
		return e.Runner != RunnerID{}
	case KindStepCompleted:
		return e.Name != ""
	case KindProcessingFinished:
		return e.Output != nil
	default:
		return false
	}
}

// EncodeEvent returns the bytes of e, which share no memory with it. Fields
// that the kind does not have are ignored.
//
// Errors: [ErrInvalidArgument] for an unknown kind, a message id or a step's
// name that [CheckName] refuses, and an error text that is not valid UTF-8;
// [ErrOutOfRange] for a ReceivedAt or an Offset over [MaxSequence];
// [ErrTooLarge] if the result would be over [MaxPayloadBytes].
func EncodeEvent(e Event) ([]byte, error) {
	payload, _, err := encodeEvent(e)
	return payload, err
}

// encodeEvent also returns what [DecodeEvent] would make of the result.
func encodeEvent(e Event) (payload []byte, stored Event, err error) {
	const op = "encode event"
	count, _ := e.Kind.fields()
	if e.optional() {
		count++
	}
	size := 64 // all headers and integers, rounded up
	switch e.Kind {
	case KindMessageReceived:
		if e.ReceivedAt > MaxSequence {
			return nil, Event{}, &Error{Code: ErrOutOfRange, Op: op,
				Detail: fmt.Sprintf("a message cannot be received at %d ms, the limit is 2^53-1", e.ReceivedAt)}
		}
		size += len(e.Body)
	case KindStepCompleted, KindStepStarted, KindStepStreamed:
		if e.Name != "" || e.Kind != KindStepCompleted {
			if err := CheckName(op, e.Name); err != nil {
				return nil, Event{}, err
			}
		}
		if e.Offset > MaxSequence {
			return nil, Event{}, &Error{Code: ErrOutOfRange, Op: op,
				Detail: fmt.Sprintf("a step cannot stream beyond %d bytes, the limit is 2^53-1", e.Offset)}
		}
		size += len(e.Name) + len(e.Output)
	case KindErrorOccurred:
		if !utf8.ValidString(e.Error) {
			return nil, Event{}, &Error{Code: ErrInvalidArgument, Op: op, Detail: "the error text must be valid UTF-8"}
		}
		size += len(e.Error)
	case KindProcessingFinished:
		size += len(e.Output)
	case KindProcessingStarted, KindMessageCancelled, KindMessageRetried, KindProcessingStopped:
	default:
		return nil, Event{}, &Error{Code: ErrInvalidArgument, Op: op, Detail: "there are no events of " + e.Kind.String()}
	}
	if err := CheckName(op, e.MessageID); err != nil {
		return nil, Event{}, err
	}
	size += len(e.MessageID)
	if size-64 > MaxPayloadBytes { // do not copy first what is refused anyway
		return nil, Event{}, errEventTooLarge(op, size)
	}

	w := wire.NewWriter(make([]byte, 0, size))
	stored = writeEvent(w, count, e)
	payload = w.End()
	if len(payload) > MaxPayloadBytes {
		return nil, Event{}, errEventTooLarge(op, len(payload))
	}
	return payload, stored, nil
}

func errEventTooLarge(op string, size int) error {
	return &Error{Code: ErrTooLarge, Op: op,
		Detail: fmt.Sprintf("the event takes %d bytes, the limit is %d; store large data elsewhere and record a reference", size, MaxPayloadBytes)}
}

// writeEvent writes e, and returns it with only the fields that are stored.
// Body and Output are parts of w, which must have room for the whole event.
func writeEvent(w *wire.Writer, count int, e Event) (stored Event) {
	stored = Event{Kind: e.Kind, ID: e.ID, MessageID: e.MessageID}
	w.Array(count)
	w.Uint(uint64(e.Kind))
	w.Bytes(e.ID[:])
	w.Text(e.MessageID)
	switch e.Kind {
	case KindMessageReceived:
		stored.ReceivedAt = e.ReceivedAt
		w.Uint(e.ReceivedAt)
		if e.optional() {
			stored.Body = w.Bytes(e.Body)
		}
	case KindProcessingStarted:
		if e.optional() {
			stored.Runner = e.Runner
			w.Bytes(e.Runner[:])
		}
	case KindStepCompleted:
		stored.Step, stored.Name = e.Step, e.Name
		w.Uint(uint64(e.Step))
		stored.Output = w.Bytes(e.Output)
		if e.optional() {
			w.Text(e.Name)
		}
	case KindProcessingFinished:
		if e.optional() {
			stored.Output = w.Bytes(e.Output)
		}
	case KindErrorOccurred:
		stored.Error = e.Error
		w.Text(e.Error)
	case KindStepStarted:
		stored.Step, stored.Name = e.Step, e.Name
		w.Uint(uint64(e.Step))
		w.Text(e.Name)
	case KindStepStreamed:
		stored.Step, stored.Name, stored.Offset = e.Step, e.Name, e.Offset
		w.Uint(uint64(e.Step))
		w.Text(e.Name)
		w.Uint(e.Offset)
		stored.Output = w.Bytes(e.Output)
	}
	return stored
}

// DecodeEvent returns the event whose bytes are b. It accepts exactly what
// [EncodeEvent] writes, so encoding the result gives b again. Body and Output
// are parts of b, not copies: b must not change afterwards.
//
// b may come from anywhere: decoding takes time and memory in proportion to its
// length. A kind that this release does not know, or a field more than it
// knows, is [ErrUnsupportedVersion]; everything else that is wrong is
// [ErrCorrupt].
func DecodeEvent(b []byte) (Event, error) {
	if len(b) > MaxPayloadBytes {
		return Event{}, errMalformed(fmt.Sprintf("%d bytes are more than an event can have", len(b)))
	}
	r := eventReaders.Get().(*eventReader)
	r.Reset(b)
	e, err := r.read()
	r.Reset(nil) // the pool must not keep b
	eventReaders.Put(r)
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

func errMalformed(detail string) error {
	return &Error{Code: ErrCorrupt, Op: "decode event", Detail: detail}
}

func errNewer(detail string) error {
	return &Error{Code: ErrUnsupportedVersion, Op: "decode event", Detail: detail + "; update the program"}
}

// eventReader reads events. A pool keeps readers, to save allocations.
type eventReader struct {
	wire.Reader
	message string // the message id of the event read before
}

var eventReaders = sync.Pool{New: func() any { return new(eventReader) }}

func (r *eventReader) read() (Event, error) {
	count := r.ArrayLen("the event")
	number := r.Uint("the kind", math.MaxUint64)
	if defect := r.Defect(); defect != "" {
		return Event{}, errMalformed(defect)
	}
	if number == 0 {
		return Event{}, errMalformed("no kind has the number 0")
	}
	if number > math.MaxUint8 {
		return Event{}, errNewer(fmt.Sprintf("kind %d is unknown", number))
	}
	e := Event{Kind: Kind(number)}
	least, most := e.Kind.fields()
	if most == 0 {
		return Event{}, errNewer(fmt.Sprintf("kind %d is unknown", number))
	}
	if count > most {
		return Event{}, errNewer(fmt.Sprintf("%d fields of %v, not %d", count, e.Kind, most))
	}
	if count < least {
		return Event{}, errMalformed(fmt.Sprintf("%d fields of %v, not %d", count, e.Kind, least))
	}

	r.ID("the event id", e.ID[:])
	e.MessageID = r.messageID()
	switch e.Kind {
	case KindMessageReceived:
		e.ReceivedAt = r.Uint("the time of receipt", MaxSequence)
		if count == most {
			e.Body = r.Bytes("the body")
		}
	case KindProcessingStarted:
		if count == most {
			r.ID("the runner's id", e.Runner[:])
			if (e.Runner == RunnerID{}) {
				r.Refuse("the runner's id", " is zero")
			}
		}
	case KindStepCompleted:
		e.Step = uint32(r.Uint("the step index", math.MaxUint32))
		e.Output = r.Bytes("the output")
		if count == most {
			e.Name = r.name()
		}
	case KindProcessingFinished:
		if count == most {
			e.Output = r.Bytes("the result")
		}
	case KindErrorOccurred:
		e.Error = string(r.Text("the error text"))
	case KindStepStarted, KindStepStreamed:
		e.Step = uint32(r.Uint("the step index", math.MaxUint32))
		e.Name = r.name()
		if e.Kind == KindStepStreamed {
			e.Offset = r.Uint("the offset", MaxSequence)
			e.Output = r.Bytes("the partial output")
		}
	}
	if len(r.Rest()) > 0 {
		r.Refuse("the event", " is followed by other bytes")
	}
	if defect := r.Defect(); defect != "" {
		return Event{}, errMalformed(defect)
	}
	return e, nil
}

// messageID reads the message id. Usually it is that of the event before, and
// needs no string of its own.
func (r *eventReader) messageID() string {
	b := r.Text("the message id")
	if len(b) > 0 && string(b) == r.message {
		return r.message
	}
	id := r.checked("the message id", string(b))
	if r.Defect() == "" {
		r.message = id
	}
	return id
}

// name reads the name of a step.
func (r *eventReader) name() string {
	return r.checked("the step's name", string(r.Text("the step's name")))
}

func (r *eventReader) checked(what, name string) string {
	if err := CheckName("decode event", name); err != nil {
		r.Refuse(what, ": "+detailOf(err))
	}
	return name
}
