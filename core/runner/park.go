package runner

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// When all that is under way of a message waits, for an answer, a time or a
// decision, the attempt is parked: the log says that the message waits, no start
// of it counts, and the runner does something else. The handler stays in memory,
// and goes on when what it waits for is there.

// parkAfter is how long all must have waited, and parkAgain how long if they did
// before the attempt began: then a reload soon after it costs no start.
const (
	parkAfter = time.Second
	parkAgain = 100 * time.Millisecond
)

// wait is a step that waits for an answer, a time, or a decision.
type wait struct {
	step uint32
	due  time.Time              // zero for never
	pass bool                   // later messages may be processed until then
	came func(*core.State) bool // whether what it waits for has come before that
}

// over reports whether the wait is over. Its time may have passed though no timer
// has: they do not run while a computer sleeps.
func (w *wait) over(s *core.State) bool {
	return w.came(s) || !w.due.IsZero() && !time.Now().Before(w.due)
}

// enter counts a step as under way.
func (c *Called) enter() {
	a := c.steps.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy++
	a.look()
}

// leave takes that back. The steps within its function may be under way a little
// longer.
func (c *Called) leave() {
	c.steps.fn.left(c)
	a := c.steps.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.left = true; c.waits == 0 {
		a.busy--
		a.look()
	}
}

// await waits for w, and then until the attempt is not parked. It gives up when
// the function that has called the step ends.
func (c *Called) await(w *wait) error {
	c.rest(w)
	defer c.wake(w)
	ctx := c.steps.fn.ctx
	if !w.due.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, w.due)
		defer cancel()
	}
	_ = c.steps.attempt.runner.until(ctx, w.over)
	return c.active()
}

// rest makes the step one that waits, and those whose functions wait for it.
func (c *Called) rest(w *wait) {
	a := c.steps.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[w] = struct{}{}
	for ; c != nil; c = c.steps.fn.of {
		if c.waits++; c.waits == 1 && !c.left {
			a.busy--
		}
	}
	a.look()
}

// wake takes that back.
func (c *Called) wake(w *wait) {
	a := c.steps.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, w)
	for ; c != nil; c = c.steps.fn.of {
		if c.waits--; c.waits == 0 && !c.left {
			a.busy++
		}
	}
	a.look()
}

// look sets or stops the timer until the attempt is parked. The caller holds mu.
func (a *Attempt) look() {
	waits := a.busy == 0 && len(a.waiting) > 0 && a.resumed == nil
	if waits && a.since.IsZero() {
		a.since, a.timer = time.Now(), time.AfterFunc(a.patience(), func() { token(a.idle) })
	} else if !waits && !a.since.IsZero() {
		a.timer.Stop()
		a.since, a.timer = time.Time{}, nil
	}
}

// patience returns how long all must have waited. The caller holds mu.
func (a *Attempt) patience() time.Duration {
	for w := range a.waiting {
		if w.step >= a.first {
			return parkAfter
		}
	}
	return parkAgain
}

// park appends that the message waits, if it still does, and reports whether it
// has.
func (a *Attempt) park() (parked bool) {
	event := core.Event{Kind: core.KindProcessingStopped, MessageID: a.id, Parked: true, Pass: true}
	a.mu.Lock()
	if a.since.IsZero() || time.Since(a.since) < a.patience() {
		a.mu.Unlock()
		return false
	}
	waits := make([]*wait, 0, len(a.waiting))
	for w := range a.waiting {
		waits = append(waits, w)
		event.Pass = event.Pass && w.pass
		event.Due = core.Sooner(event.Due, millis(w.due))
	}
	a.resumed = make(chan struct{})
	a.look()
	a.mu.Unlock()
	err := a.runner.Update(context.WithoutCancel(a.ctx), func(s *core.State) ([]core.Event, error) {
		parked = false
		if err := a.owned(s); err != nil {
			return nil, err
		}
		// What is over was over before this event, and would not wake anybody later.
		for _, w := range waits {
			if w.over(s) {
				return nil, nil
			}
		}
		parked = true
		return []core.Event{event}, nil
	})
	if parked = parked && err == nil; !parked {
		a.resume()
	}
	return parked
}

// active waits until the attempt is not parked. It returns why it is over, if it
// is.
func (a *Attempt) active() error {
	a.mu.Lock()
	resumed := a.resumed
	if resumed != nil {
		a.wants = true
		a.runner.nudge()
	}
	a.mu.Unlock()
	if resumed != nil {
		select {
		case <-resumed:
		case <-a.ctx.Done():
		}
	}
	if a.ctx.Err() != nil {
		return a.over()
	}
	return nil
}

func (a *Attempt) isParked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.resumed != nil
}

// wantsToGoOn reports whether a parked attempt has something to append.
func (a *Attempt) wantsToGoOn() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	var fatal *fatalError
	return a.wants || errors.As(context.Cause(a.ctx), &fatal)
}

// hold keeps the handler from being let go while it waits, until the returned
// function is called.
func (a *Attempt) hold() (end func()) {
	add := func(n int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.held += n
	}
	add(1)
	return func() { add(-1) }
}

func (a *Attempt) holds() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held > 0 && a.ctx.Err() == nil
}

// resume goes on with a parked attempt.
func (a *Attempt) resume() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.resumed != nil {
		close(a.resumed)
		a.resumed, a.wants = nil, false
		a.look()
	}
}
