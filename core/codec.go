package core

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
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
// type str, the rest are unsigned integers. Every length and integer takes its shortest form,
// so an event has exactly one encoding, which can be compared byte by byte.
// A new optional field goes at the end of an array.

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
// that the kind does not have are ignored. Errors: [ErrInvalidArgument] for an
// unknown kind, a message id or a step's name that [CheckName] refuses, and an
// error text that is not valid UTF-8; [ErrOutOfRange] for a ReceivedAt or an
// Offset over [MaxSequence]; [ErrTooLarge] if the result would be over
// [MaxPayloadBytes].
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

	w := writers.Get().(*eventWriter)
	w.out = make([]byte, 0, size)
	stored = w.write(count, e)
	payload, w.out = w.out, nil
	writers.Put(w)
	if len(payload) > MaxPayloadBytes {
		return nil, Event{}, errEventTooLarge(op, len(payload))
	}
	return payload, stored, nil
}

func errEventTooLarge(op string, size int) error {
	return &Error{Code: ErrTooLarge, Op: op,
		Detail: fmt.Sprintf("the event takes %d bytes, the limit is %d; store large data elsewhere and record a reference", size, MaxPayloadBytes)}
}

// eventWriter is the end of a msgpack encoder, reused because an encoder is
// three allocations.
type eventWriter struct {
	enc *msgpack.Encoder
	out []byte
}

var writers = sync.Pool{New: func() any {
	w := new(eventWriter)
	w.enc = msgpack.NewEncoder(w)
	return w
}}

// Write implements io.Writer. It cannot fail.
func (w *eventWriter) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

// WriteByte implements io.ByteWriter. It cannot fail.
func (w *eventWriter) WriteByte(c byte) error {
	w.out = append(w.out, c)
	return nil
}

// write returns the event that it has written: the fields that are stored. Body
// and Output are parts of out, which has to have room for all of it.
func (w *eventWriter) write(count int, e Event) (stored Event) {
	stored = Event{Kind: e.Kind, ID: e.ID, MessageID: e.MessageID}
	w.array(count)
	w.uint(uint64(e.Kind))
	w.bytes(e.ID[:])
	w.text(e.MessageID)
	switch e.Kind {
	case KindMessageReceived:
		stored.ReceivedAt = e.ReceivedAt
		w.uint(e.ReceivedAt)
		if e.optional() {
			stored.Body = w.bytes(e.Body)
		}
	case KindProcessingStarted:
		if e.optional() {
			stored.Runner = e.Runner
			w.bytes(e.Runner[:])
		}
	case KindStepCompleted:
		stored.Step, stored.Name = e.Step, e.Name
		w.uint(uint64(e.Step))
		stored.Output = w.bytes(e.Output)
		if e.optional() {
			w.text(e.Name)
		}
	case KindProcessingFinished:
		if e.optional() {
			stored.Output = w.bytes(e.Output)
		}
	case KindErrorOccurred:
		stored.Error = e.Error
		w.text(e.Error)
	case KindStepStarted:
		stored.Step, stored.Name = e.Step, e.Name
		w.uint(uint64(e.Step))
		w.text(e.Name)
	case KindStepStreamed:
		stored.Step, stored.Name, stored.Offset = e.Step, e.Name, e.Offset
		w.uint(uint64(e.Step))
		w.text(e.Name)
		w.uint(e.Offset)
		stored.Output = w.bytes(e.Output)
	}
	return stored
}

// What follows writes one element. Where its head has one byte, or two for bytes,
// that is written here: the calls of the encoder would cost more than all the
// rest. It cannot fail, because the writer cannot.

func (w *eventWriter) array(n int) {
	if n > int(msgpcode.FixedArrayMask) {
		_ = w.enc.EncodeArrayLen(n)
		return
	}
	w.out = append(w.out, msgpcode.FixedArrayLow|byte(n))
}

func (w *eventWriter) uint(n uint64) {
	if n > uint64(msgpcode.PosFixedNumHigh) {
		_ = w.enc.EncodeUint(n)
		return
	}
	w.out = append(w.out, byte(n))
}

func (w *eventWriter) text(s string) {
	if len(s) > int(msgpcode.FixedStrMask) {
		_ = w.enc.EncodeString(s)
		return
	}
	w.out = append(append(w.out, msgpcode.FixedStrLow|byte(len(s))), s...)
}

