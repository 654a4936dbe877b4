package core

import (
	"context"
	"errors"
)

// BeginRecord appends an event like the Record methods, but never waits. If it
// would have to, because another append or a refresh is under way or the store
// is no [Beginner], it returns false and has done nothing. Otherwise it calls
// settled once, when the Record method would have returned; settled is subject
// to what [Conversation.Subscribe] says of a subscriber.
//
// Earlier appends of BeginRecord may be under way if the caller knows of their
// commit before the store reports it: landed is how many these are. With any
// other number it returns false. State and expected sequence follow in the
// order of the calls, when the store reports the commits.
func (c *Conversation) BeginRecord(event Event, landed int, settled func(Recorded)) bool {
	store, ok := c.store.(Beginner)
	if !ok {
		return false
	}
	e, err := newEntry(event)
	if err != nil {
		return false // the Record method says what is wrong
	}
	before, ok := c.join(e, landed)
	if !ok {
		return false
	}
	expected := c.ExpectedSeq() + uint64(landed)
	ctx, cancel := withDeadline(context.Background(), c.store)
	end := func(err error) {
		defer close(e.done)
		defer cancel()
		if errors.Is(err, ErrOutcomeUnknown) {
			err = c.settle(ctx, expected, [][]byte{e.payload}, err)
		}
		func() {
			defer c.leave()
			if err == nil && c.ExpectedSeq() != expected {
				// The append before has an unknown outcome, but this one comes
				// after it, so the log has both. They count as those of others:
				// the next append is a conflict, and a refresh reads them.
				e.sequence = expected
				return
			}
			c.appended(expected, []*entry{e}, err)
		}()
		if e.err != nil {
			e.err = c.fail(recordOp(event.Kind), e.err)
		}
		settled(Recorded{Sequence: e.sequence, Err: e.err})
	}
	begun := store.BeginAppend(c.id, expected, e.payload, func(err error) {
		if before == nil || before.isDone() {
			end(err)
			return
		}
		go func() {
			<-before.done
			end(err)
		}()
	})
	if !begun {
		cancel()
		c.mu.Lock()
		c.chain.last = before
		c.mu.Unlock()
		c.leave()
	}
	return begun
}

// chain are appends of BeginRecord, one after the other, that share the turn.
type chain struct {
	length int    // how many are under way
	last   *entry // the last of them
}

// join takes the turn for e, or shares it with those that have landed. It
// returns the entry before e, nil if there is none.
func (c *Conversation) join(e *entry, landed int) (before *entry, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if landed != c.chain.length || c.unreported {
		return nil, false
	}
	if landed == 0 {
		select {
		case c.turn <- struct{}{}:
		default:
			return nil, false
		}
	}
	before = c.chain.last
	c.chain = chain{landed + 1, e}
	return before, true
}

// leave ends one append of the chain. With the last it releases the turn.
func (c *Conversation) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chain.length--; c.chain.length == 0 {
		c.chain.last = nil // it may be large
		c.release()
	}
}
