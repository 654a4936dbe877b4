package runner

import (
	"context"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// When all that is under way of a message waits, for an answer, a time or a
// decision, the attempt is parked: the log says that the message waits, no start
// of it counts, and the runner does something else. The handler stays in memory,
// and goes on when what it waits for is there.

// parkAfter is how long all must have waited.
const parkAfter = time.Second

func (a *Attempt) isParked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.parked
}

// call counts a function of a step that is being called, until done is called.
func (a *Attempt) call() (done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running++
	a.look()
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.running--
		a.look()
	}
}

// look sets or stops the timer that parks the attempt. The caller holds mu.
func (a *Attempt) look() {
	waits := a.running == 0 && len(a.waiting) > 0 && !a.parked
	if waits && a.idle == nil {
		a.idle = time.AfterFunc(parkAfter, a.park)
	} else if !waits && a.idle != nil {
		a.idle.Stop()
		a.idle = nil
	}
}

// await waits until the state is as wanted, or until w is due, and then until
// the attempt is not parked.
func (a *Attempt) await(w *wait, wanted func(*core.State) bool) error {
	a.mu.Lock()
	if a.waiting == nil {
		a.waiting = map[*wait]struct{}{}
	}
	a.waiting[w] = struct{}{}
	a.look()
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting, w)
		a.look()
	}()
	ctx := a.ctx
	if !w.due.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, w.due)
		defer cancel()
	}
	_ = a.runner.until(ctx, wanted)
	return a.active()
}

// active waits until the attempt is not parked. It returns why it is over, if it
// is.
func (a *Attempt) active() error {
	a.mu.Lock()
	resumed := a.resumed
	if a.parked {
		a.wants = true
		a.runner.nudge()
	} else {
		resumed = nil
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

// park appends that the message waits, if it still does.
func (a *Attempt) park() {
	event := core.Event{Kind: core.KindProcessingStopped, MessageID: a.id, Parked: true, Pass: true}
	a.mu.Lock()
	if a.running > 0 || len(a.waiting) == 0 || a.parked || a.ctx.Err() != nil {
		a.mu.Unlock()
		return
	}
	for w := range a.waiting {
		event.Pass = event.Pass && w.pass
		if due := millis(w.due); due > 0 && (event.Due == 0 || due < event.Due) {
			event.Due = due
		}
	}
	a.parked, a.resumed = true, make(chan struct{})
	a.mu.Unlock()
	_ = a.runner.Update(context.WithoutCancel(a.ctx), a.owning(func(m *core.Message) []core.Event {
		if !m.InProgress {
			return nil
		}
		return []core.Event{event}
	}))
	if m := a.Message(); m.InProgress { // it could not be appended, and goes on
		a.resume()
		return
	}
	a.rests <- struct{}{}
}

// resume goes on with a parked attempt.
func (a *Attempt) resume() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.parked {
		a.parked, a.wants, a.idle = false, false, nil
		close(a.resumed)
		a.look()
	}
}

// millis returns a time in milliseconds since the Unix epoch; 0 for the zero time.
func millis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.UnixMilli(), 1))
}

// at is the inverse of millis.
func at(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}
