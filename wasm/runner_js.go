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
	begin         func() bool        // see runner.Call.Begins
	emit          func([]byte) error // nil unless the step streams
	answer        chan answer        // nil if no goroutine waits for it
	trial         *runner.Trial      // nil if one does
	posted        postedStep         // the step, then
}

// turn is a conversation that is worked on by processAll.
type turn struct {
	ctx   context.Context
	yield func() bool
	ended chan error
}

// end ends a turn; the first one counts.
func (t *turn) end(err error) {
	select {
	case t.ended <- err:
	default:
	}
}

type answer struct {
	data []byte
	err  error
}

// thrown stands for what JavaScript has thrown. The value itself stays there.
type thrown struct {
	core.Failure
	steps []uint32 // those whose failures it is made of
}

func (t *thrown) FailedSteps() []uint32 { return t.steps }

// process runs until stop, or an error that cannot pass.
func (b *bridge) process(ctx context.Context, h *handle, args arguments) (any, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b.runners[args.number(1)] = stop
	defer delete(b.runners, args.number(1))
	onMessage, onAbort, onError := args.value(7), args.value(8), args.value(9)
	handler := func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
		at := &attempt{a, make(chan answer, 1)}
		id := b.attempts.add(at)
		defer delete(b.attempts.waiting, id)
		_, _ = onMessage.Invoke(id, a.Message().ID, historyToJS(a)) // the host's callbacks do not throw
		select {
		case end := <-at.answer:
			return end.data, end.err
		case <-ctx.Done():
			_, _ = onAbort.Invoke(id, failure(context.Cause(ctx)))
			<-at.answer // that it has returned
			return nil, context.Cause(ctx)
		}
	}
	options := runner.Options{
		Retry:     args.retry(2),
		MaxStarts: args.number(6),
		OnError:   func(err error) { _, _ = onError.Invoke(failure(err)) },
		OnOwnership: func(owns bool) {
			if owns {
				b.owned[h.ID()]++
			} else {
				b.owned[h.ID()]--
			}
		},
	}
	if number := args.number(10); number > 0 {
		t, inTurn := b.turns.waiting[number]
		if !inTurn {
			return nil, nil
		}
		defer context.AfterFunc(t.ctx, func() { stop(context.Cause(t.ctx)) })()
		t.end(runner.Drain(ctx, h.Conversation, handler, options, t.yield))
		return nil, nil
	}
	return nil, runner.Run(ctx, h.Conversation, handler, options)
}

// historyToJS returns the rows of the history of a message, nil if the state of the
// handle has it, or why it cannot be read.
func historyToJS(a *runner.Attempt) any {
	rows, err := a.HistoryRows()
	if err != nil {
		return failure(err)
	}
	if rows == nil {
		return nil
	}
	array, _ := bytesToJS(rows) // nothing there throws
	return array
}

var errStopped = &core.Error{Code: core.ErrClosed, Op: "process", Detail: "the runner was stopped; the next one of the conversation goes on"}

func (b *bridge) stop(args arguments) (any, error) {
	if stop, ok := b.runners[args.number(0)]; ok {
		stop(errStopped)
	}
	return nil, nil
}

// handled ends an attempt, with the result or with a failure; the first one counts.
func (b *bridge) handled(args arguments) (any, error) {
	if at, ok := b.attempts.waiting[args.number(0)]; ok {
		select {
		case at.answer <- args.answer():
		default:
		}
	}
	return nil, nil
}

var errNotAtWork = &core.Error{Code: core.ErrCancelled, Op: "step", Detail: "the handler is no longer at work on this message"}

// begin calls a step at once, in the order of the calls. It returns what is to find
// out the outcome.
func (b *bridge) begin(w where, o runner.StepOptions) (*runner.Called, error) {
	var steps *runner.Steps
	if w.within > 0 {
		if c, ok := b.calls.waiting[w.within]; ok {
			steps = c.Steps
		}
	} else if at, ok := b.attempts.waiting[w.attempt]; ok {
		steps = at.Steps
	}
	if steps == nil {
		return nil, errNotAtWork
	}
	if w.scopes != "" {
		for name := range strings.SplitSeq(w.scopes, "\x00") {
			steps = steps.Scope(name)
		}
	}
	return steps.BeginAfter(w.name, o, w.after, w.unordered)
}

