package core

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// Lease makes a [Lock] of a value in store, for stores that are no [Locker].
// The value is the time when the lease ends, in milliseconds since the Unix
// epoch; the holder moves it on by compare-and-swap. A waiting caller takes the
// lease over when that time has passed, or if it has not seen the value change
// for as long, so that a clock which was set back does not block it for ever.
//
// While slow reports true the timers of the holder may run as seldom as once a
// minute, as in a hidden page: then the lease lasts longer. A nil slow never
// does.
func Lease(ctx context.Context, store DurableStore, name string, slow func() bool) (Lock, error) {
	l := newLease(store, name, slow)
	if err := l.acquire(ctx); err != nil {
		return nil, err
	}
	go l.keep()
	return l, nil
}

// TryLease is [Lease], but returns nil at once if another has the lease, or may
// have it.
func TryLease(ctx context.Context, store DurableStore, name string, slow func() bool) (Lock, error) {
	l := newLease(store, name, slow)
	value, _, err := store.ReadValue(ctx, l.key)
	if err == nil && time.Now().Before(leaseEnd(value)) {
		return nil, nil
	}
	if err == nil {
		err = l.move(ctx, value)
	}
	switch {
	case errors.Is(err, ErrCursorRegression):
		return nil, nil
	case err != nil:
		return nil, err
	}
	go l.keep()
	return l, nil
}

func newLease(store DurableStore, name string, slow func() bool) *lease {
	if slow == nil {
		slow = func() bool { return false }
	}
	return &lease{store: store, key: leaseKey(name), slow: slow, lost: make(chan struct{}), end: make(chan struct{})}
}

// Leased reports whether anybody holds such a lease at this moment. Of a holder
// that has ended without a release it does so until the time of the lease is
// over.
func Leased(ctx context.Context, store DurableStore, name string) (bool, error) {
	value, _, err := store.ReadValue(ctx, leaseKey(name))
	return err == nil && time.Now().Before(leaseEnd(value)), err
}

// The times of a lease. A page that was just hidden runs its timers once a second,
// and after five minutes once a minute, so the holder has several chances to
// renew.
const (
	leaseTime  = 6 * time.Second // from a renewal until another may take it over
	leaseSlow  = 3 * time.Minute // the same, while timers are slow
	leaseRenew = 2 * time.Second
	leasePoll  = time.Second // the longest time between two looks at a held lease
)

// leaseKey fits any name into [MaxNameBytes].
func leaseKey(name string) string {
	h := fnv.New64a()
	h.Write([]byte(name))
	return "holdfast:lease:" + strconv.FormatUint(h.Sum64(), 16)
}

type lease struct {
	store DurableStore
	key   string
	slow  func() bool
	value uint64        // what the holder has stored last
	lost  chan struct{} // closed by keep
	end   chan struct{} // closed by Release
	once  sync.Once
}

func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Held(ctx context.Context) bool {
	select {
	case <-l.lost:
		<-ctx.Done()
		return false
	default:
		return true
	}
}

func (l *lease) Release() { l.once.Do(func() { close(l.end) }) }

func (l *lease) acquire(ctx context.Context) error {
	var seen uint64
	var since time.Time
	var lasts time.Duration // as far as can be told when the value is first seen
	for wait := leasePoll / 64; ; wait = min(2*wait, leasePoll) {
		value, _, err := l.store.ReadValue(ctx, l.key)
		if err != nil {
			return err
		}
		left := time.Until(leaseEnd(value))
		if value != seen || since.IsZero() {
			seen, since, lasts = value, time.Now(), min(max(left, leaseTime), leaseSlow)
		}
		if left < 0 || time.Since(since) > lasts {
			if err := l.move(ctx, value); err == nil {
				return nil
			} else if !errors.Is(err, ErrCursorRegression) {
				return err
			}
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// leaseMark is how many bits of a value, after the time, are random: they tell
// two that move a lease within the same millisecond.
const leaseMark = 10

func leaseEnd(value uint64) time.Time { return time.UnixMilli(int64(value >> leaseMark)) }

// move sets a new end of the lease, if the end is still old. An unknown outcome
// is settled by reading back, as that of an append is.
func (l *lease) move(ctx context.Context, old uint64) error {
	lasts := leaseTime
	if l.slow() {
		lasts = leaseSlow
	}
	next := uint64(time.Now().Add(lasts).UnixMilli())<<leaseMark | rand.Uint64N(1<<leaseMark)
	if next == old {
		next++
	}
	err := l.store.CompareAndSwap(ctx, l.key, old, next)
	if errors.Is(err, ErrOutcomeUnknown) {
		err = l.settle(ctx, old, next, err)
	}
	if err == nil {
		l.value = next
	}
	return err
}

// settle finds out what became of a swap that ended with unknown.
func (l *lease) settle(ctx context.Context, old, next uint64, unknown error) error {
	switch value, _, err := l.store.ReadValue(ctx, l.key); {
	case err != nil:
		return unknown
	case value == next:
		return nil
	case value == old:
		return l.store.CompareAndSwap(ctx, l.key, old, next)
	default:
		return &CursorRegressionError{Key: l.key, Stored: value, Attempted: old}
	}
}

// keep renews the lease until it is released or lost. Errors of the store are
// no loss yet: another holder shows when the store works again.
func (l *lease) keep() {
	ctx := context.Background()
	for {
		select {
		case <-l.end:
			_ = l.store.CompareAndSwap(ctx, l.key, l.value, 0) // if it fails, the lease runs out
			return
		case <-time.After(leaseRenew):
		}
		switch CodeOf(l.move(ctx, l.value)) {
		case ErrCursorRegression, ErrClosed, ErrStoreReset:
			close(l.lost)
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
