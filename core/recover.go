package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Recover returns a conversation with the state of its log; for an absent log
// it is the same as [New]. It replays the log from the beginning, or from a
// snapshot if the store is a [Snapshotter] and has one: the state is the same,
// but only [Conversation.Events] and [Verify] see damage before it. A snapshot
// that is damaged, of another release or not of this log is ignored.
//
// Errors are those of the store; [ErrCorrupt] and [ErrUnsupportedVersion] for
// an event that cannot be decoded, with its sequence; [ErrGap] if sequences are
// missing; [ErrOutOfRange] if the log has passed [MaxSequence]. A lost end that
// a [Witness] remembers is [ErrGap] once: the next Recover goes on with what is
// left.
func Recover(ctx context.Context, id string, store DurableStore) (*Conversation, error) {
	return recoverLog(ctx, id, store, true)
}

// RecoverUnlessLost is [Recover] for who does not tell a person: it returns the
// error of a lost end, but the next Recover does so, too, and nothing goes on with
// what is left before that.
func RecoverUnlessLost(ctx context.Context, id string, store DurableStore) (*Conversation, error) {
	return recoverLog(ctx, id, store, false)
}

func recoverLog(ctx context.Context, id string, store DurableStore, told bool) (*Conversation, error) {
	const op = "recover"
	if err := CheckName(op, id); err != nil {
		return nil, err
	}
	ctx, cancel := withDeadline(ctx, store)
	defer cancel()
	kept := keptSummary(ctx, id, store) // while the log is read
	c := conversation(id, store, NewState())
	restored := c.log.restore(ctx)
	err := c.log.read(ctx)
	if restored && errors.Is(err, ErrStoreReset) {
		// The snapshot is not of this log, or goes further.
		c = conversation(id, store, NewState())
		err = c.log.read(ctx)
	}
	if err == nil {
		err = c.log.complete(told)
	}
	summary, known := kept()
	if err != nil {
		err = c.log.fail(op, err)
		if damage := (*Error)(nil); errors.As(err, &damage) && damage.Code == ErrCorrupt {
			damage.Detail += "; verify tells what can still be read"
		}
		return nil, err
	}
	if known {
		c.log.mendSummary(ctx, summary)
	}
	c.log.snapshotWhenQuiet()
	return c, nil
}

// keptSummary begins to read the summary that a [Directory] keeps of a log. What
// it returns waits for it: nil if there is none, not known if it cannot be read.
func keptSummary(ctx context.Context, id string, store DurableStore) func() (summary *Summary, known bool) {
	directory, ok := store.(Directory)
	if !ok {
		return func() (*Summary, bool) { return nil, false }
	}
	var kept []Summary
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		kept, err = directory.List(ctx, Listing{IDs: []string{id}})
	}()
	return func() (*Summary, bool) {
		<-done
		if len(kept) == 0 {
			return nil, err == nil
		}
		return &kept[0], true
	}
}

// mendSummary has the [Directory] keep the summary of the log, which was read to
// its end, if it keeps another one. Nothing depends on it: what fails here is
// mended by the next one that recovers.
func (l *log) mendSummary(ctx context.Context, kept *Summary) {
	var right *Summary
	if !l.isEmpty() {
		s := SummaryOf(l.id, l.state)
		right = &s
	}
	if right != kept && (right == nil || kept == nil || *right != *kept) {
		_ = l.store.(Directory).Mend(ctx, l.id, l.expected, right)
	}
}

// Refresh reads what others have appended. If the log was deleted, the state
// begins again after the deletion. What was read before an error remains in the
// state, and a later Refresh goes on from there.
//
// [ErrStoreReset] if the log no longer contains what this conversation last saw
// in it: the store was emptied or replaced, and the conversation is of no more
// use; [Recover] a new one. Other errors are those of [Recover].
func (c *Conversation) Refresh(ctx context.Context) error {
	const op = "refresh"
	ctx, cancel := withDeadline(ctx, c.log.store)
	defer cancel()
	if err := c.writer.acquire(ctx); err != nil {
		return c.log.fail(op, err)
	}
	defer c.writer.release()
	if err := c.log.load(ctx); err != nil {
		return c.log.fail(op, err)
	}
	return nil
}

// Events reads the log itself: at most limit events from sequence offset on,
// fewer only where the log ends; of a deleted log the first is the tombstone.
// It sees what is committed, also what this conversation does not know of yet,
// and changes nothing. Errors are those of [Recover].
func (c *Conversation) Events(ctx context.Context, offset uint64, limit int) ([]LoggedEvent, error) {
	const op = "events"
	ctx, cancel := withDeadline(ctx, c.log.store)
	defer cancel()
	var events []LoggedEvent
	for {
		entries, end, err := c.log.part(ctx, offset, limit-len(events))
		if err == nil {
			events, err = decodeEntries(events, entries, offset)
		}
		if err != nil {
			return nil, c.log.fail(op, err)
		}
		if end || len(events) == limit {
			return events, nil
		}
		offset = events[len(events)-1].Sequence + 1
	}
}

// part reads at most limit entries, and no more than one read returns. It reports
// whether the log ends with them.
func (l *log) part(ctx context.Context, offset uint64, limit int) (entries []Entry, end bool, err error) {
	entries, err = l.store.ReadFrom(ctx, l.id, offset, limit)
	return entries, err == nil && len(entries) < limit && sizeOf(entries) < MaxReadBytes, err
}

// readBatch is how many entries one read asks for. With [MaxReadBytes] it bounds
// the memory for a replay. A store reads whole records, of some thousand entries
// where they are small, and the last one of a batch again for the next batch: with
// 2048 entries it would read each record twice.
const readBatch = 8192