// outcome is the value of a call that runs a step. Numbers cross without cost.
type outcome struct {
	order, index uint32
	value        any // the output or, of a failure, the attempts and the texts
}

// ran settles a call with the outcome of a step.
func (b *bridge) ran(call int, step core.Step) {
	value, err := outcomeToJS(step)
	b.answer(call, value, err)
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

// beginStep calls the step in the inbox, and puts its path into the outbox: an
// empty one if it could not be called. It returns the number of the call of the
// step's function, which the host then begins; or -1 if the outcome is stored, and
// was reported; or 0: then a goroutine finds it out, and the host has to enter the
// program for that.
//
//lint:ignore U1000 the host calls it
//go:wasmexport holdfastStep
func beginStep() int32 { return int32(program.step()) }

func (b *bridge) step() (id int) {
	p := b.readStep()
	c, err := b.begin(p.where, p.options)
	if err != nil {
		b.outbox.called("", "")
		b.start(p.call, func() (any, error) { return nil, err })
		return 0
	}
	if step, ok := c.Stored(); ok {
		b.outbox.called(c.Path(), "")
		b.ran(p.call, step)
		return -1
	}
	if id, key := b.try(p, c); id > 0 {
		b.outbox.called(c.Path(), key)
		return id
	}
	b.outbox.called(c.Path(), "")
	work := b.function(p, nil)
	b.run(p.call, func() (core.Step, error) {
		if p.streams {
			return c.StreamOutcome(work)
		}
		return c.Outcome(func(ctx context.Context, told runner.Call) ([]byte, error) { return work(ctx, told, nil) })
	})
	return 0
}

// run has a goroutine find out the outcome of a step.
func (b *bridge) run(call int, outcome func() (core.Step, error)) {
	b.start(call, func() (any, error) {
		step, err := outcome()
		if err != nil {
			return nil, err
		}
		return outcomeToJS(step)
	})
}

// try begins a call of the step's function that no goroutine waits for.
func (b *bridge) try(p postedStep, c *runner.Called) (id int, key string) {
	if p.streams {
		return 0, ""
	}
	trial, ok := c.Try(func(why error) {
		delete(b.calls.waiting, id)
		_, _ = b.abort.Invoke(p.call, id, failure(why))
		b.answer(p.call, nil, why)
	})
	if !ok {
		return 0, ""
	}
	id = b.calls.add(&call{Steps: trial.Steps, trial: trial, posted: p})
	return id, trial.IdempotencyKey
}

// function returns the function of a step, which the host calls. The first answer
// may be here already.
func (b *bridge) function(p postedStep, first *answer) func(context.Context, runner.Call, func([]byte) error) ([]byte, error) {
	return func(ctx context.Context, told runner.Call, emit func([]byte) error) ([]byte, error) {
		if end := first; end != nil {
			first = nil
			return end.data, end.err
		}
		c := &call{Steps: told.Steps, begin: told.Begins, emit: emit, answer: make(chan answer, 1)}
		id := b.calls.add(c)
		defer delete(b.calls.waiting, id)
		stored := safejs.Undefined()
		if len(told.Stored) > 0 {
			var err error
			if stored, err = bytesToJS(told.Stored); err != nil {
				return nil, err
			}
		}
		_, _ = b.call.Invoke(p.call, id, told.Attempt, told.IdempotencyKey, told.Uncertain, stored) // the host's callbacks do not throw
		select {
		case end := <-c.answer:
			return end.data, end.err
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				_, _ = b.abort.Invoke(p.call, id)
			} else {
				_, _ = b.abort.Invoke(p.call, id, failure(context.Cause(ctx)))
			}
			return nil, context.Cause(ctx)
		}
	}
}

