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
				if _, err := do(a, name, runner.StepOptions{}, text(name)); err != nil {
					return nil, err
				}
			}
			_, err := do(a, "pay", runner.StepOptions{SideEffect: runner.Rerun}, text("paid"))
			return []byte("done"), err
		}, runner.Options{})
		rest(time.Second)
		b.stop()
		expect(t, "log", words(t, memory), []string{received, started, "plan completed", "search completed", "write completed", "pay started", "pay completed", finished})
		expect(t, "result", string(b.message("m").Result), "done")
	})
}

// TestGuard: the number of a call may mean another call than before.
func TestGuard(t *testing.T) {
	pages := func(c caller) (all string, err error) {
		for range 2 {
			var page []byte
			page, err = do(c, "page", runner.StepOptions{}, text("page"))
			all += string(page)
		}
		return all, err
	}
	// page is called where outcomes have an order.
	page := func(a *runner.Attempt, after uint32, unordered bool) (string, error) {
		called, err := a.BeginAfter("page", runner.StepOptions{}, after, unordered)
		if err != nil {
			return "", err
		}
		page, err := called.Run(text("pagepage"))
		return string(page), err
	}
	for name, tt := range map[string]struct {
		before, now func(a *runner.Attempt) (string, error)
		mismatch    string
	}{
		"a step in front of a loop": {
			func(a *runner.Attempt) (string, error) { return pages(a) },
			func(a *runner.Attempt) (string, error) {
				_, _ = do(a, "new", runner.StepOptions{}, text("new"))
				return pages(a)
			},
			"step page of message \"m\" is called after another outcome than before",
		},
		"a step in front of a loop in a scope of its own": {
			func(a *runner.Attempt) (string, error) {
				_, _ = do(a, "old", runner.StepOptions{}, text("old"))
				return pages(a.Scope("pages"))
			},
			func(a *runner.Attempt) (string, error) {
				_, _ = do(a, "new", runner.StepOptions{}, text("new"))
				return pages(a.Scope("pages"))
			},
			"",
		},
		"a step in front of one": {
			func(a *runner.Attempt) (string, error) {
				page, err := do(a, "page", runner.StepOptions{}, text("pagepage"))
				return string(page), err
			},
			func(a *runner.Attempt) (string, error) {
				_, _ = do(a, "new", runner.StepOptions{}, text("new"))
				page, err := do(a, "page", runner.StepOptions{}, text("called again"))
				return string(page), err
			},
			"",
		},
		"one that becomes two": {
			func(a *runner.Attempt) (string, error) {
				_, _ = do(a, "old", runner.StepOptions{}, text("old"))
				page, err := do(a, "page", runner.StepOptions{}, text("page"))
				return string(page), err
			},
			func(a *runner.Attempt) (string, error) { return pages(a) },
			"step page of message \"m\" is called after another outcome than before",
		},
		"one that may have come from within another": {
			func(a *runner.Attempt) (string, error) {
				_, _ = page(a, 0, true)
				_, err := do(a, "research", runner.StepOptions{}, text("facts"))
				return "", err
			},
			func(a *runner.Attempt) (string, error) { return page(a, 2, false) },
			"step page of message \"m\" came out of a wait for something that is no step",
		},
		"one that comes sooner than before out of a wait": {
			func(a *runner.Attempt) (string, error) {
				_, _ = do(a, "old", runner.StepOptions{}, text("old"))
				return page(a, 1, true)
			},
			func(a *runner.Attempt) (string, error) { return page(a, 0, true) },
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				first, second := open(t, memory), open(t, memory)
				first.send("m")
				first.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
					_, _ = tt.before(a)
					return never(ctx, runner.Call{})
				}, runner.Options{})
				rest(time.Second)
				first.stop()
				var got error
				second.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					var all string
					all, got = tt.now(a)
					return []byte(all), nil // it swallows the error
				}, runner.Options{})
				rest(time.Minute)
				second.stop()
				m := second.message("m")
				if tt.mismatch == "" {
					expect(t, "result", string(m.Result), "pagepage")
				} else {
					expectMismatch(t, second, got, tt.mismatch)
				}
			})
		})
	}
}

