package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

func TestOrderFailureAndRetry(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.send("a", "b", "c")
		broken := true
		var order []string
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			id := a.Message().ID
			order = append(order, id)
			if id == "b" && broken {
				broken = false
				return nil, errors.New("b is \xff broken " + strings.Repeat("x", 20_000))
			}
			return nil, nil
		}, runner.Options{})
		rest(time.Second)
		other.send("d") // from another tab
		rest(time.Second)
		expect(t, "order", order, []string{"a", "b", "c", "d"})
		if m := b.message("b"); !m.Failed || !strings.HasPrefix(m.Error, "b is \ufffd broken xx") || len(m.Error) > 17_000 {
			t.Errorf("b is %v: %d bytes, %.30q", m.Failed, len(m.Error), m.Error)
		}
		if did, err := other.Retry(t.Context(), "b"); !did || err != nil {
			t.Errorf("retry: %v, %v", did, err)
		}
		rest(time.Second)
		expect(t, "order", order, []string{"a", "b", "c", "d", "b"})
		b.stop()
		expect(t, "log of b", words(t, memory, "b"), []string{received, started, failed, retried, started, finished})
	})
}

func TestCrashGoesOnBehindTheLastCompletedStep(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		first, second := open(t, memory), open(t, memory)
		first.send("m")
		calls := map[string]int{}
		handler := func(last runner.Func) runner.Handler {
			return func(_ context.Context, a *runner.Attempt) ([]byte, error) {
				plan, err := do(a, "plan", runner.StepOptions{}, func(context.Context, runner.Call) ([]byte, error) {
					calls["plan"]++
					return []byte("the plan"), nil
				})
				if err != nil {
					return nil, err
				}
				calls["write"]++
				if _, err := do(a, "write", runner.StepOptions{}, last); err != nil {
					return nil, err
				}
				return plan, nil
			}
		}
		first.run(handler(never), runner.Options{})
		rest(time.Second)
		second.run(handler(text("written")), runner.Options{})
		rest(time.Minute) // the first has the lock
		expect(t, "calls while the first works", calls, map[string]int{"plan": 1, "write": 1})
		first.crash()
		rest(time.Minute)
		second.stop()
		expect(t, "calls", calls, map[string]int{"plan": 1, "write": 2})
		expect(t, "result", string(second.message("m").Result), "the plan")
		expect(t, "log", words(t, memory), []string{received, started, "plan completed", started, "write completed", finished})
	})
}

// TestWhatTheLogShows: of a message that was let go, cancelled, or whose tab has
// died, in the middle of a step.
func TestWhatTheLogShows(t *testing.T) {
	tests := []struct {
		name  string
		end   func(b, other *tab)
		cause error
		log   []string
	}{
		{"stopped", func(b, _ *tab) { b.stop() }, context.Canceled, []string{received, started, stopped}},
		{"cancelled", func(_, other *tab) { _, _ = other.Cancel(context.Background(), "m") }, core.ErrCancelled, []string{received, started, cancelled}},
		{"died", func(b, _ *tab) { b.crash() }, nil, []string{received, started}},
		{"deleted", func(b, _ *tab) { _ = b.store.Delete(context.Background(), "chat") }, core.ErrCancelled, []string{"kind(0)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b, other := open(t, memory), open(t, memory)
				b.send("m")
				var cause, fromStep error
				b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
					_, fromStep = do(a, "s", runner.StepOptions{}, never)
					cause = context.Cause(ctx)
					return nil, fromStep
				}, runner.Options{})
				rest(time.Second)
				if err := other.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				tt.end(b, other)
				rest(20 * time.Second)
				expect(t, "log", words(t, memory), tt.log)
				if tt.cause != nil && (!errors.Is(cause, tt.cause) || !errors.Is(fromStep, tt.cause)) {
					t.Errorf("cause %v, the step's error %v; want %v", cause, fromStep, tt.cause)
				}
				if m := b.message("m"); tt.name == "stopped" && (len(m.Starts) != 0 || !m.Pending()) {
					t.Errorf("the message is %+v", m)
				}
				if tt.name == "cancelled" || tt.name == "deleted" {
					b.stop()
				}
			})
		})
	}
}