// decodedAtOnce is how many entries are decoded before the state takes them. A
// list of all events would cost the garbage collector more than the state does.
const decodedAtOnce = 256

// load brings the state up to the head of the log. The caller has the turn, and
// returns the error to its own caller: a lost end is reported once.
func (l *log) load(ctx context.Context) error {
	if err := l.read(ctx); err != nil {
		return err
	}
	return l.complete(true)
}

// read reads the log from the last event seen to the head, and applies what is
// new. The caller has the turn.
func (l *log) read(ctx context.Context) error {
	l.mu.RLock()
	offset, last := l.expected, l.last
	l.mu.RUnlock()
	// Read the last event seen again, to check that it is the same log.
	verify := offset > 0
	if verify {
		offset--
	}
	for {
		entries, all, err := l.part(ctx, offset, readBatch)
		if err != nil {
			return err
		}
		if verify {
			follows, err := last.follow(entries, offset)
			if err != nil {
				return err
			}
			offset += uint64(len(entries) - len(follows))
			entries, verify = follows, false
		}
		if len(entries) > 0 {
			if offset, err = l.replay(entries, offset); err != nil {
				return err
			}
		}
		if all {
			return nil
		}
	}
}

// replay applies entries, which were read from sequence next on, to the state
// in one go, notifies the subscribers, and returns the sequence after them. If
// some cannot be decoded, those before them may remain.
func (l *log) replay(entries []Entry, next uint64) (uint64, error) {
	var part, all []LoggedEvent
	var err error
	heard := len(l.subscribers.all()) > 0
	reset, count := false, 0
	l.mu.Lock()
	l.state.mu.Lock()
	for some := range slices.Chunk(entries, decodedAtOnce) {
		if part, err = decodeEntries(part[:0], some, next); err != nil {
			break
		}
		for i := range part {
			if part[i].Tombstone {
				l.state.reset()
				reset, count = true, 0
				continue
			}
			l.state.take(&part[i])
			count++
		}
		last := &part[len(part)-1]
		next = last.Sequence + 1
		l.expected, l.last = next, last.seen()
		if heard {
			all = append(all, part...)
		}
	}
	l.state.mu.Unlock()
	l.mu.Unlock()
	if reset || count > 0 {
		l.subscribers.notify(reset, all[max(0, len(all)-count):])
	}
	if reset {
		l.snapshots.saved(0) // the last one was of the deleted log
	}
	l.snapshots.count(count, sizeOf(entries))
	return next, err
}

// complete returns an error if the log, which was read to its end, is known to
// have gone further. Told says that the error gets to somebody who can then go on
// with what is left.
func (l *log) complete(told bool) error {
	l.mu.Lock()
	head := l.expected
	l.unreported = false
	l.mu.Unlock()
	witness, ok := l.store.(Witness)
	if !ok {
		return nil
	}
	reached := witness.LostEnd(l.id, head, told)
	if reached <= head {
		return nil
	}
	return &Error{Code: ErrGap, Detail: fmt.Sprintf(
		"the log has lost its end, sequences %d to %d; recover it once more to go on with what is left, or delete it", head, reached-1)}
}

func (l *log) isUnreported() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.unreported
}

func sizeOf(entries []Entry) int {
	size := 0
	for _, entry := range entries {
		size += len(entry.Payload)
	}
	return size
}

// follow checks that entries, read from sequence on, continue the log in which
// s was seen there, and returns those after it. A later tombstone continues any
// log: it says that s was deleted.
func (s seen) follow(entries []Entry, sequence uint64) ([]Entry, error) {
	if len(entries) > 0 {
		var first LoggedEvent
		if err := first.decode(entries[0], sequence); err != nil {
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
		Detail: fmt.Sprintf("the log no longer has the event seen at sequence %d; recover the conversation again", sequence)}
}

func (e *LoggedEvent) seen() seen { return seen{tombstone: e.Tombstone, id: e.Event.ID} }

// decodeEntries appends to events what was read from sequence next on.
func decodeEntries(events []LoggedEvent, entries []Entry, next uint64) ([]LoggedEvent, error) {
	at := len(events)
	events = slices.Grow(events, len(entries))[:at+len(entries)]
	clear(events[at:])
	for i, entry := range entries {
		logged := &events[at+i]
		if err := logged.decode(entry, next); err != nil {
			return nil, err
		}
		next = logged.Sequence + 1
	}
	return events, nil
}

// decode makes l, which is zero, the event of an entry, and checks that nothing is
// missing between sequence next and it. Only a tombstone may skip sequences: those
// it buries.
func (l *LoggedEvent) decode(entry Entry, next uint64) error {
	buries := entry.Tombstone && entry.Sequence > next
	if entry.Sequence != next && !buries {
		return &Error{Code: ErrGap,
			Detail: fmt.Sprintf("sequence %d follows where %d is expected", entry.Sequence, next)}
	}
	if entry.Sequence >= MaxSequence {
		return &Error{Code: ErrOutOfRange,
			Detail: fmt.Sprintf("sequence %d passes the limit of 2^53-1 events", entry.Sequence)}
	}
	l.Sequence, l.Timestamp, l.Tombstone = entry.Sequence, entry.Timestamp, entry.Tombstone
	if l.Tombstone {
		return nil
	}
	if err := decodeEvent(entry.Payload, &l.Event); err != nil {
		return &Error{Code: CodeOf(err),
			Detail: fmt.Sprintf("the event at sequence %d cannot be read: %s", entry.Sequence, detailOf(err))}
	}
	return nil
}
