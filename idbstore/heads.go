package idbstore

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/internal/later"
)

// A browser takes a damaged end of its own log for commits that never happened,
// and an emptied database for a new one. Nothing in the database shows that. So
// its epoch, and the heads of the streams that were written to last, are
// remembered outside of it.
//
// They are written rememberDelay after an append, and the browser takes some
// time for that.
const (
	rememberDelay = 100 * time.Millisecond
	rememberWait  = 2 * time.Second // bounds what is waited for them
	longestName   = 256             // bytes: of streams with longer names nothing is remembered
	// rememberLock is no name that a stream can have.
	rememberLock = "\x00heads"
)

// heads remembers, for one store. There is one text for all tabs, and a tab
// changes it under a lock, so that none forgets what another has written.
//
// A text is of the database with its epoch, and is evidence of nothing else. A
// store writes over one of its own database, over the one that it has found and
// reported when it was opened, and over nothing. Any other one stays: a store
// that has not noticed a reset yet cannot harm what is remembered since.
type heads struct {
	engine  engine
	failed  func(error) // gets each failure
	timer   *later.Timer
	opening chan memory   // has what was remembered when the store was opened, once it is read
	writing chan struct{} // held while the text is written

	mu        sync.Mutex
	epoch     string                // of the database; "" until it is open
	former    string                // that of opening
	known     map[string]remembered // by stream, when the store was opened
	changes   map[string]change     // that are not written yet
	last      uint64                // the place of the last change
	unwritten bool                  // something is to be written
	there     map[string]struct{}   // those of known of which something is left
}

// change is how far a stream has come since the text was written.
type change struct {
	remembered
	place uint64 // among all changes
}

// newHeads begins to read what is remembered.
func newHeads(ctx context.Context, e engine, failed func(error)) *heads {
	h := &heads{engine: e, failed: failed, opening: make(chan memory, 1), writing: make(chan struct{}, 1),
		changes: map[string]change{}, there: map[string]struct{}{}}
	h.timer = later.New(h.remember)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, rememberWait)
		defer cancel()
		m, err := h.read(ctx)
		if err != nil {
			failed(err)
		}
		h.opening <- m
	}()
	return h
}

// read returns the zero memory if nothing is remembered.
func (h *heads) read(ctx context.Context) (memory, error) {
	text, err := h.engine.recall(ctx)
	m, _ := decodeMemory(text)
	return m, err
}

// found waits for what was remembered when the store was opened. It is nothing
// if it could not be read.
func (h *heads) found() memory {
	m := <-h.opening
	h.opening <- m // opening may be tried again
	return m
}

// learn begins to remember the database with this epoch. Whatever is read of it
// from then on must reach the heads in found. Heads that are remembered later
// are of no use for that, since they may be newer than what was read.
func (h *heads) learn(epoch string, found memory) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch, h.former, h.known = epoch, found.epoch, map[string]remembered{}
	if found.epoch != epoch {
		h.soon()
		return
	}
	for _, r := range found.heads {
		h.known[r.stream] = r
	}
}

// moved notes the head of a stream, to be remembered soon.
func (h *heads) moved(stream string, head uint64) {
	if len(stream) > longestName {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(h.changes[stream].then(remembered{stream, head, head}))
}

// note is called with mu held.
func (h *heads) note(r remembered) {
	h.last++
	h.changes[r.stream] = change{r, h.last}
	h.soon()
}

// soon is called with mu held.
func (h *heads) soon() {
	h.unwritten = true
	h.timer.In(rememberDelay)
}

// remember writes down what has changed, and waits for that, but not for long.
// After a failure the next change tries again, with all that has changed.
func (h *heads) remember() {
	ctx, cancel := context.WithTimeout(context.Background(), rememberWait)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- h.write(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		h.failed(err)
	}
}

// write keeps the lock for as long as the browser takes: a text that comes late
// must not replace what another tab has written meanwhile.
func (h *heads) write(ctx context.Context) error {
	select {
	case h.writing <- struct{}{}:
		defer func() { <-h.writing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	epoch, former, changes := h.pending()
	if epoch == "" {
		return nil
	}
	lock, _, err := h.engine.lock(ctx, rememberLock, true)
	if err != nil {
		return err
	}
	if lock != nil {
		defer lock.Release()
	}
	m, err := h.read(ctx)
	if err != nil {
		return err // what cannot be read may have more than can be written now
	}
	switch m.epoch {
	case epoch:
	case "", former:
		m = memory{epoch: epoch}
	default:
		return nil // it is of another database; if that is not the one that is there, who opens it next is told
	}
	m = m.with(changes)
	if err := h.engine.remember(context.WithoutCancel(ctx), m.encode()); err != nil {
		return err
	}
	h.written(changes)
	return nil
}

// pending returns what is to be written, the last change first; no epoch if
// nothing is. Of more changes than are remembered the first are forgotten.
func (h *heads) pending() (epoch, former string, changes []remembered) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.unwritten || h.epoch == "" {
		return "", "", nil
	}
	latest := slices.Collect(maps.Values(h.changes))
	sort.Slice(latest, func(i, j int) bool { return latest[i].place > latest[j].place })
	for i, c := range latest {
		if i < mostHeads {
			changes = append(changes, c.remembered)
		} else {
			delete(h.changes, c.stream)
		}
	}
	return h.epoch, h.former, changes
}

// written notes that changes are remembered.
func (h *heads) written(changes []remembered) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range changes {
		if h.changes[r.stream].remembered == r {
			delete(h.changes, r.stream)
		}
	}
	h.unwritten = len(h.changes) > 0
}

// lostEnd is LostEnd of the store.
func (h *heads) lostEnd(stream string, head uint64, goesOn bool) (reached uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.known[stream]
	if head >= r.due {
		return 0
	}
	if !goesOn {
		return r.head
	}
	r.due = head
	h.known[stream] = r
	latest := h.changes[stream].remembered
	latest.stream = stream
	h.note(r.then(latest))
	return r.head
}

// furthest returns how far stream had come when the store was opened, nothing if
// that is not known.
func (h *heads) furthest(stream string) remembered {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[stream]
}

// due returns the streams that had entries when the store was opened, and whose
// loss of all of them was not reported; those with this prefix.
func (h *heads) due(prefix string) (streams []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for stream, r := range h.known {
		if r.due > 0 && strings.HasPrefix(stream, prefix) {
			streams = append(streams, stream)
		}
	}
	return streams
}

// seen notes that something is left of a stream.
func (h *heads) seen(stream string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.known[stream]; known {
		h.there[stream] = struct{}{}
	}
}

// unseen returns those of due that were not seen, in order.
func (h *heads) unseen(prefix string) []string {
	due := h.due(prefix)
	h.mu.Lock()
	defer h.mu.Unlock()
	due = slices.DeleteFunc(due, func(stream string) bool { _, seen := h.there[stream]; return seen })
	sort.Slice(due, func(i, j int) bool { return due[i] < due[j] })
	return due
}