// TestDeletedAndSentAgain: the runner hears of both at once. Nobody else works on
// the message, so it is not said to be lost.
func TestDeletedAndSentAgain(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.store.deaf = true
		b.send("m")
		var causes []error
		b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			if len(causes) > 0 {
				return []byte("again"), nil
			}
			<-ctx.Done()
			causes = append(causes, context.Cause(ctx))
			return nil, causes[0]
		}, runner.Options{})
		rest(time.Second)
		if err := memory.Delete(t.Context(), "chat"); err != nil {
			t.Fatal(err)
		}
		other.send("m")
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		b.stop()
		if len(causes) != 1 || !errors.Is(causes[0], core.ErrCancelled) {
			t.Errorf("the attempt has ended with %v", causes)
		}
		expect(t, "OnError", b.said, []string(nil))
		expect(t, "result", string(b.message("m").Result), "again")
	})
}

func TestFence(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.send("m")
		release := make(chan bool)
		var attempts []error
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			_, err := do(a, "s", runner.StepOptions{}, func(context.Context, runner.Call) ([]byte, error) {
				<-release
				return []byte("mine"), nil
			})
			attempts = append(attempts, err)
			return nil, err
		}, runner.Options{})
		rest(time.Second)
		// What others append does not disturb it, but for a start of its message.
		other.send("n")
		if _, err := other.RecordStepCompleted(t.Context(), "else", 0, nil); err != nil {
			t.Fatal(err)
		}
		if err := other.Update(t.Context(), func(*core.State) ([]core.Event, error) {
			return []core.Event{{Kind: core.KindProcessingStarted, MessageID: "m", Runner: core.NewRunnerID()}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		close(release)
		rest(time.Minute)
		b.stop()
		if len(attempts) != 3 || !errors.Is(attempts[0], core.ErrLostOwnership) || attempts[1] != nil || attempts[2] != nil {
			t.Errorf("attempts ended with %v", attempts)
		}
		expect(t, "OnError", b.said, []string{"lost_ownership"})
		expect(t, "log of m", words(t, memory, "m"), []string{received, started, started, started, "s completed", finished})
	})
}

// TestFenceOfARunnerThatCameLate: another one has finished the message, too, when
// it hears of that.
func TestFenceOfARunnerThatCameLate(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.send("m")
		var cause error
		b.run(func(ctx context.Context, _ *runner.Attempt) ([]byte, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return nil, cause
		}, runner.Options{})
		rest(time.Second)
		if err := other.Update(t.Context(), func(*core.State) ([]core.Event, error) {
			return []core.Event{{Kind: core.KindProcessingStarted, MessageID: "m", Runner: core.NewRunnerID()}, {Kind: core.KindProcessingFinished, MessageID: "m"}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		b.stop()
		if !errors.Is(cause, core.ErrLostOwnership) {
			t.Errorf("the handler was ended by %v", cause)
		}
		expect(t, "OnError", b.said, []string{"lost_ownership"})
	})
}

// TestFenceOfARunnerThatHeardNothing: it learns of the other one from the
// conflict that its result meets, and must not write behind it.
func TestFenceOfARunnerThatHeardNothing(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.store.deaf = true
		b.send("m")
		release := make(chan bool)
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return do(a, "s", runner.StepOptions{}, func(context.Context, runner.Call) ([]byte, error) {
				<-release
				return []byte("mine"), nil
			})
		}, runner.Options{})
		rest(time.Second)
		if err := other.Update(t.Context(), func(s *core.State) ([]core.Event, error) {
			return []core.Event{{Kind: core.KindProcessingStarted, MessageID: "m", Runner: core.NewRunnerID()}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		close(release)
		rest(time.Minute)
		b.stop()
		expect(t, "OnError", b.said, []string{"lost_ownership"})
		// Its lock is its own, so it begins again; nothing of the first attempt is behind the other's start.
		expect(t, "log", words(t, memory), []string{received, started, started, started, "s completed", finished})
	})
}

