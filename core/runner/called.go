package runner

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// Policy says what becomes of a step with side effects when nobody knows whether
// they have happened: its function may have been running when processing ended,
// or has failed with an error that is no [TerminalError].
type Policy uint8

const (
	// Pure: the step has no side effects worth the append that its start costs.
	Pure Policy = iota
	// Rerun calls the function again, with [Call.Uncertain] set.
	Rerun
	// Skip takes the step as completed without output.
	Skip
	// Ask waits until [core.Conversation.ResolveStep] has decided.
	Ask
)

// StepOptions are options of a step. The zero value means those of [Options].
type StepOptions struct {
	Retry      Retry
	SideEffect Policy
	// Key tells the step from others of its name within the scope, in up to 256
	// bytes, of which only a hash is stored. Without one the step is known by the
	// number of the call of that name. The same key again, after the earlier call
	// has ended, is the next step of that key.
	Key string
	// Resume has a step that streams go on after the parts that an earlier run has
	// stored, which [Call.Stored] has, in place of replacing them.
	Resume bool
	// Later says that the function may begin later than it is called, as one that
	// another thread or language runs, and then calls [Call.Begins].
	Later bool
}

// WaitOptions are options of a wait. The zero value waits for an answer, for ever.
type WaitOptions struct {
	// Until is when the wait ends by itself; zero for never, which no sleep may be.
	Until time.Time
	// Sleep has the wait complete then; otherwise it fails, with a failure that is
	// named TimeoutError.
	Sleep bool
	// Prompt is what is asked, opaque; nil is none.
	Prompt []byte
	// Pass lets later messages be processed while the message waits for no more
	// than this.
	Pass bool
	Key  string // see [StepOptions]
}

// Call is what the function of a step is given.
type Call struct {
	*Steps // those within the function

	// IdempotencyKey is the same for every run of the step, and for no other step,
	// also of other messages and databases: 32 hexadecimal digits.
	IdempotencyKey string
	Attempt        int // the number of the call, from 1, with those before a crash
	// Uncertain says that side effects may have happened before. It is not set
	// after a decision of [core.Conversation.ResolveStep] to run the step again.
	Uncertain bool
	Stored    []byte // of a step that streams, what an earlier run has stored

	begin func() bool
}

// Begins says that the function of a step with the option Later begins now, and
// reports whether it may: not if what has called the step has ended. Until then it
// counts as not called, so its side effects are in no doubt.
func (c Call) Begins() bool { return c.begin() }

// Func is the function of a step.
type Func func(ctx context.Context, call Call) (output []byte, err error)

// Called is a step that was called. One of its methods runs it, once.
type Called struct {
	steps   *Steps
	callee  *callee
	name    string
	place   core.Place
	path    string
	options StepOptions

	// The attempt's lock guards these.
	waits int  // how many waits are under way, of the step and within its function
	left  bool // it is no longer under way
}

// Path returns what tells the step from all others of the message.
func (c *Called) Path() string { return c.path }

// Run returns the output of the step: the stored one, or that of fn once it is
// stored. Errors: a [*StepError] if the step has failed, also with an output that
// cannot be stored; and when the attempt is over, why.
func (c *Called) Run(fn Func) ([]byte, error) { return c.deliver(c.Outcome(fn)) }

// Wait waits for an answer or a time, see [WaitOptions], and returns the answer.
// Errors are those of Run.
func (c *Called) Wait(o WaitOptions) ([]byte, error) { return c.deliver(c.WaitOutcome(o)) }

// deliver makes an outcome that of the function that has called the step.
func (c *Called) deliver(step core.Step, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	d := step.Details()
	c.steps.got(d.Order)
	if d.Failure != nil {
		return nil, &StepError{Index: step.Index, Step: step.Name, Attempts: int(d.Attempts), Failure: d.Failure}
	}
	return step.Output, nil
}

// Stored returns the step if the log has an outcome of it: then it has run.
func (c *Called) Stored() (step core.Step, ok bool) {
	a := c.steps.attempt
	if a.ctx.Err() != nil || a.isParked() {
		return step, false
	}
	stored, _ := a.runner.State().StepAt(a.id, c.path)
	if stored == nil {
		return step, false
	}
	c.steps.fn.left(c)
	return *stored, true
}

// Outcome is Run for a caller that delivers outcomes itself, in the order of the
// log. The error is none of the step's: why there is no outcome.
func (c *Called) Outcome(fn Func) (core.Step, error) {
	return c.outcome(func(open *core.OpenStep) error { return c.try(open, fn) })
}

