package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

func wait(c caller, name string, o runner.WaitOptions) ([]byte, error) {
	called, err := c.Begin(c.Context(), name, runner.StepOptions{Key: o.Key})
	if err != nil {
		return nil, err
	}
	return called.Wait(o)
}

// answer answers the step that waits with the lowest index.
func (b *tab) answer(id, value string) {
	b.t.Helper()
	if err := b.Refresh(context.Background()); err != nil {
		b.t.Error(err)
	}
	for _, step := range b.message(id).Open {
		if step.Waiting {
			if did, err := b.Answer(context.Background(), id, step.Index, []byte(value)); !did || err != nil {
				b.t.Error("answer:", did, err)
			}
			return
		}
	}
	b.t.Error("nothing waits")
}

func millis(t time.Time) uint64 { return uint64(t.UnixMilli()) }

const waiting = "ok waiting"

func TestParkedMessage(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, user := open(t, memory), open(t, memory)
		b.send("m", "n")
		calls := 0
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			if calls++; a.Message().ID == "n" {
				return nil, nil
			}
			return wait(a, "ok", runner.WaitOptions{Prompt: []byte("?")})
		}, runner.Options{})
		rest(time.Hour)
		if m := b.message("m"); !m.Parked || m.InProgress || m.Pass || m.Due != 0 || len(m.Starts) != 0 || string(m.Open[0].Output) != "?" {
			t.Errorf("the message is %+v", m)
		}
		user.answer("m", "yes")
		rest(0)
		expect(t, "calls", calls, 2) // it has gone on, and n has its turn
		expect(t, "result", string(b.message("m").Result), "yes")
		rest(time.Minute)
		b.stop()
		expect(t, "log", words(t, memory, "m"), []string{received, started, waiting, stopped, "ok completed", started, finished})
	})
}

func TestPass(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("passes", "holds up", "last")
		var order []string
		b.run(func(_ context.Context, a *runner.Attempt) (_ []byte, err error) {
			switch a.Message().ID {
			case "passes":
				_, err = wait(a, "ok", runner.WaitOptions{Pass: true, Until: time.Now().Add(2 * time.Minute), Sleep: true})
			case "holds up":
				_, err = wait(a, "ok", runner.WaitOptions{Until: time.Now().Add(time.Hour), Sleep: true})
			}
			order = append(order, a.Message().ID)
			return nil, err
		}, runner.Options{})
		rest(90 * time.Second)
		if m := b.message("passes"); !m.Parked || !m.Pass || m.Due != millis(time.Now().Add(30*time.Second)) {
			t.Errorf("the first message is %+v", m)
		}
		if m := b.message("holds up"); !m.Parked || m.Pass || len(b.message("last").Starts) > 0 {
			t.Errorf("the second message is %+v", m)
		}
		rest(31 * time.Second)
		expect(t, "order", order, []string{"passes"})
		rest(time.Hour)
		b.stop()
		expect(t, "order", order, []string{"passes", "holds up", "last"})
	})
}

// TestDueOfAParkedMessage: of all that a message waits for the first time counts.
func TestDueOfAParkedMessage(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, ids := open(t, memory), []string{"a", "b", "c", "d", "e"}
		b.send(ids...)
		now := time.Now()
		b.run(func(_ context.Context, a *runner.Attempt) (_ []byte, err error) {
			var waits sync.WaitGroup
			for hours := range 6 { // 0 for never
				waits.Go(func() {
					o := runner.WaitOptions{Key: fmt.Sprint(hours), Pass: true}
					if hours > 0 {
						o.Until = now.Add(time.Duration(hours) * time.Hour)
					}
					_, _ = wait(a, "ok", o)
				})
			}
			waits.Wait()
			return nil, nil
		}, runner.Options{})
		rest(time.Minute)
		for _, id := range ids {
			if m := b.message(id); !m.Parked || m.Due != millis(now.Add(time.Hour)) {
				t.Errorf("%s is parked: %v, until %v", id, m.Parked, time.UnixMilli(int64(m.Due)).Sub(now))
			}
		}
		b.stop()
	})
}

