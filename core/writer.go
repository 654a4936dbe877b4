package core

import (
	"context"
	"slices"
	"sync"
)

// groupBytes bounds the payloads that are appended together: a store may keep
// them as one record, which is read as a whole.
const groupBytes = 256 << 10

// writer appends to a log: one group at a time, in the order of the calls. What
// is neither a group nor an append, such as a refresh, takes a turn in that
// order.
type writer struct {
	log *log

	mu    sync.Mutex
	busy  bool      // a group is being appended, or somebody has the turn
	queue []waiting // for the turn, oldest first
}

// waiting is an entry, or somebody who is given the turn.
type waiting struct {
	entry *entry
	turn  chan struct{}
}

// acquire waits for the turn.
func (w *writer) acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if w.tryAcquire() {
		return nil
	}
	turn := make(chan struct{})
	w.wait(waiting{turn: turn})
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		if left := w.withdraw(func(p waiting) bool { return p.turn == turn }); len(left) == 0 {
			w.release() // it has been given the turn
		}
		return ended(ctx)
	}
}

// tryAcquire takes the turn if nobody has it.
func (w *writer) tryAcquire() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := !w.busy
	w.busy = true
	return got
}

// submit has entries appended, and calls ended once each has an outcome, on any
// goroutine. The end of ctx takes those back that are not in a group. It stops
// the write of a group only if that has one entry: others end with the deadline
// of the first call in them, which that of within is.
func (w *writer) submit(ctx, within context.Context, entries []*entry, ended func()) {
	one := &call{ctx: ctx, within: within, ended: ended, left: len(entries)}
	places := make([]waiting, len(entries))
	for i, e := range entries {
		e.call, places[i].entry = one, e
	}
	one.stop = context.AfterFunc(ctx, func() { w.abandon(one) })
	w.wait(places...)
	if ctx.Err() != nil { // it may have ended before they were in the queue
		w.abandon(one)
	}
}

// wait puts places in the queue, and begins with it if nobody has the turn.
func (w *writer) wait(places ...waiting) {
	w.mu.Lock()
	w.queue = append(w.queue, places...)
	begin := !w.busy
	w.busy = true
	w.mu.Unlock()
	if begin {
		w.release()
	}
}

// withdraw takes places out of the queue, and returns them.
func (w *writer) withdraw(which func(waiting) bool) (taken []waiting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = slices.DeleteFunc(w.queue, func(p waiting) bool {
		if !which(p) {
			return false
		}
		taken = append(taken, p)
		return true
	})
	return taken
}

// abandon ends the entries of a call whose ctx has ended and that wait.
func (w *writer) abandon(one *call) {
	for _, p := range w.withdraw(func(p waiting) bool { return p.entry != nil && p.entry.call == one }) {
		p.entry.err = ended(one.ctx)
		w.settled(p.entry)
	}
}

// release passes the turn on, which the caller has: to the first that waits for
// it, or to a group of the entries that do.
func (w *writer) release() {
	w.mu.Lock()
	if len(w.queue) == 0 {
		w.busy, w.queue = false, nil // else it would keep what was written
		w.mu.Unlock()
		return
	}
	if turn := w.queue[0].turn; turn != nil {
		w.queue = w.queue[1:]
		w.mu.Unlock()
		close(turn)
		return
	}
	group := w.group(MaxSequence - w.log.expectedSeq())
	w.mu.Unlock()
	ctx := group[0].call.within
	if len(group) == 1 {
		ctx = group[0].call.ctx
	}
	w.log.append(ctx, group, func() {
		w.release()
		for _, e := range group {
			w.settled(e)
		}
	})
}

// group takes out what is to be appended together: one entry at least, and no
// more than fits into groupBytes, or into the log, which has room for so many.
// The caller holds the lock.
func (w *writer) group(room uint64) (group []*entry) {
	size := 0
	for _, p := range w.queue {
		if p.entry == nil {
			break
		}
		size += len(p.entry.payload)
		if len(group) > 0 && (size > groupBytes || uint64(len(group)) == room) {
			break
		}
		group = append(group, p.entry)
	}
	w.queue = w.queue[len(group):]
	return group
}

// settled ends the call of an entry that has its outcome, if it was the last.
func (w *writer) settled(e *entry) {
	w.mu.Lock()
	e.call.left--
	over := e.call.left == 0
	w.mu.Unlock()
	if over {
		e.call.stop()
		e.call.ended()
	}
}