func TestMaxStarts(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		open(t, memory).send("poison", "fine")
		handler := func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			if a.Message().ID == "poison" {
				<-ctx.Done()
			}
			return nil, ctx.Err()
		}
		for i := range 5 { // one of them is stopped
			b := open(t, memory)
			b.run(handler, runner.Options{MaxStarts: 4})
			rest(10 * time.Second)
			if i == 2 {
				b.stop()
			}
			b.crash()
		}
		b := open(t, memory)
		b.run(handler, runner.Options{MaxStarts: 4})
		rest(10 * time.Second)
		b.stop()
		expect(t, "log", words(t, memory, "poison"), []string{received, started, started, started, stopped, started, started, failed})
		if m := b.message("poison"); !strings.Contains(m.Error, "started 4 times") {
			t.Errorf("the error is %q", m.Error)
		}
		if !b.message("fine").Finished {
			t.Error("later messages do not go on")
		}
	})
}

// TestStorageTrouble: what a step has produced is not lost for a store that
// fails for a while, and not stored twice.
func TestStorageTrouble(t *testing.T) {
	landed := func(append func() (uint64, error)) (uint64, error) {
		_, _ = append()
		return 0, core.ErrOutcomeUnknown
	}
	noRoom := []func(func() (uint64, error)) (uint64, error){refuse(core.ErrQuotaExceeded)}
	said := func(n int, code core.Code) []string { return slices.Repeat([]string{string(code)}, n) }
	tests := []struct {
		name  string
		next  []func(func() (uint64, error)) (uint64, error) // from the start of processing on
		said  []string
		calls int
		log   []string
	}{
		{"no room for a while", []func(func() (uint64, error)) (uint64, error){pass, refuse(core.ErrQuotaExceeded), refuse(core.ErrBlocked)}, nil, 1,
			[]string{received, started, "s completed", finished}},
		{"it landed, unseen", []func(func() (uint64, error)) (uint64, error){landed, landed, landed}, nil, 1,
			[]string{received, started, "s completed", finished}},
		{"no room for long, at the start", slices.Repeat(noRoom, 7), said(3, core.ErrQuotaExceeded), 1,
			[]string{received, started, "s completed", finished}},
		{"no room for long, for what the step has produced", slices.Concat([]func(func() (uint64, error)) (uint64, error){pass}, slices.Repeat(noRoom, 20)),
			said(16, core.ErrQuotaExceeded), 1, []string{received, started, "s completed", finished}},
		{"broken for long", slices.Repeat([]func(func() (uint64, error)) (uint64, error){refuse(core.ErrStorageUnavailable)}, 12), said(2, core.ErrStorageUnavailable), 1,
			[]string{received, started, "s completed", finished}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				b.send("m")
				b.store.next, b.store.begins = tt.next, false // an append that was begun is one more
				calls := 0
				b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					return do(a, "s", runner.StepOptions{}, func(context.Context, runner.Call) ([]byte, error) {
						calls++
						return nil, nil
					})
				}, runner.Options{})
				rest(10 * time.Minute)
				b.stop()
				expect(t, "calls", calls, tt.calls)
				expect(t, "OnError", b.said, tt.said)
				expect(t, "log", words(t, memory), tt.log)
			})
		})
	}
}

func TestPermanentErrorEndsRun(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.run(func(context.Context, *runner.Attempt) ([]byte, error) {
			_ = b.store.Close()
			return nil, nil
		}, runner.Options{})
		if err := <-b.ended; !errors.Is(err, core.ErrClosed) {
			t.Errorf("Run returned %v", err)
		}
		rest(time.Minute)
	})
}

