package core

import (
	"context"
	"sync"
	"time"
)

// Follow keeps the conversation up to date with what others append, until ctx
// ends: it refreshes now, and whenever the store reports that the head has moved
// beyond the expected sequence. It returns nil when ctx ends, and at once if the
// store is no [Watcher].
//
// A refresh that fails is repeated after a while, and its error is dropped. One
// that can never succeed ends Follow, which returns why: from then on the
// conversation hears of nothing. Errors are those of [Conversation.Refresh], but
// for the report of a lost end: the next call gets that.
func (c *Conversation) Follow(ctx context.Context) error {
	watcher, ok := c.log.store.(Watcher)
	if !ok {
		return nil
	}
	f := &follower{wake: make(chan struct{}, 1)}
	defer watcher.Watch(func(moved StreamInfo) {
		if moved.Name == c.log.id || moved.Name == "" {
			f.notice(moved)
		}
	})()
	// Heads may have moved since the conversation was read.
	f.notice(StreamInfo{})
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return nil
		}
		err := f.catchUp(ctx, c)
		switch {
		case err == nil, ctx.Err() != nil:
		case CodeOf(err).Outcome() == Permanent:
			return c.log.fail("follow", err)
		case pause(ctx, followAgain) == nil:
			f.notice(StreamInfo{})
		}
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

// catchUp refreshes c if the log has more than c. It first waits for the turn,
// because the notice of an append by c may come before c knows of the commit.
func (f *follower) catchUp(ctx context.Context, c *Conversation) error {
	if err := c.writer.acquire(ctx); err != nil {
		return err
	}
	defer c.writer.release()
	f.mu.Lock()
	more := f.missed || f.head > c.ExpectedSeq()
	f.missed = false
	f.mu.Unlock()
	if !more || ctx.Err() != nil {
		return ctx.Err()
	}
	if err := c.log.read(ctx); err != nil {
		return err
	}
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.log.unreported = true
	return nil
}
