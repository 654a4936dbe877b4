package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// tab is a process with a conversation of its own, on a memory that it shares.
type tab struct {
	*core.Conversation
	t     testing.TB
	store *flaky
	stop  func()
	ended chan error // what Run has returned
	said  []string   // what OnError was told; read it when everything is at rest
}

// flaky is a store whose next appends may fail.
type flaky struct {
	*memstore.Store

	deaf bool // it hears of no commit, not of others and not of its own

	mu   sync.Mutex
	next []func(append func() (uint64, error)) (uint64, error)
}

func (f *flaky) Watch(fn func(core.StreamInfo)) (stop func()) {
	if f.deaf {
		return func() {}
	}
	return f.Store.Watch(fn)
}

func (f *flaky) Append(ctx context.Context, stream string, expected uint64, payloads ...[]byte) (uint64, error) {
	f.mu.Lock()
	var next func(func() (uint64, error)) (uint64, error)
	if len(f.next) > 0 {
		next, f.next = f.next[0], f.next[1:]
	}
	f.mu.Unlock()
	call := func() (uint64, error) { return f.Store.Append(ctx, stream, expected, payloads...) }
	if next != nil {
		return next(call)
	}
	return call()
}

func refuse(err error) func(func() (uint64, error)) (uint64, error) {
	return func(func() (uint64, error)) (uint64, error) { return 0, err }
}

func pass(append func() (uint64, error)) (uint64, error) { return append() }

func open(t testing.TB, memory *memstore.Store) *tab {
	t.Helper()
	store := &flaky{Store: memory.Share()}
	c, err := core.Recover(t.Context(), "chat", store)
	if err != nil {
		t.Fatal(err)
	}
	return &tab{Conversation: c, t: t, store: store}
}

// run lets the tab process its conversation.
func (b *tab) run(handler runner.Handler, o runner.Options) {
	ctx, cancel := context.WithCancel(context.Background())
	b.ended = make(chan error, 1)
	o.OnError = func(err error) { b.said = append(b.said, string(core.CodeOf(err))) }
	go func() { b.ended <- runner.Run(ctx, b.Conversation, handler, o) }()
	b.stop = func() {
		cancel()
		if err := <-b.ended; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}
}

// crash ends the tab without a word: its store does nothing any more.
func (b *tab) crash() {
	_ = b.store.Close()
}

func (b *tab) send(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		if _, err := b.Send(context.Background(), id, 1, []byte(id)); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *tab) message(id string) core.Message {
	m, _ := b.State().Message(id)
	return m
}

// words is the log in words: kinds, and names of steps.
func words(t testing.TB, memory *memstore.Store, ids ...string) []string {
	t.Helper()
	c, err := core.New("chat", memory)
	if err != nil {
		t.Fatal(err)
	}
	events, err := c.Events(context.Background(), 0, math.MaxInt32)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range events {
		if len(ids) > 0 && !slices.Contains(ids, e.Event.MessageID) {
			continue
		}
		word := e.Event.Kind.String()
		if e.Event.Name != "" {
			word = e.Event.Name + " " + strings.TrimPrefix(word, "step_")
		}
		all = append(all, word)
	}
	return all
}

func expect(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// story runs a test in which time passes only while everybody waits.
func story(t *testing.T, tell func(t *testing.T, memory *memstore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { tell(t, memstore.New()) })
}

// rest lets everything happen that happens within d.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func text(s string) runner.Func {
	return func(context.Context, runner.Call) ([]byte, error) { return []byte(s), nil }
}

func never(ctx context.Context, _ runner.Call) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

const (
	received  = "message_received"
	started   = "processing_started"
	finished  = "processing_finished"
	failed    = "error_occurred"
	stopped   = "processing_stopped"
	cancelled = "message_cancelled"
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
		expect(t, "log of b", words(t, memory, "b"), []string{received, started, failed, "message_retried", started, finished})
	})
}