func expectMismatch(t *testing.T, b *tab, err error, text string) {
	t.Helper()
	if !errors.Is(err, core.ErrStepMismatch) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v", err)
	}
	if m := b.message("m"); !m.Failed || !strings.Contains(m.Error, text) {
		t.Errorf("the message is %+v", m)
	}
	expect(t, "OnError", b.said, []string{"step_mismatch"})
}

// TestUnorderedCalls: calls of goroutines have no order that a replay could keep.
// That shows on the first run.
func TestUnorderedCalls(t *testing.T) {
	slow := func(ctx context.Context, _ runner.Call) ([]byte, error) {
		time.Sleep(time.Second)
		return nil, ctx.Err()
	}
	for name, handler := range map[string]func(*runner.Attempt) error{
		"at the same time": func(a *runner.Attempt) (err error) {
			var group sync.WaitGroup
			errs := make([]error, 3)
			for i := range errs {
				group.Go(func() { _, errs[i] = do(a, "s", runner.StepOptions{}, slow) })
			}
			group.Wait()
			for _, e := range errs {
				if errors.Is(e, core.ErrStepMismatch) {
					err = e
				}
			}
			return err
		},
		"one after the other, beside another step": func(a *runner.Attempt) error {
			go func() { _, _ = do(a, "other", runner.StepOptions{}, never) }()
			time.Sleep(time.Millisecond)
			_, _ = do(a, "s", runner.StepOptions{}, slow)
			_, err := do(a, "s", runner.StepOptions{}, slow)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				b.send("m")
				var got error
				b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					got = handler(a)
					return nil, nil
				}, runner.Options{})
				rest(time.Minute)
				b.stop()
				expectMismatch(t, b, got, "step s of message \"m\" is called while other steps of its scope are under way")
			})
		})
	}
}

// Steps that a function calls by those of an outer one would be taken for others
// by a replay, in which the function does not run.
func TestOuterSteps(t *testing.T) {
	handlers := map[string]func(ctx context.Context, outer *runner.Steps) (string, error){
		"at once": func(ctx context.Context, outer *runner.Steps) (string, error) {
			return runner.Step(ctx, outer, "llm", answer("query"), runner.StepOptions{})
		},
		"later, in a goroutine": func(ctx context.Context, outer *runner.Steps) (query string, err error) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			var group sync.WaitGroup
			group.Go(func() {
				time.Sleep(time.Second)
				query, err = runner.Step(ctx, outer, "llm", answer("query"), runner.StepOptions{})
			})
			group.Wait()
			return query, err
		},
		"in a scope": func(ctx context.Context, outer *runner.Steps) (string, error) {
			return runner.Step(ctx, outer.Scope("s"), "llm", answer("query"), runner.StepOptions{})
		},
		"with no context": func(_ context.Context, outer *runner.Steps) (string, error) {
			return runner.Step(context.Background(), outer, "llm", answer("query"), runner.StepOptions{})
		},
		"to wait": func(ctx context.Context, outer *runner.Steps) (string, error) {
			return runner.Wait[string](ctx, outer, "llm", runner.WaitOptions{})
		},
	}
	for name, research := range handlers {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				b.send("m")
				b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
					_, _ = runner.Step(ctx, a, "research", func(ctx context.Context, _ runner.Call) (string, error) {
						return research(ctx, a.Steps)
					}, runner.StepOptions{})
					_, _ = runner.Step(ctx, a, "llm", answer("answer"), runner.StepOptions{})
					return nil, nil
				}, runner.Options{})
				rest(time.Minute)
				b.stop()
				expect(t, "log", words(t, memory), []string{received, started, failed})
				m := b.message("m")
				want := "llm is called within the function of another step"
				if name == "with no context" {
					want = "llm is called with another context: pass the one that the function which calls it was given"
				}
				if !strings.Contains(m.Error, want) {
					t.Errorf("the message has failed with %q, want %q", m.Error, want)
				}
			})
		})
	}
}

func answer(text string) func(context.Context, runner.Call) (string, error) {
	return func(context.Context, runner.Call) (string, error) { return text, nil }
}

