package main

import (
	"context"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// processAll runs until stop, or an error that cannot pass.
func (b *bridge) processAll(ctx context.Context, args arguments) (any, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	number, prefix := args.number(0), args.text(1)
	b.runners[number], b.prefixes[number] = stop, prefix
	defer delete(b.runners, number)
	defer delete(b.prefixes, number)
	onTurn, onError, onDue := args.value(3), args.value(4), args.value(5)
	o := runner.AllOptions{
		Prefix:      prefix,
		Concurrency: args.number(2),
		OnError:     func(_ string, err error) { _, _ = onError.Invoke(failure(err)) }, // the host's callbacks do not throw
		OnDue:       func(now bool, due uint64) { _, _ = onDue.Invoke(dueOf(now, due)) },
	}
	return nil, runner.All(ctx, b.store, o, func(ctx context.Context, id string, yield func() bool) error {
		t := &turn{ctx, yield, make(chan error, 1)}
		number := b.turns.add(t)
		defer delete(b.turns.waiting, number)
		_, _ = onTurn.Invoke(number, id)
		return <-t.ended
	})
}

// pass ends a turn in which nothing was done.
func (b *bridge) pass(args arguments) (any, error) {
	if t, ok := b.turns.waiting[args.number(0)]; ok {
		t.end(nil)
	}
	return nil, nil
}

// runner returns who processes a conversation.
func (b *bridge) runner(ctx context.Context, h *handle, _ arguments) (any, error) {
	owned, err := runner.Owned(ctx, h.Conversation)
	_, alone := b.store.(*memstore.Store)
	switch {
	case err != nil:
		return nil, err
	case b.owned[h.ID()] > 0:
		return "here", nil
	case owned && !alone: // alone, it was owned here a moment ago
		return "elsewhere", nil
	case b.standsReady(h.ID()):
		return "here", nil
	default:
		return "nobody", nil
	}
}

// standsReady reports whether processAll works on a conversation when it has a turn.
func (b *bridge) standsReady(id string) bool {
	for _, prefix := range b.prefixes {
		if strings.HasPrefix(id, prefix) {
			return true
		}
	}
	return false
}

// pending returns when a message of a conversation can be worked on: -1 for now,
// 0 for never, or the time when the first one goes on by itself.
func (b *bridge) pending(args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	id, due := h.State().NextPending(uint64(time.Now().UnixMilli()))
	return dueOf(id != "", due), nil
}