// WaitOutcome is Outcome for a wait. [core.ErrInvalidArgument] for a sleep without
// an end.
func (c *Called) WaitOutcome(o WaitOptions) (core.Step, error) {
	return c.outcome(func(open *core.OpenStep) error { return c.wait(open, o) })
}

// outcome takes one step after the other towards an outcome, until there is one.
func (c *Called) outcome(advance func(*core.OpenStep) error) (core.Step, error) {
	c.enter()
	return c.proceed(advance)
}

// proceed is outcome for a step that is under way.
func (c *Called) proceed(advance func(*core.OpenStep) error) (core.Step, error) {
	a := c.steps.attempt
	defer c.leave()
	for {
		if err := c.active(); err != nil {
			return core.Step{}, err
		}
		step, open := a.runner.State().StepAt(a.id, c.path)
		if step != nil {
			return *step, nil
		}
		if open == nil {
			open = &core.OpenStep{Name: c.name, Place: c.place}
		}
		if err := advance(open); err != nil {
			return core.Step{}, err
		}
	}
}

// active waits until the attempt is not parked. It returns why it is over, or
// that the function which has called the step has ended.
func (c *Called) active() error {
	if err := c.steps.attempt.active(); err != nil {
		return err
	}
	if c.steps.fn.ctx.Err() != nil {
		return context.Cause(c.steps.fn.ctx)
	}
	return nil
}

// ended reports whether the step has an outcome.
func (c *Called) ended(s *core.State) bool {
	step, _ := s.StepAt(c.steps.attempt.id, c.path)
	return step != nil
}

// record appends an event of the step, unless it has an outcome, or the function
// that has called it has ended. The first event of a step gives it its index, and
// has its place.
func (c *Called) record(event core.Event) error { return c.recordOf(c.steps.fn.ctx, event) }

// recordOf is record for an event of a function that ends with ctx. The end of
// the attempt does not keep it out of the log: it has been paid for.
func (c *Called) recordOf(ctx context.Context, event core.Event) error {
	return c.steps.attempt.append(c.decide(ctx, event))
}

// decide returns what recordOf decides by the state.
func (c *Called) decide(ctx context.Context, event core.Event) func(*core.State) ([]core.Event, error) {
	a := c.steps.attempt
	event.MessageID, event.Name = a.id, c.name
	return func(s *core.State) ([]core.Event, error) {
		if err := a.owned(s); err != nil {
			return nil, err
		}
		if ctx.Err() != nil && a.ctx.Err() == nil {
			return nil, nil
		}
		step, open := s.StepAt(a.id, c.path)
		switch {
		case step != nil, open != nil && has(open, &event):
			return nil, nil
		case open != nil:
			event.Step, event.Place = open.Index, core.Place{}
		default:
			m, _ := s.Message(a.id)
			event.Step, event.Place = m.Next, c.place
		}
		switch event.Kind {
		case core.KindStepStarted:
			a.starts(event.Step)
		case core.KindStepCompleted, core.KindStepFailed, core.KindAttemptFailed: // its function has ended
			return append(a.uncalledIn(s, core.FunctionPath(c.path)), event), nil
		}
		return []core.Event{event}, nil
	}
}

// has reports whether an open step is as an event makes it, or beyond that: it
// was appended before and nobody could tell.
func has(open *core.OpenStep, event *core.Event) bool {
	switch event.Kind {
	case core.KindStepStarted:
		return open.Started
	case core.KindStepStreamed:
		return event.Offset > 0 && uint64(len(open.Output)) > event.Offset
	case core.KindAttemptFailed:
		return open.Attempts >= event.Attempt
	case core.KindStepWaiting:
		return open.Waiting
	default:
		return false
	}
}

