package main

import (
	"context"
	"errors"
	"time"

	"github.com/hack-pad/safejs"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// answers holds what waits for an answer of JavaScript, by a number.
type answers[T any] struct {
	waiting map[int]T
	last    int
}

func (a *answers[T]) add(one T) int {
	if a.waiting == nil {
		a.waiting = map[int]T{}
	}
	a.last++
	a.waiting[a.last] = one
	return a.last
}

// attempt is a handler of JavaScript at work on a message.
type attempt struct {
	*runner.Attempt
	answer chan answer
}

// call is a function of a step at work.
type call struct {
	emit   func([]byte) error // nil unless the step streams
	answer chan answer
}

type answer struct {
	data []byte
	err  error
}

// thrown stands for what a function of JavaScript has thrown. The value itself
// stays there.
type thrown string

func (t thrown) Error() string { return string(t) }

// process runs until stop, or an error that cannot pass.
func (b *bridge) process(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b.runners[args.number(1)] = stop
	defer delete(b.runners, args.number(1))
	onMessage, onAbort, onError := args.value(7), args.value(8), args.value(9)
	handler := func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
		at := &attempt{a, make(chan answer, 1)}
		id := b.attempts.add(at)
		defer delete(b.attempts.waiting, id)
		_, _ = onMessage.Invoke(id, a.Message().ID) // the host's callbacks do not throw
		select {
		case end := <-at.answer:
			return end.data, end.err
		case <-ctx.Done():
			_, _ = onAbort.Invoke(id, failure(context.Cause(ctx)))
			return nil, context.Cause(ctx)
		}
	}
	return nil, runner.Run(ctx, h.Conversation, handler, runner.Options{
		Retry:     args.retry(2),
		MaxStarts: args.number(6),
		OnError:   func(err error) { _, _ = onError.Invoke(failure(err)) },
	})
}

func (b *bridge) stop(args arguments) (any, error) {
	if stop, ok := b.runners[args.number(0)]; ok {
		stop(&core.Error{Code: core.ErrClosed, Op: "process", Detail: "the runner was stopped; whoever processes the conversation next goes on"})
	}
	return nil, nil
}

// handled ends an attempt, with the result or with the text of an error.
func (b *bridge) handled(args arguments) (any, error) {
	if at, ok := b.attempts.waiting[args.number(0)]; ok {
		at.answer <- args.answer()
	}
	return nil, nil
}

// step takes the place of a step at once, in the order of the calls, and then
// runs it. The value is its output, or false if its function has failed.
func (b *bridge) step(this safejs.Value, args []safejs.Value) any {
	a := arguments(args)
	at, ok := b.attempts.waiting[a.number(0)]
	var place *runner.Place
	if ok {
		place = at.Begin(a.text(1), runner.StepOptions{Retry: a.retry(2), SideEffect: runner.Policy(a.number(6))})
	}
	streams, run, abort := a.flag(7), a.value(8), a.value(9)
	return b.background(func(context.Context, arguments) (any, error) {
		if !ok {
			return nil, &core.Error{Code: core.ErrCancelled, Op: "step", Detail: "the handler is no longer at work on this message"}
		}
		work := func(ctx context.Context, told runner.Call, emit func([]byte) error) ([]byte, error) {
			c := &call{emit, make(chan answer, 1)}
			id := b.calls.add(c)
			defer delete(b.calls.waiting, id)
			_, _ = run.Invoke(id, told.Attempt, told.IdempotencyKey, told.Uncertain)
			select {
			case end := <-c.answer:
				return end.data, end.err
			case <-ctx.Done():
				if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
					_, _ = abort.Invoke(id)
				} else {
					_, _ = abort.Invoke(id, failure(cause))
				}
				return nil, context.Cause(ctx)
			}
		}
		var output []byte
		var err error
		if streams {
			output, err = place.Stream(work)
		} else {
			output, err = place.Run(func(ctx context.Context, told runner.Call) ([]byte, error) { return work(ctx, told, nil) })
		}
		var t thrown
		if errors.As(err, &t) || errors.Is(err, context.DeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return nil, err
		}
		return bytesToJS(output)
	})(this, args)
}

// reply ends the call of a step's function.
func (b *bridge) reply(args arguments) (any, error) {
	if c, ok := b.calls.waiting[args.number(0)]; ok {
		end := args.answer()
		if end.err != nil && args.flag(3) {
			end.err = &runner.TerminalError{Err: end.err}
		}
		c.answer <- end
	}
	return nil, nil
}

// emit takes partial output. It waits while there is much on its way.
func (b *bridge) emit(_ context.Context, args arguments) (any, error) {
	c, ok := b.calls.waiting[args.number(0)]
	if !ok || c.emit == nil {
		return nil, &core.Error{Code: core.ErrCancelled, Op: "stream", Detail: "the step is no longer at work"}
	}
	part, err := args.bytes(1)
	if err != nil {
		return nil, err
	}
	return nil, c.emit(part)
}

// answer reads data, or the text of an error, from the second argument on.
func (a arguments) answer() answer {
	if text := a.value(2); text.Type() == safejs.TypeString {
		return answer{nil, thrown(a.text(2))}
	}
	data, err := a.bytes(1)
	return answer{data, err}
}

// retry reads four numbers: attempts, and three times in milliseconds.
func (a arguments) retry(i int) runner.Retry {
	milliseconds := func(i int) time.Duration { return time.Duration(a.number(i)) * time.Millisecond }
	return runner.Retry{MaxAttempts: a.number(i), Initial: milliseconds(i + 1), Max: milliseconds(i + 2), Timeout: milliseconds(i + 3)}
}

// send, cancel, retry and resolve return whether they have changed something.

func (b *bridge) send(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	body, err := args.bytes(3)
	if err != nil {
		return nil, err
	}
	return changed(h.Send(ctx, args.text(1), uint64(args.number(2)), body))
}

func (b *bridge) cancel(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	return changed(h.Cancel(ctx, args.text(1)))
}

func (b *bridge) retry(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	return changed(h.Retry(ctx, args.text(1)))
}

func (b *bridge) resolve(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	return changed(h.ResolveStep(ctx, args.text(1), uint32(args.number(2)), args.flag(3)))
}

func changed(did bool, err error) (any, error) { return did, err }
