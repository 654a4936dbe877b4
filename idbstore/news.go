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
	unposted map[string]post // by stream, for other tabs
	posted   time.Time       // when the last post went out
}

func newNews() *news {
	n := &news{watchers: map[*watcher]struct{}{}, unposted: map[string]post{}}
	n.timer = later.New(n.post)
	return n
}

// post is what other tabs are told of a stream: the key of its last record, after
// a byte that says whether the summary has changed since the last post.
type post struct {
	key     []byte
	summary bool
}

const (
	postHead byte = iota
	postSummary
)

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
// record, with which a stream has moved. The post goes out at once if none
// went out for postDelay, or if the page is hidden, where timers are slow. A
// page is hidden before it ends, and then posts what is left.
func (n *news) announce(moved core.StreamInfo, key []byte) {
	n.notify(moved)
	n.mu.Lock()
	wait := postDelay - time.Since(n.posted)
	if n.peers.slow() {
		wait = 0
	}
	n.unposted[moved.Name] = post{key, moved.Summary || n.unposted[moved.Name].summary}
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
	n.unposted = map[string]post{}
	if len(unposted) > 0 {
		n.posted = time.Now()
	}
	n.mu.Unlock()
	for _, p := range unposted {
		about := postHead
		if p.summary {
			about = postSummary
		}
		n.peers.post(append([]byte{about}, p.key...))
	}
}

func (n *news) received(message []byte) {
	if len(message) == 0 {
		return
	}
	if stream, end, _, ok := parseKey(message[1:]); ok {
		n.notify(core.StreamInfo{Name: stream, Head: end, Summary: message[0] == postSummary})
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
