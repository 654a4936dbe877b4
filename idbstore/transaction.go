package idbstore

import (
	"context"
	"errors"
	"time"
)

// abortGrace bounds the wait for the event `abort`, after the deadline of the
// call. An abort that was called is final; the wait is there so that the next
// call finds it done.
const abortGrace = 2 * time.Second

// attempt runs fn in one transaction, and waits for the end of a transaction
// that writes.
func attempt(ctx context.Context, db database, m mode, store string, fn func(context.Context, transaction) error) error {
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