func TestRetries(t *testing.T) {
	boom := errors.New("boom")
	slow := "TimeoutError: step step took longer than its timeout"
	tests := []struct {
		name  string
		fn    runner.Func
		retry runner.Retry
		calls int
		err   string
		// The sum of all waits is between half of this and this.
		waits time.Duration
	}{
		{"until it succeeds", func(_ context.Context, c runner.Call) ([]byte, error) {
			if c.Attempt < 3 {
				return nil, boom
			}
			return nil, nil
		}, runner.Retry{}, 3, "", 1500 * time.Millisecond},
		{"until the last attempt", func(context.Context, runner.Call) ([]byte, error) { return nil, boom },
			runner.Retry{}, 5, "boom", 7500 * time.Millisecond},
		{"no longer than the longest wait", func(context.Context, runner.Call) ([]byte, error) { return nil, boom },
			runner.Retry{MaxAttempts: 100, Initial: time.Second, Max: 2 * time.Second}, 100, "boom", 197 * time.Second},
		{"a terminal error", func(context.Context, runner.Call) ([]byte, error) {
			return nil, fmt.Errorf("wrapped: %w", &runner.TerminalError{Err: boom})
		}, runner.Retry{}, 1, "wrapped: boom", 0},
		{"too slow", never, runner.Retry{MaxAttempts: 2, Initial: time.Millisecond, Timeout: time.Second}, 2, slow, 2001 * time.Millisecond},
		{"too slow, and deaf", func(context.Context, runner.Call) ([]byte, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}, runner.Retry{MaxAttempts: 1, Timeout: time.Second}, 1, slow, time.Second},
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
					_, err = do(a, "step", runner.StepOptions{Retry: tt.retry}, func(ctx context.Context, c runner.Call) ([]byte, error) {
						if n := int(calls.Add(1)); c.Attempt != n || len(c.IdempotencyKey) != 32 || c.Uncertain {
							t.Errorf("call %d was told %+v", n, c)
						}
						return tt.fn(ctx, c)
					})
					took = time.Since(begin)
					return nil, err
				}, runner.Options{})
				rest(2 * time.Hour)
				b.stop()
				var failed *runner.StepError
				if int(calls.Load()) != tt.calls || (tt.err == "") != (err == nil) {
					t.Errorf("%d calls, %v; want %d, %v", calls.Load(), err, tt.calls, tt.err)
				}
				if tt.err != "" && (!errors.As(err, &failed) || failed.Step != "step" || failed.Attempts != tt.calls || failed.Error() != tt.err) {
					t.Errorf("failed with %#v, want %s", err, tt.err)
				}
				rounded := time.Duration(tt.calls) * time.Millisecond // the log has milliseconds
				if took < tt.waits/2-rounded || took > tt.waits {
					t.Errorf("it took %v, want up to %v", took, tt.waits)
				}
				if m := b.message("m"); m.Failed != (tt.err != "") || m.Finished != (tt.err == "") {
					t.Errorf("the message is %+v", m)
				}
			})
		})
	}
}

func TestIdempotencyKeys(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		keys := map[string][]string{} // of each step, one for each run
		handler := func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
			note := func(step string) runner.Func {
				return func(ctx context.Context, c runner.Call) ([]byte, error) {
					step = a.Message().ID + " " + step
					keys[step] = append(keys[step], c.IdempotencyKey)
					if strings.HasSuffix(step, "pay") && len(keys[step]) == 1 {
						return never(ctx, c)
					}
					return nil, nil
				}
			}
			for i := range 2 {
				_, _ = do(a, "s", runner.StepOptions{}, note(fmt.Sprint("s#", i)))
			}
			_, _ = do(a, "s", runner.StepOptions{Key: "0"}, note("s=0"))
			_, _ = do(a.Scope("s"), "s", runner.StepOptions{}, note("s:/s"))
			return do(a, "pay", runner.StepOptions{SideEffect: runner.Rerun}, note("pay"))
		}
		first := open(t, memory)
		first.send("a/0", "a", "a%2F0")
		for range 3 { // each pays for one message, and dies with the next
			b := open(t, memory)
			b.run(handler, runner.Options{})
			rest(time.Minute)
			b.crash()
		}
		last := open(t, memory)
		last.run(handler, runner.Options{})
		rest(time.Minute)
		last.stop()
		seen := map[string]string{}
		for step, all := range keys {
			if want := map[bool]int{true: 2, false: 1}[strings.HasSuffix(step, "pay")]; len(all) != want || all[0] != all[len(all)-1] || len(all[0]) != 32 {
				t.Errorf("%s has the keys %v", step, all)
			}
			if other, found := seen[all[0]]; found {
				t.Errorf("%s has the key of %s", step, other)
			}
			seen[all[0]] = step
		}
		expect(t, "steps", len(keys), 3*5)
	})
}

