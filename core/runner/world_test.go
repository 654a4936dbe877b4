package runner_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// world is what outlives the processes that work on message "m": the log, what
// functions have done, and a user with a conversation of their own. It judges what
// it sees.
type world struct {
	t      *testing.T
	name   string // of what it runs, for the report
	memory *memstore.Store
	user   *tab
	script script

	mu      sync.Mutex
	calls   map[string]int    // of functions
	failed  map[string]int    // how many of them have failed
	begun   map[string]bool   // side effects that began, and may have happened
	keys    map[string]string // idempotency keys
	runs    []*run            // of the handler
	kills   int
	atWork  *process       // whose handler is being called
	retried int            // by the user
	done    map[string]int // calls of steps that have an outcome in the log
}

// script is a handler, and what the user does.
type script struct {
	name    string
	handler func(h *hand) (string, error)
	// changed is the handler of all processes but the first; nil if it is the same.
	changed func(h *hand) (string, error)
	// want are the results that are right, without the numbers of calls; an error
	// is a result, too. The first one is that of a process that is not killed.
	want []string
	// answer is called for a step that waits, once a second; "" is no answer yet.
	answer func(label string) string
	// rerun has a step that asks run again; otherwise it counts as done.
	rerun bool
	// retry is called when the message has failed; false leaves it so.
	retry func(w *world, m core.Message) bool
	// trouble, if it is not nil, draws what becomes of the appends.
	trouble *rand.Rand
}

// process is a runner that works until the message has ended, or it is killed.
type process struct {
	*tab
	w    *world
	dead atomic.Bool
}

// run is one call of the handler: what it has seen, by goroutine.
type run struct {
	ctx   context.Context // what it sees after its end does not count
	mu    sync.Mutex
	era   int // how often the message had been retried
	first bool
	seen  map[string][]string
}

func newWorld(t *testing.T, s script, memory *memstore.Store) *world {
	w := &world{t: t, name: s.name, script: s, memory: memory, user: open(t, memory),
		calls: map[string]int{}, failed: map[string]int{}, begun: map[string]bool{}, keys: map[string]string{}, done: map[string]int{}}
	w.user.send("m")
	return w
}

func (w *world) problem(format string, args ...any) {
	w.t.Errorf("%s: %s", w.name, fmt.Sprintf(format, args...))
}

// process lets a runner work until the message has ended or the log has as many
// events as dieAt, and reports whether the message has ended. Then it is killed,
// or stopped if dieAt is odd and there is trouble.
func (w *world) process(dieAt uint64, first bool) (ended bool) {
	p := &process{tab: open(w.t, w.memory), w: w}
	var stopped atomic.Bool
	watcher := w.memory.Share()
	unwatch := watcher.Watch(func(moved core.StreamInfo) {
		switch {
		case moved.Name != "chat" || moved.Head < dieAt:
		case w.script.trouble != nil && dieAt%2 > 0:
			stopped.Store(true)
			p.cancel()
		case !p.dead.Swap(true):
			p.crash()
		}
	})
	defer unwatch()
	p.store.next, p.store.begins = w.drawTrouble(), (dieAt+p.ExpectedSeq())%2 == 0
	w.noteOutcomes()
	handler := w.script.handler
	if !first && w.script.changed != nil {
		handler = w.script.changed
	}
	p.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
		w.mu.Lock()
		one := &run{ctx: ctx, era: w.retried, first: first, seen: map[string][]string{}}
		w.runs = append(w.runs, one)
		if w.atWork != nil && !w.atWork.dead.Load() {
			w.problem("the handler is called twice at once")
		}
		w.atWork = p
		w.mu.Unlock()
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.atWork == p {
				w.atWork = nil
			}
		}()
		result, err := handler(&hand{ctx: ctx, p: p, run: one, c: a, branch: "handler"})
		if err == nil && p.store.begins {
			a.BeginEnd([]byte(result))
		}
		return []byte(result), err
	}, runner.Options{Retry: runner.Retry{MaxAttempts: 3, Initial: 100 * time.Millisecond}, MaxStarts: 50})
	for range 2000 {
		rest(time.Second)
		if p.dead.Load() {
			w.kills++
			if err := <-p.ended; !errors.Is(err, core.ErrClosed) {
				w.problem("a killed runner ended with %v", err)
			}
			return false
		}
		if stopped.Load() {
			p.stop()
			synctest.Wait() // for its handler, which returns by itself
			return false
		}
		if w.userActs(p) {
			p.stop()
			if p.said != nil {
				w.problem("OnError was told %v", p.said)
			}
			return true
		}
	}
	p.stop()
	w.problem("stuck: %+v", w.user.message("m"))
	return true
}

