// Package later has the one timer of Holdfast for work that nobody waits for.
package later

import (
	"sync"
	"time"
)

// Timer calls a function some time after it was asked to, once for all that
// asked until then, and never twice at a time. It is safe for concurrent use.
type Timer struct {
	run func()

	mu      sync.Mutex
	state   state
	delay   time.Duration // of the call that is due, or after the one that runs
	busy    bool
	putOff  int
	waiting *time.Timer
}

type state int

const (
	idle state = iota
	due
	running
	runAgain // running, and asked again since
	stopped
)

// MostPutOff is how often Busy can put off a call.
const MostPutOff = 10

// New returns a timer that calls run, on a goroutine of its own.
func New(run func()) *Timer { return &Timer{run: run} }

// In asks for a call after delay. If one is due already, that is the call; if
// one is under way, the next follows delay after it.
func (t *Timer) In(delay time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.state {
	case idle:
		t.set(delay)
	case running:
		t.state, t.delay = runAgain, delay
	}
}

// set begins to wait for a call. The caller holds mu.
func (t *Timer) set(delay time.Duration) {
	t.state, t.delay, t.busy, t.putOff = due, delay, false, 0
	t.waiting = time.AfterFunc(delay, t.fire)
}

// Busy puts off a call that is due: while it is called again and again, the
// call waits for a delay in which it is not, but no more than [MostPutOff]
// times.
func (t *Timer) Busy() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy = true
}

// Stop cancels the call that is due. From now on In does nothing. A call that
// is under way is not waited for.
func (t *Timer) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == due {
		t.waiting.Stop()
	}
	t.state = stopped
}

func (t *Timer) fire() {
	if !t.begin() {
		return
	}
	t.run()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.state {
	case running:
		t.state = idle
	case runAgain:
		t.set(t.delay)
	}
}

// begin reports whether this is the moment for the call.
func (t *Timer) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != due {
		return false
	}
	if t.busy && t.putOff < MostPutOff {
		t.busy = false
		t.putOff++
		t.waiting.Reset(t.delay)
		return false
	}
	t.state = running
	return true
}