// TestRunEndsWhenItCanFollowNoMore: what others have appended cannot be read, so
// nothing can be appended either.
func TestRunEndsWhenItCanFollowNoMore(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		var cause error
		b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return nil, cause
		}, runner.Options{})
		rest(time.Millisecond)
		if _, err := memory.Append(t.Context(), "chat", 2, []byte("damaged")); err != nil {
			t.Fatal(err)
		}
		rest(time.Millisecond)
		if len(b.ended) == 0 {
			t.Fatal("it goes on")
		}
		if err := <-b.ended; !errors.Is(err, core.ErrCorrupt) || !errors.Is(cause, core.ErrCorrupt) {
			t.Errorf("Run returned %v, the handler was ended with %v", err, cause)
		}
	})
}

func TestOptionsOutOfRange(t *testing.T) {
	for name, o := range map[string]runner.Options{
		"fewer than no starts":   {MaxStarts: -1},
		"more starts than count": {MaxStarts: core.MaxStarts + 1},
		"attempts":               {Retry: runner.Retry{MaxAttempts: -1}},
		"the first wait":         {Retry: runner.Retry{Initial: -1}},
		"the longest wait":       {Retry: runner.Retry{Max: -time.Hour}},
		"the timeout":            {Retry: runner.Retry{Timeout: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // one that begins would not end
				defer cancel()
				if err := runner.Run(ctx, b.Conversation, nil, o); !errors.Is(err, core.ErrInvalidArgument) {
					t.Errorf("Run returned %v", err)
				}
			})
		})
	}
}

// TestCrowd: three tabs that stop, crash and come again, while messages arrive.
func TestCrowd(t *testing.T) {
	for seed := range uint64(20) {
		story(t, func(t *testing.T, memory *memstore.Store) {
			random := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			effects := map[string]int{}
			crashes := 0
			handler := func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
				for i := range 3 {
					name := fmt.Sprint("step ", i)
					_, err := do(a, name, runner.StepOptions{}, func(ctx context.Context, c runner.Call) ([]byte, error) {
						mu.Lock()
						effects[c.IdempotencyKey]++
						mu.Unlock()
						time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
						return []byte(name), nil
					})
					if err != nil {
						return nil, err
					}
				}
				return nil, nil
			}
			enter := func() *tab {
				b := open(t, memory)
				b.run(handler, runner.Options{MaxStarts: 100})
				return b
			}
			crowd := []*tab{enter(), enter(), enter()}
			const messages = 12
			for i := range messages {
				crowd[random.IntN(3)].send(fmt.Sprint("m", i))
				rest(time.Duration(random.IntN(2000)) * time.Millisecond)
				gone := random.IntN(3)
				switch random.IntN(3) {
				case 0:
					crowd[gone].stop()
				case 1:
					crowd[gone].crash()
				default:
					continue
				}
				crashes++
				crowd[gone] = enter()
			}
			rest(10 * time.Minute)
			var ids []string
			for m := range crowd[0].State().Received() {
				ids = append(ids, m.ID)
				if !m.Finished || len(m.Steps) != 3 {
					t.Errorf("seed %d: %s is %+v", seed, m.ID, m)
				}
			}
			all := words(t, memory)
			count := func(word string) (n int) {
				for _, w := range all {
					if w == word {
						n++
					}
				}
				return n
			}
			if len(ids) != messages || count(finished) != messages || count("step 0 completed") != messages || count("step 2 completed") != messages {
				t.Errorf("seed %d: %d messages, the log is %v", seed, len(ids), all)
			}
			total := 0
			for _, n := range effects {
				total += n
			}
			if total > 3*messages+crashes {
				t.Errorf("seed %d: %d effects of %d steps, with %d tabs gone", seed, total, 3*messages, crashes)
			}
			for _, b := range crowd {
				b.stop()
			}
		})
	}
}