// try calls the function once, if that is to be done, and appends what comes of
// it.
func (c *Called) try(open *core.OpenStep, fn Func) error {
	a, policy, retry := c.steps.attempt, c.options.SideEffect, c.options.Retry
	if open.Uncertain {
		switch policy {
		case Skip:
			return c.record(core.Event{Kind: core.KindStepCompleted})
		case Ask:
			return c.await(&wait{step: open.Index, came: func(s *core.State) bool {
				_, open := s.StepAt(a.id, c.path)
				return open == nil || !open.Uncertain
			}})
		}
	}
	if due := at(open.Due); open.Attempts > 0 && time.Until(due) > 0 {
		return c.await(&wait{step: open.Index, due: due, came: c.ended})
	}
	if policy != Pure && !open.Uncertain && !open.Started {
		return c.record(core.Event{Kind: core.KindStepStarted})
	}
	call := Call{
		IdempotencyKey: c.key(), Attempt: int(open.Attempts) + 1, Uncertain: open.Uncertain, Stored: open.Output, begin: c.begin,
	}
	if err := c.active(); err != nil {
		return err
	}
	if !c.options.Later && !c.begin() {
		return cmp.Or(context.Cause(c.steps.fn.ctx), error(errEnded))
	}
	output, err := c.call(fn, call)
	if err := c.active(); err != nil {
		return err
	}
	if err == nil {
		if err = c.record(core.Event{Kind: core.KindStepCompleted, Output: output}); !refused(err) {
			return err
		}
		err = unstorable(err)
	}
	failed := core.Event{Kind: core.KindStepFailed, Failure: failureOf(err), Attempt: uint32(call.Attempt)}
	var terminal *TerminalError
	var inner *StepError
	switch {
	case errors.As(err, &terminal):
		failed.Terminal = true
	case errors.As(err, &inner), policy != Skip && policy != Ask && call.Attempt >= retry.MaxAttempts:
	default:
		failed.Kind = core.KindAttemptFailed
		if policy != Skip && policy != Ask {
			failed.Due = millis(time.Now().Add(retry.wait(call.Attempt)))
		}
	}
	return c.record(failed)
}

// begin notes that the function is called, unless what has called the step has
// ended: then the log may say that it was not, see [Attempt.uncalledIn].
func (c *Called) begin() bool {
	a := c.steps.attempt
	_, open := a.runner.State().StepAt(a.id, c.path)
	a.mu.Lock()
	defer a.mu.Unlock()
	ended := c.steps.fn.ctx.Err() != nil || a.hasReturned()
	if open != nil && !ended {
		delete(a.uncalled, open.Index)
	}
	return !ended
}

// call calls fn, and waits no longer for it than it may take. When fn has ended
// or was given up, so have the steps within it.
func (c *Called) call(fn Func, call Call) ([]byte, error) {
	a := c.steps.attempt
	if c.options.SideEffect != Pure || c.options.Retry.Timeout > 0 {
		defer a.hold()()
	}
	ctx, end := context.WithCancelCause(c.steps.fn.ctx)
	defer end(errFunctionEnded)
	if _, open := a.runner.State().StepAt(a.id, c.path); open != nil {
		go func(ctx context.Context) { // others may complete it
			if a.runner.until(ctx, c.ended) == nil {
				end(errOutcome)
			}
		}(ctx)
	}
	if timeout := c.options.Retry.Timeout; timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	call.Steps = c.within(ctx)
	ctx = call.Steps.fn.ctx
	type result struct {
		output []byte
		err    error
	}
	ended := make(chan result, 1)
	go func() {
		output, err := fn(ctx, call)
		ended <- result{output, err}
	}()
	select {
	case r := <-ended:
		return r.output, r.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && c.steps.fn.ctx.Err() == nil {
			return nil, timedOut(fmt.Sprintf("step %s took longer than its timeout", c.name))
		}
		return nil, context.Cause(ctx)
	}
}

// within returns where the steps within the function are called, which ends with
// ctx.
func (c *Called) within(ctx context.Context) *Steps {
	return &Steps{attempt: c.steps.attempt, fn: newFunction(ctx, c), scope: core.FunctionPath(c.path)}
}

var errOutcome = &core.Error{Code: core.ErrCancelled, Op: "step", Detail: "the step was completed by a decision"}

var errFunctionEnded = &core.Error{Code: core.ErrCancelled, Op: "step", Detail: "the function of the step that has called this one has ended"}

// key returns the idempotency key.
func (c *Called) key() string {
	seed := c.steps.attempt.Message().Seed
	h := hash(string(seed[:]), c.path)
	return hex.EncodeToString(h[:])
}

// wait makes the step wait, if it does not, and ends the wait when that is due.
func (c *Called) wait(open *core.OpenStep, o WaitOptions) error {
	if !open.Waiting {
		if o.Sleep && o.Until.IsZero() {
			return refuse("a sleep must end at some time")
		}
		return c.record(core.Event{Kind: core.KindStepWaiting, Due: millis(o.Until), Sleep: o.Sleep, Pass: o.Pass, Output: o.Prompt})
	}
	if due := at(open.Due); due.IsZero() || time.Until(due) > 0 {
		return c.await(&wait{step: open.Index, due: due, pass: open.Pass, came: c.ended})
	}
	if open.Sleep {
		return c.record(core.Event{Kind: core.KindStepCompleted})
	}
	late := timedOut(fmt.Sprintf("nobody has answered %s in time", c.name))
	return c.record(core.Event{Kind: core.KindStepFailed, Terminal: true, Failure: late})
}
