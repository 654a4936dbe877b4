package core

import (
	"context"
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

// newEntry gives e an id and encodes it. The entry's event is what a replay
// would read. It also shares no memory with the caller, who may reuse body and
// output.
func newEntry(e Event) (*entry, error) {
	e.ID = newEventID()
	payload, err := EncodeEvent(e)
	if err != nil {
		return nil, err
	}
	if e, err = DecodeEvent(payload); err != nil {
		return nil, err
	}
	return &entry{event: e, payload: payload, done: make(chan struct{})}, nil
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

func (q *queue) add(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = append(q.entries, e)
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

// record appends one event. While an append is under way, later ones queue;
// whoever then gets the turn first appends all of them as one group.
func (c *Conversation) record(ctx context.Context, op string, event Event) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, c.fail(op, err)
	}
	e, err := newEntry(event)
	if err != nil {
		return 0, c.fail(op, err)
	}
	c.queue.add(e)
	for !e.isDone() {
		select {
		case c.turn <- struct{}{}:
			c.appendGroup(ctx, e)
		case <-e.done:
		case <-ctx.Done():
			if c.queue.remove(e) {
				return 0, c.fail(op, ctx.Err())
			}
			<-e.done // what becomes of the group is the answer, not that we stopped waiting
		}
	}
	if e.err != nil {
		return 0, c.fail(op, e.err)
	}
	return e.sequence, nil
}

// appendGroup appends the next group and gives up the turn, which the caller
// has. It does nothing if somebody else has meanwhile appended e. The end of
// ctx stops the write only if nobody else takes part in it.
func (c *Conversation) appendGroup(ctx context.Context, e *entry) {
	defer c.release()
	if e.isDone() {
		return
	}
	group := c.queue.group()
	if len(group) != 1 || group[0] != e {
		ctx = context.WithoutCancel(ctx)
	}
	c.append(ctx, group)
}

// append writes a group at the expected sequence, and makes it part of the
// state once it is committed. The caller has the turn.
func (c *Conversation) append(ctx context.Context, group []*entry) {
	defer func() { // also if a subscriber panics
		for _, e := range group {
			close(e.done)
		}
	}()
	expected := c.ExpectedSeq()
	payloads := make([][]byte, len(group))
	events := make([]LoggedEvent, len(group))
	size := 0
	for i, e := range group {
		payloads[i] = e.payload
		size += len(e.payload)
		e.sequence = expected + uint64(i)
		events[i] = LoggedEvent{Sequence: e.sequence, Event: e.event}
	}
	if err := c.write(ctx, expected, payloads...); err != nil {
		for _, e := range group {
			e.err = err
		}
		return
	}
	c.advance(false, expected+uint64(len(group)), events)
	c.snapshots.count(len(group), size)
	c.snapshotWhenQuiet()
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
