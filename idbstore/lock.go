package idbstore

import (
	"context"

	"github.com/holdfast-dev/holdfast/core"
)

// Lock implements [core.Locker] with the browser's Web Locks. A page that is
// left or frozen gives its locks up, and has lost them if somebody else has taken
// them until it is back; a worker does not notice. Where there
// are no Web Locks, which only secure contexts have, it is a [core.Lease]. The
// name is subject to [core.CheckName].
func (s *Store) Lock(ctx context.Context, name string) (core.Lock, error) {
	if err := core.CheckName("lock", name); err != nil {
		return nil, err
	}
	lock, err := s.engine.lock(ctx, name)
	switch {
	case err != nil:
		return nil, s.fail("lock", name, err)
	case lock == nil:
		return core.Lease(ctx, s, name)
	default:
		return lock, nil
	}
}
