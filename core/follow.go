package core

import (
	"context"
	"sync"
	"time"
)

// Follow keeps the conversation up to date with what others append, until stop
// is called: it refreshes in the background now, and whenever the store reports
// that the head has moved beyond the expected sequence. If the store is no
// [Watcher], Follow does nothing.
//
// A refresh that fails is repeated after a while, unless it can never succeed.
// Its error is dropped: the next call that needs the store meets it too.
//
// After stop returns no refresh begins; one that is under way is cancelled and
// not waited for. Stopping twice does no harm.
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

// followAgain is how long a failed refresh waits to be repeated.
const followAgain = 5 * time.Second

// follower keeps notices of moved heads until a refresh. Notices come in
// bursts, while one refresh reads all there is.
type follower struct {
	wake chan struct{} // holds a token while there are notices

	mu     sync.Mutex
	head   uint64 // the highest noticed
	missed bool   // notices were missed: the head may be anywhere
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

// catchUp refreshes c if the log has more than c. It first waits for the turn,
// because the notice of an append by c may come before c knows of the commit.
func (f *follower) catchUp(ctx context.Context, c *Conversation) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	f.mu.Lock()
	more := f.missed || f.head > c.ExpectedSeq()
	f.missed = false
	f.mu.Unlock()
	if !more || ctx.Err() != nil {
		return ctx.Err()
	}
	return c.load(ctx)
}
