package main

import (
	"context"
	"errors"
	"strings"
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
	*runner.Steps                    // those within it
	emit          func([]byte) error // nil unless the step streams
	answer        chan answer
}

type answer struct {
	data []byte
	err  error
}

// thrown stands for what JavaScript has thrown. The value itself stays there.
type thrown struct {
	failure core.Failure
	steps   []uint32 // those whose failures it is made of
}

func (t *thrown) Error() string           { return t.failure.Error() }
func (t *thrown) Failure() core.Failure   { return t.failure }
func (t *thrown) FailedSteps() []uint32   { return t.steps }
func (t *thrown) step() *runner.StepError { return &runner.StepError{Failure: t.failure} }

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
		stop(&core.Error{Code: core.ErrClosed, Op: "process", Detail: "the runner was stopped; the next one of the conversation goes on"})
	}
	return nil, nil
}

// handled ends an attempt, with the result or with a failure.
func (b *bridge) handled(args arguments) (any, error) {
	if at, ok := b.attempts.waiting[args.number(0)]; ok {
		at.answer <- args.answer()
	}
	return nil, nil
}

// steps returns where a step is called: by the handler of the attempt that the
// first argument is the number of, or within the function of the call that the
// second is, and within the scopes that the third names, separated by zeros.
func (b *bridge) steps(a arguments) (*runner.Steps, bool) {
	var steps *runner.Steps
	if at, ok := b.attempts.waiting[a.number(0)]; ok {
		steps = at.Steps
	}
	if within := a.number(1); within > 0 {
		steps = nil
		if c, ok := b.calls.waiting[within]; ok {
			steps = c.Steps
		}
	}
	if steps == nil {
		return nil, false
	}
	if scopes := a.text(2); scopes != "" {
		for name := range strings.SplitSeq(scopes, "\x00") {
			steps = steps.Scope(name)
		}
	}
	return steps, true
}

var errNotAtWork = &core.Error{Code: core.ErrCancelled, Op: "step", Detail: "the handler is no longer at work on this message"}

// begin calls a step at once, in the order of the calls. It returns what run is
// to find out the outcome with, and returns its path to JavaScript.
func (b *bridge) begin(a arguments, o runner.StepOptions) (*runner.Called, error) {
	steps, ok := b.steps(a)
	if !ok {
		return nil, errNotAtWork
	}
	return steps.BeginAfter(a.text(3), o, uint32(a.number(5)), a.flag(6))
}

// called runs a step that was called, and returns its path: empty if it could not
// be called.
func (b *bridge) called(a arguments, c *runner.Called, err error, outcome func(*runner.Called) (core.Step, error)) any {
	b.start(a.number(len(a)-1), func() (any, error) {
		if err != nil {
			return nil, err
		}
		step, err := outcome(c)
		if err != nil {
			return nil, err
		}
		return outcomeToJS(step)
	})
	if err != nil {
		return ""
	}
	return c.Path()
}

// outcome is the value of a call that runs a step. Numbers cross without cost.
type outcome struct {
	order, index uint32
	value        any // the output or, of a failure, the attempts and the texts
}

func outcomeToJS(step core.Step) (any, error) {
	d := step.Details()
	if d.Failure == nil {
		output, err := bytesToJS(step.Output)
		return outcome{d.Order, step.Index, output}, err
	}
	flat := []any{d.Attempts}
	for _, cause := range d.Failure {
		flat = append(flat, cause.Name, cause.Message)
	}
	return outcome{d.Order, step.Index, flat}, nil
}