// TestWaits goes through when an answer may come.
func TestWaits(t *testing.T) {
	minute := runner.WaitOptions{Until: time.Time{}.Add(time.Minute)} // from the call on
	for name, tt := range map[string]struct {
		o    runner.WaitOptions
		play func(b *tab, user *tab, again func() *tab)
		want string
	}{
		"before it is parked": {
			runner.WaitOptions{}, func(b, user *tab, _ func() *tab) {
				rest(time.Millisecond)
				user.answer("m", "yes")
			}, "yes",
		},
		"while it is parked": {
			runner.WaitOptions{}, func(b, user *tab, _ func() *tab) {
				rest(time.Minute)
				user.answer("m", "yes")
			}, "yes",
		},
		"before a restart": {
			runner.WaitOptions{}, func(b, user *tab, again func() *tab) {
				rest(time.Minute)
				b.crash()
				user.answer("m", "yes")
				rest(time.Minute)
				again()
			}, "yes",
		},
		"after a restart": {
			runner.WaitOptions{}, func(b, user *tab, again func() *tab) {
				rest(time.Minute)
				b.stop()
				again()
				rest(time.Minute)
				user.answer("m", "yes")
			}, "yes",
		},
		"before it is parked, and after a restart": {
			runner.WaitOptions{}, func(b, user *tab, again func() *tab) {
				rest(time.Millisecond)
				b.crash()
				again()
				rest(time.Minute)
				user.answer("m", "yes")
			}, "yes",
		},
		"by the same tab": {
			runner.WaitOptions{}, func(b, _ *tab, _ func() *tab) {
				rest(time.Minute)
				b.answer("m", "yes")
			}, "yes",
		},
		"twice": {
			runner.WaitOptions{}, func(b, user *tab, _ func() *tab) {
				rest(time.Minute)
				user.answer("m", "yes")
				if did, err := b.Answer(context.Background(), "m", 0, []byte("no")); did || err != nil {
					b.t.Errorf("the second answer: %v, %v", did, err)
				}
			}, "yes",
		},
		"in time": {
			minute, func(b, user *tab, _ func() *tab) {
				rest(59 * time.Second)
				user.answer("m", "yes")
			}, "yes",
		},
		"too late": {
			minute, func(b, user *tab, _ func() *tab) {
				rest(61 * time.Second)
				if did, err := user.Answer(context.Background(), "m", 0, []byte("no")); did || err != nil {
					b.t.Errorf("the answer: %v, %v", did, err)
				}
			}, "TimeoutError: nobody has answered ok in time after 1m0s",
		},
		"never, over a restart": {
			minute, func(b, user *tab, again func() *tab) {
				rest(30 * time.Second)
				b.stop()
				again()
			}, "TimeoutError: nobody has answered ok in time after 1m0s",
		},
		"never, and nobody is there in time": {
			minute, func(b, user *tab, again func() *tab) {
				rest(30 * time.Second)
				b.stop()
				rest(time.Hour)
				again()
			}, "TimeoutError: nobody has answered ok in time after 1h0m30s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				user := open(t, memory)
				user.send("m")
				begin := time.Now()
				var last *tab
				again := func() *tab {
					last = open(t, memory)
					last.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
						o := tt.o
						if !o.Until.IsZero() {
							o.Until = time.Now().Add(o.Until.Sub(time.Time{}))
						}
						value, err := wait(a, "ok", o)
						if err != nil {
							return fmt.Appendf(nil, "%v after %v", err, time.Since(begin)), nil
						}
						return value, nil
					}, runner.Options{})
					return last
				}
				tt.play(again(), user, again)
				rest(time.Minute)
				last.stop()
				expect(t, "result", string(last.message("m").Result), tt.want)
			})
		})
	}
}

// TestFormOfAnEarlierPrompt cannot answer a later one, and a sleep has no answer.
func TestFormOfAnEarlierPrompt(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.run(func(ctx context.Context, a *runner.Attempt) (all []byte, err error) {
			for range 2 {
				value, err := wait(a, "ok", runner.WaitOptions{})
				if all = append(all, value...); err != nil {
					return nil, err
				}
			}
			return all, runner.Sleep(ctx, a, "pause", time.Now().Add(time.Hour))
		}, runner.Options{})
		rest(time.Minute)
		b.answer("m", "one")
		rest(time.Minute)
		for index := range uint32(3) {
			if did, err := b.Answer(t.Context(), "m", index, []byte("two")); did != (index == 1) || err != nil {
				t.Errorf("answer of step %d: %v, %v", index, did, err)
			}
			rest(time.Minute)
		}
		rest(time.Hour)
		b.stop()
		expect(t, "result", string(b.message("m").Result), "onetwo")
	})
}