// TestCancelledAndRetriedAtOnce: a runner that hears of both together must not
// go on as if nothing had happened, but begin anew.
func TestCancelledAndRetriedAtOnce(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.send("m")
		b.store.deaf = true
		var calls atomic.Int32 // the attempts may overlap
		causes := make(chan error, 2)
		b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			_, err := do(a, "s", runner.StepOptions{}, func(ctx context.Context, c runner.Call) ([]byte, error) {
				if calls.Add(1) == 1 {
					return never(ctx, c)
				}
				time.Sleep(time.Second)
				return []byte("second"), nil
			})
			causes <- context.Cause(ctx)
			return nil, err
		}, runner.Options{})
		rest(time.Second)
		for _, settle := range []func(context.Context, string) (bool, error){other.Cancel, other.Retry} {
			if did, err := settle(t.Context(), "m"); !did || err != nil {
				t.Fatal(did, err)
			}
		}
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		b.stop()
		if first, second := <-causes, <-causes; !errors.Is(first, core.ErrCancelled) || second != nil {
			t.Errorf("the attempts ended with %v and %v", first, second)
		}
		expect(t, "log", words(t, memory), []string{received, started, cancelled, retried, started, "s completed", finished})
		expect(t, "OnError", b.said, []string(nil))
	})
}

// TestHandlerIsNotCalledTwiceAtOnce: a handler that was given up is not called again
// before it has returned, or has had a second for that.
func TestHandlerIsNotCalledTwiceAtOnce(t *testing.T) {
	for name, parks := range map[string]bool{"at work": false, "parked": true} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				b.send("m")
				began := time.Now()
				var mu sync.Mutex // the last two calls are beside each other
				var calls, returns []time.Duration
				note := func(list *[]time.Duration) int {
					mu.Lock()
					defer mu.Unlock()
					*list = append(*list, time.Since(began).Round(100*time.Millisecond))
					return len(*list)
				}
				handler := func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
					call := note(&calls)
					if parks {
						_, _ = runner.Wait[any](ctx, a, "ok", runner.WaitOptions{})
					}
					<-ctx.Done()
					if call == 4 { // it does not look at its context
						time.Sleep(time.Hour)
					}
					time.Sleep(500 * time.Millisecond) // it cleans up
					note(&returns)
					return nil, nil
				}
				again := func() {
					for _, settle := range []func(context.Context, string) (bool, error){b.Cancel, b.Retry} {
						if did, err := settle(t.Context(), "m"); !did || err != nil {
							t.Fatal(did, err)
						}
					}
				}
				b.run(handler, runner.Options{})
				for range 2 {
					rest(2 * time.Second)
					again()
				}
				rest(2 * time.Second)
				b.stop()
				b.run(handler, runner.Options{})
				if parks { // it would not be called before an answer
					again()
				}
				rest(2 * time.Second)
				again()
				rest(2 * time.Second)
				b.stop()
				mu.Lock()
				expect(t, "calls", calls, []time.Duration{0, 2500 * time.Millisecond, 4500 * time.Millisecond, 6500 * time.Millisecond, 9500 * time.Millisecond})
				expect(t, "returns", returns, []time.Duration{2500 * time.Millisecond, 4500 * time.Millisecond, 6500 * time.Millisecond, 11 * time.Second})
				mu.Unlock()
				rest(2 * time.Hour)
			})
		})
	}
}

// TestNothingAfterTheEnd: whatever is under way when processing ends is aborted,
// and leaves no trace.
func TestNothingAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(other *tab) error{
		"the handler returns": nil,
		"another tab finishes the message": func(other *tab) error {
			_, err := other.RecordProcessingFinished(context.Background(), "m")
			return err
		},
		"another tab fails the message": func(other *tab) error {
			_, err := other.RecordError(context.Background(), "m", "enough")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b, other := open(t, memory), open(t, memory)
				b.send("m")
				calls := 0
				var cause error
				b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					fail := func() error {
						_, err := do(a, "s", runner.StepOptions{}, func(ctx context.Context, c runner.Call) ([]byte, error) {
							calls++
							_, err := never(ctx, c)
							cause = context.Cause(ctx)
							return nil, err
						})
						return err
					}
					if end != nil {
						return nil, fail()
					}
					go func() { _ = fail() }()
					time.Sleep(time.Second)
					return nil, nil
				}, runner.Options{})
				rest(500 * time.Millisecond)
				if end != nil {
					if err := other.Refresh(t.Context()); err != nil {
						t.Fatal(err)
					}
					if err := end(other); err != nil {
						t.Fatal(err)
					}
				}
				rest(time.Minute)
				b.stop()
				expect(t, "calls", calls, 1)
				expect(t, "OnError", b.said, []string(nil))
				if log := words(t, memory); len(log) != 3 {
					t.Errorf("the log is %v", log)
				}
				if !errors.Is(cause, core.ErrCancelled) {
					t.Errorf("the function ended with %v", cause)
				}
			})
		})
	}
}

