package core

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// This file is the only one that knows the bytes of an event, a msgpack array
// that begins with [kind, id, message id]. Then follow:
//
//	1  message received    received at, (body, (after, 1 if there is a body)?)?
//	2  processing started  (runner, resumed?)?
//	3  step completed      step, output, name?, place?
//	4  processing finished result?
//	5  error occurred      error, steps?
//	6  step started        step, name, place?
//	7  step streamed       step, name, offset, output, place?
//	8  message cancelled
//	9  message retried     (steps, doubted, reseed)?
//	10 processing stopped  (due, pass)?
//	11 step failed         step, name, failure, attempt, terminal, place?
//	12 attempt failed      step, name, failure, attempt, due, place?
//	13 step waiting        step, name, flags, due, prompt, place?
//	14 step resolved       step
//	15 note                received at, type, data?
//	16 metadata set        value?
//
// The message id is that of a note there, and here the key.
//
// A question mark is on what may be left out, from the end. A place is scope,
// key, count, after, unordered, called; a failure is an array of the name and the message
// of each cause in turn; steps and doubted are arrays.
//
// id, body, runner, output, result, prompt, data, value and key are of type bin,
// message id, after, name, type, scope, error and the texts of a failure of type str, the
// rest are unsigned integers. Every length and integer takes its shortest form, so an
// event has exactly one encoding, which can be compared byte by byte. A new
// optional field goes at the end of an array.

const placeFields = 6

// The flags of a wait.
const (
	waitSleep = 1 << iota
	waitPass
	waitPrompt
	waitFlags = 1<<iota - 1
)

// formsOf says how many elements an event of a kind may have, in ascending order.
var formsOf = [...][]int{
	KindMessageReceived:    {4, 5, 7},
	KindProcessingStarted:  {3, 4, 5},
	KindStepCompleted:      {5, 6, 6 + placeFields},
	KindProcessingFinished: {3, 4},
	KindErrorOccurred:      {4, 5},
	KindStepStarted:        {5, 5 + placeFields},
	KindStepStreamed:       {7, 7 + placeFields},
	KindMessageCancelled:   {3},
	KindMessageRetried:     {3, 6},
	KindProcessingStopped:  {3, 5},
	KindStepFailed:         {8, 8 + placeFields},
	KindAttemptFailed:      {8, 8 + placeFields},
	KindStepWaiting:        {8, 8 + placeFields},
	KindStepResolved:       {4},
	KindNote:               {5, 6},
	KindMetadata:           {3, 4},
}

// forms returns none for a kind that this release does not know.
func (k Kind) forms() []int {
	if int(k) < len(formsOf) {
		return formsOf[k]
	}
	return nil
}

// form returns which of its forms e takes.
func (e *Event) form() int {
	if e.Kind.ofStep() && e.Place.placed() {
		return len(e.Kind.forms()) - 1
	}
	more := false
	switch e.Kind {
	case KindMessageReceived:
		if e.Branch {
			return 2
		}
		more = e.Body != nil
	case KindProcessingStarted:
		if more = (e.Runner != RunnerID{}); more && e.Resumed {
			return 2
		}
	case KindProcessingFinished, KindNote, KindMetadata:
		more = e.Output != nil
	case KindErrorOccurred:
		more = len(e.Steps) > 0
	case KindMessageRetried:
		more = len(e.Steps) > 0
	case KindProcessingStopped:
		more = e.Parked
	case KindStepCompleted:
		more = e.Name != ""
	}
	if more {
		return 1
	}
	return 0
}

// EncodeEvent returns the bytes of e, which share no memory with it. Fields
// that the kind does not have are ignored.
//
// Errors: [ErrInvalidArgument] for an unknown kind, a MessageID or a Name that
// [CheckName] refuses, and texts that are not valid UTF-8;
// [ErrOutOfRange] for a time or an Offset over [MaxSequence]; [ErrTooLarge] if
// the result would be over [MaxPayloadBytes].
func EncodeEvent(e Event) ([]byte, error) {
	payload, _, err := encodeEvent(e)
	return payload, err
}

