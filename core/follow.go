package core

import (
	"context"
	"sync"
)

// Follow keeps the conversation up to date with what others append, until stop
// is called: it refreshes in the background now, and whenever the store tells
// that the head has moved beyond the expected sequence. If the store is no
// [Watcher], Follow does nothing.
//
// The errors of these refreshes are dropped: whatever is wrong, the next call
// that needs the store meets it too. After stop returns no refresh begins; one
// that is under way is cancelled and not waited for. Stopping twice does no
// harm.
func (c *Conversation) Follow() (stop func()) {
	watcher, ok := c.store.(Watcher)
	if !ok {
		return func() {}
	}
	f := &follower{wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	unwatch := watcher.Watch(func(moved StreamInfo) {
		if moved.Name == c.id || moved.Name == "" {
			f.notice(moved)
		}
	})
	// Heads may have moved since the conversation was read.
	f.notice(StreamInfo{})
	go f.run(ctx, c)
	return func() {
		cancel()
		unwatch()
	}
}

// follower keeps what was announced until it is acted upon. Announcements come
// in bursts, while one refresh reads all there is.
type follower struct {
	wake chan struct{} // holds a token while there is something to act upon

	mu     sync.Mutex
	head   uint64 // the highest announced
	missed bool   // the head may be anywhere
}

func (f *follower) notice(moved StreamInfo) {
	f.mu.Lock()
	f.head = max(f.head, moved.Head)
	f.missed = f.missed || moved.Name == ""
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *follower) run(ctx context.Context, c *Conversation) {
	for {
		select {
		case <-f.wake:
			f.catchUp(ctx, c)
		case <-ctx.Done():
			return
		}
	}
}

// catchUp refreshes c if it is behind. Whether it is shows only in its turn: an
// own append under way is announced before its commit is known here.
func (f *follower) catchUp(ctx context.Context, c *Conversation) {
	if c.acquire(ctx) != nil {
		return
	}
	defer c.release()
	f.mu.Lock()
	behind := f.missed || f.head > c.ExpectedSeq()
	f.missed = false
	f.mu.Unlock()
	if behind && ctx.Err() == nil {
		_ = c.load(ctx)
	}
}
