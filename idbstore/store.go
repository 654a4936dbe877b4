package idbstore

import (
	"context"
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
	// Timeout bounds every call, also of a conversation, from when it is made,
	// [DefaultTimeout] if 0; calls made at about the same time end together, up
	// to a 32nd earlier. A write whose commit was sent then returns
	// [core.ErrOutcomeUnknown], any other call [core.ErrBlocked]. A write whose
	// abort is not answered either takes two seconds more, and so does a
	// conversation that settles a write.
	Timeout time.Duration
}

// Store is a [core.DurableStore] in IndexedDB, and a [core.Snapshotter],
// [core.Inspector] and [core.Witness]. It is a [core.Watcher] and a
// [core.Locker] across tabs, and a [core.Beginner].
//
// It opens its connection again when the browser has closed it, and never falls
// back to memory. If it then finds an emptied database in place of its own,
// every call returns [core.ErrStoreReset], until a new Store is opened.
type Store struct {
	engine    engine
	life      context.Context // ends with Close, and with it what no caller waits for
	end       context.CancelCauseFunc
	calls     *calls
	heads     *heads
	news      *news
	compactor *compactor
}

var (
	_ core.DurableStore = (*Store)(nil)
	_ core.Watcher      = (*Store)(nil)
	_ core.Locker       = (*Store)(nil)
	_ core.Snapshotter  = (*Store)(nil)
	_ core.Inspector    = (*Store)(nil)
	_ core.Beginner     = (*Store)(nil)
	_ core.Timed        = (*Store)(nil)
	_ core.Witness      = (*Store)(nil)
)

// Epoch is the random id of the database, in hex. An emptied database gets a
// new one.
func (s *Store) Epoch() string { return s.calls.connection.epoch() }

// LastError is the last failure of the storage itself; lost races and bad
// arguments do not count. It is nil if there was none.
func (s *Store) LastError() error { return s.calls.failed() }

// WithDeadline implements [core.Timed]. Calls whose ctx cannot end otherwise
// share a deadline, which may be a little early for them: a timer for each
// append costs as much as the encoding of the event.
func (s *Store) WithDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return s.calls.within(ctx)
}

// Watch implements [core.Watcher].
func (s *Store) Watch(fn func(core.StreamInfo)) (stop func()) { return s.news.watch(fn) }
