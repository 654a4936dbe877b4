package runner_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

// TestLater: a function that begins later than it is called has had no side effects
// before.
func TestLater(t *testing.T) {
	for _, begins := range []bool{false, true} {
		story(t, func(t *testing.T, memory *memstore.Store) {
			b := open(t, memory)
			b.send("m")
			calls := 0
			b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
				return do(a, "pay", runner.StepOptions{SideEffect: runner.Skip, Later: true}, func(ctx context.Context, c runner.Call) ([]byte, error) {
					if calls++; calls > 1 {
						return []byte("paid"), nil
					}
					if begins && !c.Begins() {
						t.Error("it may not begin")
					}
					<-ctx.Done()
					if c.Begins() {
						t.Error("it may begin after its attempt")
					}
					return nil, context.Cause(ctx)
				})
			}, runner.Options{})
			rest(time.Second)
			if _, err := b.Cancel(t.Context(), "m"); err != nil {
				t.Fatal(err)
			}
			rest(time.Second)
			if _, err := b.Retry(t.Context(), "m"); err != nil {
				t.Fatal(err)
			}
			rest(time.Second)
			b.stop()
			want := map[bool]string{false: "paid", true: ""}[begins]
			expect(t, fmt.Sprintf("result, if it begins: %t", begins), string(b.message("m").Result), want)
		})
	}
}

// TestEndAsFunctionsBegin: a function that is called in the moment in which what
// calls it ends is in doubt, and one that is not called is in none. So each
// function is called once: nothing that never ran counts as done.
func TestEndAsFunctionsBegin(t *testing.T) {
	const steps = 8
	rounds := map[bool]uint64{false: 100, true: steps}[runtime.GOOS == "js"] // where there is one thread
	type scene struct {
		*tab
		ends  chan struct{} // closed in that moment
		calls [steps]atomic.Int32
	}
	pay := func(s *scene, c caller) {
		for i := range steps {
			go func() {
				_, _ = do(c, "pay", runner.StepOptions{SideEffect: runner.Skip, Key: fmt.Sprint(i)}, func(ctx context.Context, c runner.Call) ([]byte, error) {
					s.calls[i].Add(1)
					return never(ctx, c)
				})
			}()
		}
	}
	boom := errors.New("boom")
	retry := func(s *scene) {
		if did, err := s.Retry(context.Background(), "m"); !did || err != nil {
			s.t.Error("retry:", did, err)
		}
	}
	for name, tt := range map[string]struct {
		first func(ctx context.Context, s *scene, a *runner.Attempt) error // the handler of the first tab
		ends  func(s *scene)
		after func(s *scene)
	}{
		"the runner is stopped": {
			func(ctx context.Context, s *scene, a *runner.Attempt) error { <-ctx.Done(); return nil },
			func(s *scene) { s.cancel() }, func(*scene) {},
		},
		"the message is cancelled": {
			func(ctx context.Context, s *scene, a *runner.Attempt) error { <-ctx.Done(); return nil },
			func(s *scene) { go func() { _, _ = s.Cancel(context.Background(), "m") }() }, retry,
		},
		"the handler fails": {
			func(ctx context.Context, s *scene, a *runner.Attempt) error { <-s.ends; return boom },
			func(*scene) {}, retry,
		},
		"a call is refused for good": {
			func(ctx context.Context, s *scene, a *runner.Attempt) error {
				<-s.ends
				for range 2 {
					go func() { _, _ = do(a, "x", runner.StepOptions{}, never) }()
				}
				<-ctx.Done()
				return nil
			},
			func(*scene) {}, retry,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n := range rounds {
				story(t, func(t *testing.T, memory *memstore.Store) {
					s := &scene{tab: open(t, memory), ends: make(chan struct{})}
					s.send("m")
					memory.Share().Watch(func(moved core.StreamInfo) {
						if moved.Name == "chat" && moved.Head == 3+n%steps {
							close(s.ends)
							tt.ends(s)
						}
					})
					s.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
						pay(s, a)
						return nil, tt.first(ctx, s, a)
					}, runner.Options{})
					rest(time.Second)
					s.stop()
					tt.after(s)
					b := open(t, memory)
					b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
						pay(s, a)
						return never(ctx, runner.Call{})
					}, runner.Options{})
					rest(time.Second)
					b.stop()
					for i := range s.calls {
						expect(t, fmt.Sprint("calls of step ", i), s.calls[i].Load(), int32(1))
					}
				})
			}
		})
	}
	t.Run("the step around them fails", func(t *testing.T) {
		for n := range rounds {
			story(t, func(t *testing.T, memory *memstore.Store) {
				s := &scene{tab: open(t, memory), ends: make(chan struct{})}
				s.send("m")
				memory.Share().Watch(func(moved core.StreamInfo) {
					if moved.Name == "chat" && moved.Head == 3+n%steps {
						close(s.ends)
					}
				})
				s.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
					return do(a, "outer", runner.StepOptions{}, func(ctx context.Context, c runner.Call) ([]byte, error) {
						pay(s, c)
						<-s.ends
						if c.Attempt == 1 {
							return nil, boom
						}
						return never(ctx, c)
					})
				}, runner.Options{})
				rest(10 * time.Second)
				s.stop()
				for i := range s.calls {
					expect(t, fmt.Sprint("calls of step ", i), s.calls[i].Load(), int32(1))
				}
			})
		}
	})
}

// TestDecisionWithoutARunner counts for the next one, which asks no more. The
// person has ended the doubt, so the function hears of none.
func TestDecisionWithoutARunner(t *testing.T) {
	for _, again := range []bool{true, false} {
		story(t, func(t *testing.T, memory *memstore.Store) {
			user := open(t, memory)
			user.send("m")
			var uncertain []bool
			pay := func(_ context.Context, a *runner.Attempt) ([]byte, error) {
				return do(a, "pay", runner.StepOptions{SideEffect: runner.Ask}, func(ctx context.Context, c runner.Call) ([]byte, error) {
					if uncertain = append(uncertain, c.Uncertain); len(uncertain) == 1 {
						return never(ctx, c)
					}
					return []byte("paid"), nil
				})
			}
			for range 2 { // the second asks, and is gone before it has an answer
				b := open(t, memory)
				b.run(pay, runner.Options{})
				rest(time.Minute)
				b.crash()
			}
			if err := user.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if did, err := user.ResolveStep(t.Context(), "m", 0, again); !did || err != nil {
				t.Fatal(did, err)
			}
			b := open(t, memory)
			b.run(pay, runner.Options{})
			rest(time.Minute)
			b.stop()
			m := b.message("m")
			expect(t, "finished", m.Finished, true)
			expect(t, "result", string(m.Result), map[bool]string{true: "paid"}[again])
			expect(t, "calls, and whether they are uncertain", uncertain, map[bool][]bool{true: {false, false}, false: {false}}[again])
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
