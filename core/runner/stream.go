package runner

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

const (
	// streamInterval is the least time between two commits of partial output.
	streamInterval = 100 * time.Millisecond
	// streamBatch bounds what one commit takes, and what waits for it: who
	// produces faster than the store takes has to wait.
	streamBatch = 256 << 10
)

// StreamFunc is the function of a step that has its output in parts. It hands
// each to emit, which keeps no reference to it, and returns all of the output.
type StreamFunc func(ctx context.Context, call Call, emit func(part []byte) error) (output []byte, err error)

// Stream is [Called.Run] for a function that has its output in parts. The parts
// are appended as they come, at most ten times a second, and show as
// [core.OpenStep.Output] until the step has an outcome. A run after another one
// replaces what that has left, unless [StepOptions.Resume] is set. Emit waits
// while much is on its way, and returns [core.ErrTooLarge] for a part that no
// event can hold, or why the attempt is over.
func (c *Called) Stream(fn StreamFunc) ([]byte, error) { return c.deliver(c.StreamOutcome(fn)) }

// StreamOutcome is [Called.Outcome] for a function that has its output in parts.
func (c *Called) StreamOutcome(fn StreamFunc) (core.Step, error) {
	return c.Outcome(func(ctx context.Context, call Call) ([]byte, error) {
		p := &parts{called: c, wake: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
		if c.options.Resume {
			p.offset = uint64(len(call.Stored))
		}
		ctx, cancel := context.WithCancel(ctx)
		var pump sync.WaitGroup
		pump.Go(func() { p.pump(ctx) })
		output, err := fn(ctx, call, func(part []byte) error { return p.emit(ctx, part) })
		cancel()
		pump.Wait() // a commit under way comes before that of the output
		return output, err
	})
}

// parts are on their way from the function of a step into the log.
type parts struct {
	called *Called
	offset uint64        // of what is committed
	wake   chan struct{} // holds a token while there are parts
	taken  chan struct{} // holds a token when parts have been taken

	mu      sync.Mutex
	waiting [][]byte
	size    int
}

func (p *parts) emit(ctx context.Context, part []byte) error {
	if len(part) > core.MaxPayloadBytes-2*core.MaxNameBytes-64 {
		return &core.Error{Code: core.ErrTooLarge, Op: "stream", Detail: "a part of the output is larger than an event can be; emit it in smaller ones"}
	}
	for ctx.Err() == nil {
		if p.add(part) {
			return nil
		}
		select {
		case <-p.taken:
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

// add reports whether there was room.
func (p *parts) add(part []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size > streamBatch {
		return false
	}
	p.waiting = append(p.waiting, append([]byte(nil), part...))
	p.size += len(part)
	token(p.wake)
	return true
}

// take returns whole parts, as many as one commit takes.
func (p *parts) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	var batch []byte
	for len(p.waiting) > 0 && (len(batch) == 0 || len(batch)+len(p.waiting[0]) <= streamBatch) {
		batch = append(batch, p.waiting[0]...)
		p.waiting = p.waiting[1:]
	}
	p.size -= len(batch)
	if len(p.waiting) > 0 {
		token(p.wake)
	}
	token(p.taken)
	return batch
}

// pump commits until ctx ends. What has not been committed then is in the
// output of the step, or is of a run that has failed.
func (p *parts) pump(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil {
			return // another run may begin
		}
		batch := p.take()
		err := p.called.recordOf(ctx, core.Event{Kind: core.KindStepStreamed, Offset: p.offset, Output: batch})
		if err != nil {
			return // the attempt is over
		}
		p.offset += uint64(len(batch))
		if sleep(ctx, streamInterval) != nil {
			return
		}
	}
}
