package idbstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
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
	mostHeads     = 256             // are remembered,
	longestName   = 256             // bytes: of streams with names up to that
	// rememberLock is no name that a stream can have.
	rememberLock = "\x00heads"
)

// remembered is how far a stream has come.
type remembered struct {
	stream string
	head   uint64
	// due is where a reader expects it to end, at least. It is less than head
	// once the loss of what is after due was reported.
	due uint64
}

// memory is what is remembered of a database.
type memory struct {
	epoch string
	heads []remembered // the stream that was written to last comes first
}

// encode puts NULs, which no name contains, between the parts, and a checksum
// before them.
func (m memory) encode() string {
	var b strings.Builder
	b.WriteString(m.epoch)
	for _, r := range m.heads {
		for _, part := range []string{strconv.FormatUint(r.head, 10), strconv.FormatUint(r.due, 10), r.stream} {
			b.WriteByte(0)
			b.WriteString(part)
		}
	}
	return checksumOf(b.String()) + "\x00" + b.String()
}

func checksumOf(text string) string {
	return fmt.Sprintf("%08x", wire.Sum("heads", []byte(text)))
}

// decodeMemory reports false of a text that encode has not written.
func decodeMemory(text string) (memory, bool) {
	checksum, rest, _ := strings.Cut(text, "\x00")
	if checksum != checksumOf(rest) {
		return memory{}, false
	}
	epoch, rest, more := strings.Cut(rest, "\x00")
	m := memory{epoch: epoch}
	for more {
		var head, due, stream string
		head, rest, _ = strings.Cut(rest, "\x00")
		due, rest, more = strings.Cut(rest, "\x00")
		if !more || len(m.heads) == mostHeads {
			return memory{}, false
		}
		stream, rest, more = strings.Cut(rest, "\x00")
		r := remembered{stream: stream}
		var err, errDue error
		r.head, err = strconv.ParseUint(head, 10, 64)
		r.due, errDue = strconv.ParseUint(due, 10, 64)
		if err != nil || errDue != nil || r.head > core.MaxSequence || r.due > r.head {
			return memory{}, false
		}
		m.heads = append(m.heads, r)
	}
	return m, true
}

// with returns m after changes. The streams that have changed come first.
func (m memory) with(changes []remembered) memory {
	after := memory{epoch: m.epoch}
	changed := map[string]remembered{}
	for _, r := range changes {
		changed[r.stream] = r
	}
	var others []remembered
	for _, r := range m.heads {
		if change, ok := changed[r.stream]; ok {
			changed[r.stream] = r.then(change)
		} else {
			others = append(others, r)
		}
	}
	for _, r := range changes {
		after.heads = append(after.heads, changed[r.stream])
	}
	after.heads = append(after.heads, others...)
	after.heads = after.heads[:min(len(after.heads), mostHeads)]
	return after
}

// then returns r after a change, which may be older than r if another tab has
// written that.
func (r remembered) then(change remembered) remembered {
	reported := change.due < change.head && change.head >= r.head
	if !reported {
		change.due = max(change.due, r.due)
	}
	change.head = max(change.head, r.head)
	return change
}

// moved notes the head of a stream, to be remembered soon.
func (s *Store) moved(stream string, head uint64) {
	if len(stream) > longestName {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.changes[stream]
	s.changes[stream] = remembered{stream, max(r.head, head), max(r.due, head)}
	s.rememberSoon()
}

// rememberSoon is called with s.mu held.
func (s *Store) rememberSoon() {
	s.unwritten = true
	s.rememberTimer.In(rememberDelay)
}

// remember writes down what has changed. If it fails, the next change tries
// again. Tabs take turns, so that none forgets what another has written.
func (s *Store) remember() {
	ctx, cancel := context.WithTimeout(context.Background(), rememberWait)
	defer cancel()
	s.remembering <- struct{}{} // where the browser has no locks
	defer func() { <-s.remembering }()
	s.mu.Lock()
	idle := !s.unwritten
	s.mu.Unlock()
	if idle {
		return
	}
	lock, err := s.engine.lock(ctx, rememberLock)
	if err != nil {
		return
	}
	if lock != nil {
		defer lock.Release()
	}
	texts := s.recall(ctx)
	changes := s.takeChanges()
	if of := epochOf(texts, s.Epoch()); of == "" || of == s.Epoch() { // else another tab has found the database replaced
		s.engine.remember(ctx, s.memoryOf(texts).with(changes).encode())
	}
}

func (s *Store) takeChanges() []remembered {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := slices.Collect(maps.Values(s.changes))
	clear(s.changes)
	s.unwritten = false
	return changes
}

// rememberReset writes down the epoch of the database that has replaced this
// one.
func (s *Store) rememberReset(ctx context.Context, epoch string) {
	s.remembering <- struct{}{}
	defer func() { <-s.remembering }()
	s.takeChanges()
	ctx, cancel := context.WithTimeout(ctx, rememberWait)
	defer cancel()
	s.engine.remember(ctx, memory{epoch: epoch}.encode())
}

// epochOf returns the epoch in texts: found if one of them has it, and nothing
// if none has any.
func epochOf(texts []string, found string) (epoch string) {
	for _, text := range texts {
		if m, ok := decodeMemory(text); ok && epoch != found {
			epoch = m.epoch
		}
	}
	return epoch
}

// recall returns what is remembered, without waiting for long.
func (s *Store) recall(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, rememberWait)
	defer cancel()
	return s.engine.recall(ctx)
}

// memoryOf returns what texts say of this database.
func (s *Store) memoryOf(texts []string) memory {
	all := memory{epoch: s.Epoch()}
	for _, text := range texts {
		if m, ok := decodeMemory(text); ok && m.epoch == all.epoch {
			all = all.with(m.heads)
		}
	}
	return all
}

// learn keeps the heads that were remembered when the store was opened.
// Whatever is read from then on must reach them. Heads that are remembered
// later are of no use for that, since they may be newer than what was read.
func (s *Store) learn(texts []string) {
	m := s.memoryOf(texts)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = map[string]remembered{}
	for _, r := range m.heads {
		s.known[r.stream] = r
	}
	if len(m.heads) == 0 {
		s.rememberSoon() // the epoch, at least
	}
}

// LostEnd implements [core.Witness].
func (s *Store) LostEnd(stream string, head uint64) (reached uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.known[stream]
	if head >= r.due {
		return 0
	}
	r.due = head
	s.known[stream] = r
	change := s.changes[stream]
	change.stream = stream
	s.changes[stream] = r.then(change)
	s.rememberSoon()
	return r.head
}

// furthest returns how far stream had come when the store was opened, 0 if that
// is not known.
func (s *Store) furthest(stream string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[stream].head
}
