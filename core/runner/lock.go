package runner

import (
	"context"

	"github.com/holdfast-dev/holdfast/core"
)

func (r *runner) lock() (core.Lock, error) {
	if l, ok := r.Store().(core.Locker); ok {
		return l.Lock(r.run, r.ID())
	}
	return core.Lease(r.run, r.Store(), r.ID(), nil)
}

// Owned reports whether any runner, here or in another tab, processes c at this
// moment, or waits for something to process.
func Owned(ctx context.Context, c *core.Conversation) (bool, error) {
	return owned(ctx, c.Store(), c.ID())
}

func owned(ctx context.Context, store core.DurableStore, id string) (bool, error) {
	if l, ok := store.(core.Locker); ok {
		return l.Locked(ctx, id)
	}
	return core.Leased(ctx, store, id)
}

// tryLock returns nil if another runner has the conversation.
func tryLock(ctx context.Context, store core.DurableStore, id string) (core.Lock, error) {
	if l, ok := store.(core.Locker); ok {
		return l.TryLock(ctx, id)
	}
	return core.TryLease(ctx, store, id, nil)
}

// heldNow reports whether a lock is held at this moment.
func heldNow(lock core.Lock) bool {
	ctx, end := context.WithCancel(context.Background())
	end()
	return lock.Held(ctx)
}
