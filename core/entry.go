package core

import "context"

// entry is an event to be appended, and then the outcome.
type entry struct {
	event   Event
	payload []byte
	call    *call // nil for the group of somebody who has the turn

	sequence uint64
	err      error
}

func newEntries(events []Event) ([]*entry, error) {
	entries := make([]*entry, len(events))
	for i, event := range events {
		entries[i] = new(entry)
		if err := entries[i].begin(event); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// begin gives event an id and encodes it. The entry's event is what a replay
// would read. It shares no memory with the caller's body and output.
func (e *entry) begin(event Event) (err error) {
	event.ID = newEventID()
	e.payload, e.event, err = encodeEvent(event)
	return err
}

// call is a call that has entries appended as the log takes them.
type call struct {
	ctx    context.Context
	within context.Context // ends with the deadline of the call, and for nothing else
	ended  func()          // called once all entries have an outcome
	left   int             // how many have none yet; guarded by the writer
	stop   func() bool     // no longer watches ctx
}
