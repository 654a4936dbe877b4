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

func TestOneStepOneAppend(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			for _, name := range []string{"plan", "search", "write"} {
				if _, err := a.Begin(name, runner.StepOptions{}).Run(text(name)); err != nil {
					return nil, err
				}
			}
			_, err := a.Begin("pay", runner.StepOptions{SideEffect: runner.Rerun}).Run(text("paid"))
			return []byte("done"), err
		}, runner.Options{})
		rest(time.Second)
		b.stop()
		expect(t, "log", words(t, memory), []string{received, started, "plan completed", "search completed", "write completed", "pay started", "pay completed", finished})
		expect(t, "result", string(b.message("m").Result), "done")
	})
}

func TestStepMismatch(t *testing.T) {
	for name, before := range map[string]func(*runner.Attempt){
		"completed":    func(a *runner.Attempt) { _, _ = a.Begin("plan", runner.StepOptions{}).Run(text("")) },
		"side effects": func(a *runner.Attempt) { _, _ = a.Begin("plan", runner.StepOptions{SideEffect: runner.Ask}).Run(never) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				first, second := open(t, memory), open(t, memory)
				first.send("m")
				first.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
					before(a)
					<-ctx.Done()
					return nil, nil
				}, runner.Options{})
				rest(time.Second)
				first.stop()
				var got error
				second.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					_, got = a.Begin("think", runner.StepOptions{}).Run(text(""))
					return nil, got
				}, runner.Options{})
				rest(time.Minute)
				second.stop()
				if !errors.Is(got, core.ErrStepMismatch) || !strings.Contains(got.Error(), `stored as "plan"`) {
					t.Errorf("got %v", got)
				}
				if !second.message("m").Failed {
					t.Error("the message has not failed")
				}
			})
		})
	}
}

func TestRetries(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name  string
		fn    runner.Func
		retry runner.Retry
		calls int
		err   error
		// The sum of all waits is between half of this and this.
		waits time.Duration
	}{
		{"until it succeeds", func(_ context.Context, c runner.Call) ([]byte, error) {
			if c.Attempt < 3 {
				return nil, boom
			}
			return nil, nil
		}, runner.Retry{}, 3, nil, 1500 * time.Millisecond},
		{"until the last attempt", func(context.Context, runner.Call) ([]byte, error) { return nil, boom },
			runner.Retry{}, 5, boom, 7500 * time.Millisecond},
		{"no longer than the longest wait", func(context.Context, runner.Call) ([]byte, error) { return nil, boom },
			runner.Retry{MaxAttempts: 100, Initial: time.Second, Max: 2 * time.Second}, 100, boom, 197 * time.Second},
		{"a terminal error", func(context.Context, runner.Call) ([]byte, error) {
			return nil, fmt.Errorf("wrapped: %w", &runner.TerminalError{Err: boom})
		}, runner.Retry{}, 1, boom, 0},
		{"too slow", never, runner.Retry{MaxAttempts: 2, Initial: time.Millisecond, Timeout: time.Second}, 2, context.DeadlineExceeded, 2001 * time.Millisecond},
		{"too slow, and deaf", func(context.Context, runner.Call) ([]byte, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}, runner.Retry{MaxAttempts: 1, Timeout: time.Second}, 1, context.DeadlineExceeded, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				b.send("m")
				var calls atomic.Int32 // a call that is given up may still be on its way
				var err error
				var took time.Duration
				b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					begin := time.Now()
					_, err = a.Begin("step", runner.StepOptions{Retry: tt.retry}).Run(func(ctx context.Context, c runner.Call) ([]byte, error) {
						if n := int(calls.Add(1)); c.Attempt != n || c.IdempotencyKey != "chat/m/0" || c.Uncertain {
							t.Errorf("call %d was told %+v", n, c)
						}
						return tt.fn(ctx, c)
					})
					took = time.Since(begin)
					return nil, err
				}, runner.Options{})
				rest(2 * time.Hour)
				b.stop()
				if int(calls.Load()) != tt.calls || !errors.Is(err, tt.err) {
					t.Errorf("%d calls, %v; want %d, %v", calls.Load(), err, tt.calls, tt.err)
				}
				if took < tt.waits/2 || took > tt.waits {
					t.Errorf("it took %v, want up to %v", took, tt.waits)
				}
				if m := b.message("m"); m.Failed != (tt.err != nil) || m.Finished != (tt.err == nil) {
					t.Errorf("the message is %+v", m)
				}
			})
		})
	}
}

