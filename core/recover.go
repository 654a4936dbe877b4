package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// readBatch is how many entries are read at a time. It bounds the memory for a
// replay. A store reads whole records, of some thousand entries where they are
// small, and the last one of a batch once more for the next batch: of 2048 entries
// each record was read twice.
const readBatch = 8192

// decodedAtOnce is how many of them are decoded before the state takes them: of a
// list of all, the garbage collector would have more work than of the state.
const decodedAtOnce = 256

// Recover returns a conversation with the state that its log has. Of an absent
// log it is the same as [New]. It replays the log from the beginning, or from
// behind a snapshot if the store is a [Snapshotter] and has one: the state is the
// same, but damage before it is only seen by [Conversation.Events]. A snapshot
// that is damaged, of another release or not of this log is as good as none.
//
// Errors are those of the store; [ErrCorrupt] and [ErrUnsupportedVersion] for
// an event that cannot be decoded, with its sequence; [ErrGap] if sequences are
// missing, also at the end if the store is a [Witness]: that is told of once, and
// recovered once more the conversation goes on with what is left; [ErrOutOfRange] if the log has passed [MaxSequence].
func Recover(ctx context.Context, id string, store DurableStore) (*Conversation, error) {
	const op = "recover"
	if err := CheckName(op, id); err != nil {
		return nil, err
	}
	c := conversation(id, store, NewState())
	restored := c.restore(ctx)
	err := c.load(ctx)
	if restored && errors.Is(err, ErrStoreReset) {
		// The snapshot is not of this log, or goes further.
		c = conversation(id, store, NewState())
		err = c.load(ctx)
	}
	if err != nil {
		return nil, c.fail(op, err)
	}
	c.snapshotWhenQuiet()
	return c, nil
}

// Refresh reads what others have appended. If the log was deleted meanwhile,
// the state starts anew behind the deletion. [ErrStoreReset] if the log no
// longer contains what this conversation last saw in it: the store was emptied
// or replaced, and the conversation is of no more use; [Recover] a new one.
// Other errors are those of [Recover]. What was read before an error remains
// in the state, and a later Refresh goes on from there.
func (c *Conversation) Refresh(ctx context.Context) error {
	const op = "refresh"
	if err := c.acquire(ctx); err != nil {
		return c.fail(op, err)
	}
	defer c.release()
	if err := c.load(ctx); err != nil {
		return c.fail(op, err)
	}
	return nil
}

// Events reads the log itself: at most limit events from sequence offset on,
// fewer only where the log ends. It sees what is committed, also what this
// conversation does not know of yet, and changes nothing. Of a deleted log the
// first event is the tombstone. Errors are those of [Recover].
func (c *Conversation) Events(ctx context.Context, offset uint64, limit int) ([]LoggedEvent, error) {
	const op = "events"
	entries, err := c.store.ReadFrom(ctx, c.id, offset, limit)
	if err != nil {
		return nil, c.fail(op, err)
	}
	events, err := decodeEntries(nil, entries, offset)
	if err != nil {
		return nil, c.fail(op, err)
	}
	return events, nil
}

// load reads the log from the last event seen to the head, and applies what is
// new. The caller has the turn.
func (c *Conversation) load(ctx context.Context) error {
	c.mu.RLock()
	offset, last := c.expected, c.last
	c.mu.RUnlock()
	// Read one back, to see that the log is still the one this state is of.
	verify := offset > 0
	if verify {
		offset--
	}
	for {
		entries, err := c.store.ReadFrom(ctx, c.id, offset, readBatch)
		if err != nil {
			return err
		}
		all := len(entries) < readBatch
		if verify {
			follows, err := last.follow(entries, offset)
			if err != nil {
				return err
			}
			offset += uint64(len(entries) - len(follows))
			entries, verify = follows, false
		}
		if len(entries) > 0 {
			if offset, err = c.replay(entries, offset); err != nil {
				return err
			}
		}
		if all {
			return c.complete()
		}
	}
}