// TestRetryBesideGoroutines: what goroutines in scopes of their own have done is
// not done again because another one has failed.
func TestRetryBesideGoroutines(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		var mu sync.Mutex
		calls := map[string]int{}
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			var agents sync.WaitGroup
			errs := make([]error, 3)
			for i := range errs {
				agent := a.Scope(fmt.Sprint("agent ", i))
				agents.Go(func() {
					for turn := range 4 {
						if errs[i] != nil {
							return
						}
						_, errs[i] = do(agent, "turn", runner.StepOptions{}, func(context.Context, runner.Call) ([]byte, error) {
							label := fmt.Sprint(i, ".", turn)
							mu.Lock()
							calls[label]++
							first := calls[label] == 1
							mu.Unlock()
							if label == "0.1" && first {
								return nil, &runner.TerminalError{Err: errors.New("boom")}
							}
							time.Sleep(time.Duration(1+i) * time.Millisecond)
							return nil, nil
						})
					}
				})
			}
			agents.Wait()
			if err := errors.Join(errs...); err != nil {
				return nil, err
			}
			return do(a, "sum", runner.StepOptions{}, text("sum"))
		}, runner.Options{})
		rest(time.Minute)
		if did, err := b.Retry(t.Context(), "m"); !did || err != nil {
			t.Fatal(did, err)
		}
		rest(time.Minute)
		b.stop()
		expect(t, "result", string(b.message("m").Result), "sum")
		for label, n := range calls {
			if want := map[bool]int{true: 2, false: 1}[label == "0.1"]; n != want {
				t.Errorf("turn %s was called %d times", label, n)
			}
		}
	})
}

// TestRefusedCalls leave no trace, and the handler may go on.
func TestRefusedCalls(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			for name, tt := range map[string]struct {
				name string
				o    runner.StepOptions
				text string
			}{
				"no name":                         {"", runner.StepOptions{}, "a name must not be empty"},
				"a long key":                      {"s", runner.StepOptions{Key: strings.Repeat("k", 257)}, "the key of s has 257 bytes, the limit is 256"},
				"a key whose step is under way":   {"s", runner.StepOptions{Key: "k"}, "s is called with a key that another call of it has, which is under way"},
				"a name whose step is a sideline": {"s", runner.StepOptions{Key: "other"}, ""},
				"no policy":                       {"s", runner.StepOptions{SideEffect: runner.Ask + 1}, "the policy of s for side effects is 4, which is none"},
				"a wait that is over before":      {"s", runner.StepOptions{Retry: runner.Retry{Initial: -1}}, "no number or time of Retry may be negative"},
				"a timeout that is over before":   {"s", runner.StepOptions{Retry: runner.Retry{Timeout: -1}}, "no number or time of Retry may be negative"},
			} {
				_, err := do(a, "s", runner.StepOptions{Key: "k"}, func(context.Context, runner.Call) ([]byte, error) {
					_, err := do(a, tt.name, tt.o, text(""))
					return nil, err
				})
				if (err == nil) != (tt.text == "") || err != nil && (!strings.Contains(err.Error(), "invalid_argument: ") || !strings.Contains(err.Error(), tt.text)) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := runner.Sleep(a.Context(), a, "for ever", time.Time{}); !errors.Is(err, core.ErrInvalidArgument) {
				t.Errorf("a sleep without an end: %v", err)
			}
			return nil, nil
		}, runner.Options{Retry: runner.Retry{MaxAttempts: 1}})
		rest(time.Minute)
		b.stop()
		if m := b.message("m"); !m.Finished || len(m.Steps) != 8 {
			t.Errorf("the message is %+v", m)
		}
	})
}