// drawTrouble draws what becomes of appends: they take their time, fail, or are
// committed and nobody can tell.
func (w *world) drawTrouble() []func(append func() (uint64, error)) (uint64, error) {
	if w.script.trouble == nil {
		return nil
	}
	troubles := make([]func(append func() (uint64, error)) (uint64, error), 50)
	for i := range troubles {
		if troubles[i] = pass; i%2 > 0 {
			continue // a runner gives up after five failures
		}
		switch w.script.trouble.IntN(6) {
		case 0:
			troubles[i] = refuse(core.ErrBlocked)
		case 1:
			troubles[i] = refuse(core.ErrOutcomeUnknown)
		case 2:
			troubles[i] = func(append func() (uint64, error)) (uint64, error) {
				_, _ = append()
				return 0, core.ErrOutcomeUnknown
			}
		case 3:
			d := time.Duration(w.script.trouble.IntN(2500)) * time.Millisecond
			troubles[i] = func(append func() (uint64, error)) (uint64, error) {
				time.Sleep(d)
				return append()
			}
		}
	}
	return troubles
}

// noteOutcomes notes which functions must not be called again: those of steps with
// an outcome.
func (w *world) noteOutcomes() {
	if err := w.user.Refresh(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.done)
	for _, step := range w.user.message("m").Steps {
		if label := labelOf(step); label != "" {
			w.done[label] = w.calls[label]
		}
	}
}

// labelOf returns which call the outcome of a step was made for.
func labelOf(step core.Step) (label string) {
	if f := step.Details().Failure; f != nil {
		label = f[0].Message
	} else if msgpack.Unmarshal(step.Output, &label) != nil {
		return "" // a sleep, or skipped
	}
	label, _, _ = strings.Cut(label, ":")
	return label
}

