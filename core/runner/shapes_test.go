package runner_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// TestShapes runs handlers of every shape: once, killed after every event of the
// log, and killed twice. What a handler had seen must be the beginning of what it
// sees after that, and no function of a step with an outcome is called again.
func TestShapes(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			t.Logf("%d runs", killed(t, s))
		})
	}
}

// both returns the first error.
func both(a string, errA error, b string, errB error) (string, error) {
	if errA != nil {
		return a, errA
	}
	return a + "," + b, errB
}

// each calls fn for 0 to n-1, one after the other.
func each(n int, fn func(i int) (string, error)) (string, error) {
	var all []string
	for i := range n {
		one, err := fn(i)
		if err != nil {
			return "", err
		}
		all = append(all, one)
	}
	return strings.Join(all, ","), nil
}

// together calls fn for 0 to n-1, each in a goroutine.
func together(n int, fn func(i int) (string, error)) (string, error) {
	all, errs := make([]string, n), make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { all[i], errs[i] = fn(i) })
	}
	group.Wait()
	return strings.Join(all, ","), errors.Join(errs...)
}

// retryOnce retries a failed message, once.
func retryOnce(label string) func(*world, core.Message) bool {
	return func(w *world, m core.Message) bool {
		if w.retried > 0 {
			return false
		}
		w.retry(label)
		return true
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

var shapes = []script{
	{
		name: "sequence",
		handler: func(h *hand) (string, error) {
			a, errA := h.step("a", "a", does{takes: ms(10)})
			b, errB := h.step("b", "b", does{fails: 1})
			ab, err := both(a, errA, b, errB)
			c, errC := h.step("c", "c", does{})
			return both(ab, err, c, errC)
		},
		want: []string{"a,b,c"},
	},
	{
		name: "loop with one name",
		handler: func(h *hand) (string, error) {
			return each(4, func(i int) (string, error) { return h.step("page", fmt.Sprint("page ", i), does{takes: ms(5)}) })
		},
		want: []string{"page 0,page 1,page 2,page 3"},
	},
	{
		name: "loop with a key",
		handler: func(h *hand) (string, error) {
			return each(4, func(i int) (string, error) {
				return h.step("page", fmt.Sprint("page ", i), does{key: fmt.Sprint(i % 2)}) // the same key again is the next step
			})
		},
		want: []string{"page 0,page 1,page 2,page 3"},
	},
	{
		name: "recursion",
		handler: func(h *hand) (string, error) {
			var down func(depth int) (string, error)
			down = func(depth int) (string, error) {
				if depth == 0 {
					return h.step("leaf", "leaf", does{})
				}
				before, errA := h.step("down", fmt.Sprint("down ", depth), does{})
				within, errB := down(depth - 1)
				return both(before, errA, within, errB)
			}
			return down(3)
		},
		want: []string{"down 3,down 2,down 1,leaf"},
	},
	{
		name: "a fallback, and the primary works again later",
		handler: func(h *hand) (string, error) {
			draft, err := h.step("primary", "primary", does{fails: 1, terminal: true})
			if err != nil {
				draft, err = h.step("fallback", "fallback", does{})
			}
			title, errB := h.step("title", "title", does{})
			return both(draft, err, title, errB)
		},
		want: []string{"fallback,title", "primary,title"}, // killed before the failure is in the log, it is called again
	},
	{
		name: "a fallback of the same name after all attempts",
		handler: func(h *hand) (string, error) {
			draft, err := h.step("llm", "primary", does{fails: 3})
			if err != nil {
				draft, err = h.step("llm", "fallback", does{})
			}
			title, errB := h.step("llm", "title", does{})
			return both(draft, err, title, errB)
		},
		want: []string{"fallback,title", "primary,title"},
	},
	{
		name: "a fallback, then a step that fails for good, and a retry",
		handler: func(h *hand) (string, error) {
			draft, err := h.step("primary", "primary", does{fails: 1, terminal: true})
			if err != nil {
				draft, err = h.step("fallback", "fallback", does{})
			}
			title, errB := h.step("title", "title", does{})
			draft, err = both(draft, err, title, errB)
			stored, errC := h.step("store", "store", does{fails: 1, terminal: true})
			return both(draft, err, stored, errC)
		},
		want:  []string{"fallback,title,store", "primary,title,store"},
		retry: retryOnce(""),
	},
	{
		name: "a fallback of the same name, then a step that fails for good, and a retry",
		handler: func(h *hand) (string, error) {
			draft, err := h.step("llm", "primary", does{fails: 1, terminal: true})
			if err != nil {
				draft, err = h.step("llm", "fallback", does{})
			}
			polished, errB := h.step("llm", "polish", does{fails: 1, terminal: true})
			return both(draft, err, polished, errB)
		},
		want:  []string{"fallback,polish", "primary,polish"},
		retry: retryOnce(""),
	},
	{
		name: "a retry, and calls in other scopes mean something else",
		handler: func(h *hand) (string, error) {
			_, err := h.scope("agent").step("ask", "ask", does{fails: 1, terminal: true})
			if err != nil {
				_, _ = h.step("note", "note of the failure", does{})
				_, _ = h.scope("ui").step("show", "show the failure", does{body: func(h *hand) (string, error) {
					return h.step("draw", "draw the failure", does{key: "draw"})
				}})
				return "", err
			}
			note, errA := h.step("note", "note of the answer", does{})
			show, errB := h.scope("ui").step("show", "show the answer", does{body: func(h *hand) (string, error) {
				return h.step("draw", "draw the answer", does{key: "draw"})
			}})
			return both(note, errA, show, errB)
		},
		want:  []string{"note of the answer,show the answer of draw the answer"},
		retry: retryOnce(""),
	},
	{
		name: "a retry from a step",
		handler: func(h *hand) (string, error) {
			a, errA := h.step("a", "a", does{})
			b, errB := h.step("b", "b", does{})
			ab, err := both(a, errA, b, errB)
			c, errC := h.step("c", "c", does{fails: 1, terminal: true})
			return both(ab, err, c, errC)
		},
		want:  []string{"a,b,c"},
		retry: retryOnce("b"),
	},
	{
		name: "goroutines with keys",
		handler: func(h *hand) (string, error) {
			return together(3, func(i int) (string, error) {
				b := h.beside(fmt.Sprint(i))
				return each(i+1, func(k int) (string, error) {
					return b.step("fetch", fmt.Sprintf("fetch %d.%d", i, k), does{key: fmt.Sprintf("%d.%d", i, k), takes: ms(40 - 13*i), fails: i % 2})
				})
			})
		},
		want: []string{"fetch 0.0,fetch 1.0,fetch 1.1,fetch 2.0,fetch 2.1,fetch 2.2"},
	},
	{
		name: "goroutines with scopes, and loops of different lengths",
		handler: func(h *hand) (string, error) {
			return together(3, func(i int) (string, error) {
				b := h.scope(fmt.Sprint("agent ", i))
				return each(i+1, func(k int) (string, error) {
					return b.step("turn", fmt.Sprintf("turn %d.%d", i, k), does{takes: ms(40 - 13*i)})
				})
			})
		},
		want: []string{"turn 0.0,turn 1.0,turn 1.1,turn 2.0,turn 2.1,turn 2.2"},
	},
	{
		name: "a race within a step",
		handler: func(h *hand) (string, error) {
			winner, errA := h.step("race", "race", does{takes: ms(1), body: func(h *hand) (string, error) {
				first := make(chan string, 2)
				for i := range 2 {
					go func() {
						label := fmt.Sprint("racer ", i)
						if _, err := h.scope(label).step("run", label, does{takes: ms(5 + i)}); err == nil {
							first <- label
						}
					}()
				}
				return <-first, nil
			}})
			used, errB := h.step("use", "use", does{})
			return both(winner, errA, used, errB)
		},
		want: []string{"race of racer 0,use", "race of racer 1,use"},
	},
	{
		name: "steps within steps",
		handler: func(h *hand) (string, error) {
			return each(2, func(i int) (string, error) {
				outer := fmt.Sprint("outer ", i)
				return h.step("outer", outer, does{fails: 1, body: func(h *hand) (string, error) {
					return each(2, func(k int) (string, error) { return h.step("inner", fmt.Sprint(outer, ".inner ", k), does{}) })
				}})
			})
		},
		want: []string{"outer 0 of outer 0.inner 0,outer 0.inner 1,outer 1 of outer 1.inner 0,outer 1.inner 1"},
	},
	{
		name: "a step within a step that fails",
		handler: func(h *hand) (string, error) {
			_, err := h.step("outer", "outer", does{body: func(h *hand) (string, error) {
				_, _ = h.step("good", "good", does{})
				return h.step("inner", "inner", does{fails: 1, terminal: true})
			}})
			if err == nil {
				return "right", nil
			}
			return h.step("other", "other", does{})
		},
		want: []string{"other", "right"},
	},
	{
		name: "a step within a step that fails is caught there",
		handler: func(h *hand) (string, error) {
			return h.step("outer", "outer", does{fails: 1, body: func(h *hand) (string, error) {
				if _, err := h.step("inner", "inner", does{fails: 1, terminal: true}); err != nil {
					return h.step("inner", "second", does{})
				}
				return "", nil
			}})
		},
		want: []string{"outer of second", "outer of "},
	},
	{
		name: "a step within a step, with a timeout",
		handler: func(h *hand) (string, error) {
			_, err := h.step("outer", "outer", does{retry: runner.Retry{Timeout: 2 * time.Second, MaxAttempts: 2}, body: func(h *hand) (string, error) {
				if _, err := h.step("fast", "fast", does{}); err != nil {
					return "", err
				}
				return h.step("slow", "slow", does{takes: time.Hour})
			}})
			if err == nil {
				return "", errors.New("the step is fast")
			}
			return h.step("other", "other", does{})
		},
		want: []string{"other"},
	},
	{
		name: "a step in front is added",
		handler: func(h *hand) (string, error) {
			a, errA := h.step("a", "a", does{})
			b, errB := h.step("b", "b", does{})
			return both(a, errA, b, errB)
		},
		changed: func(h *hand) (string, error) {
			n, err := h.step("new", "new", does{})
			a, errA := h.step("a", "a", does{})
			na, err := both(n, err, a, errA)
			b, errB := h.step("b", "b", does{})
			return both(na, err, b, errB)
		},
		want: []string{"a,b", "new,a,b"},
	},
	{
		name: "a step in front is removed",
		handler: func(h *hand) (string, error) {
			old, err := h.step("old", "old", does{})
			a, errA := h.step("a", "a", does{})
			oa, err := both(old, err, a, errA)
			b, errB := h.step("b", "b", does{})
			return both(oa, err, b, errB)
		},
		changed: func(h *hand) (string, error) {
			a, errA := h.step("a", "a", does{})
			b, errB := h.step("b", "b", does{})
			return both(a, errA, b, errB)
		},
		want: []string{"old,a,b", "a,b"},
	},
	{
		name: "a step is renamed",
		handler: func(h *hand) (string, error) {
			a, errA := h.step("a", "a", does{})
			b, errB := h.step("b", "b", does{})
			return both(a, errA, b, errB)
		},
		changed: func(h *hand) (string, error) {
			a, errA := h.step("first", "first", does{})
			b, errB := h.step("b", "b", does{})
			return both(a, errA, b, errB)
		},
		want: []string{"a,b", "first,b"},
	},
	{
		name: "around a loop in a scope of its own everything changes",
		handler: func(h *hand) (string, error) {
			old, err := h.step("old", "old", does{})
			loop, errB := each(3, func(i int) (string, error) { return h.scope("loop").step("page", fmt.Sprint("page ", i), does{}) })
			return both(old, err, loop, errB)
		},
		changed: func(h *hand) (string, error) {
			n, err := h.step("new", "new", does{})
			loop, errB := each(3, func(i int) (string, error) { return h.scope("loop").step("page", fmt.Sprint("page ", i), does{}) })
			return both(n, err, loop, errB)
		},
		want: []string{"old,page 0,page 1,page 2", "new,page 0,page 1,page 2"},
	},
	{
		name: "errors that are swallowed",
		handler: func(h *hand) (string, error) {
			for i := range 3 {
				_, _ = h.step("s", fmt.Sprint("s", i), does{fails: 1 - i%2, terminal: true})
			}
			return "done", nil
		},
		want: []string{"done"},
	},
	{
		name: "an answer and a sleep",
		handler: func(h *hand) (string, error) {
			a, err := h.wait("ok", "first", runner.WaitOptions{})
			if err != nil {
				return "", err
			}
			if err := h.sleep("pause", "pause", runner.WaitOptions{Until: time.Now().Add(time.Minute)}); err != nil {
				return "", err
			}
			b, err := h.wait("ok", "second", runner.WaitOptions{Until: time.Now().Add(time.Hour)})
			c, errC := h.step("c", "c", does{})
			bc, err := both(b, err, c, errC)
			return both(a, nil, bc, err)
		},
		want:   []string{"first,second,c"},
		answer: func(string) string { return "yes" },
	},
	{
		name: "an answer that never comes",
		handler: func(h *hand) (string, error) {
			_, err := h.wait("ok", "ok", runner.WaitOptions{Until: time.Now().Add(time.Minute)})
			if err == nil {
				return "", errors.New("nobody has answered")
			}
			return h.step("other", "other", does{})
		},
		want: []string{"other"},
	},
	{
		name: "answers in goroutines, and within a step",
		handler: func(h *hand) (string, error) {
			return together(3, func(i int) (string, error) {
				b := h.scope(fmt.Sprint(i))
				label := fmt.Sprint("ok ", i)
				switch i {
				case 0:
					return b.wait("ok", label, runner.WaitOptions{Pass: true})
				case 1:
					return b.step("ask", "ask", does{body: func(h *hand) (string, error) { return h.wait("ok", label, runner.WaitOptions{}) }})
				default:
					return "", b.sleep("pause", "pause", runner.WaitOptions{Until: time.Now().Add(10 * time.Second)})
				}
			})
		},
		want:   []string{"ok 0,ask of ok 1,"},
		answer: func(string) string { return "yes" },
	},
	{
		name: "a retry while another step waits",
		handler: func(h *hand) (string, error) {
			var waited string
			var errA error
			both, ask := make(chan bool), h.scope("ask")
			go func() {
				defer close(both)
				waited, errA = ask.wait("ok", "ok", runner.WaitOptions{})
			}()
			b, err := h.step("b", "b", does{fails: 1, terminal: true})
			if err != nil {
				return "", err
			}
			<-both
			return waited + "," + b, errA
		},
		want:   []string{"ok,b"},
		answer: func(string) string { return "yes" },
		retry:  retryOnce(""),
	},
}
