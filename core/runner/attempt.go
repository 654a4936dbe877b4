package runner

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// Attempt is one run of the handler on one message. It is safe for concurrent
// use.
type Attempt struct {
	*Steps // those of the handler itself

	runner *runner
	ctx    context.Context
	cancel context.CancelCauseFunc
	id     string
	ended  chan outcome  // gets once how the handler has ended
	called chan struct{} // closed when the handler has returned; nil before it is called
	ending chan error    // gets the outcome of BeginEnd; nil before that
	idle   chan struct{} // holds a token when it may be time to park

	mu       sync.Mutex
	first    uint32 // the index of the first step that is new in this attempt
	busy     int    // what is under way and does not wait: steps, and the end of the handler
	waiting  map[*wait]struct{}
	since    time.Time           // when all began to wait; zero if not all do
	timer    *time.Timer         // from then on
	resumed  chan struct{}       // closed when it is no longer parked; nil if it is not
	wants    bool                // it is parked, and has something to append
	held     int                 // functions under way that are not to be let go while they wait
	uncalled map[uint32]struct{} // steps that have started, and whose functions were not called
}

// outcome is how a handler has ended.
type outcome struct {
	result []byte
	err    error
}

// Conversation returns the conversation that the message is of.
func (a *Attempt) Conversation() *core.Conversation { return a.runner.Conversation }

// Message returns the message as the log has it now.
func (a *Attempt) Message() core.Message {
	m, _ := a.runner.State().Message(a.id)
	return m
}

// History returns the messages that this one follows, the first one first, as they
// were when it first began to be processed: the same in every attempt, whatever has
// become of them since. It has an error only if that has to be read from the log,
// and the log cannot be read, or the attempt has ended.
func (a *Attempt) History() ([]core.Message, error) { return lookBack(a, a.runner.History) }

// HistoryRows is History as [core.Conversation.HistoryRows] has it.
func (a *Attempt) HistoryRows() ([]byte, error) { return lookBack(a, a.runner.HistoryRows) }

func lookBack[T any](a *Attempt, read func(context.Context, string) (T, error)) (T, error) {
	for n := 1; ; n++ {
		past, err := read(a.ctx, a.id)
		if err == nil || a.ctx.Err() != nil || !passes(err) || sleep(a.ctx, standard.wait(n)) != nil {
			return past, err
		}
	}
}

// Notes returns the notes of a type that there were when the message first began to
// be processed.
func (a *Attempt) Notes(kind string) []core.Note {
	return a.runner.State().NotesAtStart(a.id, kind)
}

// begin appends the start of the attempt, and reports whether there is anything
// to attempt. A resumed attempt was parked before.
func (a *Attempt) begin(resumed bool) (begun bool, err error) {
	if joined := a.runner.joined.Swap(nil); joined != nil && *joined == a.id && a.owned(a.runner.State()) == nil {
		return true, nil // appended with the message, which has no step yet
	}
	err = a.write(func(s *core.State) ([]core.Event, error) {
		m, _ := s.Message(a.id)
		a.mu.Lock()
		a.first = m.Next
		a.mu.Unlock()
		begun = m.Pending() && len(m.Starts) < a.runner.options.MaxStarts
		switch {
		case begun:
			return []core.Event{{Kind: core.KindProcessingStarted, MessageID: a.id, Runner: a.runner.id, Resumed: resumed}}, nil
		case m.Pending():
			return []core.Event{{Kind: core.KindErrorOccurred, MessageID: a.id, Error: tooOften(len(m.Starts))}}, nil
		default:
			return nil, nil
		}
	})
	return begun && err == nil, err
}

// BeginEnd appends that the message is done, with a result, if it has to wait for
// nothing, and reports whether it does so. The handler then returns, and what it
// returns counts only if that fails.
func (a *Attempt) BeginEnd(result []byte) bool {
	if a.ctx.Err() != nil || a.isParked() {
		return false
	}
	ending := make(chan error, 1)
	begun := a.runner.BeginUpdate(a.decide(core.Event{Kind: core.KindProcessingFinished, MessageID: a.id, Output: result}),
		func(r core.Recorded) { ending <- r.Err })
	if begun {
		a.ending = ending
	}
	return begun
}

// end appends how the handler ended.
func (a *Attempt) end(o outcome) error {
	if a.ending != nil {
		if <-a.ending == nil {
			return nil
		}
	}
	err := o.err
	if err == nil {
		finished := core.Event{Kind: core.KindProcessingFinished, MessageID: a.id, Output: o.result}
		err = a.record(finished)
		if err == nil || !refused(err) {
			return err
		}
	}
	failed := a.decide(core.Event{Kind: core.KindErrorOccurred, MessageID: a.id, Error: textOf(err), Steps: stepsOf(err)})
	return a.append(func(s *core.State) ([]core.Event, error) {
		events, err := failed(s)
		if len(events) > 0 {
			events = append(a.uncalledIn(s, ""), events...)
		}
		return events, err
	})
}

// grace is how long a runner waits for the handler of an attempt that is over: one
// that does not look at its context must not hold up the others.
const grace = time.Second

// unwind waits until the handler of an attempt that is over has returned: before
// that no handler is called again.
func (a *Attempt) unwind() {
	if a.called == nil {
		return
	}
	select {
	case <-a.called:
	case <-time.After(grace):
	}
}