// encodeEvent also returns what [DecodeEvent] would make of the result.
func encodeEvent(e Event) (payload []byte, stored Event, err error) {
	const op = "encode event"
	forms := e.Kind.forms()
	if forms == nil {
		return nil, Event{}, &Error{Code: ErrInvalidArgument, Op: op, Detail: "there are no events of " + e.Kind.String()}
	}
	if err := e.check(op); err != nil {
		return nil, Event{}, err
	}
	const heads = 128 // all heads and integers, rounded up
	size := heads + len(e.MessageID) + len(e.Body) + len(e.Name) + len(e.Output) + len(e.Error) +
		len(e.After) + len(e.Place.Scope) + e.Failure.size() + 5*len(e.Steps) + 5*len(e.Doubted)
	if size-heads > MaxPayloadBytes { // do not copy first what is refused anyway
		return nil, Event{}, errEventTooLarge(op, size)
	}
	w := wire.NewWriter(make([]byte, 0, size))
	w.Array(forms[e.form()])
	stored = writeEvent(w, e)
	payload = w.End()
	if len(payload) > MaxPayloadBytes {
		return nil, Event{}, errEventTooLarge(op, len(payload))
	}
	return payload, stored, nil
}

// check refuses what no event can hold.
func (e *Event) check(op string) error {
	if err := CheckName(op, e.MessageID); err != nil {
		return err
	}
	for _, limited := range []struct {
		n    uint64
		what string
	}{
		{e.ReceivedAt, "a message cannot be received at %d ms"},
		{e.Offset, "a step cannot stream beyond %d bytes"},
		{e.Due, "nothing can be due at %d ms"},
	} {
		if limited.n > MaxSequence {
			return &Error{Code: ErrOutOfRange, Op: op, Detail: fmt.Sprintf(limited.what+", the limit is 2^53-1", limited.n)}
		}
	}
	switch e.Kind {
	case KindMessageReceived:
		if !e.Branch || e.After == "" {
			return nil
		}
		return CheckName(op, e.After)
	case KindStepCompleted:
		if e.Name == "" && !e.Place.placed() {
			return nil
		}
	case KindStepFailed, KindAttemptFailed:
		if err := checkFailure(op, e.Failure); err != nil {
			return err
		}
	case KindStepStarted, KindStepStreamed, KindStepWaiting:
	case KindErrorOccurred:
		if !utf8.ValidString(e.Error) {
			return &Error{Code: ErrInvalidArgument, Op: op, Detail: "the error text must be valid UTF-8"}
		}
		return checkIndexes(op, e.Steps)
	case KindMessageRetried:
		return cmp.Or(checkIndexes(op, e.Steps), checkIndexes(op, e.Doubted))
	case KindNote:
		return CheckName(op, e.Name)
	default:
		return nil
	}
	if err := CheckName(op, e.Name); err != nil {
		return err
	}
	return checkPlace(op, &e.Place)
}

func checkIndexes(op string, indexes []uint32) error {
	for i := 1; i < len(indexes); i++ {
		if indexes[i] <= indexes[i-1] {
			return &Error{Code: ErrInvalidArgument, Op: op, Detail: "the indexes of steps must ascend"}
		}
	}
	return nil
}

func errEventTooLarge(op string, size int) error {
	return &Error{Code: ErrTooLarge, Op: op,
		Detail: fmt.Sprintf("the event takes %d bytes, the limit is %d; store large data elsewhere and record a reference", size, MaxPayloadBytes)}
}

