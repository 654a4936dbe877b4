package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// effects is a message whose handler pays, and then does something else.
type effects struct {
	t      *testing.T
	memory *memstore.Store
	user   *tab
	policy runner.Policy

	mu   sync.Mutex // a function that is given up may still be at work
	tale []string   // what has happened: "call", "call?" if it was uncertain, "asked", …
	keys []string   // idempotency keys of the calls

	retry   runner.Retry
	pay     runner.Func // after that the step returns how often it was called
	after   runner.Func
	resolve bool // what the user decides: to run it again
}

func (e *effects) handler(a *runner.Attempt, dead *atomic.Bool) ([]byte, error) {
	paid, err := do(a, "pay", runner.StepOptions{SideEffect: e.policy, Retry: e.retry}, func(ctx context.Context, c runner.Call) ([]byte, error) {
		if dead.Load() {
			return never(ctx, c)
		}
		e.mu.Lock()
		e.tale = append(e.tale, "call"+map[bool]string{true: "?"}[c.Uncertain])
		e.keys = append(e.keys, c.IdempotencyKey)
		paid := fmt.Appendf(nil, "paid %d", len(e.keys))
		e.mu.Unlock()
		_, err := e.pay(ctx, c)
		return paid, err
	})
	if err != nil {
		return nil, err
	}
	if _, err := do(a, "after", runner.StepOptions{}, e.after); err != nil {
		return nil, err
	}
	return paid, nil
}

// run lets a runner work for a minute, or until the log has as many events as
// dieAt.
func (e *effects) run(dieAt uint64) *tab {
	b := open(e.t, e.memory)
	var dead atomic.Bool
	if dieAt > 0 {
		e.memory.Share().Watch(func(moved core.StreamInfo) {
			if moved.Name == "chat" && moved.Head >= dieAt && !dead.Swap(true) {
				b.crash()
			}
		})
	}
	b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) { return e.handler(a, &dead) }, runner.Options{Retry: runner.Retry{MaxAttempts: 3, Initial: time.Second, Max: time.Second}})
	rest(time.Minute)
	return b
}

// finish lets a runner work until the message has ended; the user decides what is
// asked.
func (e *effects) finish() {
	b := e.run(0)
	for range 5 {
		if err := e.user.Refresh(context.Background()); err != nil {
			e.t.Fatal(err)
		}
		m := e.user.message("m")
		if !m.Pending() {
			break
		}
		if m.Parked && m.Open[0].Uncertain {
			e.tale = append(e.tale, "asked")
			if did, err := e.user.ResolveStep(context.Background(), "m", m.Open[0].Index, e.resolve); !did || err != nil {
				e.t.Errorf("resolve: %v, %v", did, err)
			}
		}
		rest(time.Minute)
	}
	b.stop()
	m := b.message("m")
	end := string(m.Result)
	if m.Failed {
		end = "error " + m.Error
	}
	e.tale = append(e.tale, "= "+end)
}

func (e *effects) retryMessage(from int) {
	if err := e.user.Refresh(context.Background()); err != nil {
		e.t.Fatal(err)
	}
	e.tale = append(e.tale, "retry")
	var did bool
	var err error
	if from < 0 {
		did, err = e.user.Retry(context.Background(), "m")
	} else {
		did, err = e.user.RetryFrom(context.Background(), "m", uint32(from))
	}
	if !did || err != nil {
		e.t.Errorf("retry: %v, %v", did, err)
	}
}

