package idbstore

import (
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/later"
)

// news brings moved heads to the watchers in this tab, and to other tabs.
type news struct {
	peers peers
	timer *later.Timer // of the next post

	mu       sync.Mutex
	closed   bool
	watchers map[*watcher]struct{}
	unposted map[string][]byte // stream to the key of its last record, for other tabs
	posted   time.Time         // when the last post went out
}

func newNews() *news {
	n := &news{watchers: map[*watcher]struct{}{}, unposted: map[string][]byte{}}
	n.timer = later.New(n.post)
	return n
}

// watcher is one call of Watch; its address is its identity.
type watcher struct{ fn func(core.StreamInfo) }

func (n *news) watch(fn func(core.StreamInfo)) (stop func()) {
	w := &watcher{fn}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.watchers[w] = struct{}{}
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.watchers, w)
	}
}

// postDelay is the least time between two posts to other tabs: a frame. A post
// costs a fifth of an append, and of a stream only the last head matters.
const postDelay = 16 * time.Millisecond

// announce notifies the watchers of this tab and the other tabs of a new
// record, with which stream has reached head. The post goes out at once if none
// went out for postDelay, or if the page is hidden, where timers are slow. A
// page is hidden before it ends, and then posts what is left.
func (n *news) announce(stream string, head uint64, key []byte) {
	n.notify(core.StreamInfo{Name: stream, Head: head})
	n.mu.Lock()
	wait := postDelay - time.Since(n.posted)
	if n.peers.slow() {
		wait = 0
	}
	n.unposted[stream] = key
	n.mu.Unlock()
	if wait > 0 {
		n.timer.In(wait)
	} else {
		n.post()
	}
}

func (n *news) post() {
	n.mu.Lock()
	unposted := n.unposted
	n.unposted = map[string][]byte{}
	if len(unposted) > 0 {
		n.posted = time.Now()
	}
	n.mu.Unlock()
	for _, key := range unposted {
		n.peers.post(key)
	}
}

func (n *news) received(key []byte) {
	if stream, end, _, ok := parseKey(key); ok {
		n.notify(core.StreamInfo{Name: stream, Head: end})
	}
}

func (n *news) notify(info core.StreamInfo) {
	n.mu.Lock()
	watchers := make([]*watcher, 0, len(n.watchers))
	for w := range n.watchers {
		watchers = append(watchers, w)
	}
	n.mu.Unlock()
	for _, w := range watchers {
		w.fn(info)
	}
}

// forget lets go of the watchers, and takes no more.
func (n *news) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	clear(n.watchers)
}

// close posts what is left.
func (n *news) close() {
	n.post()
	n.peers.close()
}
