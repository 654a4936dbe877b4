package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hack-pad/safejs"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/idbstore"
)

// bridge serves one store and the conversations that are open in it. The
// program has one thread, and goroutines switch only where they wait, so its
// fields need no lock.
type bridge struct {
	store         core.DurableStore
	settle        safejs.Value // (call, error, value)
	changed       safejs.Value // (handle, expected sequence, reset, address of rows, length)
	call          safejs.Value // (call of the step, call of its function, attempt, idempotency key, uncertain, stored)
	abort         safejs.Value // (call of the step, call of its function, error)
	inbox         []byte       // the host writes here, see record
	outbox        outbox
	conversations map[int]*handle
	lastHandle    int
	runners       map[int]context.CancelCauseFunc // by the host's number
	prefixes      map[int]string                  // of those that process all
	owned         map[string]int                  // how many of these process a conversation, by its id
	unwatched     func()                          // ends what watch has begun
	workers       workers
	attempts      answers[*attempt]
	calls         answers[*call]
	turns         answers[*turn]
}

// program is the bridge, where exported functions find it.
var program = bridge{
	inbox:         make([]byte, inboxBytes),
	conversations: map[int]*handle{},
	runners:       map[int]context.CancelCauseFunc{},
	prefixes:      map[int]string{},
	owned:         map[string]int{},
}

// function is what JavaScript calls.
type function = func(this safejs.Value, args []safejs.Value) any

// background makes a function that runs work in a goroutine. Work begins in the
// order of the calls.
func (b *bridge) background(work func(context.Context, arguments) (any, error)) function {
	return func(_ safejs.Value, args []safejs.Value) any {
		if n := len(args) - 1; n >= 0 {
			b.start(arguments(args).number(n), func() (any, error) { return work(context.Background(), args[:n]) })
		}
		return nil
	}
}

// of is background, for work on the conversation that the first argument names.
func (b *bridge) of(work func(context.Context, *handle, arguments) (any, error)) function {
	return b.background(func(ctx context.Context, args arguments) (any, error) {
		h, err := b.conversation(args)
		if err != nil {
			return nil, err
		}
		return work(ctx, h, args)
	})
}

// start runs work in a goroutine, and settles the host's call with the outcome.
func (b *bridge) start(call int, work func() (any, error)) {
	b.workers.run(func() {
		value, err := guarded(work)
		b.answer(call, value, err)
	})
}

// answer settles a call of the host.
func (b *bridge) answer(call int, value any, err error) {
	if err != nil {
		_, _ = b.settle.Invoke(call, failure(err)) // the host's callback does not throw
		return
	}
	if o, ok := value.(outcome); ok {
		_, _ = b.settle.Invoke(call, safejs.Undefined(), o.value, o.order, o.index)
		return
	}
	_, _ = b.settle.Invoke(call, safejs.Undefined(), value)
}

// immediate makes a function that returns {value} or {error}.
func (b *bridge) immediate(work func(arguments) (any, error)) function {
	return func(_ safejs.Value, args []safejs.Value) any {
		value, err := guarded(func() (any, error) { return work(args) })
		if err != nil {
			return map[string]any{"error": failure(err)}
		}
		return map[string]any{"value": value}
	}
}

// guarded turns a panic, which would end the program, into an error. The state
// of the program is then unknown, so the host gives it up.
func guarded(work func() (any, error)) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &core.Error{Code: core.ErrInstanceLost, Detail: fmt.Sprintf("a defect of Holdfast: %v; please report it, and open again", p)}
		}
	}()
	return work()
}

func (b *bridge) open(ctx context.Context, args arguments) (any, error) {
	storage, database, defaultDurability, timeout := args.text(0), args.text(1), args.flag(2), args.number(3)
	if storage == "memory" {
		b.store = memstore.New()
		return nil, nil
	}
	store, err := idbstore.Open(ctx, database, idbstore.Options{
		DefaultDurability: defaultDurability,
		Timeout:           time.Duration(timeout) * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	b.store = store
	return nil, nil
}

func (b *bridge) close(context.Context, arguments) (any, error) {
	for id := range b.conversations {
		b.forget(id)
	}
	return nil, b.store.Close()
}

// list returns ids and heads in turn.
func (b *bridge) list(ctx context.Context, args arguments) (any, error) {
	streams, err := b.store.Streams(ctx, args.text(0))
	if err != nil {
		return nil, err
	}
	flat := make([]any, 0, 2*len(streams))
	for _, stream := range streams {
		flat = append(flat, stream.Name, stream.Head)
	}
	return flat, nil
}

func (b *bridge) delete(ctx context.Context, args arguments) (any, error) {
	return nil, b.store.Delete(ctx, args.text(0))
}

// verify returns the damage as from, to, code and message in turn.
func (b *bridge) verify(ctx context.Context, args arguments) (any, error) {
	found, err := core.Verify(ctx, args.text(0), b.store)
	if err != nil {
		return nil, err
	}
	flat := make([]any, 0, 4*len(found.Damage))
	for _, d := range found.Damage {
		flat = append(flat, d.From, d.To, string(d.Code), d.Detail)
	}
	return map[string]any{"head": found.Head, "events": found.Events, "damage": flat, "snapshot": string(found.Snapshot)}, nil
}

func (b *bridge) health(arguments) (any, error) {
	report := map[string]any{}
	var due uint64
	for _, h := range b.conversations {
		due = core.Sooner(due, h.State().Due())
	}
	if due > 0 {
		report["due"] = due
	}
	store, ok := b.store.(*idbstore.Store)
	if !ok {
		return report, nil
	}
	report["epoch"] = store.Epoch()
	if err := store.LastError(); err != nil {
		report["lastError"] = failure(err)
	}
	return report, nil
}
