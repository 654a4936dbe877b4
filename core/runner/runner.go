package runner

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// Handler works on one message. What it returns is stored as the message's
// result; nil is none. An error fails the message, and later messages go on.
//
// After a crash it is called again, and steps that had ended return what is
// stored. So it must do what costs, fails or varies within steps, and give those
// that goroutines call at the same time keys or scopes, see [Steps]. When ctx
// ends the message is not to be worked on any longer, and nothing more is
// recorded; [context.Cause] returns why. The handler is called again when it has
// returned, or after a second.
type Handler func(ctx context.Context, a *Attempt) (result []byte, err error)

// Run processes the pending messages of c (see [core.Message.Pending]) in order
// of arrival, one after the other, now and as they arrive, while no other
// runner does. It returns nil when ctx ends: then what it was working on is
// let go, which the log says, and any runner may go on with it. It returns an
// error that cannot pass, such as [core.ErrClosed] or [core.ErrStoreReset], and
// [core.ErrInvalidArgument] for options out of range.
//
// While it runs c follows what others append. Other methods of c may be used
// at the same time.
func Run(ctx context.Context, c *core.Conversation, handler Handler, o Options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	r, end := newRunner(ctx, c, handler, o)
	defer func() { end(err) }()
	for failures := 0; ; {
		var worked bool
		worked, err = r.own()
		failures++
		if worked {
			failures = 1
		}
		switch {
		case r.run.Err() != nil:
		case err == nil: // lost, but nothing was being worked on
		case passes(err):
			r.options.OnError(err)
		default:
			return err
		}
		if sleep(r.run, standard.wait(failures)) != nil {
			if ctx.Err() != nil {
				return nil
			}
			return context.Cause(r.run)
		}
	}
}

// Drain is Run until no message can be worked on, and returns at once if another
// runner has the conversation. After each message yield is asked whether to return
// already; a nil yield never says so. A message that waits is let go, too, unless
// it does so in the function of a step with side effects or a timeout. Drain
// returns the errors that would have Run try again later.
func Drain(ctx context.Context, c *core.Conversation, handler Handler, o Options, yield func() bool) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	r, end := newRunner(ctx, c, handler, o)
	defer func() {
		if err == nil && r.run.Err() == nil {
			end(&core.Error{Code: core.ErrClosed, Op: "process", Stream: c.ID(), Detail: "the message waits; its handler is called again when that is over"})
			return
		}
		end(err)
	}()
	if r.drains = yield; yield == nil {
		r.drains = func() bool { return false }
	}
	lock, err := tryLock(ctx, c.Store(), c.ID())
	if err != nil || lock == nil {
		return err
	}
	_, err = r.hold(lock)
	switch {
	case ctx.Err() != nil:
		return nil
	case r.run.Err() != nil:
		return context.Cause(r.run)
	default:
		return err
	}
}