func (w *eventWriter) bytesLen(n int) {
	if n > math.MaxUint8 {
		_ = w.enc.EncodeBytesLen(n)
		return
	}
	w.out = append(w.out, msgpcode.Bin8, byte(n))
}

// bytes writes b, not through the encoder, which would move it to the heap. It
// returns the part of out that it is now.
func (w *eventWriter) bytes(b []byte) []byte {
	w.bytesLen(len(b))
	start := len(w.out)
	w.out = append(w.out, b...)
	end := len(w.out)
	return w.out[start:end:end]
}

// DecodeEvent returns the event whose bytes are b. It accepts exactly what
// [EncodeEvent] writes, so encoding the result gives b again. Body and Output
// are parts of b, not copies: b must not change afterwards. b may come from
// anywhere: decoding takes time and memory in proportion to its length.
//
// A kind which this release does not know, or a field more than it knows, is
// [ErrUnsupportedVersion]; everything else that is wrong is [ErrCorrupt].
func DecodeEvent(b []byte) (Event, error) {
	if len(b) > MaxPayloadBytes {
		return Event{}, errMalformed(fmt.Sprintf("%d bytes are more than an event can have", len(b)))
	}
	r := readers.Get().(*eventReader)
	r.in = b
	r.src.Reset(b)
	e, err := r.read()
	r.in, r.defect = nil, ""
	r.src.Reset(nil) // the pool must not keep b
	readers.Put(r)
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

// eventReader reads the elements of an event. The msgpack decoder reads only
// array lengths, string lengths and integers, each after a look at the type
// byte, and never a string itself: it would allocate whatever a length claims.
// It does not read ahead, because a bytes.Reader is an io.ByteScanner.
type eventReader struct {
	in      []byte
	src     bytes.Reader
	dec     *msgpack.Decoder
	defect  string // what is wrong with the input; the first one stays
	message string // the message id of an event before
}

var readers = sync.Pool{New: func() any {
	r := new(eventReader)
	r.dec = msgpack.NewDecoder(&r.src)
	return r
}}

func (r *eventReader) read() (Event, error) {
	count := r.arrayLen("the event")
	number := r.uint("the kind", math.MaxUint64)
	if r.defect != "" {
		return Event{}, errMalformed(r.defect)
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

	r.id("the event id", e.ID[:])
	e.MessageID = r.messageID()
	switch e.Kind {
	case KindMessageReceived:
		e.ReceivedAt = r.uint("the time of receipt", MaxSequence)
		if count == most {
			e.Body = r.bytes("the body", false)
		}
	case KindProcessingStarted:
		if count == most {
			r.id("the runner's id", e.Runner[:])
			if (e.Runner == RunnerID{}) {
				r.refuse("the runner's id", " is zero")
			}
		}
	case KindStepCompleted:
		e.Step = uint32(r.uint("the step index", math.MaxUint32))
		e.Output = r.bytes("the output", false)
		if count == most {
			e.Name = r.name()
		}
	case KindProcessingFinished:
		if count == most {
			e.Output = r.bytes("the result", false)
		}
	case KindErrorOccurred:
		e.Error = r.text("the error text")
	case KindStepStarted, KindStepStreamed:
		e.Step = uint32(r.uint("the step index", math.MaxUint32))
		e.Name = r.name()
		if e.Kind == KindStepStreamed {
			e.Offset = r.uint("the offset", MaxSequence)
			e.Output = r.bytes("the partial output", false)
		}
	}
	if r.src.Len() > 0 {
		r.refuse("the event", " is followed by other bytes")
	}
	if r.defect != "" {
		return Event{}, errMalformed(r.defect)
	}
	return e, nil
}

func (r *eventReader) refuse(what, why string) {
	if r.defect == "" {
		r.defect = what + why
	}
}

// peek returns the type byte of the next element; 0xc1, which msgpack never
// uses, if there is none or if the input is refused already.
func (r *eventReader) peek() byte {
	const never = 0xc1
	left := r.src.Len()
	if r.defect != "" || left == 0 {
		return never
	}
	return r.in[len(r.in)-left]
}

// skip passes over a type byte. The decoder, which takes several calls for one, is
// left aside where an element's head has no more than that, or a byte besides.
func (r *eventReader) skip() { _, _ = r.src.ReadByte() }

// arrayLen reads the head of an array. One of 16 elements and more has a longer
// head: no event of this release, but perhaps one of a later one.
func (r *eventReader) arrayLen(what string) int {
	var count, least int
	var err error
	switch code := r.peek(); {
	case msgpcode.IsFixedArray(code):
		r.skip()
		count = int(code & msgpcode.FixedArrayMask)
	case code == msgpcode.Array16, code == msgpcode.Array32:
		if least = 1 << 4; code == msgpcode.Array32 {
			least = 1 << 16
		}
		count, err = r.dec.DecodeArrayLen()
	default:
		r.refuse(what, " is not an array")
		return 0
	}
	if err != nil || count < least || count > r.src.Len() {
		r.refuse(what, " has a wrong number of elements")
		return 0
	}
	return count
}

func (r *eventReader) uint(what string, most uint64) uint64 {
	var n, least uint64
	var err error
	switch code := r.peek(); {
	case code <= msgpcode.PosFixedNumHigh:
		r.skip()
		n = uint64(code)
	case code >= msgpcode.Uint8 && code <= msgpcode.Uint64:
		least = [...]uint64{1 << 7, 1 << 8, 1 << 16, 1 << 32}[code-msgpcode.Uint8]
		n, err = r.dec.DecodeUint64()
	default:
		r.refuse(what, " is not an unsigned integer")
		return 0
	}
	switch {
	case err != nil:
		r.refuse(what, " is cut short")
	case n < least:
		r.refuse(what, " is not in its shortest form")
	case n > most:
		r.refuse(what, " is out of range")
	}
	return n
}

// bytes returns the next element, of type str or bin, as a part of the input.
func (r *eventReader) bytes(what string, str bool) []byte {
	type8, type16, type32, least8 := msgpcode.Bin8, msgpcode.Bin16, msgpcode.Bin32, 0
	if str {
		type8, type16, type32, least8 = msgpcode.Str8, msgpcode.Str16, msgpcode.Str32, 1<<5
	}
	n, least := 0, 0
	var err error
	switch code := r.peek(); {
	case str && msgpcode.IsFixedString(code):
		r.skip()
		n = int(code & msgpcode.FixedStrMask)
	case code == type8:
		r.skip()
		length, end := r.src.ReadByte()
		n, least, err = int(length), least8, end
	case code == type16, code == type32:
		if least = 1 << 8; code == type32 {
			least = 1 << 16
		}
		n, err = r.dec.DecodeBytesLen()
	default:
		r.refuse(what, " is of another type")
		return nil
	}
	if err != nil || n < 0 || n > r.src.Len() {
		r.refuse(what, " is cut short")
		return nil
	}
	if n < least {
		r.refuse(what, " has a length that is not in its shortest form")
		return nil
	}
	start := len(r.in) - r.src.Len()
	if _, err := r.src.Seek(int64(n), io.SeekCurrent); err != nil {
		r.refuse(what, " is cut short")
		return nil
	}
	return r.in[start : start+n : start+n]
}

// id reads 16 bytes.
func (r *eventReader) id(what string, id []byte) {
	b := r.bytes(what, false)
	if len(b) != len(id) {
		r.refuse(what, " has not 16 bytes")
	}
	copy(id, b)
}

// messageID reads that. Mostly it is the one of the event before, and needs no
// string of its own.
func (r *eventReader) messageID() string {
	b := r.bytes("the message id", true)
	if len(b) > 0 && string(b) == r.message {
		return r.message
	}
	id := r.checked("the message id", b)
	if r.defect == "" {
		r.message = id
	}
	return id
}

// name reads the name of a step.
func (r *eventReader) name() string {
	return r.checked("the step's name", r.bytes("the step's name", true))
}

// checked returns a name.
func (r *eventReader) checked(what string, b []byte) string {
	name := r.valid(what, b)
	if err := CheckName("decode event", name); err != nil {
		r.refuse(what, ": "+detailOf(err))
	}
	return name
}

func (r *eventReader) text(what string) string { return r.valid(what, r.bytes(what, true)) }

func (r *eventReader) valid(what string, b []byte) string {
	if !utf8.Valid(b) {
		r.refuse(what, " is not valid UTF-8")
		return ""
	}
	return string(b)
}