// TestFailures: what a step fails with is stored, and what a message does.
func TestFailures(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		fail := func(err error) runner.Func {
			return func(context.Context, runner.Call) ([]byte, error) { return nil, err }
		}
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			_, _ = do(a, "caught", runner.StepOptions{}, fail(errors.New("caught")))
			_, plain := do(a, "plain", runner.StepOptions{}, fail(fmt.Errorf("plain: %w", errors.New("cause"))))
			_, own := do(a, "own", runner.StepOptions{}, fail(&runner.TerminalError{Err: failing}))
			_, inner := do(a, "outer", runner.StepOptions{}, func(_ context.Context, c runner.Call) ([]byte, error) {
				return do(c, "inner", runner.StepOptions{}, fail(failing))
			})
			return nil, fmt.Errorf("all: %w", errors.Join(plain, fmt.Errorf("and %w", own), inner))
		}, runner.Options{Retry: runner.Retry{MaxAttempts: 1}})
		rest(time.Minute)
		b.stop()
		m := b.message("m")
		expect(t, "error", m.Error, "all: plain: cause\nand Own: text; caused by Cause\nOwn: text; caused by Cause")
		expect(t, "steps that it is made of", m.Fatal, []uint32{1, 2, 4})
		var failures []string
		for _, step := range m.Steps {
			failures = append(failures, step.Details().Failure.Error())
		}
		expect(t, "failures", failures, []string{"caught", "plain: cause", "Own: text; caused by Cause", "Own: text; caused by Cause", "Own: text; caused by Cause"})
	})
}

var failing = core.Failure{{Name: "Own", Message: "text"}, {Name: "Cause"}}

// TestFailureWithinAStep: what a step within another one has failed with fails that
// one, too, without another call.
func TestFailureWithinAStep(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		calls := 0
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return do(a, "outer", runner.StepOptions{}, func(_ context.Context, c runner.Call) ([]byte, error) {
				calls++
				_, err := do(c, "inner", runner.StepOptions{}, func(context.Context, runner.Call) ([]byte, error) {
					return nil, &runner.TerminalError{Err: errors.New("down")}
				})
				return nil, fmt.Errorf("outer: %w", err)
			})
		}, runner.Options{})
		rest(time.Hour)
		b.stop()
		expect(t, "calls", calls, 1)
		expect(t, "log", words(t, memory), []string{received, started, "inner failed", "outer failed", "error_occurred"})
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
				return do(a, "s", runner.StepOptions{}, func(context.Context, runner.Call) ([]byte, error) { return large, nil })
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

// TestUnstorableOutput: the step has failed, in every replay too, and what it has
// done is done.
func TestUnstorableOutput(t *testing.T) {
	outputs := map[string]func(a *runner.Attempt, o runner.StepOptions, call func()) error{
		"too large": func(a *runner.Attempt, o runner.StepOptions, call func()) error {
			_, err := do(a, "pay", o, func(context.Context, runner.Call) ([]byte, error) {
				call()
				return make([]byte, core.MaxPayloadBytes), nil
			})
			return err
		},
		"of no type that can be encoded": func(a *runner.Attempt, o runner.StepOptions, call func()) error {
			_, err := runner.Step(a.Context(), a, "pay", func(context.Context, runner.Call) (func(), error) {
				call()
				return call, nil
			}, o)
			return err
		},
	}
	for name, pay := range outputs {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, memory *memstore.Store) {
				b := open(t, memory)
				b.send("m")
				calls := 0
				b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
					return nil, pay(a, runner.StepOptions{SideEffect: runner.Ask}, func() { calls++ })
				}, runner.Options{})
				rest(time.Minute)
				if did, err := b.Retry(t.Context(), "m"); !did || err != nil {
					t.Fatal(did, err)
				}
				rest(time.Minute)
				b.stop()
				expect(t, "calls", calls, 1)
				expect(t, "log", words(t, memory), []string{received, started, "pay started", "pay failed", failed, retried, started, stopped})
				if m := b.message("m"); !m.Open[0].Uncertain {
					t.Errorf("the step is %+v", m.Open[0])
				}
			})
		})
	}
}

