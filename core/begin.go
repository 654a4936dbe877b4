package core

import (
	"context"
	"errors"
	"slices"
)

// BeginRecord appends an event like the Record methods, but never waits. If it
// would have to, because another append or a refresh is under way or the store
// is no [Beginner], it returns false and has done nothing. Otherwise it calls
// settled once, when the Record method would have returned; settled is subject
// to what [Conversation.Subscribe] says of a subscriber.
//
// Earlier appends that were begun may be under way if the caller knows of their
// commit before the store reports it: landed is how many these are. With any
// other number it returns false. State and expected sequence follow in the
// order of the calls, when the store reports the commits.
func (c *Conversation) BeginRecord(event Event, landed int, settled func(Recorded)) bool {
	e, err := newEntry(event)
	if err != nil {
		return false // the Record method says what is wrong
	}
	g := &group{entries: []*entry{e}, op: recordOp(event.Kind), settled: settled}
	return c.join(g, landed) && c.begin(g)
}

// BeginUpdate appends the events that decide returns for the state, all or none,
// like [Conversation.Update], but never waits and never decides again. If it would
// have to wait, or decide returns no events or an error, it returns false and has
// done nothing. Otherwise it calls settled once, with the sequence of the first
// event or the error, a [*SequenceConflictError] if others have appended; settled
// is subject to what [Conversation.Subscribe] says of a subscriber.
func (c *Conversation) BeginUpdate(decide func(*State) ([]Event, error), settled func(Recorded)) bool {
	g := &group{op: "update", settled: settled}
	if !c.join(g, 0) {
		return false
	}
	events, err := decide(c.state)
	if err == nil {
		g.entries, err = newEntries(events)
	}
	if err != nil || len(events) == 0 {
		c.leave(g)
		return false
	}
	return c.begin(g)
}

// group is what BeginRecord or BeginUpdate appends, and then the outcome.
type group struct {
	entries  []*entry
	op       string // that its error names
	expected uint64
	settled  func(Recorded)

	reported bool // its outcome is known
	err      error
}

func (g *group) payloads() [][]byte {
	payloads := make([][]byte, len(g.entries))
	for i, e := range g.entries {
		payloads[i] = e.payload
	}
	return payloads
}

// join takes the turn for g, or shares it with the groups before it that have
// landed.
func (c *Conversation) join(g *group, landed int) bool {
	if _, ok := c.store.(Beginner); !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if landed != len(c.begun) || c.unreported {
		return false
	}
	g.expected = c.expected
	if landed == 0 {
		select {
		case c.turn <- struct{}{}:
		default:
			return false
		}
	}
	for _, before := range c.begun {
		g.expected += uint64(len(before.entries))
	}
	c.begun = append(c.begun, g)
	return true
}

// begin has the store append g, which has the turn.
func (c *Conversation) begin(g *group) bool {
	ctx, cancel := withDeadline(context.Background(), c.store)
	payloads := g.payloads()
	begun := c.store.(Beginner).BeginAppend(c.id, g.expected, payloads, func(err error) {
		if errors.Is(err, ErrOutcomeUnknown) {
			err = c.settle(ctx, g.expected, payloads, err)
		}
		cancel()
		c.report(g, err)
	})
	if !begun {
		cancel()
		c.leave(g)
	}
	return begun
}

// report ends the groups whose outcomes are known, in the order of the log.
func (c *Conversation) report(g *group, err error) {
	c.mu.Lock()
	g.reported, g.err = true, err
	c.mu.Unlock()
	for first := c.firstReported(); first != nil; first = c.firstReported() {
		c.end(first)
	}
}

// firstReported returns the next group to end, unless that one is not reported,
// or another call is about to end one.
func (c *Conversation) firstReported() *group {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending != nil || len(c.begun) == 0 || !c.begun[0].reported {
		return nil
	}
	c.ending = c.begun[0]
	return c.ending
}

// end applies a group, or gives it its error.
func (c *Conversation) end(g *group) {
	func() {
		defer c.leave(g)
		if g.err == nil && c.ExpectedSeq() != g.expected {
			// The group before has an unknown outcome, but this one comes after
			// it, so the log has both. They count as those of others: the next
			// append is a conflict, and a refresh reads them.
			return
		}
		c.appended(g.expected, g.entries, g.err)
	}()
	if g.err != nil {
		g.settled(Recorded{Err: c.fail(g.op, g.err)})
		return
	}
	g.settled(Recorded{Sequence: g.expected})
}

// leave takes g out of those that were begun. With the last it releases the turn.
func (c *Conversation) leave(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = slices.DeleteFunc(c.begun, func(other *group) bool { return other == g })
	if c.ending == g {
		c.ending = nil
	}
	if len(c.begun) == 0 {
		c.release()
	}
}