// writeEvent writes the elements of e, and returns what it has written as an
// event: the fields that are stored. Body and Output are parts of the output,
// which must have room for all of it.
func writeEvent(w *wire.Writer, e Event) (stored Event) {
	more := e.form() > 0
	stored = Event{Kind: e.Kind, ID: e.ID, MessageID: e.MessageID}
	w.Uint(uint64(e.Kind))
	w.Bytes(e.ID[:])
	w.Text(e.MessageID)
	step := func() {
		stored.Step = e.Step
		w.Uint(uint64(e.Step))
	}
	named := func() {
		stored.Name = e.Name
		step()
		w.Text(e.Name)
	}
	switch e.Kind {
	case KindMessageReceived:
		stored.ReceivedAt = e.ReceivedAt
		w.Uint(e.ReceivedAt)
		if more {
			stored.Body = w.Bytes(e.Body)
		}
		if e.Branch {
			stored.After, stored.Branch = e.After, true
			w.Text(e.After)
			w.Uint(flagsOf(e.Body != nil))
			if e.Body == nil {
				stored.Body = nil
			}
		}
	case KindProcessingStarted:
		if more {
			stored.Runner, stored.Resumed = e.Runner, e.Resumed
			w.Bytes(e.Runner[:])
		}
		if stored.Resumed {
			w.Uint(1)
		}
	case KindStepCompleted:
		step()
		stored.Output = w.Bytes(e.Output)
		if more {
			stored.Name = e.Name
			w.Text(e.Name)
		}
	case KindProcessingFinished, KindMetadata:
		if more {
			stored.Output = w.Bytes(e.Output)
		}
	case KindErrorOccurred:
		stored.Error = e.Error
		w.Text(e.Error)
		if more {
			stored.Steps = slices.Clone(e.Steps)
			writeIndexes(w, e.Steps)
		}
	case KindStepStarted:
		named()
	case KindStepStreamed:
		named()
		stored.Offset = e.Offset
		w.Uint(e.Offset)
		stored.Output = w.Bytes(e.Output)
	case KindMessageRetried:
		if more {
			stored.Steps, stored.Doubted, stored.Reseed = slices.Clone(e.Steps), append([]uint32(nil), e.Doubted...), e.Reseed
			writeIndexes(w, e.Steps)
			writeIndexes(w, e.Doubted)
			w.Uint(flagsOf(e.Reseed))
		}
	case KindProcessingStopped:
		if more {
			stored.Parked, stored.Due, stored.Pass = true, e.Due, e.Pass
			w.Uint(e.Due)
			w.Uint(flagsOf(e.Pass))
		}
	case KindStepFailed, KindAttemptFailed:
		named()
		stored.Failure, stored.Attempt = slices.Clone(e.Failure), e.Attempt
		writeFailure(w, e.Failure)
		w.Uint(uint64(e.Attempt))
		if e.Kind == KindAttemptFailed {
			stored.Due = e.Due
			w.Uint(e.Due)
		} else {
			stored.Terminal = e.Terminal
			w.Uint(flagsOf(e.Terminal))
		}
	case KindStepWaiting:
		named()
		stored.Sleep, stored.Pass, stored.Due = e.Sleep, e.Pass, e.Due
		w.Uint(flagsOf(e.Sleep, e.Pass, e.Output != nil))
		w.Uint(e.Due)
		if prompt := w.Bytes(e.Output); e.Output != nil {
			stored.Output = prompt
		}
	case KindStepResolved:
		step()
	case KindNote:
		stored.ReceivedAt, stored.Name = e.ReceivedAt, e.Name
		w.Uint(e.ReceivedAt)
		w.Text(e.Name)
		if more {
			stored.Output = w.Bytes(e.Output)
		}
	}
	if e.Kind.ofStep() && e.Place.placed() {
		stored.Place = e.Place
		writePlace(w, &e.Place)
	}
	return stored
}

// ofStep reports whether an event of this kind can be the first of a step.
func (k Kind) ofStep() bool {
	switch k {
	case KindStepCompleted, KindStepStarted, KindStepStreamed, KindStepFailed, KindAttemptFailed, KindStepWaiting:
		return true
	default:
		return false
	}
}

func writePlace(w *wire.Writer, p *Place) {
	w.Text(p.Scope)
	if (p.Key == Key{}) {
		w.Bytes(nil)
	} else {
		w.Bytes(p.Key[:])
	}
	w.Uint(uint64(p.Count))
	w.Uint(uint64(p.After))
	w.Uint(flagsOf(p.Unordered))
	w.Uint(p.Called)
}

func writeFailure(w *wire.Writer, f Failure) {
	w.Array(2 * len(f))
	for _, c := range f {
		w.Text(c.Name)
		w.Text(c.Message)
	}
}

func writeIndexes(w *wire.Writer, indexes []uint32) {
	w.Array(len(indexes))
	for _, index := range indexes {
		w.Uint(uint64(index))
	}
}

// flagsOf sets the flags, from the lowest on, that are on.
func flagsOf(on ...bool) uint64 {
	flags := uint64(0)
	for i, one := range on {
		if one {
			flags |= 1 << i
		}
	}
	return flags
}

// DecodeEvent returns the event whose bytes are b. It accepts exactly what
// [EncodeEvent] writes, so encoding the result gives b again. Body and Output
// are parts of b, not copies: b must not change afterwards.
//
// b may come from anywhere: decoding takes time and memory in proportion to its
// length. A kind which this release does not know, or a field more than it
// knows, is [ErrUnsupportedVersion]; everything else that is wrong is
// [ErrCorrupt].
func DecodeEvent(b []byte) (Event, error) {
	var e Event
	if err := decodeEvent(b, &e); err != nil {
		return Event{}, err
	}
	return e, nil
}

