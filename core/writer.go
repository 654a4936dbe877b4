package core

import (
	"context"
	"slices"
	"sync"
)

// groupBytes bounds the payloads that are appended together: a store may keep
// them as one record, which is read as a whole.
const groupBytes = 256 << 10

// call is a call that has entries appended as the log takes them.
type call struct {
	ctx    context.Context
	within context.Context // ends with the deadline of the call, and for nothing else
	ended  func()          // called once all entries have an outcome
	left   int             // how many have none yet; guarded by the writer
	stop   func() bool     // no longer watches ctx
}

// writer appends to a log: one group at a time, in the order of the calls. What
// is neither a group nor an append, such as a refresh, takes a turn in that
// order.
type writer struct {
	log *log

	mu    sync.Mutex
	busy  bool      // a group is being appended, or somebody has the turn
	queue []waiting // for the turn, oldest first
}

// waiting is an entry of a call, or somebody who is given the turn.
type waiting struct {
	entry *entry
	call  *call
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
		places[i] = waiting{entry: e, call: one}
	}
	one.stop = context.AfterFunc(ctx, func() { w.abandon(one) })
	w.wait(places...)
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
	places := w.withdraw(func(p waiting) bool { return p.call == one })
	for _, p := range places {
		p.entry.err = ended(one.ctx)
	}
	w.settled(places)
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
	places := w.group(MaxSequence - w.log.expectedSeq())
	w.mu.Unlock()
	group := make([]*entry, len(places))
	for i, p := range places {
		group[i] = p.entry
	}
	ctx := places[0].call.within
	if len(group) == 1 {
		ctx = places[0].call.ctx
	}
	w.log.append(ctx, group, func() {
		w.release()
		w.settled(places)
	})
}

// group takes out what is to be appended together: one entry at least, and no
// more than fits into groupBytes, or into the log, which has room for so many.
// The caller holds the lock.
func (w *writer) group(room uint64) []waiting {
	n, size := 0, 0
	for n < len(w.queue) && w.queue[n].entry != nil {
		size += len(w.queue[n].entry.payload)
		if n > 0 && (size > groupBytes || uint64(n) == room) {
			break
		}
		n++
	}
	group := slices.Clone(w.queue[:n])
	w.queue = w.queue[n:]
	return group
}

// settled ends the calls of which these were the last entries.
func (w *writer) settled(places []waiting) {
	for _, p := range places {
		w.mu.Lock()
		p.call.left--
		over := p.call.left == 0
		w.mu.Unlock()
		if over {
			p.call.stop()
			p.call.ended()
		}
	}
}
