package main

import (
	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// State crosses to JavaScript as rows of messages, see core/row.go: many at
// once, because a crossing costs as much as encoding one. The events of a log
// cross as the rows below, which web/src/state/events.ts reads.

// encodeEvents writes for each event
//
//	[sequence, timestamp, kind, id, messageId, number, bytes, text, offset, more]
//
// and for a tombstone only the first three, with an empty kind. The messageId is
// the id of a note or a key where the event is about that; the number is the time
// of receipt or the step; the bytes are the body, the output, the prompt, the
// runner, the data or the value, nil if there is none; the text is the error, the
// name of the step, the type of the note or the message that this one follows. More is an array: of a failure attempt,
// due, and the name and the message of each cause; of a wait due, sleep, pass; of
// a parked message due, pass; of a message that says what it follows 1; otherwise
// indexes of steps.
func encodeEvents(events []core.LoggedEvent) []byte {
	w := wire.NewWriter(nil)
	w.Array(len(events))
	for i := range events {
		encodeEvent(w, &events[i])
	}
	return w.End()
}

func encodeEvent(w *wire.Writer, logged *core.LoggedEvent) {
	if logged.Tombstone {
		w.Array(3)
		w.Uint(logged.Sequence)
		w.Int(logged.Timestamp)
		w.Text("")
		return
	}
	event := &logged.Event
	number, data, text := uint64(event.Step), event.Output, event.Name
	switch event.Kind {
	case core.KindMessageReceived:
		number, data = event.ReceivedAt, event.Body
		text = event.After
	case core.KindProcessingStarted:
		if event.Runner != (core.RunnerID{}) {
			data = event.Runner[:]
		}
	case core.KindErrorOccurred:
		text = event.Error
	}
	w.Array(10)
	w.Uint(logged.Sequence)
	w.Int(logged.Timestamp)
	w.Text(event.Kind.String())
	w.Bytes(event.ID[:])
	w.Text(event.MessageID)
	w.Uint(number)
	if data == nil {
		w.Nil()
	} else {
		w.Bytes(data)
	}
	w.Text(text)
	w.Uint(event.Offset)
	encodeMore(w, event)
}

func encodeMore(w *wire.Writer, event *core.Event) {
	flag := func(on bool) uint64 {
		if on {
			return 1
		}
		return 0
	}
	switch event.Kind {
	case core.KindStepFailed, core.KindAttemptFailed:
		w.Array(2 + 2*len(event.Failure))
		w.Uint(uint64(event.Attempt))
		w.Uint(event.Due)
		for _, cause := range event.Failure {
			w.Text(cause.Name)
			w.Text(cause.Message)
		}
	case core.KindStepWaiting:
		w.Array(3)
		w.Uint(event.Due)
		w.Uint(flag(event.Sleep))
		w.Uint(flag(event.Pass))
	case core.KindProcessingStopped:
		if !event.Parked {
			w.Array(0)
			return
		}
		w.Array(2)
		w.Uint(event.Due)
		w.Uint(flag(event.Pass))
	case core.KindMessageReceived:
		if !event.Branch {
			w.Array(0)
			return
		}
		w.Array(1)
		w.Uint(1)
	default:
		w.Array(len(event.Steps))
		for _, index := range event.Steps {
			w.Uint(uint64(index))
		}
	}
}
