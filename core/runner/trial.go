package runner

import (
	"context"

	"github.com/holdfast-dev/holdfast/core"
)

// Trial is the first call of a step's function, by a caller that does not wait in
// [Called.Outcome] for what comes of it. The caller calls the function, ends the
// trial with [Trial.End], and then appends the output with [Trial.Complete]. Where
// that does not go, or the function has failed, it calls Outcome after all, with a
// function that first returns what has come of the trial.
type Trial struct {
	Call
	called *Called
	end    context.CancelCauseFunc
	stop   func() bool // no longer calls over; false if that was called
}

// Try begins a trial, if the log has nothing of the step, has to get nothing
// before its output, and the function may take as long as it likes. over is called
// on a goroutine of its own, with why, if the function was given up: because what
// has called the step has ended.
func (c *Called) Try(over func(error)) (t *Trial, ok bool) {
	a := c.steps.attempt
	if c.options.SideEffect != Pure || c.options.Retry.Timeout > 0 || a.ctx.Err() != nil || a.isParked() {
		return nil, false
	}
	if step, open := a.runner.State().StepAt(a.id, c.path); step != nil || open != nil {
		return nil, false
	}
	ctx, end := context.WithCancelCause(c.steps.fn.ctx)
	t = &Trial{Call: Call{Steps: c.within(ctx), IdempotencyKey: c.key(), Attempt: 1}, called: c, end: end}
	c.enter()
	t.stop = context.AfterFunc(ctx, func() {
		c.leave()
		over(context.Cause(ctx))
	})
	return t, true
}

// End ends the call of the function, and so the steps within it. It returns false
// if the function was given up: then over is called, or was.
func (t *Trial) End() bool {
	stopped := t.stop()
	t.end(errFunctionEnded)
	return stopped
}

// Complete appends the output of a trial that has ended, if it has to wait for
// nothing, and reports whether it does so. Then settled is called once, with the
// step as it is stored, or with false: then Outcome finds out why. It is subject to
// what [core.Conversation.Subscribe] says of a subscriber.
func (t *Trial) Complete(output []byte, settled func(step core.Step, ok bool)) bool {
	c := t.called
	a := c.steps.attempt
	if a.ctx.Err() != nil || a.isParked() {
		return false
	}
	completed := core.Event{Kind: core.KindStepCompleted, Output: output}
	return a.runner.BeginUpdate(c.decide(c.steps.fn.ctx, completed), func(r core.Recorded) {
		step, _ := a.runner.State().StepAt(a.id, c.path)
		if r.Err != nil || step == nil { // another call may have forgotten it at once
			settled(core.Step{}, false)
			return
		}
		c.leave()
		settled(*step, true)
	})
}

// Outcome is [Called.Outcome] for a step whose trial has not completed it.
func (t *Trial) Outcome(fn Func) (core.Step, error) {
	return t.called.proceed(func(open *core.OpenStep) error { return t.called.try(open, fn) })
}
