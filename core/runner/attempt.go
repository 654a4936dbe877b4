package runner

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/holdfast-dev/holdfast/core"
)

// Attempt is one run of the handler on one message. It is safe for concurrent
// use.
type Attempt struct {
	runner *runner
	ctx    context.Context
	cancel context.CancelCauseFunc
	id     string
	steps  atomic.Uint32
}

// Message returns the message as the log has it now.
func (a *Attempt) Message() core.Message {
	m, _ := a.runner.State().Message(a.id)
	return m
}

// begin appends the start of the attempt, and reports whether there is anything
// to attempt.
func (a *Attempt) begin() (begun bool, err error) {
	err = a.append(func(s *core.State) ([]core.Event, error) {
		m, _ := s.Message(a.id)
		begun = m.Pending() && len(m.Starts) < a.runner.options.MaxStarts
		switch {
		case begun:
			return []core.Event{{Kind: core.KindProcessingStarted, MessageID: a.id, Runner: a.runner.id}}, nil
		case m.Pending():
			return []core.Event{{Kind: core.KindErrorOccurred, MessageID: a.id, Error: tooOften(len(m.Starts))}}, nil
		default:
			return nil, nil
		}
	})
	return begun, err
}

// end appends how the handler ended.
func (a *Attempt) end(result []byte, err error) error {
	if err == nil {
		finished := core.Event{Kind: core.KindProcessingFinished, MessageID: a.id, Output: result}
		err = a.record(finished)
		if err == nil || !refused(err) {
			return err
		}
	}
	return a.record(core.Event{Kind: core.KindErrorOccurred, MessageID: a.id, Error: textOf(err)})
}

// stop appends that the message was let go, as well as that goes.
func (a *Attempt) stop() {
	stopped := core.Event{Kind: core.KindProcessingStopped, MessageID: a.id}
	_ = a.runner.Update(context.WithoutCancel(a.ctx), a.decide(stopped))
}

// owned returns nil while the message is this attempt's, or why it is not.
func (a *Attempt) owned(s *core.State) error {
	m, _ := s.Message(a.id)
	switch {
	case !m.Received:
		return &core.Error{Code: core.ErrCancelled, Op: "process", Detail: "the conversation was deleted"}
	case m.Cancelled:
		return &core.Error{Code: core.ErrCancelled, Op: "process", Detail: "the message was cancelled"}
	case m.Pending() && !m.InProgress: // it was cancelled and retried, or deleted and sent again, and that is heard of at once
		return &core.Error{Code: core.ErrCancelled, Op: "process", Detail: "the message waits to be processed again"}
	case m.Runner != a.runner.id:
		return errLost("the message was started by another runner")
	default:
		return nil
	}
}

// record appends an event of this attempt.
func (a *Attempt) record(event core.Event) error { return a.append(a.decide(event)) }

// decide makes event part of the log, unless the message is no longer this
// attempt's.
func (a *Attempt) decide(event core.Event) func(*core.State) ([]core.Event, error) {
	return func(s *core.State) ([]core.Event, error) {
		if err := a.owned(s); err != nil {
			return nil, err
		}
		if m, _ := s.Message(a.id); has(&m, event) {
			return nil, nil
		}
		return []core.Event{event}, nil
	}
}

// has reports whether the message is as event makes it, or beyond that: it was
// appended before and nobody could tell, or somebody else was faster.
func has(m *core.Message, event core.Event) bool {
	step, open := m.OpenStep(event.Step)
	_, completed := completedStep(m, event.Step)
	switch event.Kind {
	case core.KindStepStarted:
		return completed || open && step.Started
	case core.KindStepStreamed:
		return completed || open && event.Offset > 0 && uint64(len(step.Output)) > event.Offset
	case core.KindStepCompleted:
		return completed
	case core.KindProcessingFinished:
		return m.Finished
	case core.KindErrorOccurred:
		return m.Failed
	case core.KindProcessingStopped:
		return !m.InProgress
	default:
		return false
	}
}

// append updates the log, and tries again while the trouble may pass: what an
// attempt has to say has been paid for. If that does not help, the attempt is
// over, and a runner whose store works may go on. Where there is no room, there
// is none for any of them, so it goes on trying and says so.
func (a *Attempt) append(decide func(*core.State) ([]core.Event, error)) error {
	const tries = 5
	// An end of the attempt while the commit is on its way must not lose it.
	ctx := context.WithoutCancel(a.ctx)
	for n := 1; ; n++ {
		if a.ctx.Err() != nil {
			return context.Cause(a.ctx)
		}
		err := a.runner.Update(ctx, decide)
		if err == nil || refused(err) {
			return err
		}
		code := core.CodeOf(err)
		full := code == core.ErrQuotaExceeded
		if !passes(err) || code == core.ErrCancelled || code == core.ErrLostOwnership || n >= tries && !full {
			a.cancel(err)
			return err
		}
		if n >= tries {
			a.runner.options.OnError(err)
		}
		if err := sleep(a.ctx, standard.wait(n)); err != nil {
			return err
		}
		if code == core.ErrOutcomeUnknown { // whether it was appended shows in the log
			if err := a.runner.Refresh(ctx); err != nil {
				a.cancel(err)
				return err
			}
		}
	}
}

// refused reports whether an error is about what was to be appended, not about
// the store.
func refused(err error) bool {
	switch core.CodeOf(err) {
	case core.ErrTooLarge, core.ErrInvalidArgument:
		return true
	default:
		return false
	}
}

// key returns the idempotency key of a step: conversation/message/step.
func (a *Attempt) key(index string) string {
	return escape.Replace(a.runner.ID()) + "/" + escape.Replace(a.id) + "/" + index
}

// escape keeps two pairs of ids from giving one key.
var escape = strings.NewReplacer("%", "%25", "/", "%2F")