// TestNewsThatAreLost: a tab can die between the commit of a message and the
// news of it, and nobody else knows that it is there.
func TestNewsThatAreLost(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.store.deaf = true
		b.run(func(context.Context, *runner.Attempt) ([]byte, error) { return nil, nil }, runner.Options{})
		rest(time.Hour)
		other.send("m")
		rest(15 * time.Second)
		expect(t, "log", words(t, memory), []string{received, started, finished})
		b.stop()
	})
}

func TestWhoOwnsTheConversation(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		a, b := open(t, memory), open(t, memory)
		var told []string
		run := func(name string, one *tab) {
			one.run(func(context.Context, *runner.Attempt) ([]byte, error) { return nil, nil },
				runner.Options{OnOwnership: func(owns bool) { told = append(told, fmt.Sprint(name, owns)) }})
			rest(time.Minute)
		}
		owned := func(want bool) {
			t.Helper()
			for _, one := range []*tab{a, b} {
				got, err := runner.Owned(t.Context(), one.Conversation)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, "owned", got, want)
			}
		}
		owned(false)
		run("a", a)
		owned(true)
		run("b", b)
		a.stop()
		rest(time.Minute)
		owned(true)
		b.stop()
		rest(0)
		owned(false)
		expect(t, "told", told, []string{"atrue", "afalse", "btrue", "bfalse"})

		run("a", a)
		a.crash()
		if _, err := runner.Owned(t.Context(), a.Conversation); !errors.Is(err, core.ErrClosed) {
			t.Errorf("of a closed store: %v", err)
		}
		rest(time.Minute)
		if got, err := runner.Owned(t.Context(), b.Conversation); got || err != nil {
			t.Errorf("a minute after the crash: %v, %v", got, err)
		}
		a.cancel()
		<-a.ended
	})
}

// outOfReach is a store whose lock is given up for a time, as that of a frozen
// tab.
type outOfReach struct {
	*memstore.Store
	held chan struct{} // closed while the lock is held
}

func (o *outOfReach) Lock(context.Context, string) (core.Lock, error)    { return o, nil }
func (o *outOfReach) TryLock(context.Context, string) (core.Lock, error) { return o, nil }
func (o *outOfReach) Locked(context.Context, string) (bool, error)       { return true, nil }
func (o *outOfReach) Lost() <-chan struct{}                              { return nil }
func (o *outOfReach) Release()                                           {}

func (o *outOfReach) Held(ctx context.Context) bool {
	select {
	case <-o.held:
	case <-ctx.Done():
	}
	select {
	case <-o.held:
		return true
	default:
		return false
	}
}

func TestNoMessageBeginsWhileTheLockIsGivenUp(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		store := &outOfReach{memory, make(chan struct{})}
		c, err := core.Recover(t.Context(), "chat", store)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		handled := 0
		run := func() {
			ended <- runner.Run(ctx, c, func(context.Context, *runner.Attempt) ([]byte, error) { handled++; return nil, nil }, runner.Options{})
		}
		go run()
		rest(time.Second) // it waits for a message, whose start it would append with it
		if _, err := c.Send(t.Context(), "m", 1, nil); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		expect(t, "log without the lock", words(t, memory), []string{received})
		stop()
		expect(t, "end without the lock", <-ended, error(nil))

		ctx, stop = context.WithCancel(t.Context())
		go run()
		rest(time.Second)
		close(store.held)
		rest(time.Second)
		expect(t, "log with the lock", words(t, memory), []string{received, started, finished})
		stop()
		<-ended
	})
}
