package idbstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// maxTries bounds how often a call opens the database.
const maxTries = 3

// sharing is the fraction of the timeout for which calls share a deadline.
const sharing = 32

// calls carries out those of one store: with a connection and a deadline, once
// more where another connection can help, and with an error that has a code.
type calls struct {
	timeout    time.Duration
	connection *connection

	mu       sync.Mutex
	closed   bool
	running  sync.WaitGroup
	last     error
	deadline deadline
}

// deadline ends calls that share it.
type deadline struct {
	ctx context.Context
	end context.CancelFunc
	set time.Time
}

// enter counts a call, which wait then waits for, unless the store is closed.
func (c *calls) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosing
	}
	c.running.Add(1)
	return nil
}

// close lets no more calls enter, and reports whether it was the first to do so.
func (c *calls) close() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, c.closed = !c.closed, true
	return first
}

// wait waits for the calls under way.
func (c *calls) wait() {
	c.running.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline.end != nil {
		c.deadline.end()
	}
}

// failed returns the last failure of the storage itself.
func (c *calls) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// within is [Store.WithDeadline].
func (c *calls) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() != nil {
		end := time.Now().Add(c.timeout)
		if earlier, ok := ctx.Deadline(); ok && !earlier.After(end) {
			return ctx, func() {} // it is that of the caller, or was set before
		}
		return context.WithDeadlineCause(ctx, end, core.ErrBlocked)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := &c.deadline; d.ctx == nil || time.Since(d.set) > c.timeout/sharing {
		d.set = time.Now()
		d.ctx, d.end = context.WithTimeoutCause(context.Background(), c.timeout, core.ErrBlocked)
	}
	return c.deadline.ctx, func() {}
}

// view runs fn in a transaction that only reads, and returns what fn returns.
// fn may run again after a failure of the connection, so it starts from nothing
// each time.
func view[T any](ctx context.Context, c *calls, op, stream, store string, fn func(context.Context, transaction) (T, error)) (T, error) {
	var found, none T
	err := c.run(ctx, op, stream, readOnly, store, func(ctx context.Context, tx transaction) (err error) {
		found, err = fn(ctx, tx)
		return err
	})
	if err != nil {
		return none, err
	}
	return found, nil
}

// update runs fn in a transaction that writes, and commits if fn returns nil.
// Nil means that the browser has confirmed the commit. Like in view, fn may
// run again.
func (c *calls) update(ctx context.Context, op, stream, store string, fn func(context.Context, transaction) error) error {
	return c.run(ctx, op, stream, readWrite, store, fn)
}

func (c *calls) run(ctx context.Context, op, stream string, m mode, store string, fn func(context.Context, transaction) error) error {
	return c.connected(ctx, op, stream, func(ctx context.Context, db database) error {
		return attempt(ctx, db, m, store, fn)
	})
}

// connected runs work with a connection, and again with another one as long
// as the connection fails and nothing can have been written.
func (c *calls) connected(ctx context.Context, op, stream string, work func(context.Context, database) error) error {
	if ctx.Err() != nil {
		return c.fail(op, stream, cause(ctx))
	}
	if err := c.enter(); err != nil {
		return c.fail(op, stream, err)
	}
	defer c.running.Done()
	ctx, cancel := c.within(ctx)
	defer cancel()
	err := retry(func() error {
		db, err := c.connection.open(ctx)
		if err != nil {
			return err
		}
		err = work(ctx, db)
		if connectionFailed(err) {
			c.connection.abandon(ctx, db)
		}
		return err
	})
	if err != nil {
		return c.fail(op, stream, err)
	}
	return nil
}

// retry calls fn again as long as its connection fails and nothing can have
// been written.
func retry(fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || !connectionFailed(err) || errors.Is(err, core.ErrOutcomeUnknown) || try == maxTries {
			return err
		}
	}
}
