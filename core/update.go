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
	ctx, cancel := withDeadline(ctx, c.store)
	defer cancel()
	if err := c.acquire(ctx); err != nil {
		return c.fail(op, err)
	}
	defer c.release()
	for fresh := false; ; {
		events, err := decide(c.state)
		if err == nil && len(events) > 0 {
			err = c.appendEvents(ctx, op, events)
			if !errors.Is(err, ErrSequenceConflict) {
				return err
			}
		} else if fresh {
			return err
		}
		// Others have appended, or may have.
		if err := c.load(ctx); err != nil {
			return c.fail(op, err)
		}
		fresh = true
	}
}

// appendEvents appends events at the expected sequence. The caller has the
// turn.
func (c *Conversation) appendEvents(ctx context.Context, op string, events []Event) error {
	group, err := newEntries(events)
	if err != nil {
		return c.fail(op, err)
	}
	if c.append(ctx, group); group[0].err != nil {
		return c.fail(op, group[0].err)
	}
	return nil
}