// begins returns whether the function of a step with side effects may do now what it
// does.
func (b *bridge) begins(args arguments) (any, error) {
	c, ok := b.calls.waiting[args.number(0)]
	return ok && c.begin(), nil
}

// replied ends the call of a step's function. Where that does not begin to append
// the output, a goroutine does, for which the host has to enter the program.
func (b *bridge) replied(id int, end answer) {
	c, ok := b.calls.waiting[id]
	switch {
	case !ok:
		return
	case c.trial == nil:
		c.answer <- end
		return
	}
	delete(b.calls.waiting, id)
	if !c.trial.End() {
		return
	}
	p := c.posted
	wait := func() {
		work := b.function(p, &end)
		b.run(p.call, func() (core.Step, error) {
			return c.trial.Outcome(func(ctx context.Context, told runner.Call) ([]byte, error) { return work(ctx, told, nil) })
		})
	}
	begun := end.err == nil && c.trial.Complete(end.data, func(step core.Step, ok bool) {
		switch {
		case !ok:
			wait()
		case b.outbox.state() == outboxShut:
			b.ran(p.call, step)
		default:
			b.outbox.completed(p.call, step.Details().Order, step.Index)
		}
	})
	if !begun {
		wait()
	}
}

// beginReply ends the call of a step's function with the first bytes of the inbox
// as its output, which is none if the length is negative.
//
//lint:ignore U1000 the host calls it
//go:wasmexport holdfastReply
func beginReply(id, length int32) {
	program.replied(int(id), answer{data: program.inboxData(length)})
}

// beginHandled ends an attempt with such a result.
//
//lint:ignore U1000 the host calls it
//go:wasmexport holdfastHandled
func beginHandled(id, length int32) {
	b := &program
	if at, ok := b.attempts.waiting[int(id)]; ok {
		result := b.inboxData(length)
		at.BeginEnd(result)
		at.answer <- answer{data: result}
	}
}

// inboxData copies the first bytes of the inbox; nil if length is negative.
func (b *bridge) inboxData(length int32) []byte {
	if length < 0 {
		return nil
	}
	return append([]byte{}, b.inbox[:length]...)
}

// wait calls a step that waits, and then waits. It returns the path.
func (b *bridge) wait(_ safejs.Value, args []safejs.Value) any {
	a := arguments(args)
	w := where{attempt: a.number(0), within: a.number(1), scopes: a.text(2), name: a.text(3), after: uint32(a.number(5)), unordered: a.flag(6)}
	c, err := b.begin(w, runner.StepOptions{Key: a.text(4)})
	o := runner.WaitOptions{Sleep: a.flag(8), Pass: a.flag(9)}
	if due := a.number(7); due > 0 {
		o.Until = time.UnixMilli(int64(due))
	}
	path := ""
	if err == nil {
		path = c.Path()
		o.Prompt, err = a.bytes(10)
	}
	b.run(a.number(len(a)-1), func() (core.Step, error) {
		if err != nil {
			return core.Step{}, err
		}
		return c.WaitOutcome(o)
	})
	return path
}

// reply ends the call of a step's function. The fourth argument says whether
// certainly nothing was done, and the fifth that it is of no use to call it again.
func (b *bridge) reply(args arguments) (any, error) {
	end := args.answer()
	var t *thrown
	if errors.As(end.err, &t) {
		switch {
		case args.flag(4):
			end.err = &runner.StepError{Failure: t.Failure}
		case args.flag(3):
			end.err = &runner.TerminalError{Err: t.Failure}
		default:
			end.err = t.Failure
		}
	}
	b.replied(args.number(0), end)
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
		t.Failure = append(t.Failure, core.Cause{Name: parts.text(0), Message: parts.text(1)})
		parts = parts[2:]
	}
	for i := range parts {
		t.steps = append(t.steps, uint32(parts.number(i)))
	}
	return answer{nil, t}
}
