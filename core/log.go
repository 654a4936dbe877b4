package core

import (
	"context"
	"errors"
	"sync"
	"time"
)

// log is a stream in a store, and what was read of it and appended to it.
type log struct {
	id    string
	store DurableStore
	state *State

	// mu guards these, and makes them change together with state.
	mu       sync.RWMutex
	expected uint64
	last     seen
	// unreported: a follower has read the log to its end, and no caller could
	// be told yet whether more was there.
	unreported bool

	subscribers subscribers
	snapshots   snapshots
}

// seen is the entry that was seen at the sequence before the expected one; zero
// if none was seen.
type seen struct {
	tombstone bool
	id        EventID
}

func (l *log) expectedSeq() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.expected
}

// isEmpty reports whether the log has no events, or none since it was deleted.
func (l *log) isEmpty() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.expected == 0 || l.last.tombstone
}

// append appends a group at the expected sequence, settles the outcome if the
// store does not know it, applies the group to the state once it is committed,
// and then calls ended, on any goroutine. The caller has the turn until then.
func (l *log) append(ctx context.Context, group []*entry, ended func()) {
	write := Write{Stream: l.id, Expected: l.expectedSeq(), Payloads: make([][]byte, len(group)), Time: uint64(time.Now().UnixMilli())}
	for i, e := range group {
		write.Payloads[i] = e.payload
	}
	if _, ok := l.store.(Directory); ok {
		write.Summary = l.state.foresee(l.id, group, write.Time)
	}
	over := func(err error) {
		if errors.Is(err, ErrOutcomeUnknown) {
			err = l.settle(ctx, write, err)
		}
		l.appended(write, group, err)
		ended()
	}
	if l.isUnreported() { // what is appended would hide a lost end
		if err := l.complete(true); err != nil {
			over(err)
			return
		}
	}
	l.begin(ctx, write, over)
}

// begin begins a write, and calls ended with what becomes of it, on any
// goroutine, but not before it returns.
func (l *log) begin(ctx context.Context, write Write, ended func(error)) {
	if store, ok := l.store.(Beginner); ok {
		store.Begin(ctx, ended, write)
		return
	}
	go func() {
		_, err := l.store.Append(ctx, write.Stream, write.Expected, write.Payloads...)
		ended(err)
	}()
}

// appendNow is append, and waits for the end of it.
func (l *log) appendNow(ctx context.Context, group []*entry) error {
	done := make(chan struct{})
	l.append(ctx, group, func() { close(done) })
	<-done
	return group[0].err
}

// appended ends a group that was appended: it applies it to the state, or gives
// it the error. The caller has the turn.
func (l *log) appended(write Write, group []*entry, err error) {
	events := make([]LoggedEvent, len(group))
	size := 0
	for i, e := range group {
		e.sequence, e.err = write.Expected+uint64(i), err
		events[i] = LoggedEvent{Sequence: e.sequence, Timestamp: int64(write.Time), Event: e.event}
		size += len(e.payload)
	}
	if err != nil {
		return
	}
	l.advance(events)
	l.snapshots.count(len(group), size)
	l.snapshotWhenQuiet()
}

// advance applies events that the store has just appended to the state, and
// then notifies the subscribers. The caller has the turn.
func (l *log) advance(events []LoggedEvent) {
	last := &events[len(events)-1]
	l.mu.Lock()
	l.state.advance(events)
	l.expected, l.last = last.Sequence+1, last.seen()
	l.mu.Unlock()
	l.subscribers.notify(false, events)
}

// fail makes err an error of the exported operation op, which replaces the
// operation of an [Error]. What errors.Is and errors.As find stays the same.
func (l *log) fail(op string, err error) error {
	switch e := err.(type) {
	case *SequenceConflictError:
		return e
	case *Error:
		renamed := *e
		renamed.Op, renamed.Stream = op, l.id
		return &renamed
	case Code:
		return &Error{Code: e, Op: op, Stream: l.id}
	default:
		return &Error{Code: CodeOf(err), Op: op, Stream: l.id, Err: err}
	}
}