// TestStepsAtTheSameTime have their own outputs, whichever ends first.
func TestStepsAtTheSameTime(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			var group sync.WaitGroup
			for i := range 5 {
				group.Go(func() {
					_, _ = do(a, "step", runner.StepOptions{Key: fmt.Sprint(i)}, func(context.Context, runner.Call) ([]byte, error) {
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
		for i, step := range b.message("m").Steps { // the last one has ended first
			if step.Name != "step" || step.Output[0] != byte(4-i) || step.Index != uint32(i) {
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
			return do(a, "pay", runner.StepOptions{SideEffect: runner.Rerun}, func(context.Context, runner.Call) ([]byte, error) {
				calls++
				return nil, nil
			})
		}, runner.Options{})
		rest(500 * time.Millisecond)
		b.stop()
		rest(time.Minute)
		expect(t, "calls", calls, 0)
		expect(t, "log", words(t, memory), []string{received, started, "pay started", resolved, stopped})
	})
}

// TestContextOfAFunction ends with it, so what it has opened ends, too.
func TestContextOfAFunction(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			for _, want := range []error{errors.New("boom"), nil} {
				var opened context.Context
				_, _ = do(a, fmt.Sprint(want), runner.StepOptions{Retry: runner.Retry{MaxAttempts: 1}}, func(ctx context.Context, _ runner.Call) ([]byte, error) {
					opened = ctx
					return nil, want
				})
				if opened.Err() == nil {
					t.Errorf("what a function has opened that returns %v goes on", want)
				}
			}
			return nil, nil
		}, runner.Options{})
		rest(time.Minute)
		b.stop()
	})
}

// TestCompletedMeanwhile: another tab completes a step while its function is at
// work. The log has that output, so the handler goes on with it, as it would
// after a crash.
func TestCompletedMeanwhile(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, other := open(t, memory), open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return do(a, "s", runner.StepOptions{SideEffect: runner.Rerun}, func(context.Context, runner.Call) ([]byte, error) {
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
		expect(t, "log", words(t, memory), []string{received, started, "s started", "step_completed", finished})
	})
}

// TestCompletedWhileItStarts: the outcome comes between the look at a step and
// its start.
func TestCompletedWhileItStarts(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		first, b, user := open(t, memory), open(t, memory), open(t, memory)
		first.send("m")
		calls := 0
		pay := func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			return do(a, "pay", runner.StepOptions{SideEffect: runner.Ask}, func(ctx context.Context, c runner.Call) ([]byte, error) {
				calls++
				return never(ctx, c)
			})
		}
		first.run(pay, runner.Options{})
		rest(time.Second)
		first.crash()
		b.run(pay, runner.Options{})
		rest(time.Minute)
		b.store.next = []func(func() (uint64, error)) (uint64, error){pass, func(append func() (uint64, error)) (uint64, error) {
			if err := user.Refresh(context.Background()); err != nil {
				t.Error(err)
			}
			if _, err := user.RecordStepCompleted(context.Background(), "m", 0, []byte("paid by hand")); err != nil {
				t.Error(err)
			}
			return append()
		}}
		if did, err := user.ResolveStep(context.Background(), "m", 0, true); !did || err != nil {
			t.Error(did, err)
		}
		rest(time.Minute)
		b.stop()
		expect(t, "calls", calls, 1)
		expect(t, "log", words(t, memory), []string{received, started, "pay started", started, stopped, resolved, started, "step_completed", finished})
		expect(t, "result", string(b.message("m").Result), "paid by hand")
	})
}

// TestDecidedWhileItRuns: a decision ends the call of a function.
func TestDecidedWhileItRuns(t *testing.T) {
	story(t, func(t *testing.T, memory *memstore.Store) {
		b, user := open(t, memory), open(t, memory)
		b.send("m")
		b.run(func(_ context.Context, a *runner.Attempt) ([]byte, error) {
			_, err := do(a, "pay", runner.StepOptions{SideEffect: runner.Rerun}, func(ctx context.Context, c runner.Call) ([]byte, error) {
				if c.Attempt == 1 {
					return nil, errors.New("no answer")
				}
				return never(ctx, c)
			})
			return []byte("done"), err
		}, runner.Options{})
		rest(time.Minute)
		if err := user.Refresh(context.Background()); err != nil {
			t.Error(err)
		}
		if did, err := user.ResolveStep(context.Background(), "m", 0, false); !did || err != nil {
			t.Error(did, err)
		}
		rest(time.Second)
		b.stop()
		expect(t, "result", string(b.message("m").Result), "done")
	})
}
