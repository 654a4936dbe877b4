package core

import (
	"context"
	"errors"
)

// Update appends the events that decide returns for the state. If others have
// appended first, it reads that and decides again, for as long as ctx lasts. So
// decide sees all of the log that is before its events.
//
// decide may be called several times, and must do nothing but look at the
// state. If it returns no events nothing is appended; its error is returned as
// it is. Both count only after what others have appended was read.
//
// The events get their ids here, and are appended all or none. If it stays
// unknown whether they were, Update returns [ErrOutcomeUnknown]; then call it
// again, with a decide that looks whether they are there.
func (c *Conversation) Update(ctx context.Context, decide func(*State) ([]Event, error)) error {
	return c.update(ctx, "update", decide)
}

func (c *Conversation) update(ctx context.Context, op string, decide func(*State) ([]Event, error)) error {
	ctx, cancel := withDeadline(ctx, c.log.store)
	defer cancel()
	if err := c.writer.acquire(ctx); err != nil {
		return c.log.fail(op, err)
	}
	defer c.writer.release()
	for fresh := false; ; {
		events, err := decide(c.log.state)
		if err == nil && len(events) > 0 {
			group, err := newEntries(events)
			if err == nil {
				err = c.log.appendNow(ctx, group)
			}
			switch {
			case err == nil:
				return nil
			case !errors.Is(err, ErrSequenceConflict):
				return c.log.fail(op, err)
			}
		} else if fresh {
			return err
		}
		// Others have appended, or may have.
		if err := c.log.load(ctx); err != nil {
			return c.log.fail(op, err)
		}
		fresh = true
	}
}

// BeginUpdate appends the events that decide returns for the state, all or none,
// like [Conversation.Update], but never waits and never decides again. If other
// calls are under way, a lost end has to be reported to one that waits, or decide
// returns no events or an error, it returns false and has done nothing. Otherwise it calls settled once, with the sequence of the
// first event or the error, a [*SequenceConflictError] if others have appended;
// settled is subject to what [Conversation.Subscribe] says of a subscriber.
func (c *Conversation) BeginUpdate(decide func(*State) ([]Event, error), settled func(Recorded)) (begun bool) {
	if !c.writer.tryAcquire() {
		return false
	}
	defer func() {
		if !begun {
			c.writer.release()
		}
	}()
	if c.log.isUnreported() {
		return false
	}
	events, err := decide(c.log.state)
	if err != nil || len(events) == 0 {
		return false
	}
	group, err := newEntries(events)
	if err != nil {
		return false // the call that waits says what is wrong
	}
	ctx, cancel := withDeadline(context.Background(), c.log.store)
	c.log.append(ctx, group, func() {
		cancel()
		c.writer.release()
		settled(c.recorded("update", group[0]))
	})
	return true
}
