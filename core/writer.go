package core

import (
	"context"
	"slices"
	"sync"
)

// entry is an event to be appended, and then the outcome.
type entry struct {
	event   Event
	payload []byte
	within  context.Context // ends with the deadline of its call, and for nothing else

	done     chan struct{} // closed when the outcome is known
	sequence uint64
	err      error
}

func newEntry(event Event) (*entry, error) {
	e := new(entry)
	return e, e.begin(event)
}

func newEntries(events []Event) ([]*entry, error) {
	entries := make([]*entry, len(events))
	for i, event := range events {
		var err error
		if entries[i], err = newEntry(event); err != nil {
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
	e.done = make(chan struct{})
	return err
}

func (e *entry) isDone() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// groupBytes bounds the payloads that are appended together: a store may keep
// them as one record, which is read as a whole.
const groupBytes = 256 << 10

// queue holds entries that wait to be appended, in the order of the calls.
type queue struct {
	mu      sync.Mutex
	entries []*entry
}

// add puts entries in the queue, without those that are nil.
func (q *queue) add(entries []*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = slices.Grow(q.entries, len(entries))
	for _, e := range entries {
		if e != nil {
			q.entries = append(q.entries, e)
		}
	}
}

// remove takes e out, unless it is in a group already, and reports whether it
// did.
func (q *queue) remove(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.entries {
		if other == e {
			q.entries = append(q.entries[:i:i], q.entries[i+1:]...)
			return true
		}
	}
	return false
}

// group takes out what is to be appended together: one entry at least, and no
// more than fits into groupBytes, or into the log, which has room for so many.
func (q *queue) group(room uint64) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.entries) {
		size += len(q.entries[n].payload)
		if n > 0 && (size > groupBytes || uint64(n) == room) {
			break
		}
		n++
	}
	group := q.entries[:n:n]
	if q.entries = q.entries[n:]; len(q.entries) == 0 {
		q.entries = nil // else it would keep what was written
	}
	return group
}

// acquire waits for the turn to append or to refresh.
func (c *Conversation) acquire(ctx context.Context) error {
	// First, because select takes either of two ready cases.
	if ctx.Err() != nil {
		return ended(ctx)
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

func (c *Conversation) release() { <-c.turn }

// await waits for the outcome of e, which is in the queue. If it gets the turn
// first, it appends e itself.
func (c *Conversation) await(ctx context.Context, e *entry) error {
	for !e.isDone() {
		select {
		case c.turn <- struct{}{}:
			c.appendGroups(ctx, e)
		case <-e.done:
		case <-ctx.Done():
			if c.queue.remove(e) {
				return ended(ctx)
			}
			<-e.done // the outcome of its group counts, not the end of ctx
		}
	}
	return e.err
}

// appendGroups appends group by group, up to that of e, and then releases the
// turn, which the caller has. It keeps the turn between groups, so that an
// append called after e comes after it. The end of ctx stops a write only if e
// is alone in it; others end with the deadline of the first call in them.
func (c *Conversation) appendGroups(ctx context.Context, e *entry) {
	defer c.release()
	for !e.isDone() {
		group := c.queue.group(MaxSequence - c.ExpectedSeq())
		write := ctx
		if len(group) != 1 || group[0] != e {
			write = group[0].within
		}
		c.append(write, group)
	}
}

// append writes a group at the expected sequence, and applies it to the state
// once it is committed. The caller has the turn.
func (c *Conversation) append(ctx context.Context, group []*entry) {
	defer func() { // also if a subscriber panics
		for _, e := range group {
			close(e.done)
		}
	}()
	expected := c.ExpectedSeq()
	c.appended(expected, group, c.write(ctx, expected, payloadsOf(group)...))
}

func payloadsOf(group []*entry) [][]byte {
	payloads := make([][]byte, len(group))
	for i, e := range group {
		payloads[i] = e.payload
	}
	return payloads
}

// appended ends a group that was appended at the sequence expected: it applies
// it to the state, or gives it the error. The caller has the turn.
func (c *Conversation) appended(expected uint64, group []*entry, err error) {
	events := make([]LoggedEvent, len(group))
	size := 0
	for i, e := range group {
		e.sequence, e.err = expected+uint64(i), err
		events[i] = LoggedEvent{Sequence: e.sequence, Event: e.event}
		size += len(e.payload)
	}
	if err != nil {
		return
	}
	c.advance(events)
	c.snapshots.count(len(group), size)
	c.snapshotWhenQuiet()
}

// advance applies events that the store has just appended to the state, and
// then notifies the subscribers. The caller has the turn.
func (c *Conversation) advance(events []LoggedEvent) {
	last := &events[len(events)-1]
	c.mu.Lock()
	c.state.advance(events)
	c.expected, c.last = last.Sequence+1, last.seen()
	c.mu.Unlock()
	c.subscribers.notify(false, events)
}