func TestCrashGoesOnBehindTheLastCompletedStep(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		first, second := open(t, memory), open(t, memory)
		first.send("m")
		calls := map[string]int{}
		handler := func(last runner.Func) runner.Handler {
			return func(_ context.Context, a *runner.Attempt) ([]byte, error) {
				plan, err := a.Begin("plan", runner.StepOptions{}).Run(func(context.Context, runner.Call) ([]byte, error) {
					calls["plan"]++
					return []byte("the plan"), nil
				})
				if err != nil {
					return nil, err
				}
				calls["write"]++
				if _, err := a.Begin("write", runner.StepOptions{}).Run(last); err != nil {
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
					_, fromStep = a.Begin("s", runner.StepOptions{}).Run(never)
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

func TestFence(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.send("m")
		release := make(chan bool)
		var attempts []error
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			_, err := a.Begin("s", runner.StepOptions{}).Run(func(context.Context, runner.Call) ([]byte, error) {
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

// TestFenceOfARunnerThatHeardNothing: it learns of the other one from the
// conflict that its result meets, and must not write behind it.
func TestFenceOfARunnerThatHeardNothing(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.store.deaf = true
		b.send("m")
		release := make(chan bool)
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return a.Begin("s", runner.StepOptions{}).Run(func(context.Context, runner.Call) ([]byte, error) {
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
				b.store.next = tt.next
				calls := 0
				b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					return a.Begin("s", runner.StepOptions{}).Run(func(context.Context, runner.Call) ([]byte, error) {
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

func TestStream(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		first, second, reader := open(t, memory), open(t, memory), open(t, memory)
		first.send("m")
		write := func(tokens int, pause time.Duration) runner.Handler {
			return func(_ context.Context, a *runner.Attempt) ([]byte, error) {
				return a.Begin("write", runner.StepOptions{}).Stream(func(ctx context.Context, _ runner.Call, emit func([]byte) error) ([]byte, error) {
					var all []byte
					for i := range tokens {
						token := fmt.Appendf(nil, "%d,", i)
						if err := emit(token); err != nil {
							return nil, err
						}
						all = append(all, token...)
						clear(token) // emit has its own copy
						time.Sleep(pause)
					}
					return all, nil
				})
			}
		}
		first.run(write(1_000_000, 10*time.Millisecond), runner.Options{})
		rest(10 * time.Second)
		commits := len(words(t, memory)) - 2
		if commits < 90 || commits > 101 {
			t.Errorf("%d commits in ten seconds", commits)
		}
		first.crash()
		if err := reader.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		partial := string(reader.message("m").Open[0].Output)
		if !strings.HasPrefix(partial, "0,1,2,3,") || !strings.Contains(partial, ",950,") {
			t.Errorf("what can be read after the crash is %.20q… of %d bytes", partial, len(partial))
		}
		second.run(write(3, 150*time.Millisecond), runner.Options{})
		rest(6*time.Second + 200*time.Millisecond) // the lease of the first has run out
		if err := reader.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m := reader.message("m"); len(m.Open) > 0 && string(m.Open[0].Output) != partial && len(m.Open[0].Output) > len("0,1,2,") {
			t.Errorf("a mixture of two runs: %.30q", m.Open[0].Output)
		}
		rest(time.Minute)
		second.stop()
		expect(t, "result", string(second.message("m").Result), "0,1,2,")
		expect(t, "open steps", len(second.message("m").Open), 0)
	})
}

func TestStreamThatFailsBeginsAnew(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		var tooLarge error
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return a.Begin("write", runner.StepOptions{}).Stream(func(_ context.Context, c runner.Call, emit func([]byte) error) ([]byte, error) {
				tooLarge = emit(make([]byte, core.MaxPayloadBytes))
				for i := range 5 {
					if err := emit(fmt.Appendf(nil, "%d.%d ", c.Attempt, i)); err != nil {
						return nil, err
					}
					time.Sleep(200 * time.Millisecond)
				}
				if c.Attempt == 1 {
					return nil, errors.New("cut")
				}
				return []byte("all of it"), nil
			})
		}, runner.Options{})
		rest(500 * time.Millisecond)
		expect(t, "partial output", string(b.message("m").Open[0].Output), "1.0 1.1 1.2 ")
		rest(1700 * time.Millisecond)
		if got := string(b.message("m").Open[0].Output); !strings.HasPrefix(got, "2.0 ") || strings.Contains(got, "1.") {
			t.Errorf("partial output of the second run is %q", got)
		}
		rest(time.Minute)
		b.stop()
		if !errors.Is(tooLarge, core.ErrTooLarge) {
			t.Errorf("emit of too much: %v", tooLarge)
		}
		expect(t, "result", string(b.message("m").Result), "all of it")
	})
}

// TestStreamWaitsForTheStore: who produces faster than it takes has to wait.
func TestStreamWaitsForTheStore(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		var emitted atomic.Int32
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return a.Begin("write", runner.StepOptions{}).Stream(func(_ context.Context, _ runner.Call, emit func([]byte) error) ([]byte, error) {
				for range 1000 {
					if err := emit(make([]byte, 64<<10)); err != nil {
						return nil, err
					}
					emitted.Add(1)
				}
				return nil, nil
			})
		}, runner.Options{})
		rest(time.Second)
		if n, most := int(emitted.Load()), 11*4+5; n > most || n < 30 {
			t.Errorf("%d parts of 64 KiB in a second, want up to %d", n, most)
		}
		rest(time.Minute)
		b.stop()
		expect(t, "parts", emitted.Load(), int32(1000))
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
					_, err := a.Begin(name, runner.StepOptions{}).Run(func(ctx context.Context, c runner.Call) ([]byte, error) {
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
			for m := range crowd[0].State().Messages() {
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
			_, err := a.Begin("s", runner.StepOptions{}).Run(func(ctx context.Context, c runner.Call) ([]byte, error) {
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
		expect(t, "log", words(t, memory), []string{received, started, cancelled, "message_retried", started, "s completed", finished})
		expect(t, "OnError", b.said, []string(nil))
	})
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