// TestSleeps wake at their time, also after a restart.
func TestSleeps(t *testing.T) {
	for _, d := range []time.Duration{0, 200 * time.Millisecond, 2 * time.Second, time.Hour} {
		for _, restart := range []bool{false, true} {
			story(t, func(t *testing.T, memory *memstore.Store) {
				begin := time.Now()
				var woke time.Duration
				handler := func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
					if err := runner.Sleep(ctx, a, "pause", time.Now().Add(d)); err != nil {
						return nil, err
					}
					woke = time.Since(begin)
					return nil, nil
				}
				b := open(t, memory)
				b.send("m")
				b.run(handler, runner.Options{})
				rest(100 * time.Millisecond)
				if restart {
					b.stop()
					b = open(t, memory)
					b.run(handler, runner.Options{})
				}
				rest(2 * time.Hour)
				b.stop()
				if woke < d || woke > d+100*time.Millisecond {
					t.Errorf("a sleep of %v took %v", d, woke)
				}
			})
		}
	}
}

// TestRestartsWhileAStepWaits: a thousand of them leave no trace.
func TestRestartsWhileAStepWaits(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		user := open(t, memory)
		user.send("m")
		handler := func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return do(a, "outer", runner.StepOptions{}, func(_ context.Context, c runner.Call) ([]byte, error) {
				return wait(c, "ok", runner.WaitOptions{})
			})
		}
		restart := func() {
			b := open(t, memory)
			b.run(handler, runner.Options{})
			rest(5 * time.Second)
			b.stop()
		}
		restart()
		want := []string{received, started, waiting, stopped}
		expect(t, "log after the first one", words(t, memory), want)
		for range 1000 {
			restart()
		}
		expect(t, "log", words(t, memory), want)
		user.answer("m", "yes")
		restart()
		expect(t, "log after the answer", words(t, memory), append(want, "ok completed", started, "outer completed", finished))
	})
}

// TestHandlerEndsAsItIsParked: what it has returned waits for no answer.
func TestHandlerEndsAsItIsParked(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		slow := func(append func() (uint64, error)) (uint64, error) {
			time.Sleep(time.Second)
			return append()
		}
		b.store.next = []func(func() (uint64, error)) (uint64, error){pass, pass, slow}
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			go func() { _, _ = wait(a, "ok", runner.WaitOptions{}) }()
			time.Sleep(1500 * time.Millisecond)
			return []byte("done"), nil
		}, runner.Options{})
		rest(time.Minute)
		b.stop()
		expect(t, "log", words(t, memory), []string{received, started, waiting, stopped, started, finished})
	})
}

// TestAnsweredAsItIsParked: a message that waits for nothing is not parked, or no
// other runner would ever go on with it.
func TestAnsweredAsItIsParked(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, user := open(t, memory), open(t, memory)
		b.send("m")
		b.store.next = []func(func() (uint64, error)) (uint64, error){pass, pass, func(append func() (uint64, error)) (uint64, error) {
			user.answer("m", "yes")
			return append()
		}}
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return wait(a, "ok", runner.WaitOptions{})
		}, runner.Options{})
		rest(time.Minute)
		b.stop()
		expect(t, "log", words(t, memory), []string{received, started, waiting, "ok completed", finished})
	})
}

// TestWaitsWithinAStep: the function that waits for them does nothing else.
func TestWaitsWithinAStep(t *testing.T) {
	for _, policy := range []runner.Policy{runner.Pure, runner.Ask} {
		story(t, func(t *testing.T, memory *memstore.Store) {
			b, user := open(t, memory), open(t, memory)
			b.send("m")
			calls := 0
			b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
				return do(a, "outer", runner.StepOptions{SideEffect: policy}, func(_ context.Context, c runner.Call) ([]byte, error) {
					calls++
					yes, err := wait(c, "ok", runner.WaitOptions{})
					time.Sleep(time.Second)
					return yes, err
				})
			}, runner.Options{})
			rest(time.Minute)
			if m := b.message("m"); !m.Parked {
				t.Errorf("it does not wait: %+v", m)
			}
			user.answer("m", "yes")
			rest(time.Millisecond)
			for _, step := range b.message("m").Open {
				if step.Started != (policy == runner.Ask) || step.Uncertain {
					t.Errorf("a function that goes on is in doubt: %+v", step)
				}
			}
			rest(time.Minute)
			b.stop()
			expect(t, "calls", calls, 1)
			expect(t, "result", string(b.message("m").Result), "yes")
		})
	}
}

