package idbstore

import (
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// watcher is one call of Watch; its address is its identity.
type watcher struct{ fn func(core.StreamInfo) }

// Watch implements [core.Watcher].
func (s *Store) Watch(fn func(core.StreamInfo)) (stop func()) {
	w := &watcher{fn}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.watchers[w] = struct{}{}
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	}
}

// postDelay is the least time between two posts to other tabs: a frame. A post
// costs a fifth of an append, and of a stream only the last head matters.
const postDelay = 16 * time.Millisecond

// announce notifies the watchers of this tab and the other tabs of a new
// record, with which stream has reached head. The post goes out at once if none
// went out for postDelay, or if the page is hidden, where timers are slow. A
// page is hidden before it ends, and then posts what is left.
func (s *Store) announce(stream string, head uint64, key []byte) {
	s.heads.moved(stream, head)
	s.notify(core.StreamInfo{Name: stream, Head: head})
	s.mu.Lock()
	wait := postDelay - time.Since(s.posted)
	if s.peers.slow() {
		wait = 0
	}
	s.unposted[stream] = key
	s.mu.Unlock()
	if wait > 0 {
		s.postTimer.In(wait)
	} else {
		s.post()
	}
}

func (s *Store) post() {
	s.mu.Lock()
	unposted := s.unposted
	s.unposted = map[string][]byte{}
	if len(unposted) > 0 {
		s.posted = time.Now()
	}
	s.mu.Unlock()
	for _, key := range unposted {
		s.peers.post(key)
	}
}

func (s *Store) received(key []byte) {
	if stream, end, _, ok := parseKey(key); ok {
		s.notify(core.StreamInfo{Name: stream, Head: end})
	}
}

// missed is called when the page may have missed posts: its connection may be
// dead, and any stream may have moved.
func (s *Store) missed() {
	go func() { // the browser's callback must not wait for the connection
		s.disconnect()
		s.notify(core.StreamInfo{})
		s.compaction.timer.In(s.compaction.quiet) // one may have come due while it was frozen
	}()
}

func (s *Store) notify(info core.StreamInfo) {
	s.mu.Lock()
	watchers := make([]*watcher, 0, len(s.watchers))
	for w := range s.watchers {
		watchers = append(watchers, w)
	}
	s.mu.Unlock()
	for _, w := range watchers {
		w.fn(info)
	}
}