// step calls a step, and then runs it.
func (b *bridge) step(_ safejs.Value, args []safejs.Value) any {
	a := arguments(args)
	c, err := b.begin(a, runner.StepOptions{
		Key: a.text(4), Retry: a.retry(7), SideEffect: runner.Policy(a.number(11)), Resume: a.flag(13),
	})
	streams, run, abort := a.flag(12), a.value(14), a.value(15)
	work := func(ctx context.Context, told runner.Call, emit func([]byte) error) ([]byte, error) {
		c := &call{told.Steps, emit, make(chan answer, 1)}
		id := b.calls.add(c)
		defer delete(b.calls.waiting, id)
		stored, err := bytesToJS(told.Stored)
		if err != nil {
			return nil, err
		}
		_, _ = run.Invoke(id, told.Attempt, told.IdempotencyKey, told.Uncertain, stored)
		select {
		case end := <-c.answer:
			return end.data, end.err
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				_, _ = abort.Invoke(id)
			} else {
				_, _ = abort.Invoke(id, failure(context.Cause(ctx)))
			}
			return nil, context.Cause(ctx)
		}
	}
	return b.called(a, c, err, func(c *runner.Called) (core.Step, error) {
		if streams {
			return c.StreamOutcome(work)
		}
		return c.Outcome(func(ctx context.Context, told runner.Call) ([]byte, error) { return work(ctx, told, nil) })
	})
}

// wait calls a step that waits, and then waits.
func (b *bridge) wait(_ safejs.Value, args []safejs.Value) any {
	a := arguments(args)
	c, err := b.begin(a, runner.StepOptions{Key: a.text(4)})
	o := runner.WaitOptions{Sleep: a.flag(8), Pass: a.flag(9)}
	if due := a.number(7); due > 0 {
		o.Until = time.UnixMilli(int64(due))
	}
	if err == nil {
		o.Prompt, err = a.bytes(10)
	}
	return b.called(a, c, err, func(c *runner.Called) (core.Step, error) { return c.WaitOutcome(o) })
}

// reply ends the call of a step's function. The fourth argument says whether
// certainly nothing was done, and the fifth that it is of no use to call it again.
func (b *bridge) reply(args arguments) (any, error) {
	if c, ok := b.calls.waiting[args.number(0)]; ok {
		end := args.answer()
		var t *thrown
		if errors.As(end.err, &t) {
			switch {
			case args.flag(4):
				end.err = t.step()
			case args.flag(3):
				end.err = &runner.TerminalError{Err: t}
			}
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

// answer reads data, or a failure, from the second argument on. A failure is an
// array of the name and the message of each cause in turn, and then of the
// indexes of the steps that it is made of.
func (a arguments) answer() answer {
	list := a.value(2)
	if list.Type() != safejs.TypeObject {
		data, err := a.bytes(1)
		return answer{data, err}
	}
	parts := a.list(2)
	t := &thrown{}
	for len(parts) > 1 && parts.value(0).Type() == safejs.TypeString {
		t.failure = append(t.failure, core.Cause{Name: parts.text(0), Message: parts.text(1)})
		parts = parts[2:]
	}
	for i := range parts {
		t.steps = append(t.steps, uint32(parts.number(i)))
	}
	return answer{nil, t}
}

// list reads an array.
func (a arguments) list(i int) arguments {
	v := a.value(i)
	n, err := v.Length()
	if err != nil {
		return nil
	}
	items := make(arguments, n)
	for i := range items {
		if items[i], err = v.Index(i); err != nil {
			return nil
		}
	}
	return items
}

// retry reads four numbers: attempts, and three times in milliseconds.
func (a arguments) retry(i int) runner.Retry {
	milliseconds := func(i int) time.Duration { return time.Duration(a.number(i)) * time.Millisecond }
	return runner.Retry{MaxAttempts: a.number(i), Initial: milliseconds(i + 1), Max: milliseconds(i + 2), Timeout: milliseconds(i + 3)}
}

// send, cancel, retry, resolve and answer return whether they have changed
// something.

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

// retry takes the index to retry from as its third argument, or -1.
func (b *bridge) retry(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	if from := args.number(2); from >= 0 {
		return changed(h.RetryFrom(ctx, args.text(1), uint32(from)))
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

func (b *bridge) giveAnswer(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	answer, err := args.bytes(3)
	if err != nil {
		return nil, err
	}
	return changed(h.Answer(ctx, args.text(1), uint32(args.number(2)), answer))
}

func changed(did bool, err error) (any, error) { return did, err }