func TestIdempotencyKeysAreDifferent(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("a/0", "a", "a%2F0", "a%")
		var keys []string
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			for range 2 {
				_, _ = a.Begin("s", runner.StepOptions{}).Run(func(_ context.Context, c runner.Call) ([]byte, error) {
					keys = append(keys, c.IdempotencyKey)
					return nil, nil
				})
			}
			return nil, nil
		}, runner.Options{})
		rest(time.Second)
		b.stop()
		expect(t, "keys", keys, []string{"chat/a%2F0/0", "chat/a%2F0/1", "chat/a/0", "chat/a/1", "chat/a%252F0/0", "chat/a%252F0/1", "chat/a%25/0", "chat/a%25/1"})
	})
}

func TestSideEffects(t *testing.T) {
	type choice struct{ rerun, asked bool }
	tests := []struct {
		name   string
		policy runner.Policy
		choice choice
		log    []string
		calls  int
	}{
		{"rerun", runner.Rerun, choice{}, []string{"pay started", started, "pay started", "pay completed", finished}, 2},
		{"skip", runner.Skip, choice{}, []string{"pay started", started, "pay completed", finished}, 1},
		{"ask: rerun", runner.Ask, choice{true, true}, []string{"pay started", started, "pay started", "pay completed", finished}, 2},
		{"ask: skip", runner.Ask, choice{false, true}, []string{"pay started", started, "pay completed", finished}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				first, second, user := open(t, memory), open(t, memory), open(t, memory)
				first.send("m")
				var calls []bool
				handler := func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					return a.Begin("pay", runner.StepOptions{SideEffect: tt.policy}).Run(func(ctx context.Context, c runner.Call) ([]byte, error) {
						calls = append(calls, c.Uncertain)
						if len(calls) == 1 {
							return never(ctx, c)
						}
						return []byte("paid"), nil
					})
				}
				first.run(handler, runner.Options{})
				rest(time.Second)
				first.crash()
				second.run(handler, runner.Options{})
				rest(time.Minute)
				if tt.choice.asked {
					if m := second.message("m"); !m.InProgress || !m.Open[0].Uncertain {
						t.Errorf("it does not wait: %+v", m)
					}
					if did, err := user.ResolveStep(t.Context(), "m", 0, tt.choice.rerun); !did || err != nil {
						t.Errorf("resolve: %v, %v", did, err)
					}
					rest(time.Second)
				}
				second.stop()
				expect(t, "log", words(t, memory), append([]string{received, started}, tt.log...))
				expect(t, "calls", len(calls), tt.calls)
				if tt.calls == 2 && !calls[1] {
					t.Error("the second call does not know that it is one")
				}
			})
		})
	}
}

func TestTooLargeFailsTheMessageOnly(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("output", "result", "fine")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			large := make([]byte, core.MaxPayloadBytes)
			switch a.Message().ID {
			case "output":
				return a.Begin("s", runner.StepOptions{}).Run(func(context.Context, runner.Call) ([]byte, error) { return large, nil })
			case "result":
				return large, nil
			default:
				return nil, nil
			}
		}, runner.Options{})
		rest(time.Minute)
		b.stop()
		for _, id := range []string{"output", "result"} {
			if m := b.message(id); !m.Failed || !strings.Contains(m.Error, "too_large") {
				t.Errorf("%s: %+v", id, m.Error)
			}
		}
		if !b.message("fine").Finished || b.said != nil {
			t.Errorf("the runner suffers: %v", b.said)
		}
	})
}

