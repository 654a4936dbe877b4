package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// Options of [Run]. The zero value means the defaults.
type Options struct {
	// Retry is what steps do that do not say otherwise.
	Retry Retry
	// MaxStarts is how often processing of a message may start without the end of
	// a step in between before the message fails: one that kills its process must
	// not do so for ever. Starts that ended with a stop or a wait do not count. At
	// most [core.MaxStarts]; default 10.
	MaxStarts int
	// OnError is called with errors after which the runner goes on by itself:
	// [core.ErrLostOwnership], [core.ErrStepMismatch], and those of the store that
	// may pass. Steps that run at the same time may call it at the same time.
	OnError func(error)
	// OnOwnership is called when this runner has become the one that processes the
	// conversation, and when it no longer is.
	OnOwnership func(owns bool)
}

// check returns what is out of range.
func (o Options) check() error {
	if o.MaxStarts < 0 || o.MaxStarts > core.MaxStarts {
		return &core.Error{Code: core.ErrInvalidArgument, Op: "process", Detail: fmt.Sprintf("MaxStarts must be from 0 to %d", core.MaxStarts)}
	}
	return o.Retry.check("process")
}

// Retry says how a step deals with failures. A zero field means the default, and
// none may be negative.
type Retry struct {
	MaxAttempts int           // calls of the step's function; default 5
	Initial     time.Duration // before the second call, doubled for each one after it; default 500 ms
	Max         time.Duration // the longest wait; default 30 s
	Timeout     time.Duration // of one call; default none
}

func (r Retry) check(op string) error {
	if r.MaxAttempts < 0 || min(r.Initial, r.Max, r.Timeout) < 0 {
		return &core.Error{Code: core.ErrInvalidArgument, Op: op, Detail: "no number or time of Retry may be negative"}
	}
	return nil
}

// over returns r with what it does not say taken from defaults.
func (r Retry) over(defaults Retry) Retry {
	if r.MaxAttempts == 0 {
		r.MaxAttempts = defaults.MaxAttempts
	}
	if r.Initial == 0 {
		r.Initial = defaults.Initial
	}
	if r.Max == 0 {
		r.Max = defaults.Max
	}
	if r.Timeout == 0 {
		r.Timeout = defaults.Timeout
	}
	return r
}

var standard = Retry{MaxAttempts: 5, Initial: 500 * time.Millisecond, Max: 30 * time.Second}

// wait returns how long to wait after n failures: exponential, and random from
// half of that on, so that many clients do not come back at once.
func (r Retry) wait(n int) time.Duration {
	d := r.Max
	if n < 32 && r.Initial<<(n-1)>>(n-1) == r.Initial {
		d = min(d, r.Initial<<(n-1))
	}
	return d/2 + rand.N(d/2+1)
}

// passes reports whether trying again may help.
func passes(err error) bool {
	code := core.CodeOf(err)
	return code == core.ErrLostOwnership || code.Outcome() != core.Permanent
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func token(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
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
