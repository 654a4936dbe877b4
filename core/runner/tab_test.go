package runner_test

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
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
	t      testing.TB
	store  *flaky
	cancel func() // the context of Run
	stop   func()
	ended  chan error // what Run has returned
	said   []string   // what OnError was told; read it when everything is at rest
}

// flaky is a store whose next appends may fail.
type flaky struct {
	*memstore.Store

	deaf   bool // it hears of no commit, not of others and not of its own
	begins bool // what works on it begins appends, as a bridge does

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

// Begin implements [core.Beginner].
func (f *flaky) Begin(ctx context.Context, ended func(error), writes ...core.Write) {
	go func() {
		_, err := f.Append(ctx, writes[0].Stream, writes[0].Expected, writes[0].Payloads...)
		ended(err)
	}()
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
	store.begins = c.ExpectedSeq()%2 == 0
	return &tab{Conversation: c, t: t, store: store}
}

// run lets the tab process its conversation.
func (b *tab) run(handler runner.Handler, o runner.Options) {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
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

// caller is what calls steps: an attempt, the steps of a scope, or a call.
type caller interface {
	Context() context.Context
	Begin(ctx context.Context, name string, o runner.StepOptions) (*runner.Called, error)
}

func do(c caller, name string, o runner.StepOptions, fn runner.Func) ([]byte, error) {
	called, err := c.Begin(c.Context(), name, o)
	if err != nil {
		return nil, err
	}
	return ran(called, fn)
}

// ran runs a step, without a goroutine that waits in the runner where the store
// begins appends, as a bridge does.
func ran(called *runner.Called, fn runner.Func) ([]byte, error) {
	over := make(chan error, 1)
	if !called.Store().(*flaky).begins {
		return called.Run(fn)
	}
	trial, ok := called.Try(func(why error) { over <- why })
	if !ok {
		return called.Run(fn)
	}
	type end struct {
		output []byte
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		output, err := fn(trial.Context(), trial.Call)
		ended <- end{output, err}
	}()
	var first *end
	select {
	case why := <-over:
		return nil, why
	case e := <-ended:
		first = &e
	}
	if !trial.End() {
		return nil, <-over
	}
	completed := make(chan *core.Step, 1)
	begun := first.err == nil && trial.Complete(first.output, func(step core.Step, ok bool) {
		if !ok {
			completed <- nil
			return
		}
		completed <- &step
	})
	if begun {
		if step := <-completed; step != nil {
			return called.Deliver(*step, nil)
		}
	}
	return called.Deliver(trial.Outcome(func(ctx context.Context, call runner.Call) ([]byte, error) {
		if e := first; e != nil {
			first = nil
			return e.output, e.err
		}
		return fn(ctx, call)
	}))
}

func stream(c caller, name string, o runner.StepOptions, fn runner.StreamFunc) ([]byte, error) {
	called, err := c.Begin(c.Context(), name, o)
	if err != nil {
		return nil, err
	}
	return called.Stream(fn)
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
	retried   = "message_retried"
	resolved  = "step_resolved"
)