// fail ends the attempt with an error that counts whatever the handler makes of
// it: the message fails.
func (a *Attempt) fail(err error) {
	a.cancel(&fatalError{err})
	a.runner.nudge()
}

// fatalError is the cause of an attempt's end that fails the message.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

// starts notes that a step with side effects is about to start: until its function
// is called, see [Called.begin], it is in no doubt.
func (a *Attempt) starts(index uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uncalled[index] = struct{}{}
}

// hasReturned reports whether the handler has.
func (a *Attempt) hasReturned() bool {
	select {
	case <-a.called:
		return true
	default:
		return false
	}
}

// uncalledIn returns events which say that the started steps within a scope whose
// functions were not called are in no doubt. What called these steps has ended,
// so nothing calls the functions any more.
func (a *Attempt) uncalledIn(s *core.State, scope string) (events []core.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.uncalled) == 0 {
		return nil
	}
	m, _ := s.Message(a.id)
	for index := range a.uncalled {
		if step, _ := m.OpenStep(index); step.Started && strings.HasPrefix(step.Place.Scope, scope) {
			events = append(events, core.Event{Kind: core.KindStepResolved, MessageID: a.id, Step: index})
		}
	}
	return events
}

// stop appends that the message was let go, as well as that goes.
func (a *Attempt) stop() {
	_ = a.runner.Update(context.WithoutCancel(a.ctx), func(s *core.State) ([]core.Event, error) {
		if err := a.owned(s); err != nil {
			return nil, err
		}
		events := a.uncalledIn(s, "")
		if s.IsInProgress(a.id) {
			events = append(events, core.Event{Kind: core.KindProcessingStopped, MessageID: a.id})
		}
		return events, nil
	})
}

// leave appends which steps are in no doubt, as well as that goes, for an attempt
// that has ended otherwise, if no other one has begun.
func (a *Attempt) leave() {
	if a.uncalledIn(a.runner.State(), "") == nil {
		return
	}
	_ = a.runner.Update(context.WithoutCancel(a.ctx), func(s *core.State) ([]core.Event, error) {
		if m, _ := s.Message(a.id); m.Runner != a.runner.id {
			return nil, nil
		}
		return a.uncalledIn(s, ""), nil
	})
}

// owned returns nil while the message is this attempt's, or why it is not.
func (a *Attempt) owned(s *core.State) error {
	m, _ := s.Message(a.id)
	switch {
	case !m.Received, m.Pending() && !m.InProgress && m.Runner == core.RunnerID{}: // it was sent again since, and both are known at once
		return &core.Error{Code: core.ErrCancelled, Op: "process", Detail: "the conversation was deleted"}
	case m.Cancelled:
		return &core.Error{Code: core.ErrCancelled, Op: "process", Detail: "the message was cancelled"}
	case m.Runner != a.runner.id:
		return errLost("the message was started by another runner")
	case !m.Pending():
		return errEnded
	case !m.InProgress && !a.isParked(): // it was cancelled and retried, and both are known at once
		return errAgain
	default:
		return nil
	}
}

var errAgain = &core.Error{Code: core.ErrCancelled, Op: "process", Detail: "the message waits to be processed again"}

var errEnded = &core.Error{Code: core.ErrCancelled, Op: "process", Detail: "processing of the message has ended"}

// watch ends the attempt when a change says that the message is no longer its.
func (a *Attempt) watch(change core.Change) {
	for i := range change.Events {
		if e := &change.Events[i].Event; e.Kind == core.KindMessageRetried && e.MessageID == a.id {
			a.cancel(errAgain)
		}
	}
	if err := a.owned(a.runner.State()); err != nil {
		a.cancel(err)
	}
}

// record appends an event of this attempt.
func (a *Attempt) record(event core.Event) error { return a.append(a.decide(event)) }

// decide returns what record decides by the state.
func (a *Attempt) decide(event core.Event) func(*core.State) ([]core.Event, error) {
	return func(s *core.State) ([]core.Event, error) {
		if m, _ := s.Message(a.id); ended(&m, event.Kind) {
			return nil, nil
		}
		if err := a.owned(s); err != nil {
			return nil, err
		}
		return []core.Event{event}, nil
	}
}

// ended reports whether the message is as an event of this kind makes it: the
// event was appended before and nobody could tell.
func ended(m *core.Message, kind core.Kind) bool {
	switch kind {
	case core.KindProcessingFinished:
		return m.Finished
	case core.KindErrorOccurred:
		return m.Failed
	default:
		return false
	}
}

// append is write, once the attempt is not parked.
func (a *Attempt) append(decide func(*core.State) ([]core.Event, error)) error {
	if err := a.active(); err != nil {
		return err
	}
	return a.write(decide)
}

// write updates the log, and tries again while the trouble may pass: what an
// attempt has to append has been paid for. If that does not help, the attempt is
// over, and a runner whose store works may go on. Where there is no room, there
// is none for any of them, so it goes on trying and reports it.
func (a *Attempt) write(decide func(*core.State) ([]core.Event, error)) error {
	const tries = 5
	// An end of the attempt while the commit is on its way must not lose it.
	ctx := context.WithoutCancel(a.ctx)
	for n := 1; ; n++ {
		if a.ctx.Err() != nil {
			return a.over()
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

// over returns why the attempt has ended.
func (a *Attempt) over() error {
	err := context.Cause(a.ctx)
	var fatal *fatalError
	if errors.As(err, &fatal) {
		return fatal.error
	}
	return err
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
