package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/holdfast-dev/holdfast/core"
)

// Policy says what becomes of a step with side effects when processing ended
// after it had started, so that nobody knows whether they have happened.
type Policy uint8

const (
	// Pure: the step has no side effects worth the append that its start costs.
	Pure Policy = iota
	// Rerun runs it again, with [Call.Uncertain] set.
	Rerun
	// Skip takes it as completed without output.
	Skip
	// Ask waits until [core.Conversation.ResolveStep] has decided.
	Ask
)

// StepOptions are options of a step. The zero value means those of [Options].
type StepOptions struct {
	Retry      Retry
	SideEffect Policy
}

// Call is what the function of a step is told.
type Call struct {
	// IdempotencyKey is the same for every run of the step, and for no other
	// step: conversation/message/step, with / and % in ids percent-encoded.
	IdempotencyKey string
	Attempt        int  // the number of the call in this attempt, from 1
	Uncertain      bool // whether side effects may have happened before
}

// Func is the function of a step.
type Func func(ctx context.Context, call Call) (output []byte, err error)

// TerminalError is an error after which a step is not tried again.
type TerminalError struct{ Err error }

// Error implements error.
func (e *TerminalError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *TerminalError) Unwrap() error { return e.Err }

// Place is the place of a step in the message.
type Place struct {
	attempt *Attempt
	index   uint32
	name    string
	options StepOptions
}

// Begin gives a step the next place, from 0. It must be called in the same order
// each time the message is processed. Name is subject to [core.CheckName].
func (a *Attempt) Begin(name string, o StepOptions) *Place {
	o.Retry = o.Retry.over(a.runner.options.Retry)
	return &Place{attempt: a, index: a.steps.Add(1) - 1, name: name, options: o}
}

// Run returns the output of the step: the stored one, or that of fn once it is
// stored. Errors: [core.ErrStepMismatch] if a step of another name has this
// place; [core.ErrInvalidArgument] for the name; [core.ErrTooLarge] for the
// output; the last error of fn; and when the attempt is over, why.
func (s *Place) Run(fn Func) ([]byte, error) {
	if err := core.CheckName("step", s.name); err != nil {
		return nil, err
	}
	if output, completed, err := s.stored(); completed || err != nil {
		return output, err
	}
	uncertain, err := s.start()
	if err != nil {
		return nil, err
	}
	if output, completed, err := s.stored(); completed || err != nil {
		return output, err
	}
	output, err := s.retry(fn, uncertain)
	if err != nil {
		return nil, err
	}
	event := s.event(core.KindStepCompleted)
	event.Output = output
	if err := s.attempt.record(event); err != nil {
		return nil, err
	}
	// What the log has counts: somebody else may have completed the step first.
	output, _, err = s.stored()
	return output, err
}

func (s *Place) event(kind core.Kind) core.Event {
	return core.Event{Kind: kind, MessageID: s.attempt.id, Step: s.index, Name: s.name}
}

// stored returns the output if the step has completed.
func (s *Place) stored() (output []byte, completed bool, err error) {
	if err := s.attempt.ctx.Err(); err != nil {
		return nil, false, context.Cause(s.attempt.ctx)
	}
	m := s.attempt.Message()
	step, completed := completedStep(&m, s.index)
	name := step.Name
	if open, ok := m.OpenStep(s.index); ok && (open.Started || open.Uncertain) {
		name = open.Name
	}
	if name != "" && name != s.name {
		return nil, false, &core.Error{Code: core.ErrStepMismatch, Op: "step", Stream: s.attempt.runner.ID(),
			Detail: fmt.Sprintf("step %d of message %q is stored as %q, the handler now calls it %q; "+
				"a handler must keep the steps of messages that are not finished", s.index, s.attempt.id, name, s.name)}
	}
	return step.Output, completed, nil
}

func completedStep(m *core.Message, index uint32) (core.Step, bool) {
	at := slices.IndexFunc(m.Steps, func(s core.Step) bool { return s.Index == index })
	if at < 0 {
		return core.Step{}, false
	}
	return m.Steps[at], true
}

// start appends that side effects begin, if the step has any, or what becomes of
// those that may have happened before, which it reports.
func (s *Place) start() (uncertain bool, err error) {
	a, policy := s.attempt, s.options.SideEffect
	if policy == Pure {
		return false, nil
	}
	m := a.Message()
	open, _ := m.OpenStep(s.index)
	switch {
	case open.Uncertain && policy == Skip:
		return true, a.record(s.event(core.KindStepCompleted))
	case open.Uncertain && policy == Ask:
		return true, a.runner.until(a.ctx, func(state *core.State) bool {
			m, _ := state.Message(a.id)
			open, _ := m.OpenStep(s.index)
			return !open.Uncertain
		})
	default:
		return open.Uncertain, a.record(s.event(core.KindStepStarted))
	}
}

// retry calls fn until it succeeds, or must not be called again.
func (s *Place) retry(fn Func, uncertain bool) ([]byte, error) {
	a, retry := s.attempt, s.options.Retry
	call := Call{IdempotencyKey: a.key(strconv.FormatUint(uint64(s.index), 10)), Uncertain: uncertain}
	for {
		// It may be over since the step began: then fn must not have effects.
		if a.ctx.Err() != nil {
			return nil, context.Cause(a.ctx)
		}
		call.Attempt++
		output, err := s.call(fn, call)
		var terminal *TerminalError
		switch {
		case a.ctx.Err() != nil:
			return nil, context.Cause(a.ctx)
		case err == nil, errors.As(err, &terminal), call.Attempt >= retry.MaxAttempts:
			return output, err
		}
		if err := sleep(a.ctx, retry.wait(call.Attempt)); err != nil {
			return nil, err
		}
	}
}

// call calls fn, and waits no longer for it than it may take.
func (s *Place) call(fn Func, call Call) ([]byte, error) {
	ctx, cancel := s.attempt.ctx, context.CancelFunc(func() {})
	if s.options.Retry.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, s.options.Retry.Timeout)
	}
	defer cancel()
	type outcome struct {
		output []byte
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		output, err := fn(ctx, call)
		ended <- outcome{output, err}
	}()
	select {
	case end := <-ended:
		return end.output, end.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