// decodeEvent makes e, which is zero, the event whose bytes are b.
func decodeEvent(b []byte, e *Event) error {
	if len(b) > MaxPayloadBytes {
		return errMalformed(fmt.Sprintf("%d bytes are more than an event can have", len(b)))
	}
	r := eventReaders.Get().(*eventReader)
	r.Reset(b)
	err := r.read(e)
	r.Reset(nil) // the pool must not keep b
	eventReaders.Put(r)
	return err
}

func errMalformed(detail string) error {
	return &Error{Code: ErrCorrupt, Op: "decode event", Detail: detail}
}

func errNewer(detail string) error {
	return &Error{Code: ErrUnsupportedVersion, Op: "decode event", Detail: detail + "; update the program"}
}

// eventReader reads events. It is used again, because its decoder is an
// allocation.
type eventReader struct {
	wire.Reader
	message string // the message id of an event before
}

var eventReaders = sync.Pool{New: func() any { return new(eventReader) }}

func (r *eventReader) read(e *Event) error {
	count := r.ArrayLen("the event")
	number := r.Uint("the kind", math.MaxUint64)
	if defect := r.Defect(); defect != "" {
		return errMalformed(defect)
	}
	if number == 0 {
		return errMalformed("no kind has the number 0")
	}
	if number > math.MaxUint8 {
		return errNewer(fmt.Sprintf("kind %d is unknown", number))
	}
	e.Kind = Kind(number)
	forms := e.Kind.forms()
	form := slices.Index(forms, count)
	switch {
	case forms == nil:
		return errNewer(fmt.Sprintf("kind %d is unknown", number))
	case count > forms[len(forms)-1]:
		return errNewer(fmt.Sprintf("%d fields of %v, not %d", count, e.Kind, forms[len(forms)-1]))
	case form < 0:
		return errMalformed(fmt.Sprintf("%d fields of %v, not %d", count, e.Kind, forms[0]))
	}

	r.ID("the event id", e.ID[:])
	e.MessageID = r.messageID()
	r.rest(e, form > 0)
	switch last := form == len(forms)-1; {
	case last && e.Kind.ofStep():
		e.Place = readPlace(&r.Reader, textOf)
	case last && e.Kind == KindMessageReceived:
		if e.Branch, e.After = true, string(r.Text("the message that it follows")); e.After != "" {
			r.checked("the message that it follows", e.After)
		}
		if r.Uint("the flag of the body", 1) == 0 {
			if len(e.Body) > 0 {
				r.Refuse("the body", " is there, although none is")
			}
			e.Body = nil
		}
	case last && e.Kind == KindProcessingStarted:
		if e.Resumed = r.Uint("the resumption", 1) > 0; !e.Resumed {
			r.Refuse("the resumption", " is zero")
		}
	}
	if len(r.Rest()) > 0 {
		r.Refuse("the event", " is followed by other bytes")
	}
	if defect := r.Defect(); defect != "" {
		return errMalformed(defect)
	}
	return nil
}

// rest reads what an event of a kind has, but for the place of a step.
func (r *eventReader) rest(e *Event, more bool) {
	step := func() { e.Step = uint32(r.Uint("the step index", math.MaxUint32)) }
	named := func() {
		step()
		e.Name = r.name()
	}
	switch e.Kind {
	case KindMessageReceived:
		e.ReceivedAt = r.Uint("the time of receipt", MaxSequence)
		if more {
			e.Body = r.Bytes("the body")
		}
	case KindProcessingStarted:
		if more {
			r.ID("the runner's id", e.Runner[:])
			if (e.Runner == RunnerID{}) {
				r.Refuse("the runner's id", " is zero")
			}
		}
	case KindStepCompleted:
		step()
		e.Output = r.Bytes("the output")
		if more {
			e.Name = r.name()
		}
	case KindProcessingFinished:
		if more {
			e.Output = r.Bytes("the result")
		}
	case KindErrorOccurred:
		e.Error = string(r.Text("the error text"))
		if more {
			e.Steps = r.indexes("the steps", 1)
		}
	case KindStepStarted:
		named()
	case KindStepStreamed:
		named()
		e.Offset = r.Uint("the offset", MaxSequence)
		e.Output = r.Bytes("the partial output")
	case KindMessageRetried:
		if more {
			e.Steps, e.Doubted = r.indexes("the steps", 1), r.indexes("the steps in doubt", 0)
			e.Reseed = r.Uint("the new seed", 1) > 0
		}
	case KindProcessingStopped:
		if more {
			e.Parked, e.Due = true, r.Uint("the time", MaxSequence)
			e.Pass = r.Uint("the pass", 1) > 0
		}
	case KindStepFailed, KindAttemptFailed:
		named()
		e.Failure = readFailure(&r.Reader)
		e.Attempt = uint32(r.Uint("the attempt", math.MaxUint32))
		if e.Kind == KindAttemptFailed {
			e.Due = r.Uint("the time", MaxSequence)
		} else {
			e.Terminal = r.Uint("the end", 1) > 0
		}
	case KindStepWaiting:
		named()
		flags := r.Uint("the flags", waitFlags)
		e.Sleep, e.Pass = flags&waitSleep != 0, flags&waitPass != 0
		e.Due = r.Uint("the time", MaxSequence)
		e.Output = optionalBytes(&r.Reader, "the prompt", flags&waitPrompt != 0)
	case KindStepResolved:
		step()
	case KindNote:
		e.ReceivedAt = r.Uint("the time of the note", MaxSequence)
		e.Name = r.checked("the type", string(r.Text("the type")))
		if more {
			e.Output = r.Bytes("the data")
		}
	case KindMetadata:
		if more {
			e.Output = r.Bytes("the value")
		}
	}
}

