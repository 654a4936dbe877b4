package core

import (
	"context"
	"time"
)

// settleGrace is how long an append whose deadline has passed may still be
// settled: its commit was sent, and it is worth something to know more.
const settleGrace = 2 * time.Second

// withDeadline returns ctx with the deadline of a call that begins now, if store
// has one. What the call waits for comes out of it, also the turn of the
// conversation.
func withDeadline(ctx context.Context, store DurableStore) (context.Context, context.CancelFunc) {
	if timed, ok := store.(Timed); ok {
		return timed.WithDeadline(ctx)
	}
	return ctx, func() {}
}

// overdue reports whether ctx has ended at the deadline of a store.
func overdue(ctx context.Context) bool { return context.Cause(ctx) == error(ErrBlocked) }

// ended returns the error of a call that has done nothing until ctx ended.
func ended(ctx context.Context) error {
	if overdue(ctx) {
		return &Error{Code: ErrBlocked,
			Detail: "other calls of the conversation took until the deadline, and nothing was written; another tab may be holding the database, so close other tabs or try again"}
	}
	return ctx.Err()
}

// graced returns a context to settle with what was done under ctx.
func graced(ctx context.Context) (context.Context, context.CancelFunc) {
	if !overdue(ctx) {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), settleGrace)
}
