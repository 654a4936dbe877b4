package core

import "context"

// acquire waits for the turn to append or to refresh.
func (c *Conversation) acquire(ctx context.Context) error {
	// Looked at first, since select takes either of two open cases.
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Conversation) release() { <-c.turn }

// record appends one event in its turn.
func (c *Conversation) record(ctx context.Context, op string, e Event) (uint64, error) {
	if err := c.acquire(ctx); err != nil {
		return 0, c.fail(op, err)
	}
	defer c.release()
	sequence, err := c.append(ctx, e)
	if err != nil {
		return 0, c.fail(op, err)
	}
	return sequence, nil
}

// append writes e at the expected sequence, and makes it part of the state once
// it is committed. The caller has the turn.
func (c *Conversation) append(ctx context.Context, e Event) (uint64, error) {
	e.ID = newEventID()
	payload, err := EncodeEvent(e)
	if err != nil {
		return 0, err
	}
	// What is applied is what a replay would read. It also shares no memory
	// with the caller, who may reuse body and output.
	if e, err = DecodeEvent(payload); err != nil {
		return 0, err
	}
	expected := c.ExpectedSeq()
	if err := c.write(ctx, expected, payload); err != nil {
		return 0, err
	}
	c.advance(false, expected+1, []LoggedEvent{{Sequence: expected, Event: e}})
	return expected, nil
}

// advance makes events, which are in the log up to the sequence next, part of
// the state, and then tells the subscribers. With reset, they are all there is.
// The caller has the turn.
func (c *Conversation) advance(reset bool, next uint64, events []LoggedEvent) {
	last := seen{tombstone: true}
	if n := len(events); n > 0 {
		last = seen{id: events[n-1].Event.ID}
	}
	c.mu.Lock()
	c.state.advance(reset, events)
	c.expected, c.last = next, last
	c.mu.Unlock()
	c.subscribers.tell(reset, events)
}

// fail turns an error into that of the exported operation op. The operation is
// named once: an [Error] gets the new one in place of its own. All that callers
// look for with errors.Is and errors.As stays in the chain.
func (c *Conversation) fail(op string, err error) error {
	switch e := err.(type) {
	case *SequenceConflictError:
		return e
	case *Error:
		renamed := *e
		renamed.Op, renamed.Stream = op, c.id
		return &renamed
	case Code:
		return &Error{Code: e, Op: op, Stream: c.id}
	default:
		return &Error{Code: CodeOf(err), Op: op, Stream: c.id, Err: err}
	}
}
