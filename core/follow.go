package core

import (
	"context"
	"sync"
	"time"
)

// Follow keeps the conversation up to date with what others append, until stop
// is called: it refreshes in the background now, and whenever the store tells
// that the head has moved beyond the expected sequence. If the store is no
// [Watcher], Follow does nothing.
//
// A refresh that fails is made again after a while, unless it never can succeed.
// Its error is dropped: the next call that needs the store meets it too. After stop returns no refresh begins; one
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
		case <-ctx.Done():
			return
		}
		err := f.catchUp(ctx, c)
		if err != nil && CodeOf(err).Outcome() != Permanent && pause(ctx, followAgain) == nil {
			f.notice(StreamInfo{})
		}
	}
}

// followAgain is how long a refresh that failed waits to be made again.
const followAgain = 5 * time.Second

// catchUp refreshes c if it is behind. Whether it is shows only in its turn: an
// own append under way is announced before its commit is known here.
func (f *follower) catchUp(ctx context.Context, c *Conversation) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	f.mu.Lock()
	behind := f.missed || f.head > c.ExpectedSeq()
	f.missed = false
	f.mu.Unlock()
	if !behind || ctx.Err() != nil {
		return ctx.Err()
	}
	return c.load(ctx)
}
