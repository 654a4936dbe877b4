package main

import (
	"bytes"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
)

// State crosses to JavaScript as one msgpack array, because a crossing costs as
// much as encoding a message. web/src/state.ts and web/src/events.ts read it.

// encodeMessages writes [position, id, flags, receivedAt, body, error,
// [index, name, output, …], [index, name, uncertain, output, …], result, starts]
// for each of the messages, which state knows: the lists are the completed and
// the open steps. A body, an error or a result that is not there is nil; the
// position of a message that was never received is -1.
func encodeMessages(state *core.State, ids []string) ([]byte, error) {
	return encode(len(ids), func(e *encoder, i int) {
		m, _ := state.Message(ids[i])
		flags := 0 // web/src/state.ts names them
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
		e.bytes(m.Body)
		if m.Errored {
			e.text(m.Error)
		} else {
			e.none()
		}
		e.array(3 * len(m.Steps))
		for _, step := range m.Steps {
			e.number(int64(step.Index))
			e.text(step.Name)
			e.bytes(step.Output)
		}
		e.array(4 * len(m.Open))
		for _, step := range m.Open {
			e.number(int64(step.Index))
			e.text(step.Name)
			e.flag(step.Uncertain)
			e.bytes(step.Output)
		}
		e.bytes(m.Result)
		e.number(int64(len(m.Starts)))
	})
}

// encodeEvents writes [sequence, timestamp, kind, id, messageId, number, bytes, text, offset]
// for each event, and only the first three, with an empty kind, for a tombstone.
// The number is the time of receipt or the step; the bytes are the body, the
// output or the runner; the text is the error or the name of the step.
func encodeEvents(events []core.LoggedEvent) ([]byte, error) {
	return encode(len(events), func(e *encoder, i int) {
		logged, event := events[i], events[i].Event
		if logged.Tombstone {
			e.array(3)
			e.number(int64(logged.Sequence))
			e.number(logged.Timestamp)
			e.text("")
			return
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
	})
}

// decodeEvents is for recordAll: it reads [kind, messageId, number, bytes, text] for each
// event. The number is the time of receipt or the step, the bytes are the body or
// the output, the text is the error. The host is trusted with its form.
func decodeEvents(data []byte) ([]core.Event, error) {
	d := msgpack.NewDecoder(bytes.NewReader(data))
	n, err := d.DecodeArrayLen()
	if err != nil {
		return nil, err
	}
	events := make([]core.Event, n)
	for i := range events {
		if err := decodeEvent(d, &events[i]); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func decodeEvent(d *msgpack.Decoder, e *core.Event) error {
	if _, err := d.DecodeArrayLen(); err != nil {
		return err
	}
	kind, err := d.DecodeUint8()
	if err != nil {
		return err
	}
	e.Kind = core.Kind(kind)
	if e.MessageID, err = d.DecodeString(); err != nil {
		return err
	}
	number, err := d.DecodeUint64()
	if err != nil {
		return err
	}
	data, err := d.DecodeBytes()
	if err != nil {
		return err
	}
	switch e.Kind {
	case core.KindMessageReceived:
		e.ReceivedAt, e.Body = number, data
	case core.KindStepCompleted:
		e.Step, e.Output = uint32(number), data
	}
	e.Error, err = d.DecodeString()
	return err
}

// encode writes an array of n items.
func encode(n int, item func(*encoder, int)) ([]byte, error) {
	var b bytes.Buffer
	e := &encoder{to: msgpack.NewEncoder(&b)}
	e.array(n)
	for i := range n {
		item(e, i)
	}
	return b.Bytes(), e.err
}

// encoder remembers the first error, so that its user checks once.
type encoder struct {
	to  *msgpack.Encoder
	err error
}

func (e *encoder) keep(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) array(n int)    { e.keep(e.to.EncodeArrayLen(n)) }
func (e *encoder) number(n int64) { e.keep(e.to.EncodeInt(n)) }
func (e *encoder) text(s string)  { e.keep(e.to.EncodeString(s)) }
func (e *encoder) bytes(b []byte) { e.keep(e.to.EncodeBytes(b)) } // nil as nil
func (e *encoder) flag(on bool)   { e.keep(e.to.EncodeBool(on)) }
func (e *encoder) none()          { e.keep(e.to.EncodeNil()) }