// newRunner returns a runner, which follows the conversation until end is called
// with why.
func newRunner(ctx context.Context, c *core.Conversation, handler Handler, o Options) (r *runner, end func(error)) {
	if o.MaxStarts == 0 {
		o.MaxStarts = 10
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.OnOwnership == nil {
		o.OnOwnership = func(bool) {}
	}
	o.Retry = o.Retry.over(standard)
	run, cancel := context.WithCancelCause(ctx)
	r = &runner{Conversation: c, handler: handler, options: o, id: core.NewRunnerID(), run: run,
		resting: map[string]*Attempt{}, nudged: make(chan struct{}, 1)}
	go func() {
		if err := c.Follow(run); err != nil {
			cancel(err)
		}
	}()
	return r, func(err error) {
		for _, a := range r.resting {
			a.cancel(err)
		}
		for _, a := range r.resting {
			a.unwind()
		}
		cancel(nil)
	}
}

type runner struct {
	*core.Conversation
	handler Handler
	options Options
	id      core.RunnerID
	run     context.Context     // of Run: its end means to stop, or that c can no longer be followed
	resting map[string]*Attempt // those that are parked, by message
	nudged  chan struct{}       // holds a token when one of them wants to go on
	// joined is the message that was last sent to this runner while it was idle:
	// the start of its processing was appended with it, if that went well.
	joined atomic.Pointer[string]
	drains func() bool // nil in a Run; in a Drain, whether to end before the next message
}

// own processes messages for as long as this runner has the conversation's
// lock, and reports whether it ever had. The error is why it stopped in the
// middle of something.
func (r *runner) own() (worked bool, err error) {
	lock, err := r.lock()
	if err != nil {
		return false, err
	}
	return r.hold(lock)
}

// hold is own, with the lock.
func (r *runner) hold(lock core.Lock) (worked bool, err error) {
	defer lock.Release()
	r.options.OnOwnership(true)
	defer r.options.OnOwnership(false)
	defer r.letGo()
	ctx, lose := context.WithCancelCause(r.run)
	defer lose(nil)
	go func() {
		select {
		case <-lock.Lost():
			lose(errLost("the lock was taken over"))
		case <-ctx.Done():
		}
	}()
	// The lock may be here before the news of what its last holder has written.
	if err := r.Refresh(ctx); err != nil {
		return false, err
	}
	for {
		id, found := r.next(ctx, lock)
		switch {
		case ctx.Err() != nil:
			return true, nil
		case found && lock.Held(ctx):
			err = r.attempt(ctx, id)
		case found: // and ctx has ended
		case r.drained():
			return true, nil
		default:
			if err = r.Refresh(ctx); err != nil && passes(err) {
				err = nil // nothing depends on it; the next look may work
			}
		}
		if err != nil || r.drained() && r.drains() {
			return true, err
		}
	}
}

// lookInterval is how often a runner without work looks into the log by itself.
// News of a message can be lost: its tab may die right after the commit.
const lookInterval = 10 * time.Second

// next returns the message to be processed next. It waits for one no longer
// than lookInterval, and not at all in a Drain that has nothing to hold on to.
func (r *runner) next(ctx context.Context, lock core.Lock) (id string, found bool) {
	ctx, cancel := context.WithTimeout(ctx, lookInterval)
	defer cancel()
	if r.drains == nil {
		defer r.WithSend(r.join(ctx, lock))()
	}
	changed := make(chan struct{}, 1)
	defer r.Subscribe(func(core.Change) { token(changed) })()
	for ctx.Err() == nil {
		for id, a := range r.resting {
			if a.wantsToGoOn() {
				return id, true
			} else if a.ctx.Err() != nil {
				delete(r.resting, id)
				a.unwind()
			}
		}
		id, due := r.State().NextPending(millis(time.Now()))
		if id != "" || r.drained() {
			return id, id != ""
		}
		var wake <-chan time.Time
		if due > 0 {
			wake = time.After(time.Until(at(due)))
		}
		select {
		case <-changed:
		case <-r.nudged:
		case <-wake:
		case <-ctx.Done():
		}
	}
	return "", false
}

// join returns what appends the start of a message together with it.
func (r *runner) join(ctx context.Context, lock core.Lock) func(*core.State, string) []core.Event {
	return func(s *core.State, id string) []core.Event {
		if !s.IsIdle() {
			return nil
		}
		r.joined.Store(&id) // before the look at ctx: letGo, after its end, finds it
		if ctx.Err() != nil || !heldNow(lock) {
			return nil
		}
		return []core.Event{{Kind: core.KindProcessingStarted, MessageID: id, Runner: r.id}}
	}
}

// drained reports whether this is a Drain, which may end though messages wait: not
// while the function of a step waits that has side effects, of which nobody would
// know whether they have happened, or a timeout, which would begin again.
func (r *runner) drained() bool {
	if r.drains == nil {
		return false
	}
	for _, a := range r.resting {
		if a.holds() {
			return false
		}
	}
	return true
}

// letGo appends, if the runner stops, that it lets go of the message which was
// appended together with its start and which it has not begun.
func (r *runner) letGo() {
	if r.run.Err() == nil {
		return
	}
	if joined := r.joined.Swap(nil); joined != nil {
		a := r.newAttempt(*joined)
		a.stop()
		a.cancel(nil)
	}
}

// nudge has the runner look at the parked attempts.
func (r *runner) nudge() { token(r.nudged) }

// until waits until the state is as wanted.
func (r *runner) until(ctx context.Context, wanted func(*core.State) bool) error {
	changed := make(chan struct{}, 1)
	defer r.Subscribe(func(core.Change) { token(changed) })()
	for !wanted(r.State()) {
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// attempt calls the handler for a message, or goes on with a parked attempt,
// until that ends or is parked, and appends how it ends. Its error is one after
// which the runner cannot just go on.
func (r *runner) attempt(ctx context.Context, messageID string) error {
	a, parked := r.resting[messageID]
	delete(r.resting, messageID)
	if !parked {
		a = r.newAttempt(messageID)
	}
	begun, err := a.begin(parked)
	if begun {
		if parked {
			a.resume()
		} else {
			a.start()
		}
		if parked, err = a.work(ctx); parked {
			r.resting[messageID] = a
			return nil
		}
	}
	defer a.unwind()
	defer a.cancel(nil)
	var fatal *fatalError
	switch cause := context.Cause(a.ctx); {
	case errors.As(cause, &fatal):
		r.options.OnError(fatal.error)
		return r.giveUp(a, fatal.error)
	case errors.Is(cause, core.ErrCancelled):
		a.leave()
		return nil
	case cause == nil, !begun:
		return err
	case r.run.Err() != nil:
		a.stop()
		return cause
	default:
		a.leave()
		return cause
	}
}

// work follows an attempt until it is parked, which it reports, or over.
func (a *Attempt) work(ctx context.Context) (parked bool, err error) {
	for {
		select {
		case end := <-a.ended:
			// It may have ended because its context did: then that is no outcome.
			if a.ctx.Err() == nil {
				err = a.end(end)
			}
			return false, err
		case <-a.idle:
			if a.park() {
				return true, nil
			}
		case <-a.ctx.Done():
			return false, nil
		case <-ctx.Done():
			a.cancel(context.Cause(ctx))
			return false, nil
		}
	}
}

func (r *runner) newAttempt(messageID string) *Attempt {
	ctx, cancel := context.WithCancelCause(r.run)
	a := &Attempt{runner: r, ctx: ctx, cancel: cancel, id: messageID,
		ended: make(chan outcome, 1), idle: make(chan struct{}, 1), waiting: map[*wait]struct{}{}, uncalled: map[uint32]struct{}{}}
	a.Steps = &Steps{attempt: a, fn: newFunction(ctx, nil)}
	return a
}

// start calls the handler.
func (a *Attempt) start() {
	unsubscribe := a.runner.Subscribe(a.watch)
	context.AfterFunc(a.ctx, unsubscribe)
	a.watch(core.Change{}) // what came before
	a.called = make(chan struct{})
	go func() {
		result, err := a.runner.handler(a.fn.ctx, a)
		close(a.called)
		a.mu.Lock()
		a.busy++
		a.look()
		a.mu.Unlock()
		a.ended <- outcome{result, err}
		_ = a.active() // its end is to be appended
	}()
}

// giveUp appends that the message has failed with an error that ended the
// attempt, unless it is no longer the attempt's.
func (r *runner) giveUp(a *Attempt, cause error) error {
	return r.Update(context.WithoutCancel(a.ctx), func(s *core.State) ([]core.Event, error) {
		switch err := a.owned(s); {
		case errors.Is(err, core.ErrCancelled):
			return nil, nil
		case err != nil:
			return nil, err
		}
		return append(a.uncalledIn(s, ""), core.Event{Kind: core.KindErrorOccurred, MessageID: a.id, Error: textOf(cause)}), nil
	})
}
