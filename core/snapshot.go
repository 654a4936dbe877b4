package core

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/internal/later"
)

// A snapshot is due when it saves a replay of some length. It is written when
// there is no append.
const (
	// snapshotEvents is how many events are replayed without one. That many
	// take a few milliseconds.
	snapshotEvents = 512
	// snapshotShare is a divisor: after a snapshot of n bytes the next is due
	// after n/snapshotShare bytes of events. All snapshots ever written of a
	// log are thus no more than three times as large as the log.
	snapshotShare = 2
	// snapshotQuiet is how long there is no append before one is written.
	// Appends put it off no more than [later.MostPutOff] times.
	snapshotQuiet = time.Second
)

// snapshots counts what was applied to the state since the last snapshot.
type snapshots struct {
	timer *later.Timer

	mu     sync.Mutex
	events int
	bytes  int // their payloads
	size   int // of the last snapshot
}

// count adds events that were applied to the state.
func (s *snapshots) count(events, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events += events
	s.bytes += bytes
}

// saved begins to count again: after a snapshot, or as none can be made now.
func (s *snapshots) saved(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events, s.bytes, s.size = 0, 0, size
}

// due reports whether a snapshot is due.
func (s *snapshots) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events >= snapshotEvents && s.bytes >= s.size/snapshotShare
}

// snapshotWhenQuiet saves a snapshot later, if one is due. Only a conversation
// that appends or recovers calls it: one that just follows leaves the snapshots
// to the others. If one cannot be saved, another is due after as many events.
func (l *log) snapshotWhenQuiet() {
	l.snapshots.timer.Busy()
	if _, ok := l.store.(Snapshotter); ok && l.snapshots.due() {
		l.snapshots.timer.In(snapshotQuiet)
	}
}

// SaveSnapshot saves the state if the store is a [Snapshotter], so that the
// next [Recover] has less to replay. This happens by itself now and then, when
// nothing was appended for a second; call it where you know a better moment.
//
// Appends do not wait for it. If there is nothing to be saved, or if the state
// is larger than [MaxPayloadBytes], it does nothing. Errors are those of the
// store.
func (c *Conversation) SaveSnapshot(ctx context.Context) error { return c.log.saveSnapshot(ctx) }

func (l *log) saveSnapshot(ctx context.Context) error {
	store, ok := l.store.(Snapshotter)
	if !ok {
		return nil
	}
	var b []byte
	l.mu.RLock()
	sequence, last := l.expected, l.last
	if sequence > 0 && !last.tombstone {
		b = encodeSnapshot(l.id, sequence, last.id, l.state)
	}
	l.mu.RUnlock()
	l.snapshots.saved(len(b))
	if b == nil {
		return nil
	}
	if err := store.SaveSnapshot(ctx, l.id, sequence, b); err != nil {
		return l.fail("save snapshot", err)
	}
	return nil
}

// restore sets l to the snapshot in the store, and reports whether there is one
// that can be read. Only load finds out whether it is one of this log.
func (l *log) restore(ctx context.Context) bool {
	store, ok := l.store.(Snapshotter)
	if !ok {
		return false
	}
	b, err := store.ReadSnapshot(ctx, l.id)
	if err != nil || b == nil {
		return false
	}
	s, err := decodeSnapshot(l.id, b)
	if err != nil {
		return false
	}
	l.state, l.expected, l.last = s.state, s.sequence, seen{id: s.last}
	l.snapshots.saved(len(b))
	return true
}