// TestSideEffects goes through all that may happen to a step with side effects.
func TestSideEffects(t *testing.T) {
	boom := errors.New("boom")
	ok := text("")
	first := func(fn runner.Func) runner.Func { // what the first call does
		var calls atomic.Int32
		return func(ctx context.Context, c runner.Call) ([]byte, error) {
			if calls.Add(1) == 1 {
				return fn(ctx, c)
			}
			return nil, nil
		}
	}
	fails := func(err error) func() runner.Func {
		return func() runner.Func {
			return first(func(context.Context, runner.Call) ([]byte, error) { return nil, err })
		}
	}
	works := func() runner.Func { return ok }
	hangs := func() runner.Func { return first(never) }
	deaf := func() runner.Func {
		return first(func(context.Context, runner.Call) ([]byte, error) {
			time.Sleep(30 * time.Minute)
			return nil, nil
		})
	}
	finish := func(e *effects) { e.finish() }
	const rerun, skip, ask = runner.Rerun, runner.Skip, runner.Ask
	situations := []struct {
		name string
		pay  func() runner.Func
		play func(e *effects)
		want map[runner.Policy]string // ask: the user has it run again
		done string                   // ask: the user says that it is done; empty if that is not asked
	}{
		{"it works", works, finish,
			map[runner.Policy]string{rerun: "call = paid 1", skip: "call = paid 1", ask: "call = paid 1"}, ""},
		{"a throw", fails(boom), finish,
			map[runner.Policy]string{rerun: "call call? = paid 2", skip: "call = ", ask: "call asked call = paid 2"}, "call asked = "},
		{"throws without end", func() runner.Func {
			return func(context.Context, runner.Call) ([]byte, error) { return nil, boom }
		}, finish,
			map[runner.Policy]string{rerun: "call call? call? = error boom", skip: "call = ", ask: "call asked call asked call asked call asked call asked call = "}, "call asked = "},
		{"certainly not done", fails(&runner.TerminalError{Err: boom}), func(e *effects) {
			e.finish()
			e.retryMessage(-1)
			e.finish()
		}, map[runner.Policy]string{
			rerun: "call = error boom retry call = paid 2", skip: "call = error boom retry call = paid 2", ask: "call = error boom retry call = paid 2",
		}, ""},
		{"a timeout", hangs, func(e *effects) {
			e.retry.Timeout = time.Second
			e.finish()
		}, map[runner.Policy]string{rerun: "call call? = paid 2", skip: "call = ", ask: "call asked call = paid 2"}, "call asked = "},
		{"a timeout of a function that does not hear of it", deaf, func(e *effects) {
			e.retry.Timeout = time.Second
			e.finish()
			rest(time.Hour)
		}, map[runner.Policy]string{rerun: "call call? = paid 2", skip: "call = ", ask: "call asked call = paid 2"}, "call asked = "},
		{"a crash before the start", works, func(e *effects) {
			e.run(2)
			e.finish()
		}, map[runner.Policy]string{rerun: "call = paid 1", skip: "call = paid 1", ask: "call = paid 1"}, ""},
		{"a crash after the start, before the function is called", works, func(e *effects) {
			e.run(3)
			e.finish()
		}, map[runner.Policy]string{rerun: "call? = paid 1", skip: "= ", ask: "asked call = paid 1"}, "asked = "},
		{"a crash within the function", hangs, func(e *effects) {
			e.run(0).crash()
			e.finish()
		}, map[runner.Policy]string{rerun: "call call? = paid 2", skip: "call = ", ask: "call asked call = paid 2"}, "call asked = "},
		{"a crash after the outcome", works, func(e *effects) {
			e.run(4)
			e.finish()
		}, map[runner.Policy]string{rerun: "call = paid 1", skip: "call = paid 1", ask: "call = paid 1"}, ""},
		{"a crash after a throw", fails(boom), func(e *effects) {
			e.run(4)
			e.finish()
		}, map[runner.Policy]string{rerun: "call call? = paid 2", skip: "call = ", ask: "call asked call = paid 2"}, "call asked = "},
		{"a crash of the second run as well", func() runner.Func {
			return func(ctx context.Context, c runner.Call) ([]byte, error) {
				if !c.Uncertain {
					return never(ctx, c)
				}
				return nil, nil
			}
		}, func(e *effects) {
			e.run(0).crash()
			e.run(0).crash()
			e.finish()
		}, map[runner.Policy]string{rerun: "call call? = paid 2", skip: "call = ", ask: "call asked call = "}, "call asked = "},
		{"a stop within the function", hangs, func(e *effects) {
			e.run(0).stop()
			e.finish()
		}, map[runner.Policy]string{rerun: "call call? = paid 2", skip: "call = ", ask: "call asked call = paid 2"}, "call asked = "},
		{"a stop between tries", fails(boom), func(e *effects) {
			e.retry = runner.Retry{Initial: time.Hour, Max: time.Hour}
			e.run(0).stop()
			e.run(0).stop()
			rest(time.Hour)
			e.finish()
		}, map[runner.Policy]string{rerun: "call call? = paid 2", skip: "call = ", ask: "call asked call = paid 2"}, "call asked = "},
		{"a retry after a later step has failed", works, func(e *effects) {
			e.after = first(func(context.Context, runner.Call) ([]byte, error) { return nil, &runner.TerminalError{Err: boom} })
			e.finish()
			e.retryMessage(-1)
			e.finish()
		}, map[runner.Policy]string{
			rerun: "call = error boom retry = paid 1", skip: "call = error boom retry = paid 1", ask: "call = error boom retry = paid 1",
		}, ""},
		{"a retry after all tries", func() runner.Func {
			return func(_ context.Context, c runner.Call) ([]byte, error) {
				if c.Attempt == 1 && !c.Uncertain {
					return nil, boom
				}
				return nil, nil
			}
		}, func(e *effects) {
			e.retry.MaxAttempts = 1
			e.finish()
			if e.user.message("m").Failed {
				e.retryMessage(-1)
				e.finish()
			}
		}, map[runner.Policy]string{rerun: "call = error boom retry call? = paid 2", skip: "call = ", ask: "call asked call = paid 2"}, "call asked = "},
		{"a retry from it", works, func(e *effects) {
			e.after = first(func(context.Context, runner.Call) ([]byte, error) { return nil, &runner.TerminalError{Err: boom} })
			e.finish()
			e.retryMessage(0)
			e.finish()
		}, map[runner.Policy]string{
			rerun: "call = error boom retry call? = paid 2", skip: "call = error boom retry = ", ask: "call = error boom retry asked call = paid 2",
		}, "call = error boom retry asked = "},
		{"cancelled within, and retried", hangs, func(e *effects) {
			b := e.run(0)
			if err := e.user.Refresh(e.t.Context()); err != nil {
				e.t.Fatal(err)
			}
			if did, err := e.user.Cancel(e.t.Context(), "m"); !did || err != nil {
				e.t.Errorf("cancel: %v, %v", did, err)
			}
			b.stop()
			e.retryMessage(-1)
			e.finish()
		}, map[runner.Policy]string{rerun: "call retry call? = paid 2", skip: "call retry = ", ask: "call retry asked call = paid 2"}, "call retry asked = "},
	}
	for _, tt := range situations {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			play := func(policy runner.Policy, again bool, want string) {
				story(t, func(t *testing.T, memory *memstore.Store) {
					e := &effects{t: t, memory: memory, user: open(t, memory), policy: policy, pay: tt.pay(), after: ok, resolve: again}
					e.user.send("m")
					tt.play(e)
					if got := strings.Join(e.tale, " "); got != want {
						t.Errorf("%v, again %v:\n got %s\nwant %s\n log %v", policy, again, got, want, words(t, memory))
					}
					if from := tt.name == "a retry from it"; len(e.keys) == 2 && (e.keys[0] != e.keys[1]) != from {
						t.Errorf("the idempotency keys are %v", e.keys)
					}
				})
			}
			for policy, want := range tt.want {
				play(policy, true, want)
			}
			if tt.done != "" {
				play(ask, false, tt.done)
			}
		})
	}
}