// TestTimeoutOfAWaitWithinAStep: it ends with the function that waits.
func TestTimeoutOfAWaitWithinAStep(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		var inner sync.WaitGroup
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			_, err := do(a, "outer", runner.StepOptions{Retry: runner.Retry{MaxAttempts: 2, Timeout: time.Minute}}, func(_ context.Context, c runner.Call) ([]byte, error) {
				inner.Add(1)
				defer inner.Done()
				return wait(c, "ok", runner.WaitOptions{})
			})
			inner.Wait()
			return nil, err
		}, runner.Options{})
		rest(time.Hour)
		b.stop()
		if m := b.message("m"); !m.Failed || !strings.Contains(m.Error, "longer than its timeout") {
			t.Errorf("the message is %+v", m)
		}
		expect(t, "log", words(t, memory), []string{received, started, waiting, stopped, started, "outer attempt_failed", stopped, started, "outer failed", failed})
	})
}

// TestStartIsNotParked: a step whose start is on its way into the log does not
// wait, and is in no doubt.
func TestStartIsNotParked(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		slow := func(append func() (uint64, error)) (uint64, error) {
			time.Sleep(3 * time.Second)
			return append()
		}
		b.store.next = []func(func() (uint64, error)) (uint64, error){pass, pass, slow}
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			go func() { _, _ = wait(a, "ok", runner.WaitOptions{}) }()
			time.Sleep(time.Millisecond)
			return do(a, "pay", runner.StepOptions{SideEffect: runner.Ask}, text("paid"))
		}, runner.Options{})
		rest(time.Minute)
		b.stop()
		expect(t, "log", words(t, memory), []string{received, started, waiting, "pay started", "pay completed", finished})
	})
}

// TestErrorOfAParkedAttempt: it fails the message, which then waits for nothing.
func TestErrorOfAParkedAttempt(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		var got error
		b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			go func() {
				time.Sleep(time.Minute)
				for range 2 {
					_, got = a.Begin(ctx, "s", runner.StepOptions{})
				}
			}()
			return wait(a, "ok", runner.WaitOptions{})
		}, runner.Options{})
		rest(time.Hour)
		b.stop()
		expectMismatch(t, b, got, "step s of message \"m\" is called while")
		expect(t, "log", words(t, memory), []string{received, started, waiting, stopped, failed})
	})
}

// TestCancelledWhileParked: the runner goes on with other messages, and with this
// one when it is tried again.
func TestCancelledWhileParked(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, user := open(t, memory), open(t, memory)
		b.send("m", "n")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			if a.Message().ID == "n" {
				return nil, nil
			}
			return wait(a, "ok", runner.WaitOptions{})
		}, runner.Options{})
		rest(time.Minute)
		for range 2 {
			if did, err := user.Cancel(t.Context(), "m"); !did || err != nil {
				t.Fatal(did, err)
			}
			rest(time.Minute)
			if m := b.message("n"); !m.Finished {
				t.Errorf("the next message is %+v", m)
			}
			if did, err := user.Retry(t.Context(), "m"); !did || err != nil {
				t.Fatal(did, err)
			}
			rest(time.Minute)
		}
		user.answer("m", "yes")
		rest(time.Minute)
		b.stop()
		expect(t, "result", string(b.message("m").Result), "yes")
		expect(t, "errors", len(b.said), 0)
	})
}

// TestClosedWhileParked: the handler must not wait for ever.
func TestClosedWhileParked(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		var cause error
		b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			_, err := wait(a, "ok", runner.WaitOptions{})
			cause = context.Cause(ctx)
			return nil, err
		}, runner.Options{})
		rest(time.Minute)
		b.crash()
		if err := <-b.ended; !errors.Is(err, core.ErrClosed) {
			t.Errorf("Run returned %v", err)
		}
		rest(0)
		if !errors.Is(cause, core.ErrClosed) {
			t.Errorf("the handler ended with %v", cause)
		}
	})
}
