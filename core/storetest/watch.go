package storetest

import (
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

var watchStories = []story{
	{"watchers of every handle hear of every moved head", func(s *stage) {
		handles := []*handle{s.open(), s.open()}
		listeners := []*listener{s.listen(handles[0]), s.listen(handles[1])}
		heads := map[string]uint64{"chat": 0, "other": 0}
		moved := func(stream string, head uint64) {
			s.Helper()
			heads[stream] = head
			for i, l := range listeners {
				l.await(stream, head)
				if entry, ok := handles[i].readAt(stream, head-1); !ok {
					s.Fatalf("heard of head %d of %q, but nothing is at %d: %s", head, stream, head-1, show(entry))
				}
			}
		}
		for _, h := range handles {
			moved("chat", h.append("chat", heads["chat"], "a"))
			moved("other", h.append("other", heads["other"], "b", "c"))
			_, err := h.Append(s.Context(), "chat", heads["chat"]+1, []byte("late"))
			wantConflict(s, err, "chat", heads["chat"]+1, heads["chat"])
			h.delete("other")
			moved("other", heads["other"]+1)
		}
		for _, l := range listeners {
			l.wantNothingBeyond(heads)
		}
	}},
	{"a stopped watcher hears nothing more", func(s *stage) {
		one, two := s.open(), s.open()
		stopped := []*listener{s.listen(one), s.listen(two)}
		live := []*listener{s.listen(one), s.listen(two)}
		one.append("chat", 0, "a")
		for _, l := range append(stopped, live...) {
			l.await("chat", 1)
		}
		for _, l := range stopped {
			l.stop()
			l.forget()
		}
		two.append("chat", 1, "b")
		one.append("chat", 2, "c")
		for _, l := range live {
			l.await("chat", 3)
		}
		for _, l := range stopped {
			if heard := l.forget(); len(heard) > 0 {
				s.Fatalf("stopped, and heard %+v", heard)
			}
		}
	}},
	{"watchers outlive other handles", func(s *stage) {
		one, two := s.open(), s.open()
		l := s.listen(one)
		if err := two.Close(); err != nil {
			s.Fatal(err)
		}
		s.open().append("chat", 0, "a")
		l.await("chat", 1)
	}},
}

// listener keeps what a watcher was told.
type listener struct {
	s    *stage
	stop func()

	mu    sync.Mutex
	heard []core.StreamInfo
	more  chan struct{} // has room for one: something was heard
}

// listen watches h until the end of the story. It skips the story if h is no
// [core.Watcher].
func (s *stage) listen(h *handle) *listener {
	s.Helper()
	watcher, ok := h.DurableStore.(core.Watcher)
	if !ok {
		s.Skip("the store is no core.Watcher")
	}
	l := &listener{s: s, more: make(chan struct{}, 1)}
	l.stop = sync.OnceFunc(watcher.Watch(func(moved core.StreamInfo) {
		l.mu.Lock()
		l.heard = append(l.heard, moved)
		l.mu.Unlock()
		select {
		case l.more <- struct{}{}:
		default:
		}
	}))
	s.Cleanup(l.stop)
	return l
}

// await returns when l has heard that stream has reached head, or that any
// stream may have moved.
func (l *listener) await(stream string, head uint64) {
	l.s.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		heard := l.heard
		l.mu.Unlock()
		for _, moved := range heard {
			if moved.Name == "" || moved.Name == stream && moved.Head >= head {
				return
			}
		}
		select {
		case <-l.more:
		case <-deadline:
			l.s.Fatalf("not told that %q has reached head %d, only %+v", stream, head, heard)
		}
	}
}

// forget returns all that l has heard so far and starts afresh.
func (l *listener) forget() []core.StreamInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.heard
	l.heard = nil
	return heard
}

// wantNothingBeyond checks that l was told of no head that was never reached.
func (l *listener) wantNothingBeyond(heads map[string]uint64) {
	l.s.Helper()
	for _, moved := range l.forget() {
		if moved.Name != "" && moved.Head > heads[moved.Name] {
			l.s.Errorf("told of %+v, but the head is %d", moved, heads[moved.Name])
		}
	}
}
