package idbstore

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// DefaultTimeout is how long a call waits for the browser if [Options] say
// nothing else.
const DefaultTimeout = 30 * time.Second

// Options configure a [Store].
type Options struct {
	// DefaultDurability asks for the browser's default durability in place of a
	// sync to disk before each commit: an acknowledged event then survives the
	// end of the tab and of the browser, but perhaps not a power cut.
	DefaultDurability bool
	// Timeout bounds every call, [DefaultTimeout] if 0; calls made at about the
	// same time end together, up to a 32nd earlier. A write whose commit was
	// already sent then gives [core.ErrOutcomeUnknown], any other call
	// [core.ErrBlocked]. A write whose abort is not answered either takes two
	// seconds more.
	Timeout time.Duration
}

// Store is a [core.DurableStore], [core.Snapshotter], [core.Inspector] and [core.Witness] in IndexedDB, a
// [core.Beginner] where the page offers an appender, and a [core.Watcher] and [core.Locker] across tabs. It opens its connection again when the browser has closed it, and it
// never falls back to memory. If it then finds another, emptied database in
// place of its own, every call gives [core.ErrStoreReset], and what is left to
// do is to open a new Store.
type Store struct {
	engine  engine
	timeout time.Duration
	peers   peers
	life    context.Context // ends with Close: what nobody waits for need not finish
	end     context.CancelCauseFunc

	connecting chan struct{} // held while the connection is looked at or opened
	db         database      // nil if it is to be opened; guarded by connecting
	reset      bool          // another database was found; guarded by connecting

	mu       sync.Mutex
	epoch    string
	closed   bool
	calls    sync.WaitGroup
	last     error
	watchers map[*watcher]struct{}
	unposted map[string][]byte // stream to the key of its last record, for other tabs
	posted   time.Time         // when the last post went out
	deadline deadline
	// Of what is remembered outside the database, see heads.go.
	known     map[string]remembered // by stream, when the store was opened
	changes   map[string]remembered // since it was last written
	unwritten bool                  // something is to be written
	writing   bool                  // and will be by itself

	recalled    chan []string // gets once what was remembered when the store was opened
	remembering chan struct{} // held while it is written

	compaction compaction
}

var (
	_ core.DurableStore = (*Store)(nil)
	_ core.Watcher      = (*Store)(nil)
	_ core.Locker       = (*Store)(nil)
	_ core.Snapshotter  = (*Store)(nil)
	_ core.Inspector    = (*Store)(nil)
	_ core.Beginner     = (*Store)(nil)
	_ core.Witness      = (*Store)(nil)
)

// deadline ends calls that share it.
type deadline struct {
	ctx context.Context
	end context.CancelFunc
	set time.Time
}

// watcher is one call of Watch; its address is its identity.
type watcher struct{ fn func(core.StreamInfo) }

// start opens the database of e for the first time.
func start(ctx context.Context, e engine, timeout time.Duration) (*Store, error) {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	s := &Store{
		engine:      e,
		timeout:     timeout,
		connecting:  make(chan struct{}, 1),
		recalled:    make(chan []string, 1),
		remembering: make(chan struct{}, 1),
		watchers:    map[*watcher]struct{}{},
		unposted:    map[string][]byte{},
		changes:     map[string]remembered{},
		compaction:  compaction{due: compactDue, quiet: compactQuiet, tails: map[string]tail{}},
	}
	s.life, s.end = context.WithCancelCause(context.Background())
	ctx, cancel := s.withDeadline(ctx)
	defer cancel()
	go func() { s.recalled <- s.recall(ctx) }() // while the database opens
	if err := s.retry(func() error { _, err := s.connect(ctx); return err }); err != nil {
		return nil, s.fail("open", "", err)
	}
	peers, err := e.listen(s.received, s.missed, s.post)
	if err != nil {
		s.db.close()
		return nil, s.fail("open", "", err)
	}
	s.peers = peers
	return s, nil
}

// Epoch is the random id of the database, in hex. An emptied database gets a
// new one.
func (s *Store) Epoch() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// LastError is the last failure of the storage itself; lost races and bad
// arguments do not count. It is nil if there was none.
func (s *Store) LastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Close implements [core.DurableStore].
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	clear(s.watchers)
	s.mu.Unlock()
	s.end(core.ErrClosed)
	s.calls.Wait()
	s.mu.Lock()
	if s.deadline.end != nil {
		s.deadline.end()
	}
	s.mu.Unlock()
	if !closed {
		s.remember()
		s.post()
		s.peers.close()
		s.connecting <- struct{}{}
		s.drop(s.db)
		<-s.connecting
	}
	return nil
}

// enter counts a call in, unless the store is closed.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return core.ErrClosed
	}
	s.calls.Add(1)
	return nil
}

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

// announce tells this tab and the others about a new record. After a pause, and
// where the page is hidden, the others hear of it at once: it may end right behind the
// append. One that ends otherwise is hidden first, which posts what is left.
func (s *Store) announce(stream string, key []byte) {
	if _, head, _, ok := parseKey(key); ok {
		s.moved(stream, head)
		s.notify(core.StreamInfo{Name: stream, Head: head})
	}
	s.mu.Lock()
	wait := postDelay - time.Since(s.posted)
	if s.peers.slow() {
		wait = 0
	}
	if wait > 0 && len(s.unposted) == 0 {
		time.AfterFunc(wait, s.post)
	}
	s.unposted[stream] = key
	s.mu.Unlock()
	if wait <= 0 {
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

// missed is called when the page comes back from where it could hear nothing:
// the connection may be dead, and any stream may have moved.
func (s *Store) missed() {
	go func() { // the browser's callback must not wait for the connection
		s.connecting <- struct{}{}
		s.drop(s.db)
		<-s.connecting
		s.notify(core.StreamInfo{})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.arm() // a compaction may have come due meanwhile
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
