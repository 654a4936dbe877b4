package main

import (
	"bytes"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
)

// State crosses to JavaScript as one msgpack array, because a crossing costs as
// much as encoding a message. web/src/state.ts and web/src/events.ts read it.

// Bits of a message's flags.
const (
	flagInProgress = 1 << iota
	flagFinished
	flagErrored
)

// encodeMessages writes [position, id, flags, receivedAt, body, error, [index, output, …]]
// for each of the messages, which state knows. A body or an error that is not
// there is nil; the position of a message that was never received is -1.
func encodeMessages(state *core.State, ids []string) ([]byte, error) {
	return encode(len(ids), func(e *encoder, i int) {
		m, _ := state.Message(ids[i])
		flags := 0
		for flag, on := range map[int]bool{flagInProgress: m.InProgress, flagFinished: m.Finished, flagErrored: m.Errored} {
			if on {
				flags |= flag
			}
		}
		e.array(7)
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
		e.array(2 * len(m.Steps))
		for _, step := range m.Steps {
			e.number(int64(step.Index))
			e.bytes(step.Output)
		}
	})
}

// encodeEvents writes [sequence, timestamp, kind, id, messageId, number, bytes, error]
// for each event, and only the first three, with an empty kind, for a tombstone.
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
		e.array(8)
		e.number(int64(logged.Sequence))
		e.number(logged.Timestamp)
		e.text(event.Kind.String())
		e.bytes(event.ID[:])
		e.text(event.MessageID)
		if event.Kind == core.KindStepCompleted {
			e.number(int64(event.Step))
			e.bytes(event.Output)
		} else {
			e.number(int64(event.ReceivedAt))
			e.bytes(event.Body)
		}
		e.text(event.Error)
	})
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
func (e *encoder) none()          { e.keep(e.to.EncodeNil()) }
