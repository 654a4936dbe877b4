package runner_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// counting is a store that counts which streams are read.
type counting struct {
	*memstore.Store
	mu   sync.Mutex
	read map[string]int
}

func newCounting(store *memstore.Store) *counting {
	return &counting{Store: store, read: map[string]int{}}
}

func (s *counting) ReadFrom(ctx context.Context, stream string, offset uint64, limit int) ([]core.Entry, error) {
	s.mu.Lock()
	s.read[stream]++
	s.mu.Unlock()
	return s.Store.ReadFrom(ctx, stream, offset, limit)
}

func (s *counting) streams() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.read {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// send sends a message to a conversation of its own handle.
func send(t *testing.T, store core.DurableStore, id, message string) *core.Conversation {
	t.Helper()
	c, err := core.Recover(t.Context(), id, store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), message, 1, []byte(message)); err != nil {
		t.Fatal(err)
	}
	return c
}

// runAll runs until the test ends, and returns what stops it.
func runAll(t *testing.T, store core.DurableStore, handler runner.Handler, o runner.AllOptions) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runner.RunAll(ctx, store, handler, runner.Options{}, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// TestRunAllRecoversOnlyWhatHasWork: of many conversations some were interrupted,
// and one sleeps.
func TestRunAllRecoversOnlyWhatHasWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		done := func(context.Context, *runner.Attempt) ([]byte, error) { return nil, nil }
		for i := range 200 {
			send(t, memory, fmt.Sprint("done ", i), "m")
		}
		stop := runAll(t, memory, done, runner.AllOptions{})
		synctest.Wait()
		stop()
		var started, paid atomic.Int32
		killed := func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			started.Add(1)
			if a.Conversation().ID() == "asleep" {
				err := runner.Sleep(ctx, a, "nap", time.Now().Add(time.Hour))
				if cause := context.Cause(ctx); !errors.Is(cause, core.ErrClosed) {
					t.Errorf("let go, because %v", cause)
				}
				return nil, err
			}
			if _, err := runner.Step(ctx, a, "first", func(context.Context, runner.Call) (string, error) { return "paid", nil }, runner.StepOptions{}); err != nil {
				return nil, err
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		for _, id := range []string{"one", "two", "three", "asleep"} {
			send(t, memory, id, "m")
		}
		stop = runAll(t, memory, killed, runner.AllOptions{})
		time.Sleep(5 * time.Second) // the sleeper is parked
		stop()
		if started.Load() < 4 {
			t.Fatalf("%d have started", started.Load())
		}

		store := newCounting(memory.Share())
		var mu sync.Mutex
		var ended []string
		since := time.Now()
		runAll(t, store, func(ctx context.Context, a *runner.Attempt) (_ []byte, err error) {
			id := a.Conversation().ID()
			if id == "asleep" {
				err = runner.Sleep(ctx, a, "nap", time.Now().Add(time.Hour))
			} else {
				_, err = runner.Step(ctx, a, "first", func(context.Context, runner.Call) (string, error) {
					paid.Add(1)
					return "twice", nil
				}, runner.StepOptions{})
			}
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, fmt.Sprintf("%s after %s", id, time.Since(since).Round(time.Minute)))
			return nil, nil
		}, runner.AllOptions{})
		time.Sleep(2 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(ended)
		if want := []string{"asleep after 1h0m0s", "one after 0s", "three after 0s", "two after 0s"}; !slices.Equal(ended, want) {
			t.Errorf("%q have ended, want %q", ended, want)
		}
		if paid.Load() > 0 {
			t.Errorf("%d steps were paid twice", paid.Load())
		}
		if want := []string{"asleep", "one", "three", "two"}; !slices.Equal(store.streams(), want) {
			t.Errorf("%q were recovered, want %q", store.streams(), want)
		}
	})
}

