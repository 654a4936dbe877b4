package core

import (
	"context"
	"slices"
	"sync"
)

// groupBytes bounds what is appended together: a store may keep it as one
// record, which is read as a whole.
const groupBytes = 256 << 10

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

// entry is an event on its way into the log.
type entry struct {
	event   Event
	payload []byte

	done     chan struct{} // closed when the rest is known
	sequence uint64
	err      error
}

func newEntry(event Event) (*entry, error) {
	e := new(entry)
	return e, e.begin(event)
}

// begin gives event an id and encodes it. The entry's event is what a replay
// would read. It also shares no memory with the caller, who may reuse body and
// output.
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

// queue holds what waits to be appended, in the order of the calls.
type queue struct {
	mu      sync.Mutex
	entries []*entry
}

// add puts entries in the queue; nil is none.
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

// remove takes e out, unless a group has been made of it already.
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
// more than fits into groupBytes.
func (q *queue) group() []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.entries) {
		size += len(q.entries[n].payload)
		if n > 0 && size > groupBytes {
			break
		}
		n++
	}
	group := q.entries[:n:n]
	q.entries = q.entries[n:]
	return group
}

// settled waits until it is known what became of e, which is in the queue, and
// does the appending itself if nobody else does.
func (c *Conversation) settled(ctx context.Context, e *entry) error {
	for !e.isDone() {
		select {
		case c.turn <- struct{}{}:
			c.appendGroups(ctx, e)
		case <-e.done:
		case <-ctx.Done():
			if c.queue.remove(e) {
				return ctx.Err()
			}
			<-e.done // what becomes of the group is the answer, not that we stopped waiting
		}
	}
	return e.err
}

// appendGroups appends group by group, up to that of e, and gives up the turn,
// which the caller has. In between nobody else gets it: what was called behind e
// comes behind it. The end of ctx stops a write only if nobody else takes part in
// it.
func (c *Conversation) appendGroups(ctx context.Context, e *entry) {
	defer c.release()
	for !e.isDone() {
		group := c.queue.group()
		write := ctx
		if len(group) != 1 || group[0] != e {
			write = context.WithoutCancel(ctx)
		}
		c.append(write, group)
	}
}

// append writes a group at the expected sequence, and makes it part of the
// state once it is committed. The caller has the turn.
func (c *Conversation) append(ctx context.Context, group []*entry) {
	payloads := make([][]byte, len(group))
	for i, e := range group {
		payloads[i] = e.payload
	}
	defer func() { // also if a subscriber panics
		for _, e := range group {
			close(e.done)
		}
	}()
	expected := c.ExpectedSeq()
	c.appended(expected, group, c.write(ctx, expected, payloads...))
}

// appended makes a group part of the state, which was appended at the sequence
// expected, or gives it the error. The caller has the turn.
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

// advance makes events, which the store has just appended, part of the state, and
// then tells the subscribers. The caller has the turn.
func (c *Conversation) advance(events []LoggedEvent) {
	last := &events[len(events)-1]
	c.mu.Lock()
	c.state.advance(events)
	c.expected, c.last = last.Sequence+1, last.seen()
	c.mu.Unlock()
	c.subscribers.tell(false, events)
}
