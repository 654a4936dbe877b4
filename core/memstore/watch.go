package memstore

import (
	"sync/atomic"

	"github.com/holdfast-dev/holdfast/core"
)

// watch is one registered callback.
type watch struct {
	owner   *Store
	fn      func(core.StreamInfo)
	stopped atomic.Bool
}

// Watch implements [core.Watcher] for commits through any handle on the
// memory. fn is called by the goroutine that committed, before its call
// returns and outside every lock; so calls for concurrent commits may overlap.
// stop may be called more than once. Closing s stops its watches too.
func (s *Store) Watch(fn func(core.StreamInfo)) (stop func()) {
	w := &watch{owner: s, fn: fn}
	s.calls.RLock()
	defer s.calls.RUnlock()
	if s.closed {
		return func() {}
	}
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.memory.watches[w] = struct{}{}
	return func() { s.memory.unwatch(func(other *watch) bool { return other == w }) }
}

// unwatch stops the watches that which selects.
func (m *memory) unwatch(which func(*watch) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watches {
		if which(w) {
			w.stopped.Store(true)
			delete(m.watches, w)
		}
	}
}

// announce tells all watches that a head has moved. A watch that is stopped
// meanwhile is left out.
func (m *memory) announce(moved core.StreamInfo) {
	m.mu.Lock()
	watches := make([]*watch, 0, len(m.watches))
	for w := range m.watches {
		watches = append(watches, w)
	}
	m.mu.Unlock()
	for _, w := range watches {
		if !w.stopped.Load() {
			w.fn(moved)
		}
	}
}