// TestRunAllIsNotHeldUp: locks that others hold take no slot.
func TestRunAllIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		var locks []core.Lock
		for i := range 20 {
			id := fmt.Sprint("held ", i)
			send(t, memory, id, "m")
			lock, err := core.Lease(t.Context(), memory, id, nil)
			if err != nil {
				t.Fatal(err)
			}
			locks = append(locks, lock)
		}
		var mu sync.Mutex
		ended := map[string]bool{}
		runAll(t, memory, func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			ended[a.Conversation().ID()] = true
			return nil, nil
		}, runner.AllOptions{})
		for i := range 30 {
			send(t, memory, fmt.Sprint("free ", i), "m")
		}
		synctest.Wait()
		mu.Lock()
		if len(ended) != 30 {
			t.Errorf("%d have ended while others hold 20", len(ended))
		}
		mu.Unlock()
		for _, lock := range locks {
			lock.Release()
		}
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(ended) != 50 {
			t.Errorf("%d have ended after the others have let go", len(ended))
		}
	})
}

// TestRunAllHoldsOnToEffects: the function of a step that has side effects, or a
// timeout, is not given up because it waits, and takes no slot from others.
func TestRunAllHoldsOnToEffects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		options := map[string]runner.StepOptions{
			"rerun": {SideEffect: runner.Rerun}, "skip": {SideEffect: runner.Skip}, "ask": {SideEffect: runner.Ask},
			"timeout": {Retry: runner.Retry{Timeout: time.Minute, MaxAttempts: 1}},
			"pure":    {},
		}
		var mu sync.Mutex
		calls := map[string]int{}
		runAll(t, memory, runner.Handle(func(ctx context.Context, a *runner.Attempt) (string, error) {
			id := a.Conversation().ID()
			return runner.Step(ctx, a, "pay", func(ctx context.Context, call runner.Call) (string, error) {
				mu.Lock()
				calls[id]++
				mu.Unlock()
				return runner.Wait[string](ctx, call, "confirm", runner.WaitOptions{})
			}, options[id])
		}), runner.AllOptions{Concurrency: 1})
		conversations := map[string]*core.Conversation{}
		for id := range options {
			conversations[id] = send(t, memory, id, "m")
			time.Sleep(2 * time.Second)
		}
		refreshed := func(id string) core.Message {
			if err := conversations[id].Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			m, _ := conversations[id].State().Message("m")
			return m
		}
		yes, _ := runner.Encode("yes")
		for id, c := range conversations {
			m := refreshed(id)
			if !m.Parked {
				t.Fatalf("%s does not wait", id)
			}
			if id != "timeout" {
				if answered, err := c.Answer(t.Context(), "m", m.Next-1, yes); !answered || err != nil {
					t.Fatal(answered, err)
				}
			}
		}
		time.Sleep(2 * time.Minute)
		for id := range options {
			m := refreshed(id)
			result, _ := runner.Decode[string](m.Result)
			if id == "timeout" {
				if !m.Failed {
					t.Errorf("%s: %+v, want a failure", id, m)
				}
			} else if !m.Finished || result != "yes" {
				t.Errorf("%s: finished %v with %q", id, m.Finished, result)
			}
		}
		mu.Lock()
		if want := map[string]int{"rerun": 1, "skip": 1, "ask": 1, "timeout": 1, "pure": 2}; !maps.Equal(calls, want) {
			t.Errorf("functions were called %v, want %v", calls, want)
		}
		mu.Unlock()
		// What is given up keeps no turn.
		c := send(t, memory, "ask", "again")
		time.Sleep(2 * time.Second)
		if _, err := c.Cancel(t.Context(), "again"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		lock, err := core.TryLease(t.Context(), memory, "ask", nil)
		if err != nil || lock == nil {
			t.Fatal("the conversation is still held", err)
		}
		lock.Release()
	})
}

