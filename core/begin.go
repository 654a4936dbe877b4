package core

import (
	"context"
	"errors"
)

// BeginRecord appends an event like the Record methods, but never waits. If it
// would have to, because another call is under way or the store is no [Beginner],
// it returns false and has done nothing. Otherwise it calls settled once, when the
// Record method would have returned; settled is subject to what
// [Conversation.Subscribe] says of a subscriber.
func (c *Conversation) BeginRecord(event Event, settled func(Recorded)) bool {
	return c.begin(recordOp(event.Kind), func(*State) ([]Event, error) { return []Event{event}, nil }, settled)
}

// BeginUpdate appends the events that decide returns for the state, all or none,
// like [Conversation.Update], but never waits and never decides again. If it would
// have to wait, or decide returns no events or an error, it returns false and has
// done nothing. Otherwise it calls settled once, with the sequence of the first
// event or the error, a [*SequenceConflictError] if others have appended; settled
// is subject to what [Conversation.Subscribe] says of a subscriber.
func (c *Conversation) BeginUpdate(decide func(*State) ([]Event, error), settled func(Recorded)) bool {
	return c.begin("update", decide, settled)
}

func (c *Conversation) begin(op string, decide func(*State) ([]Event, error), settled func(Recorded)) (begun bool) {
	store, ok := c.store.(Beginner)
	if !ok {
		return false
	}
	select {
	case c.turn <- struct{}{}:
	default:
		return false
	}
	defer func() {
		if !begun {
			c.release()
		}
	}()
	if c.isUnreported() {
		return false
	}
	events, err := decide(c.state)
	if err != nil || len(events) == 0 {
		return false
	}
	group, err := newEntries(events)
	if err != nil {
		return false // the call that waits says what is wrong
	}
	ctx, cancel := withDeadline(context.Background(), c.store)
	expected, payloads := c.ExpectedSeq(), payloadsOf(group)
	begun = store.BeginAppend(c.id, expected, payloads, func(err error) {
		if errors.Is(err, ErrOutcomeUnknown) {
			err = c.settle(ctx, expected, payloads, err)
		}
		cancel()
		func() {
			defer c.release() // also if a subscriber panics
			c.appended(expected, group, err)
		}()
		if err != nil {
			settled(Recorded{Err: c.fail(op, err)})
			return
		}
		settled(Recorded{Sequence: expected})
	})
	if !begun {
		cancel()
	}
	return begun
}