// replay makes entries, which were read from sequence next on, part of the state in
// one go, tells the subscribers, and returns the sequence behind them. If some
// cannot be decoded, those before them may remain.
func (c *Conversation) replay(entries []Entry, next uint64) (uint64, error) {
	var part, all []LoggedEvent
	var err error
	heard := len(c.subscribers.all()) > 0
	reset, count := false, 0
	c.mu.Lock()
	c.state.mu.Lock()
	for some := range slices.Chunk(entries, decodedAtOnce) {
		if part, err = decodeEntries(part[:0], some, next); err != nil {
			break
		}
		for i := range part {
			if part[i].Tombstone {
				c.state.reset()
				reset, count = true, 0
				continue
			}
			c.state.apply(&part[i].Event)
			count++
		}
		last := &part[len(part)-1]
		next = last.Sequence + 1
		c.expected, c.last = next, last.seen()
		if heard {
			all = append(all, part...)
		}
	}
	c.state.mu.Unlock()
	c.mu.Unlock()
	if reset || count > 0 {
		c.subscribers.tell(reset, all[max(0, len(all)-count):])
	}
	if reset {
		c.snapshots.saved(0) // it was of what is gone
	}
	c.snapshots.count(count, sizeOf(entries))
	return next, err
}

// complete returns an error if the log, which was read to its end, is known to
// have gone further.
func (c *Conversation) complete() error {
	witness, ok := c.store.(Witness)
	if !ok {
		return nil
	}
	head := c.ExpectedSeq()
	reached := witness.LostEnd(c.id, head)
	if reached <= head {
		return nil
	}
	return &Error{Code: ErrGap, Detail: fmt.Sprintf(
		"the log has lost its end, sequences %d to %d; recover it once more to go on with what is left, or delete it", head, reached-1)}
}

func sizeOf(entries []Entry) int {
	size := 0
	for _, entry := range entries {
		size += len(entry.Payload)
	}
	return size
}

// follow checks that entries, read from sequence on, continue the log in which s
// was seen there, and returns those behind it. A later tombstone continues any
// log: it says that s is gone, and why.
func (s seen) follow(entries []Entry, sequence uint64) ([]Entry, error) {
	if len(entries) > 0 {
		first, err := decodeEntry(entries[0], sequence)
		if err != nil {
			return nil, err
		}
		if first.Tombstone && first.Sequence > sequence {
			return entries, nil
		}
		if s == first.seen() {
			return entries[1:], nil
		}
	}
	return nil, &Error{Code: ErrStoreReset,
		Detail: fmt.Sprintf("the log no longer has the event seen at sequence %d; recover the conversation anew", sequence)}
}

func (e *LoggedEvent) seen() seen { return seen{tombstone: e.Tombstone, id: e.Event.ID} }

// decodeEntries appends to events what was read from sequence next on.
func decodeEntries(events []LoggedEvent, entries []Entry, next uint64) ([]LoggedEvent, error) {
	events = slices.Grow(events, len(entries))
	for _, entry := range entries {
		event, err := decodeEntry(entry, next)
		if err != nil {
			return nil, err
		}
		events, next = append(events, event), event.Sequence+1
	}
	return events, nil
}

// decodeEntry checks that nothing is missing between sequence next and this
// entry. Only a tombstone may skip sequences: those it buries.
func decodeEntry(entry Entry, next uint64) (LoggedEvent, error) {
	buries := entry.Tombstone && entry.Sequence > next
	if entry.Sequence != next && !buries {
		return LoggedEvent{}, &Error{Code: ErrGap,
			Detail: fmt.Sprintf("sequence %d follows where %d is expected", entry.Sequence, next)}
	}
	if entry.Sequence >= MaxSequence {
		return LoggedEvent{}, &Error{Code: ErrOutOfRange,
			Detail: fmt.Sprintf("sequence %d passes the limit of 2^53-1 events", entry.Sequence)}
	}
	logged := LoggedEvent{Sequence: entry.Sequence, Timestamp: entry.Timestamp, Tombstone: entry.Tombstone}
	if entry.Tombstone {
		return logged, nil
	}
	var err error
	if logged.Event, err = DecodeEvent(entry.Payload); err != nil {
		return LoggedEvent{}, &Error{Code: CodeOf(err),
			Detail: fmt.Sprintf("the event at sequence %d cannot be read: %s", entry.Sequence, detailOf(err))}
	}
	return logged, nil
}

// detailOf returns what err says is wrong, without the operation.
func detailOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}
