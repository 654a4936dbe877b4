// Package memstore keeps streams and values in memory. It is the reference
// [core.DurableStore]: the model that other stores are compared with, and a
// store for tests and for programs that need no durability.
//
// Where several reasons to fail hold at once, the first in this order decides:
// the arguments, the context, the closed store, the state of the stream or key.
package memstore

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

var (
	_ core.DurableStore = (*Store)(nil)
	_ core.Watcher      = (*Store)(nil)
	_ core.Snapshotter  = (*Store)(nil)
	_ core.Directory    = (*Store)(nil)
)

// Store is one handle on a memory. [New] and [Store.Share] make one; the zero
// Store is not usable.
type Store struct {
	memory *memory
	calls  sync.RWMutex // held for reading by each call, for writing by Close
	closed bool         // guarded by calls
}

// memory is what the handles share. Its lock makes every call atomic.
type memory struct {
	mu      sync.Mutex
	streams map[string][]core.Entry // never empty; only the first may be a tombstone
	values  map[string]uint64       // never 0
	watches map[*watch]struct{}

	snapshots map[string][]byte
	directory map[string]core.Summary
}

// New returns a handle on a new, empty memory.
func New() *Store {
	return &Store{memory: &memory{
		streams: make(map[string][]core.Entry),
		values:  make(map[string]uint64),
		watches: make(map[*watch]struct{}),

		snapshots: make(map[string][]byte),
		directory: make(map[string]core.Summary),
	}}
}

// Share returns another handle on the memory of s, as a second tab opens the
// same database. Each handle is closed on its own, and s may be closed already.
func (s *Store) Share() *Store { return &Store{memory: s.memory} }

// Append implements [core.DurableStore].
func (s *Store) Append(ctx context.Context, stream string, expectedSeq uint64, payloads ...[]byte) (uint64, error) {
	if err := s.write(ctx, core.Write{Stream: stream, Expected: expectedSeq, Payloads: payloads}); err != nil {
		return 0, err
	}
	return expectedSeq, nil
}

// Begin implements [core.Beginner].
func (s *Store) Begin(ctx context.Context, ended func(error), writes ...core.Write) {
	go func() { ended(s.write(ctx, writes...)) }()
}