// TestRunAllOfAPrefix: whatever is due beside it, and how much, changes nothing.
func TestRunAllOfAPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		for i := range core.MaxDue + 10 {
			send(t, memory, fmt.Sprint("b/", i), "m")
		}
		sleeper := send(t, memory, "b/asleep", "m")
		if err := sleeper.Update(t.Context(), func(*core.State) ([]core.Event, error) {
			return []core.Event{{Kind: core.KindProcessingStopped, MessageID: "m", Parked: true, Due: uint64(time.Now().Add(time.Hour).UnixMilli())}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var mu sync.Mutex
		var order, told []string
		runAll(t, memory, func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, a.Conversation().ID())
			return nil, nil
		}, runner.AllOptions{Prefix: "a/", Concurrency: 1, OnDue: func(now bool, due uint64) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(now, due))
		}})
		synctest.Wait()
		send(t, memory, "a/1", "m")
		synctest.Wait()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"a/1"}; !slices.Equal(order, want) {
			t.Errorf("worked on %q, want %q", order, want)
		}
		if want := []string{"false 0", "true 0", "false 0"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestRunAllTakesTurns: who always has work does not keep the others from it.
func TestRunAllTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		busy := send(t, memory, "busy", "0")
		for i := range 100 {
			if _, err := busy.Send(t.Context(), fmt.Sprint(i), 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		var order []string
		runAll(t, memory, func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			order = append(order, a.Conversation().ID())
			return nil, nil
		}, runner.AllOptions{Concurrency: 1})
		time.Sleep(100 * time.Millisecond)
		send(t, memory, "one", "m")
		time.Sleep(time.Millisecond)
		send(t, memory, "two", "m")
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		want := []string{"busy", "busy", "busy", "busy", "two", "one", "busy"}
		if len(order) < len(want) || !slices.Equal(order[:len(want)], want) {
			t.Errorf("worked on %q, want %q", order, want)
		}
	})
}

// TestRunAllLeavesDamageAlone: it is told of once.
func TestRunAllLeavesDamageAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		send(t, memory, "good", "m")
		if _, err := memory.Append(t.Context(), "bad", 0, []byte("no event")); err != nil {
			t.Fatal(err)
		}
		if err := memory.Mend(t.Context(), "bad", 1, &core.Summary{ID: "bad", Unfinished: 1, Due: 1}); err != nil {
			t.Fatal(err)
		}
		lost := &remembering{Store: memory, lost: "lost"}
		send(t, memory, "lost", "m")
		var mu sync.Mutex
		told := map[string]int{}
		var ended []string
		runAll(t, lost, func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, a.Conversation().ID())
			return nil, nil
		}, runner.AllOptions{OnError: func(id string, err error) {
			mu.Lock()
			defer mu.Unlock()
			told[fmt.Sprint(id, " ", core.CodeOf(err))]++
		}})
		time.Sleep(time.Minute)
		mu.Lock()
		if !slices.Equal(ended, []string{"good"}) || len(told) != 2 || told["bad corrupt"] != 1 || told["lost gap"] != 1 {
			t.Errorf("%q have ended, %v", ended, told)
		}
		mu.Unlock()
		// The application is told, too, and goes on with what is left.
		if _, err := core.Recover(t.Context(), "lost", lost); !errors.Is(err, core.ErrGap) {
			t.Errorf("recover: %v", err)
		}
		send(t, lost, "lost", "n")
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(ended, []string{"good", "lost", "lost"}) {
			t.Errorf("%q have ended", ended)
		}
	})
}

// remembering is a store that remembers that a log went further.
type remembering struct {
	*memstore.Store
	lost string
}

func (s *remembering) LostEnd(stream string, head uint64, goesOn bool) uint64 {
	if stream != s.lost {
		return 0
	}
	if goesOn {
		s.lost = ""
	}
	return head + 5
}

func TestRunAllRefuses(t *testing.T) {
	memory := memstore.New()
	none := func(context.Context, *runner.Attempt) ([]byte, error) { return nil, nil }
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // one that begins would not end
	defer cancel()
	for name, all := range map[string]runner.AllOptions{"a negative number": {Concurrency: -1}, "a bad prefix": {Prefix: "\xff"}} {
		if err := runner.RunAll(ctx, memory, none, runner.Options{}, all); !errors.Is(err, core.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := runner.RunAll(ctx, struct{ core.DurableStore }{memory}, none, runner.Options{}, runner.AllOptions{}); !errors.Is(err, core.ErrInvalidArgument) {
		t.Errorf("a store without directory: %v", err)
	}
}