func (w *world) events() []core.LoggedEvent {
	c, err := core.New("chat", w.memory)
	if err != nil {
		w.t.Fatal(err)
	}
	events, err := c.Events(context.Background(), 0, 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	return events
}

// userActs answers, decides and retries, and reports whether nothing is left to
// do.
func (w *world) userActs(p *process) (ended bool) {
	ctx := context.Background()
	if err := w.user.Refresh(ctx); err != nil {
		w.t.Fatal(err)
	}
	m := w.user.message("m")
	for _, step := range m.Open {
		var prompt string
		switch {
		case step.Waiting && !step.Sleep && w.script.answer != nil:
			if err := msgpack.Unmarshal(step.Output, &prompt); err != nil {
				w.problem("a prompt is %q", step.Output)
			}
			if value := w.script.answer(prompt); value != "" {
				answer, _ := msgpack.Marshal(prompt + ":" + value)
				if _, err := w.user.Answer(ctx, "m", step.Index, answer); err != nil {
					w.t.Fatal(err)
				}
			}
		case step.Uncertain && m.Parked:
			if w.script.rerun {
				w.mu.Lock()
				clear(w.begun)
				w.mu.Unlock()
			}
			if _, err := w.user.ResolveStep(ctx, "m", step.Index, w.script.rerun); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if p.dead.Load() {
		return false
	}
	if m.Failed && w.script.retry != nil && w.script.retry(w, m) {
		return false
	}
	return !m.Pending()
}

// retry retries the message, from a step if its label is not empty.
func (w *world) retry(label string) {
	ctx := context.Background()
	retry := w.user.Retry
	for _, step := range w.user.message("m").Steps {
		if label != "" && labelOf(step) == label {
			retry = func(ctx context.Context, id string) (bool, error) { return w.user.RetryFrom(ctx, id, step.Index) }
		}
	}
	w.mu.Lock()
	w.retried++
	clear(w.done)  // until it is known what is forgotten
	clear(w.keys)  // a number may mean another call than before
	clear(w.begun) // and so may that of a step around
	w.mu.Unlock()
	if did, err := retry(ctx, "m"); !did || err != nil {
		w.problem("retry: %v, %v", did, err)
	}
	w.noteOutcomes()
}

// judge looks at all there is once the message has ended.
func (w *world) judge() {
	m := w.user.message("m")
	result := string(m.Result)
	if m.Failed {
		result = "error: " + m.Error
	}
	want := w.script.want
	if len(want) > 0 && w.kills == 0 {
		want = want[:1]
	}
	if got := numbers.ReplaceAllString(result, ""); want != nil && !slices.Contains(want, got) {
		w.problem("the result is %q, want one of %q", got, want)
	}
	for i, a := range w.runs {
		for _, b := range w.runs[i+1:] {
			if a.era == b.era && (w.script.changed == nil || a.first == b.first) {
				w.compare(a, b)
			}
		}
	}
	w.judgeLog()
}

var numbers = regexp.MustCompile(`:[0-9a-z]+`)

// compare wants what one run has seen to be the beginning of what the other has.
func (w *world) compare(a, b *run) {
	for branch, before := range a.seen {
		after := b.seen[branch]
		for i := range min(len(before), len(after)) {
			if before[i] != after[i] {
				w.problem("%s has seen %q, and then %q", branch, before[:i+1], after[:i+1])
				return
			}
		}
	}
}

// judgeLog wants one outcome of a step, nothing after the end, and the same state
// for whoever reads it.
func (w *world) judgeLog() {
	ended, failed := false, false
	waits := map[uint32]bool{}
	outcomes, places, outputs := map[uint32]bool{}, map[string]uint32{}, map[string]uint32{}
	for _, logged := range w.events() {
		e := &logged.Event
		waits[e.Step] = waits[e.Step] || e.Kind == core.KindStepWaiting
		// The user may answer later, and once a message has failed nothing calls the functions of its started steps any more.
		resolved := failed && e.Kind == core.KindStepResolved
		if ended && e.Kind != core.KindMessageRetried && !resolved && !waits[e.Step] {
			w.problem("%v comes after the end", e.Kind)
		}
		if e.Place.Called > 0 {
			path := e.Place.Path(e.Name)
			if index, found := places[path]; found {
				w.problem("%s has the indexes %d and %d", path, index, e.Step)
			}
			places[path] = e.Step
		}
		switch e.Kind {
		case core.KindStepCompleted, core.KindStepFailed:
			if outcomes[e.Step] {
				w.problem("step %d has two outcomes", e.Step)
			}
			outcomes[e.Step] = true
			if output := string(e.Output); output != "" {
				if other, found := outputs[output]; found {
					w.problem("%q is the output of the steps %d and %d", output, other, e.Step)
				}
				outputs[output] = e.Step
			}
		case core.KindProcessingFinished, core.KindErrorOccurred:
			ended, failed = true, e.Kind == core.KindErrorOccurred
		case core.KindMessageRetried:
			ended, failed = false, false
			for _, index := range e.Steps {
				delete(outcomes, index)
				maps.DeleteFunc(places, func(_ string, other uint32) bool { return other == index })
				maps.DeleteFunc(outputs, func(_ string, other uint32) bool { return other == index })
			}
		}
	}
	again, err := core.Recover(context.Background(), "chat", w.memory.Share())
	if err != nil {
		w.t.Fatal(err)
	}
	m, _ := again.State().Message("m")
	if got, want := fmt.Sprintf("%+v", m), fmt.Sprintf("%+v", w.user.message("m")); got != want {
		w.problem("the state is\n%s\nand after a restart\n%s", want, got)
	}
}

// hand is a handler, or the function of a step, at work.
type hand struct {
	ctx    context.Context
	p      *process
	run    *run // nil within the function of a step: it depends on whether that runs
	c      stepper
	branch string
	keyed  bool   // its steps need keys
	last   string // what it got last
}

// stepper is what calls steps: an attempt, the steps of a scope, or a call.
type stepper interface {
	runner.Caller
	caller
	Scope(name string) *runner.Steps
}

// does is what the function of a step does.
type does struct {
	takes    time.Duration
	fails    int  // how many calls fail
	terminal bool // with a TerminalError
	body     func(h *hand) (string, error)
	key      string
	policy   runner.Policy
	retry    runner.Retry
}

func (h *hand) note(format string, args ...any) {
	if h.run != nil && !h.p.dead.Load() && h.run.ctx.Err() == nil {
		h.run.mu.Lock()
		defer h.run.mu.Unlock()
		h.run.seen[h.branch] = append(h.run.seen[h.branch], fmt.Sprintf(format, args...))
	}
}

// scope returns the hand of a goroutine of its own, whose steps are in a scope.
func (h *hand) scope(name string) *hand {
	return &hand{ctx: h.ctx, p: h.p, run: h.run, c: h.c.Scope(name), branch: h.branch + "/" + name, keyed: h.keyed, last: h.last}
}

// beside returns the hand of a goroutine whose steps have keys.
func (h *hand) beside(name string) *hand {
	return &hand{ctx: h.ctx, p: h.p, run: h.run, c: h.c, branch: h.branch + "/" + name, last: h.last}
}

// step calls a step. Its label says which call of the handler it is: the output is
// made of that.
func (h *hand) step(name, label string, d does) (string, error) {
	h.note("%s is called", label)
	o, fn := runner.StepOptions{Key: d.key, SideEffect: d.policy, Retry: d.retry}, h.function(label, d)
	if !h.p.store.begins {
		value, err := runner.Step(h.ctx, h.c, name, fn, o)
		return h.got(label, value, err)
	}
	called, err := h.c.Begin(h.ctx, name, o)
	if err != nil {
		return h.got(label, "", err)
	}
	output, err := ran(called, func(ctx context.Context, call runner.Call) ([]byte, error) {
		value, err := fn(ctx, call)
		if err != nil {
			return nil, err
		}
		return msgpack.Marshal(value)
	})
	if err != nil || len(output) == 0 { // it was skipped
		return h.got(label, "", err)
	}
	value, err := runner.Decode[string](output)
	return h.got(label, value, err)
}

// wait waits for the user, who is shown the label.
func (h *hand) wait(name, label string, o runner.WaitOptions) (string, error) {
	h.note("%s is called", label)
	o.Prompt, _ = msgpack.Marshal(label)
	value, err := runner.Wait[string](h.ctx, h.c, name, o)
	return h.got(label, value, err)
}

func (h *hand) sleep(name, label string, o runner.WaitOptions) error {
	h.note("%s is called", label)
	o.Sleep = true
	_, err := runner.Wait[any](h.ctx, h.c, name, o)
	_, err = h.got(label, "", err)
	return err
}

// got notes an outcome, which must be that of the call.
func (h *hand) got(label, value string, err error) (string, error) {
	var failed *runner.StepError
	if errors.As(err, &failed) {
		first := failed.Failure[0]
		if !strings.HasPrefix(first.Message, label) && first.Name != "TimeoutError" {
			h.p.w.problem("%s failed with %v", label, failed)
		}
	}
	if err == nil && value != "" && !strings.HasPrefix(value, label+":") {
		h.p.w.problem("%s got %s", label, value)
	}
	h.note("%s is %s, %v", label, value, err)
	h.last = label + value
	return value, err
}

// function returns the function of a step.
func (h *hand) function(label string, d does) func(context.Context, runner.Call) (string, error) {
	w := h.p.w
	return func(ctx context.Context, c runner.Call) (string, error) {
		if h.p.dead.Load() {
			<-ctx.Done()
			return "", ctx.Err()
		}
		n := w.begin(label, d, c)
		if d.takes > 0 {
			select {
			case <-time.After(d.takes):
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		output := fmt.Sprintf("%s:%d", label, n)
		if d.body != nil {
			inner, err := d.body(&hand{ctx: ctx, p: h.p, c: c})
			if err != nil {
				return "", fmt.Errorf("%s: %w", label, err)
			}
			output += " of " + inner
		}
		return output, w.end(h.p, label, d)
	}
}

// begin counts a call, and judges whether it is right.
func (w *world) begin(label string, d does, c runner.Call) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[label]++
	if done, found := w.done[label]; found && w.calls[label] > done {
		w.problem("%s has an outcome and is called again", label)
	}
	if d.policy != runner.Pure {
		if w.begun[label] && (d.policy != runner.Rerun || !c.Uncertain) {
			w.problem("%s may have happened and is called again, uncertain: %v", label, c.Uncertain)
		}
		w.begun[label] = true
	}
	for other, key := range w.keys {
		if (other == label) != (key == c.IdempotencyKey) {
			w.problem("%s has the key %s, and %s has %s", label, c.IdempotencyKey, other, key)
		}
	}
	w.keys[label] = c.IdempotencyKey
	return w.calls[label]
}

// end returns the error of a call.
func (w *world) end(p *process, label string, d does) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed[label] >= d.fails || p.dead.Load() {
		return nil
	}
	w.failed[label]++
	err := errors.New(label)
	if d.terminal {
		delete(w.begun, label)
		err = &runner.TerminalError{Err: err}
	}
	return err
}

// killed runs a script once, then killed after every event, and then killed after
// every event and once more.
func killed(t *testing.T, s script) (runs int) {
	length := uint64(0)
	play := func(name string, kills ...uint64) {
		runs++
		story(t, func(t *testing.T, memory *memstore.Store) {
			w := newWorld(t, s, memory)
			w.name = s.name + name
			for i, at := range kills {
				if w.process(at, i == 0) {
					w.judge()
					return
				}
			}
			w.process(1<<40, len(kills) == 0)
			w.judge()
			if len(kills) == 0 {
				length = uint64(len(w.events()))
			}
		})
	}
	play("")
	for first := uint64(2); first <= length && !t.Failed(); first++ {
		play(fmt.Sprintf(", killed after %d events", first), first)
	}
	for first := uint64(2); first <= length && !t.Failed(); first++ {
		for second := first + 1; second <= min(length+2, first+8) && !t.Failed(); second++ {
			play(fmt.Sprintf(", killed after %d and %d events", first, second), first, second)
		}
	}
	return runs
}