func (s *Store) write(ctx context.Context, writes ...core.Write) error {
	if err := core.CheckWrites(writes); err != nil {
		return err
	}
	err := s.do(ctx, "append", writes[0].Stream, func(m *memory) error {
		for _, w := range writes {
			if head := m.head(w.Stream); head != w.Expected {
				return &core.SequenceConflictError{Stream: w.Stream, Expected: w.Expected, Actual: head}
			}
		}
		now := uint64(time.Now().UnixMilli())
		for _, w := range writes {
			if w.Summary != nil {
				m.summarize(w.Stream, w.Summary)
			}
			for i, payload := range w.Payloads {
				m.streams[w.Stream] = append(m.streams[w.Stream], core.Entry{
					Stream:    w.Stream,
					Sequence:  w.Expected + uint64(i),
					Timestamp: int64(cmp.Or(w.Time, now)),
					Payload:   bytes.Clone(payload),
				})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, w := range writes {
		s.memory.announce(core.StreamInfo{Name: w.Stream, Head: w.Expected + uint64(len(w.Payloads)), Summary: w.Summary != nil})
	}
	return nil
}

// ReadFrom implements [core.DurableStore].
func (s *Store) ReadFrom(ctx context.Context, stream string, offset uint64, limit int) ([]core.Entry, error) {
	const op = "read"
	if err := core.CheckName(op, stream); err != nil {
		return nil, err
	}
	if err := core.CheckLimit(stream, limit); err != nil {
		return nil, err
	}
	var found []core.Entry
	err := s.do(ctx, op, stream, func(m *memory) error {
		size := 0
		for _, entry := range m.streams[stream] {
			if entry.Sequence >= offset && len(found) < limit && size < core.MaxReadBytes {
				found = append(found, clone(entry))
				size += len(entry.Payload)
			}
		}
		return nil
	})
	return found, err
}

// ReadAt implements [core.DurableStore].
func (s *Store) ReadAt(ctx context.Context, stream string, sequence uint64) (core.Entry, bool, error) {
	const op = "read at"
	if err := core.CheckName(op, stream); err != nil {
		return core.Entry{}, false, err
	}
	var found core.Entry
	var ok bool
	err := s.do(ctx, op, stream, func(m *memory) error {
		for _, entry := range m.streams[stream] {
			if entry.Sequence == sequence {
				found, ok = clone(entry), true
			}
		}
		return nil
	})
	return found, ok, err
}

// Scan implements [core.DurableStore].
func (s *Store) Scan(ctx context.Context, prefix string) ([]core.Entry, error) {
	const op = "scan"
	if err := core.CheckPrefix(op, prefix); err != nil {
		return nil, err
	}
	var found []core.Entry
	err := s.do(ctx, op, prefix, func(m *memory) error {
		for _, name := range m.names(prefix) {
			for _, entry := range m.streams[name] {
				found = append(found, clone(entry))
			}
		}
		return nil
	})
	return found, err
}

// CompareAndSwap implements [core.DurableStore].
func (s *Store) CompareAndSwap(ctx context.Context, key string, oldValue, newValue uint64) error {
	const op = "compare-and-swap"
	if err := core.CheckName(op, key); err != nil {
		return err
	}
	return s.do(ctx, op, key, func(m *memory) error {
		if stored := m.values[key]; stored != oldValue {
			return &core.CursorRegressionError{Key: key, Stored: stored, Attempted: oldValue}
		}
		if newValue == 0 {
			delete(m.values, key)
		} else {
			m.values[key] = newValue
		}
		return nil
	})
}

// ReadValue implements [core.DurableStore].
func (s *Store) ReadValue(ctx context.Context, key string) (uint64, bool, error) {
	const op = "read value"
	if err := core.CheckName(op, key); err != nil {
		return 0, false, err
	}
	var value uint64
	var ok bool
	err := s.do(ctx, op, key, func(m *memory) error {
		value, ok = m.values[key]
		return nil
	})
	return value, ok, err
}

// Streams implements [core.DurableStore].
func (s *Store) Streams(ctx context.Context, prefix string) ([]core.StreamInfo, error) {
	const op = "streams"
	if err := core.CheckPrefix(op, prefix); err != nil {
		return nil, err
	}
	var found []core.StreamInfo
	err := s.do(ctx, op, prefix, func(m *memory) error {
		for _, name := range m.names(prefix) {
			if !m.deleted(name) {
				found = append(found, core.StreamInfo{Name: name, Head: m.head(name)})
			}
		}
		return nil
	})
	return found, err
}

// Delete implements [core.DurableStore].
func (s *Store) Delete(ctx context.Context, stream string) error {
	const op = "delete"
	if err := core.CheckName(op, stream); err != nil {
		return err
	}
	var moved core.StreamInfo
	err := s.do(ctx, op, stream, func(m *memory) error {
		if len(m.streams[stream]) == 0 || m.deleted(stream) {
			return nil
		}
		m.streams[stream] = []core.Entry{{
			Stream:    stream,
			Sequence:  m.head(stream),
			Timestamp: time.Now().UnixMilli(),
			Tombstone: true,
		}}
		delete(m.snapshots, stream)
		delete(m.directory, stream)
		moved = core.StreamInfo{Name: stream, Head: m.head(stream), Summary: true}
		return nil
	})
	if err == nil && moved.Name != "" {
		s.memory.announce(moved)
	}
	return err
}

// Flush implements [core.DurableStore]. Memory has nothing to flush.
func (s *Store) Flush(ctx context.Context) error {
	return s.do(ctx, "flush", "", func(*memory) error { return nil })
}

// Close implements [core.DurableStore]. It ends the watches of this handle; the
// memory and its other handles live on.
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	s.closed = true
	s.memory.unwatch(func(w *watch) bool { return w.owner == s })
	return nil
}

// do runs fn alone on the memory, unless ctx is cancelled or s is closed.
func (s *Store) do(ctx context.Context, op, name string, fn func(*memory) error) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return &core.Error{Code: core.ErrCancelled, Op: op, Stream: name, Err: err}
	}
	if s.closed {
		return &core.Error{Code: core.ErrClosed, Op: op, Stream: name, Detail: "the store was closed; open it again"}
	}
	return fn(s.memory)
}

// head returns the sequence that the next entry of stream gets.
func (m *memory) head(stream string) uint64 {
	entries := m.streams[stream]
	if len(entries) == 0 {
		return 0
	}
	return entries[len(entries)-1].Sequence + 1
}

// deleted reports whether a tombstone is all there is of stream.
func (m *memory) deleted(stream string) bool {
	entries := m.streams[stream]
	return len(entries) == 1 && entries[0].Tombstone
}

// names returns the names of all streams, deleted ones too, that begin with
// prefix. Strings are ordered by their bytes, which is the contract's order.
func (m *memory) names(prefix string) []string {
	names := slices.Collect(maps.Keys(m.streams))
	sort.Slice(names, func(i, j int) bool { return names[i] < names[j] })
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// clone returns entry with a payload that its receiver may change.
func clone(entry core.Entry) core.Entry {
	entry.Payload = bytes.Clone(entry.Payload)
	return entry
}