// TestStepsAtTheSameTime keep the places that they had begun in.
func TestStepsAtTheSameTime(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			var group sync.WaitGroup
			for i := range 5 {
				place := a.Begin(fmt.Sprint("step ", i), runner.StepOptions{})
				group.Go(func() {
					_, _ = place.Run(func(context.Context, runner.Call) ([]byte, error) {
						time.Sleep(time.Duration(5-i) * time.Second)
						return []byte{byte(i)}, nil
					})
				})
			}
			group.Wait()
			return nil, nil
		}, runner.Options{})
		rest(time.Minute)
		b.stop()
		for i, step := range b.message("m").Steps {
			if step.Name != fmt.Sprint("step ", i) || step.Output[0] != byte(i) || step.Index != uint32(i) {
				t.Errorf("at %d there is %+v", i, step)
			}
		}
	})
}

// TestFunctionOfAnAttemptThatIsOver: stopped while the start of a step is on its
// way into the log, the step must not have its effects any more.
func TestFunctionOfAnAttemptThatIsOver(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.store.next = []func(func() (uint64, error)) (uint64, error){pass, func(append func() (uint64, error)) (uint64, error) {
			time.Sleep(time.Second)
			return append()
		}}
		calls := 0
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return a.Begin("pay", runner.StepOptions{SideEffect: runner.Rerun}).Run(func(context.Context, runner.Call) ([]byte, error) {
				calls++
				return nil, nil
			})
		}, runner.Options{})
		rest(500 * time.Millisecond)
		b.stop()
		rest(time.Minute)
		expect(t, "calls", calls, 0)
		expect(t, "log", words(t, memory), []string{received, started, "pay started", stopped})
	})
}

// TestCompletedMeanwhile: somebody else completes a step while its function is
// at work. The log has their output, so the handler goes on with that one, as
// it would after a crash.
func TestCompletedMeanwhile(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return a.Begin("s", runner.StepOptions{}).Run(func(context.Context, runner.Call) ([]byte, error) {
				time.Sleep(time.Second)
				return []byte("mine"), nil
			})
		}, runner.Options{})
		rest(500 * time.Millisecond)
		if err := other.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.RecordStepCompleted(t.Context(), "m", 0, []byte("theirs")); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		b.stop()
		expect(t, "result", string(b.message("m").Result), "theirs")
	})
}

// TestResolvedWhileItStarts: the answer comes between the look at an uncertain
// step and its start.
func TestResolvedWhileItStarts(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		first, b, user := open(t, memory), open(t, memory), open(t, memory)
		first.send("m")
		calls := 0
		pay := func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return a.Begin("pay", runner.StepOptions{SideEffect: runner.Rerun}).Run(func(ctx context.Context, c runner.Call) ([]byte, error) {
				if calls++; calls == 1 {
					return never(ctx, c)
				}
				return []byte("paid again"), nil
			})
		}
		first.run(pay, runner.Options{})
		rest(time.Second)
		first.crash()
		b.store.next = []func(func() (uint64, error)) (uint64, error){pass, func(append func() (uint64, error)) (uint64, error) {
			if err := user.Refresh(context.Background()); err != nil {
				t.Error(err)
			}
			if did, err := user.ResolveStep(context.Background(), "m", 0, false); !did || err != nil {
				t.Error(did, err)
			}
			return append()
		}}
		b.run(pay, runner.Options{})
		rest(time.Minute)
		b.stop()
		expect(t, "calls", calls, 1)
		expect(t, "log", words(t, memory), []string{received, started, "pay started", started, "pay completed", finished})
		expect(t, "result", string(b.message("m").Result), "")
	})
}
