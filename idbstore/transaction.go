package idbstore

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// abortGrace bounds the wait for the event `abort`, after the deadline of the
// call. An abort that was called is final; the wait is there so that the next
// call finds it done.
const abortGrace = 2 * time.Second

// sharing is the fraction of the timeout for which calls share a deadline.
const sharing = 32

// WithDeadline implements [core.Timed]. Calls whose ctx cannot end otherwise
// share a deadline, which may be a little early for them: a timer for each
// append costs as much as the encoding of the event.
func (s *Store) WithDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() != nil {
		end := time.Now().Add(s.timeout)
		if earlier, ok := ctx.Deadline(); ok && !earlier.After(end) {
			return ctx, func() {} // it is that of the caller, or was set before
		}
		return context.WithDeadlineCause(ctx, end, core.ErrBlocked)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := &s.deadline; d.ctx == nil || time.Since(d.set) > s.timeout/sharing {
		d.set = time.Now()
		d.ctx, d.end = context.WithTimeoutCause(context.Background(), s.timeout, core.ErrBlocked)
	}
	return s.deadline.ctx, func() {}
}

// view runs fn in a transaction that only reads, and returns what fn returns.
// fn may run again after a failure of the connection, so it starts from nothing
// each time.
func view[T any](ctx context.Context, s *Store, op, stream, store string, fn func(context.Context, transaction) (T, error)) (T, error) {
	var found, none T
	err := s.run(ctx, op, stream, readOnly, store, func(ctx context.Context, tx transaction) (err error) {
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
func (s *Store) update(ctx context.Context, op, stream, store string, fn func(context.Context, transaction) error) error {
	return s.run(ctx, op, stream, readWrite, store, fn)
}

func (s *Store) run(ctx context.Context, op, stream string, m mode, store string, fn func(context.Context, transaction) error) error {
	return s.connected(ctx, op, stream, func(ctx context.Context, db database) error {
		return s.attempt(ctx, db, m, store, fn)
	})
}

// connected runs attempt with a connection, and again with another one as long
// as the connection fails and nothing can have been written.
func (s *Store) connected(ctx context.Context, op, stream string, attempt func(context.Context, database) error) error {
	if ctx.Err() != nil {
		return s.fail(op, stream, cause(ctx))
	}
	if err := s.enter(); err != nil {
		return s.fail(op, stream, err)
	}
	defer s.calls.Done()
	ctx, cancel := s.WithDeadline(ctx)
	defer cancel()
	err := s.retry(func() error {
		db, err := s.connect(ctx)
		if err != nil {
			return err
		}
		err = attempt(ctx, db)
		if connectionFailed(err) {
			s.abandon(ctx, db)
		}
		return err
	})
	if err != nil {
		return s.fail(op, stream, err)
	}
	return nil
}

// retry calls fn again as long as its connection fails and nothing can have
// been written.
func (s *Store) retry(fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || !connectionFailed(err) || errors.Is(err, core.ErrOutcomeUnknown) || try == maxTries {
			return err
		}
	}
}

// attempt runs fn in one transaction, and waits for the end of a transaction
// that writes.
func (s *Store) attempt(ctx context.Context, db database, m mode, store string, fn func(context.Context, transaction) error) error {
	tx, err := db.begin(m, store)
	if err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		tx.abort()
		if m == readOnly {
			return err // no need to wait
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortGrace)
		defer cancel()
		if tx.wait(grace) == nil {
			return unknownOutcome(err) // the browser committed before the abort
		}
		return err
	}
	if m == readOnly {
		return nil // fn has waited for its answers
	}
	commitErr := tx.commit() // if it is refused, the transaction ends with the reason
	err = tx.wait(ctx)
	var failure *engineError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure) && failure.definite():
		return err
	default:
		return unknownOutcome(errors.Join(err, commitErr))
	}
}