// optionalBytes reads bytes that are nil unless they are present.
func optionalBytes(r *wire.Reader, what string, present bool) []byte {
	b := r.Bytes(what)
	if present {
		return b
	}
	if len(b) > 0 {
		r.Refuse(what, " is there, and is said to be absent")
	}
	return nil
}

func textOf(b []byte) string { return string(b) }

// readPlace reads a place. keep returns the text of the scope, or what the
// caller needs of it.
func readPlace(r *wire.Reader, keep func([]byte) string) (p Place) {
	scope := r.Text("the scope")
	if len(scope) > MaxScopeBytes || bytes.IndexByte(scope, 0) >= 0 {
		r.Refuse("the scope", " is none")
	}
	p.Scope = keep(scope)
	if key := r.Bytes("the key"); len(key) > 0 {
		if copy(p.Key[:], key); len(key) != len(p.Key) || p.Key == (Key{}) {
			r.Refuse("the key", " is none")
		}
	}
	p.Count = uint32(r.Uint("the count", math.MaxUint32))
	p.After = uint32(r.Uint("the step before", math.MaxUint32))
	p.Unordered = r.Uint("whether it has no order", 1) == 1
	if p.Called = r.Uint("the time of the call", MaxSequence); !p.placed() {
		r.Refuse("the time of the call", " is zero")
	}
	return p
}

func readFailure(r *wire.Reader) Failure {
	var causes [MaxCauses]Cause
	return slices.Clone(causes[:readCauses(r, &causes, textOf)])
}

// readCauses reads a failure, and returns of how many causes it is. keep returns
// a text, or what the caller needs of it.
func readCauses(r *wire.Reader, causes *[MaxCauses]Cause, keep func([]byte) string) int {
	count := r.ArrayLen("the failure")
	if count%2 != 0 || count > 2*MaxCauses || count == 0 {
		r.Refuse("the failure", " has a wrong number of texts")
		return 0
	}
	for i := range count / 2 {
		causes[i] = Cause{keep(r.Text("the name of an error")), keep(r.Text("the message of an error"))}
	}
	return count / 2
}

// indexes reads ascending indexes of steps, at least as many as least says.
func (r *eventReader) indexes(what string, least int) []uint32 {
	count := r.ArrayLen(what)
	if count < least {
		r.Refuse(what, " are none")
	}
	if r.Defect() != "" || count == 0 {
		return nil
	}
	// Walked through first: what a head claims must not be allocated.
	start := r.Rest()
	for i, next := 0, uint64(0); i < count; i++ {
		index := r.Uint("the step index", math.MaxUint32)
		if index < next {
			r.Refuse(what, " are not in order")
		}
		next = index + 1
	}
	if r.Defect() != "" {
		return nil
	}
	var again wire.Reader
	again.Reset(start)
	indexes := make([]uint32, count)
	for i := range indexes {
		indexes[i] = uint32(again.Uint("the step index", math.MaxUint32))
	}
	return indexes
}

// messageID reads that. Mostly it is the one of the event before, and needs no
// string of its own.
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
