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
//	[sequence, timestamp, kind, id, messageId, number, bytes, text, offset]
//
// and for a tombstone only the first three, with an empty kind. The number is
// the time of receipt or the step; the bytes are the body, the output or the
// runner, nil if there is none; the text is the error or the name of the step.
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
	case core.KindProcessingStarted:
		if event.Runner != (core.RunnerID{}) {
			data = event.Runner[:]
		}
	case core.KindErrorOccurred:
		text = event.Error
	}
	w.Array(9)
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
}
