package core_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// asleep is a store of a tab whose timers do not run: it cannot renew anything.
type asleep struct {
	*memstore.Store
	sleeps atomic.Bool
}

func (a *asleep) CompareAndSwap(ctx context.Context, key string, old, next uint64) error {
	if a.sleeps.Load() {
		return core.ErrStorageUnavailable
	}
	return a.Store.CompareAndSwap(ctx, key, old, next)
}

func isLost(l core.Lock) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// take takes a lease in the background, and returns a channel that has it then.
func take(store core.DurableStore, name string) <-chan core.Lock {
	taken := make(chan core.Lock, 1)
	go func() {
		if l, err := core.Lease(context.Background(), store, name, nil); err == nil {
			taken <- l
		}
	}()
	return taken
}

func TestLeaseIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		first := <-take(memory.Share(), "c")
		other := <-take(memory.Share(), strings.Repeat("another", 146))
		second := take(memory.Share(), "c")
		time.Sleep(time.Hour) // it is renewed
		if len(second) != 0 || isLost(first) {
			t.Fatal("two hold it")
		}
		released := time.Now()
		first.Release()
		first.Release()
		next := <-second
		if took := time.Since(released); took > time.Second {
			t.Errorf("it was handed on after %v", took)
		}
		next.Release()
		other.Release()
		synctest.Wait()
		if values, err := memory.Scan(t.Context(), ""); err != nil || len(values) != 0 {
			t.Errorf("left behind: %v, %v", values, err)
		}
	})
}

func TestLeaseOfAHolderThatVanishes(t *testing.T) {
	for name, tt := range map[string]struct {
		ends  int64 // milliseconds from now
		after time.Duration
	}{
		"it ran out long ago":                 {-1, time.Second},
		"it has just begun":                   {6000, 8 * time.Second},
		"it has just begun, in a hidden page": {180_000, 182 * time.Second},
		"the clock was set back":              {1e9, 182 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := memstore.New()
				keys := &spy{Store: memory}
				probe := <-take(keys, "c")
				probe.Release()
				synctest.Wait()
				if err := memory.CompareAndSwap(t.Context(), keys.key, 0, uint64(time.Now().UnixMilli()+tt.ends)<<10); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				l := <-take(memory.Share(), "c")
				if took := time.Since(began); took > tt.after {
					t.Errorf("it was taken over after %v", took)
				}
				l.Release()
			})
		})
	}
}

// spy learns the key of a lease.
type spy struct {
	*memstore.Store
	key string
}

func (s *spy) CompareAndSwap(ctx context.Context, key string, old, next uint64) error {
	s.key = key
	return s.Store.CompareAndSwap(ctx, key, old, next)
}

func TestLeaseOfAHolderThatSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		store := &asleep{Store: memory.Share()}
		first := <-take(store, "c")
		second := take(memory.Share(), "c")
		store.sleeps.Store(true)
		next := <-second
		store.sleeps.Store(false)
		time.Sleep(3 * time.Second)
		if !isLost(first) || isLost(next) {
			t.Errorf("the first has lost it: %v; the second: %v", isLost(first), isLost(next))
		}
		first.Release() // does no harm to the second
		time.Sleep(time.Minute)
		if isLost(next) {
			t.Error("the second has lost it")
		}
		next.Release()
	})
}

// hidden is a store of a page whose timers run once a minute.
type hidden struct{ *memstore.Store }

func (h *hidden) CompareAndSwap(ctx context.Context, key string, old, next uint64) error {
	time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)))
	return h.Store.CompareAndSwap(ctx, key, old, next)
}

// TestLeaseOfAHiddenPage: it is at work, and keeps its lease.
func TestLeaseOfAHiddenPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		first, err := core.Lease(t.Context(), &hidden{memory.Share()}, "c", func() bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		second := take(memory.Share(), "c")
		time.Sleep(time.Hour)
		if len(second) != 0 || isLost(first) {
			t.Fatal("two hold it")
		}
		first.Release()
		(<-second).Release()
	})
}

// forgetful is a store that says of a swap that its outcome is unknown.
type forgetful struct {
	*memstore.Store
	lands bool // whether it was carried out
	times atomic.Int32
}

func (f *forgetful) CompareAndSwap(ctx context.Context, key string, old, next uint64) error {
	if f.times.Add(-1) < 0 {
		return f.Store.CompareAndSwap(ctx, key, old, next)
	}
	if f.lands {
		if err := f.Store.CompareAndSwap(ctx, key, old, next); err != nil {
			return err
		}
	}
	return core.ErrOutcomeUnknown
}

// TestLeaseSettlesUnknown: a swap of which nobody knows is looked for, and the
// lease is not waited for by the one that has it.
func TestLeaseSettlesUnknown(t *testing.T) {
	for name, lands := range map[string]bool{"landed": true, "not landed": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &forgetful{Store: memstore.New(), lands: lands}
				store.times.Store(1)
				began := time.Now()
				l := <-take(store, "c")
				if took := time.Since(began); took > time.Second {
					t.Errorf("it was taken after %v", took)
				}
				store.times.Store(1) // a renewal, too
				time.Sleep(time.Minute)
				if isLost(l) {
					t.Error("it was lost")
				}
				l.Release()
			})
		})
	}
}

func TestLeaseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		held := <-take(memory.Share(), "c")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := core.Lease(ctx, memory.Share(), "c", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		closed := memory.Share()
		_ = closed.Close()
		if _, err := core.Lease(t.Context(), closed, "c", nil); !errors.Is(err, core.ErrClosed) {
			t.Errorf("of a closed store: %v", err)
		}
		held.Release()
	})
}
