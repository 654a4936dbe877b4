package runner_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// TestSentToAnIdleRunner: a message that is sent where a runner has nothing to do
// is appended together with its start, and is started once in any case.
func TestSentToAnIdleRunner(t *testing.T) {
	once := []string{received, started, "s completed", finished}
	tests := []struct {
		name    string
		next    []func(append func() (uint64, error)) (uint64, error)
		send    func(b *tab)
		appends int
		log     []string
	}{
		{"one message", nil, func(b *tab) { b.send("m") }, 3, once},
		{"two at once", nil, func(b *tab) { b.send("m", "n") }, 7,
			[]string{received, started, received, "s completed", finished, started, "s completed", finished}},
		{"one after the other", nil, func(b *tab) { b.send("m"); rest(time.Minute); b.send("n") }, 6, append(once, once...)},
		{"through another handle", nil, func(b *tab) { open(b.t, b.store.Store).send("m") }, 3, once},
		{"that could not be appended at first", []func(func() (uint64, error)) (uint64, error){refuse(core.ErrBlocked)}, func(b *tab) {
			if _, err := b.Send(context.Background(), "m", 1, nil); core.CodeOf(err) != core.ErrBlocked {
				b.t.Errorf("send: %v", err)
			}
			b.send("m")
		}, 4, once},
		{"whose outcome nobody knows at first", []func(func() (uint64, error)) (uint64, error){func(append func() (uint64, error)) (uint64, error) {
			_, _ = append()
			return 0, core.ErrOutcomeUnknown
		}}, func(b *tab) { b.send("m") }, 3, once},
		{"whose first attempt ends, because the storage fails", append([]func(append func() (uint64, error)) (uint64, error){pass},
			slices.Repeat([]func(append func() (uint64, error)) (uint64, error){refuse(core.ErrStorageUnavailable)}, 5)...), func(b *tab) { b.send("m") }, 9,
			[]string{received, started, started, "s completed", finished}},
		{"and cancelled before it is processed", nil, func(b *tab) {
			b.send("m")
			if _, err := b.Cancel(context.Background(), "m"); err != nil {
				b.t.Error(err)
			}
		}, 2, []string{received, started, cancelled}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				b.store.begins = false
				b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
					return do(a, "s", runner.StepOptions{}, func(ctx context.Context, _ runner.Call) ([]byte, error) {
						select {
						case <-time.After(time.Second):
							return nil, nil
						case <-ctx.Done():
							return nil, ctx.Err()
						}
					})
				}, runner.Options{})
				rest(time.Second)
				appends := 0
				count := func(next func(append func() (uint64, error)) (uint64, error)) func(append func() (uint64, error)) (uint64, error) {
					return func(append func() (uint64, error)) (uint64, error) { appends++; return next(append) }
				}
				for _, next := range tt.next {
					b.store.next = append(b.store.next, count(next))
				}
				for range 20 {
					b.store.next = append(b.store.next, count(pass))
				}
				tt.send(b)
				rest(time.Minute)
				b.stop()
				expect(t, "log", words(t, memory), tt.log)
				expect(t, "appends", appends, tt.appends)
			})
		})
	}
}

// TestStartIsNotJoined: a message waits for its turn after one that waits for a
// person, and for a runner that has stopped.
func TestStartIsNotJoined(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			called, err := a.Begin(a.Context(), "ask", runner.StepOptions{})
			if err != nil {
				return nil, err
			}
			return called.Wait(runner.WaitOptions{})
		}, runner.Options{})
		b.send("m")
		rest(time.Minute)
		b.send("n")
		rest(time.Minute)
		b.stop()
		b.send("o")
		expect(t, "log of n and o", words(t, memory, "n", "o"), []string{received, received})
	})
}

// TestSentToARunnerThatStops: a runner that is stopped before it comes to process a
// message lets that go, so the start is none that counts.
func TestSentToARunnerThatStops(t *testing.T) {
	for _, landed := range []bool{true, false} {
		name := map[bool]string{true: "when the message is in the log", false: "while it is appended"}[landed]
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				handler := func(context.Context, *runner.Attempt) ([]byte, error) { return nil, nil }
				once := runner.Options{MaxStarts: 1}
				stop := b.Subscribe(func(core.Change) { // before the runner hears of it
					if landed {
						b.cancel()
					}
				})
				b.run(handler, once)
				rest(time.Second)
				b.store.next = append(b.store.next, func(append func() (uint64, error)) (uint64, error) {
					if !landed {
						b.cancel()
						rest(time.Second)
					}
					return append()
				})
				b.send("m")
				b.stop()
				stop()
				expect(t, "log of the runner that was stopped", words(t, memory), []string{received, started, stopped})
				b.run(handler, once)
				rest(time.Second)
				b.stop()
				expect(t, "log", words(t, memory), []string{received, started, stopped, started, finished})
			})
		})
	}
}
