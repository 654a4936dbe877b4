package core

import (
	"context"
	"errors"
	"slices"
	"strings"
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

// record appends one event.
func (c *Conversation) record(ctx context.Context, event Event) (uint64, error) {
	r := c.RecordAll(ctx, []Event{event})[0]
	return r.Sequence, r.Err
}

// Recorded is what became of an event.
type Recorded struct {
	Sequence uint64 // its place in the log, unless Err is set
	Err      error
}

// RecordAll appends events in their order, as if each were recorded by a call of
// its own and none waited for another: it returns what became of each. While an
// append is under way, later ones queue; whoever then gets the turn first
// appends all of them as one group. Ids are given here; bodies and outputs are
// copied.
func (c *Conversation) RecordAll(ctx context.Context, events []Event) []Recorded {
	recorded := make([]Recorded, len(events))
	entries := make([]*entry, len(events))
	room := make([]entry, len(events))
	for i, event := range events {
		err := ctx.Err()
		if err == nil {
			err = room[i].begin(event)
		}
		if err != nil {
			recorded[i].Err = c.fail(recordOp(event.Kind), err)
		} else {
			entries[i] = &room[i]
		}
	}
	c.queue.add(entries)
	for i, e := range slices.Backward(entries) { // with the last all are settled
		if e == nil {
			continue
		}
		if err := c.settled(ctx, e); err != nil {
			recorded[i].Err = c.fail(recordOp(events[i].Kind), err)
		} else {
			recorded[i].Sequence = e.sequence
		}
	}
	return recorded
}

// recordOp names the operation, such as "record step completed".
func recordOp(kind Kind) string {
	if kind == KindErrorOccurred {
		return "record error"
	}
	return "record " + strings.ReplaceAll(kind.String(), "_", " ")
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

// BeginRecord appends an event like the Record methods, but never waits: if it
// would have to, because another append or a refresh is under way or the store
// is no [Beginner], it returns false and has done nothing. Otherwise settled is
// called once, when the Record method would have returned; it is subject to
// what [Conversation.Subscribe] says of a subscriber.
//
// Earlier appends of BeginRecord may be under way if the caller knows that they
// have committed, although the store has not told: landed is how many these are.
// If there are more or fewer, it returns false. State and position follow in the
// order of the calls, when the store tells.
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
	end := func(err error) {
		defer close(e.done)
		if errors.Is(err, ErrOutcomeUnknown) {
			err = c.settle(context.Background(), expected, [][]byte{e.payload}, err)
		}
		func() {
			defer c.leave()
			if err == nil && c.ExpectedSeq() != expected {
				// It is behind one of which nothing is known, so the log has both: as if others
				// had appended them, the next append is a conflict, and a refresh reads them.
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
		c.mu.Lock()
		c.chain.last = before
		c.mu.Unlock()
		c.leave()
	}
	return begun
}

// chain are appends of BeginRecord, one behind the other, which have the turn
// together.
type chain struct {
	length int    // how many are under way
	last   *entry // the last of them
}

// join takes the turn for e, or shares it with those that have landed. It
// returns the one before, nil if there is none.
func (c *Conversation) join(e *entry, landed int) (before *entry, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if landed != c.chain.length {
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

// leave gives the turn up with the last of the chain.
func (c *Conversation) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chain.length--; c.chain.length == 0 {
		c.chain.last = nil // it may be large
		c.release()
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
