package runner_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

func wait(c caller, name string, o runner.WaitOptions) ([]byte, error) {
	called, err := c.Begin(name, runner.StepOptions{Key: o.Key})
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
					return wait(c, "ok", runner.WaitOptions{})
				})
			}, runner.Options{})
			rest(time.Minute)
			if m := b.message("m"); !m.Parked {
				t.Errorf("it does not wait: %+v", m)
			}
			user.answer("m", "yes")
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
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			go func() {
				time.Sleep(time.Minute)
				for range 2 {
					_, got = a.Begin("s", runner.StepOptions{})
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