// TestStopAsFunctionsBegin: a function that is called in the moment of a stop is
// in doubt, and one that is in no doubt is not called.
func TestStopAsFunctionsBegin(t *testing.T) {
	const steps = 8
	for n := range uint64(400) {
		story(t, func(t *testing.T, memory *memstore.Store) {
			var calls [steps]atomic.Int32
			handler := func(_ context.Context, a *runner.Attempt) ([]byte, error) {
				var group sync.WaitGroup
				for i := range steps {
					group.Go(func() {
						_, _ = do(a, "pay", runner.StepOptions{SideEffect: runner.Skip, Key: fmt.Sprint(i)}, func(ctx context.Context, c runner.Call) ([]byte, error) {
							calls[i].Add(1)
							return never(ctx, c)
						})
					})
				}
				group.Wait()
				return nil, nil
			}
			first := open(t, memory)
			first.send("m")
			memory.Share().Watch(func(moved core.StreamInfo) {
				if moved.Name == "chat" && moved.Head >= 4+n%steps {
					first.cancel()
				}
			})
			for _, b := range []*tab{first, open(t, memory)} {
				b.run(handler, runner.Options{})
				rest(time.Second)
				b.stop()
			}
			for i := range calls {
				if n := calls[i].Load(); n > 1 {
					t.Errorf("step %d was called %d times", i, n)
				}
			}
		})
	}
}

// TestSideEffectsCalledTwice: which of two calls has begun would not be known
// after a crash.
func TestSideEffectsCalledTwice(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			for i := range 2 {
				if _, err := do(a, "keyed", runner.StepOptions{SideEffect: runner.Ask, Key: fmt.Sprint(i)}, text("")); err != nil {
					return nil, err
				}
				if _, err := do(a, "rerun", runner.StepOptions{SideEffect: runner.Rerun}, text("")); err != nil {
					return nil, err
				}
			}
			_, err := do(a, "ask", runner.StepOptions{SideEffect: runner.Ask}, text(""))
			if err != nil {
				return nil, err
			}
			return do(a, "ask", runner.StepOptions{}, text(""))
		}, runner.Options{})
		rest(time.Minute)
		b.stop()
		if m := b.message("m"); !m.Failed || !strings.Contains(m.Error, "ask has side effects and is called more than once; give each call a key") {
			t.Errorf("the message is %+v", m)
		}
	})
}
