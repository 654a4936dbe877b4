package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

func TestStream(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		first, second, reader := open(t, memory), open(t, memory), open(t, memory)
		first.send("m")
		write := func(tokens int, pause time.Duration) runner.Handler {
			return func(_ context.Context, a *runner.Attempt) ([]byte, error) {
				return stream(a, "write", runner.StepOptions{}, func(ctx context.Context, _ runner.Call, emit func([]byte) error) ([]byte, error) {
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
			return stream(a, "write", runner.StepOptions{}, func(_ context.Context, c runner.Call, emit func([]byte) error) ([]byte, error) {
				tooLarge = emit(make([]byte, core.MaxPayloadBytes))
				for i := range 5 {
					if err := emit(fmt.Appendf(nil, "%d.%d ", c.Attempt, i)); err != nil {
						return nil, err
					}
					time.Sleep(time.Duration(c.Attempt*c.Attempt) * 200 * time.Millisecond) // the second run is slower
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
			return stream(a, "write", runner.StepOptions{}, func(_ context.Context, _ runner.Call, emit func([]byte) error) ([]byte, error) {
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

// TestStreamOfARunThatIsOver: a batch that is late must not come between those of
// the next run.
func TestStreamOfARunThatIsOver(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		conflict := func(append func() (uint64, error)) (uint64, error) {
			time.Sleep(6 * time.Second)
			return 0, core.ErrBlocked // it is tried again
		}
		b.store.next = []func(func() (uint64, error)) (uint64, error){pass, pass, conflict}
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return stream(a, "write", runner.StepOptions{Retry: runner.Retry{Timeout: 5 * time.Second, Initial: time.Millisecond}}, func(ctx context.Context, c runner.Call, emit func([]byte) error) ([]byte, error) {
				for i := range 4 {
					if err := emit(fmt.Appendf(nil, "%d.%d ", c.Attempt, i)); err != nil {
						return nil, err
					}
					time.Sleep(time.Duration(c.Attempt*c.Attempt) * 200 * time.Millisecond) // the second run is slower
				}
				if c.Attempt == 1 {
					return never(ctx, c)
				}
				return []byte("all"), nil
			})
		}, runner.Options{})
		rest(time.Minute)
		b.stop()
		if log := words(t, memory); !slices.Contains(log, "write attempt_failed") {
			t.Errorf("the log is %v", log)
		}
		c, _ := core.New("chat", memory)
		events, err := c.Events(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		run := ""
		for _, e := range events {
			if e.Event.Kind == core.KindStepStreamed {
				if of := string(e.Event.Output[:1]); of < run {
					t.Errorf("a batch of run %s comes after one of run %s", of, run)
				} else {
					run = of
				}
			}
		}
	})
}

// TestResume: the function is given what an earlier run has stored, and goes on
// after that.
func TestResume(t *testing.T) {
	for _, resume := range []bool{true, false} {
		story(t, func(t *testing.T, memory *memstore.Store) {
			first, second := open(t, memory), open(t, memory)
			first.send("m")
			write := func(words ...string) runner.Handler {
				return func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					return stream(a, "write", runner.StepOptions{Resume: resume}, func(ctx context.Context, c runner.Call, emit func([]byte) error) ([]byte, error) {
						for _, word := range words {
							if err := emit([]byte(word)); err != nil {
								return nil, err
							}
							time.Sleep(streamInterval)
						}
						if len(c.Stored) == 0 {
							return never(ctx, c)
						}
						return append(c.Stored, words[0]...), nil
					})
				}
			}
			first.run(write("a", "b"), runner.Options{})
			rest(time.Second)
			first.crash()
			second.run(write("c", "d"), runner.Options{})
			rest(6*time.Second + 150*time.Millisecond) // the lease of the first has run out
			partial := map[bool]string{true: "abc", false: "c"}[resume]
			expect(t, "partial output", string(second.message("m").Open[0].Output[:len(partial)]), partial)
			rest(time.Minute)
			second.stop()
			expect(t, "result", string(second.message("m").Result), "abc")
		})
	}
}

const streamInterval = 100 * time.Millisecond
