package idbstore

import (
	"context"

	"github.com/holdfast-dev/holdfast/core"
)

// Lock implements [core.Locker] with the browser's Web Locks. A page that is
// left or frozen gives its locks up, and has lost those that another caller has
// taken when it comes back; a worker does not notice that it is frozen.
//
// Web Locks exist in secure contexts only; elsewhere the lock is a
// [core.Lease]. The name is subject to [core.CheckName].
func (s *Store) Lock(ctx context.Context, name string) (core.Lock, error) {
	return s.lock(ctx, name, true, core.Lease)
}

// TryLock implements [core.Locker]. In a frozen page it waits until that thaws.
func (s *Store) TryLock(ctx context.Context, name string) (core.Lock, error) {
	return s.lock(ctx, name, false, core.TryLease)
}

func (s *Store) lock(ctx context.Context, name string, waits bool, lease func(context.Context, core.DurableStore, string, func() bool) (core.Lock, error)) (core.Lock, error) {
	if err := core.CheckName("lock", name); err != nil {
		return nil, err
	}
	lock, known, err := s.engine.lock(ctx, name, waits)
	if err == nil && !known {
		lock, err = lease(ctx, s, name, s.news.peers.slow)
	}
	if err != nil {
		return nil, s.calls.fail("lock", name, err)
	}
	return lock, nil
}

// Locked implements [core.Locker]. A tab that is frozen holds no lock.
func (s *Store) Locked(ctx context.Context, name string) (bool, error) {
	if err := core.CheckName("locked", name); err != nil {
		return false, err
	}
	ctx, cancel := s.calls.within(ctx)
	defer cancel()
	held, known, err := s.engine.locked(ctx, name)
	if err == nil && !known {
		held, err = core.Leased(ctx, s, name)
	}
	if err != nil {
		return false, s.calls.fail("locked", name, err)
	}
	return held, nil
}
