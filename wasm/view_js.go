package main

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/holdfast-dev/holdfast/core"
)

// State crosses to JavaScript as msgpack, many messages at once, because a
// crossing costs as much as encoding one. web/src/state/state.ts and
// web/src/state/events.ts read it.

// news is what is new of a message: whether its body and its result are, and
// which steps have completed, in the order of the log.
type news struct {
	received, finished bool
	steps              []core.Step
}

// newsOf returns what events say that is new, by message.
func newsOf(events []core.LoggedEvent) map[string]*news {
	all := make(map[string]*news, 1)
	for i := range events {
		event := &events[i].Event
		n := all[event.MessageID]
		if n == nil {
			n = &news{}
			all[event.MessageID] = n
		}
		switch event.Kind {
		case core.KindMessageReceived:
			n.received = true
		case core.KindProcessingFinished:
			n.finished = true
		case core.KindStepCompleted:
			n.steps = append(n.steps, core.Step{Index: event.Step, Name: event.Name, Output: event.Output})
		}
	}
	return all
}

// message writes [position, id, flags, receivedAt, body, error,
// steps, [index, name, uncertain, output, …], result, starts]. The completed steps
// are bytes, in which index, name and output of each follow one another: the host
// reads them when somebody looks. The list is the open steps. A body, an error or a result
// that is not there is nil; the position of a message that was never received is
// -1. What is large and not new is left out: steps, and false for body and result.
// If news is nil all is new. The steps are those that are, packed.
func (e *encoder) message(m core.Message, steps []byte, news *news) {
	flags := 0 // web/src/state/state.ts names them
	for i, on := range []bool{m.InProgress, m.Finished, m.Errored, m.Failed, m.Cancelled} {
		if on {
			flags |= 1 << i
		}
	}
	e.array(10)
	e.number(int64(m.Position))
	e.text(m.ID)
	e.number(int64(flags))
	e.number(int64(m.ReceivedAt))
	e.bytesIf(news == nil || news.received, m.Body)
	if m.Errored {
		e.text(m.Error)
	} else {
		e.none()
	}
	e.bytesLen(len(steps)) // bytes would make nil of none
	e.b.Write(steps)
	e.array(4 * len(m.Open))
	for _, step := range m.Open {
		e.number(int64(step.Index))
		e.text(step.Name)
		e.flag(step.Uncertain)
		e.bytes(step.Output)
	}
	e.bytesIf(news == nil || news.finished, m.Result)
	e.number(int64(len(m.Starts)))
}

// steps returns steps, of which the last of an index counts, as [core.State.PackedMessage] does.
func (e *encoder) steps(steps []core.Step) []byte {
	if e.inner == nil {
		e.inner = newEncoder()
	}
	inner := e.inner
	inner.b.Reset()
	slices.SortStableFunc(steps, func(a, b core.Step) int { return cmp.Compare(a.Index, b.Index) })
	for i, step := range steps {
		if i+1 < len(steps) && steps[i+1].Index == step.Index {
			continue
		}
		inner.number(int64(step.Index))
		inner.text(step.Name)
		inner.bytes(step.Output)
	}
	e.keep(inner.err)
	return inner.b.Bytes()
}

// encodeChange writes the messages that a change is about, one behind the other.
func encodeChange(state *core.State, change core.Change) ([]byte, error) {
	e := newEncoder()
	news := newsOf(change.Events)
	for _, id := range change.Messages {
		m, _ := state.MessageWithoutSteps(id)
		e.message(m, e.steps(news[id].steps), news[id])
	}
	return e.b.Bytes(), e.err
}

// encodeMessages writes messages that state knows, one behind the other, until
// there are size bytes. It returns those that are left.
func encodeMessages(state *core.State, ids []string, size int) (rows []byte, left []string, err error) {
	e := newEncoder()
	e.b.Grow(size + size/8) // the last message goes beyond
	for len(ids) > 0 && e.b.Len() < size {
		m, steps, _ := state.PackedMessage(ids[0])
		e.message(m, steps, nil)
		ids = ids[1:]
	}
	return e.b.Bytes(), ids, e.err
}

// encodeEvents writes [sequence, timestamp, kind, id, messageId, number, bytes, text, offset]
// for each event, and only the first three, with an empty kind, for a tombstone.
// The number is the time of receipt or the step; the bytes are the body, the
// output or the runner; the text is the error or the name of the step.
func encodeEvents(events []core.LoggedEvent) ([]byte, error) {
	e := newEncoder()
	e.array(len(events))
	for _, logged := range events {
		event := logged.Event
		if logged.Tombstone {
			e.array(3)
			e.number(int64(logged.Sequence))
			e.number(logged.Timestamp)
			e.text("")
			continue
		}
		e.array(9)
		e.number(int64(logged.Sequence))
		e.number(logged.Timestamp)
		e.text(event.Kind.String())
		e.bytes(event.ID[:])
		e.text(event.MessageID)
		number, data, text := int64(event.Step), event.Output, event.Name
		switch event.Kind {
		case core.KindMessageReceived:
			number, data = int64(event.ReceivedAt), event.Body
		case core.KindProcessingStarted:
			if event.Runner != (core.RunnerID{}) {
				data = event.Runner[:]
			}
		case core.KindErrorOccurred:
			text = event.Error
		}
		e.number(number)
		e.bytes(data)
		e.text(text)
		e.number(int64(event.Offset))
	}
	return e.b.Bytes(), e.err
}

// encoder remembers the first error, so that its user checks once.
type encoder struct {
	b     bytes.Buffer
	to    *msgpack.Encoder
	err   error
	inner *encoder // of what is written as bytes
}

func newEncoder() *encoder {
	e := &encoder{}
	e.to = msgpack.NewEncoder(&e.b)
	return e
}

func (e *encoder) keep(err error) {
	if e.err == nil {
		e.err = err
	}
}

// What follows writes one element. Where its head has one byte, or two for bytes,
// that is written here: the calls of msgpack's encoder would cost more than all
// the rest.

func (e *encoder) array(n int) {
	if n > int(msgpcode.FixedArrayMask) {
		e.keep(e.to.EncodeArrayLen(n))
		return
	}
	e.b.WriteByte(msgpcode.FixedArrayLow | byte(n))
}

func (e *encoder) number(n int64) {
	if n < 0 || n > int64(msgpcode.PosFixedNumHigh) {
		e.keep(e.to.EncodeInt(n))
		return
	}
	e.b.WriteByte(byte(n))
}

func (e *encoder) text(s string) {
	if len(s) > int(msgpcode.FixedStrMask) {
		e.keep(e.to.EncodeString(s))
		return
	}
	e.b.WriteByte(msgpcode.FixedStrLow | byte(len(s)))
	e.b.WriteString(s)
}

// bytes writes nil as nil.
func (e *encoder) bytes(b []byte) {
	if b == nil {
		e.none()
		return
	}
	e.bytesLen(len(b))
	e.b.Write(b)
}

func (e *encoder) bytesLen(n int) {
	if n > math.MaxUint8 {
		e.keep(e.to.EncodeBytesLen(n))
		return
	}
	e.b.WriteByte(msgpcode.Bin8)
	e.b.WriteByte(byte(n))
}

func (e *encoder) flag(on bool) {
	if on {
		e.b.WriteByte(msgpcode.True)
	} else {
		e.b.WriteByte(msgpcode.False)
	}
}

func (e *encoder) none() { e.b.WriteByte(msgpcode.Nil) }

// bytesIf writes false in place of bytes that are not new.
func (e *encoder) bytesIf(new bool, b []byte) {
	if new {
		e.bytes(b)
	} else {
		e.flag(false)
	}
}
