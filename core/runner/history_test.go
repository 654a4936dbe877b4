package runner_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// defaultHistories are fewer in a browser, where there is one thread.
var defaultHistories = map[bool]int{false: 40, true: 5}[runtime.GOOS == "js"]

var (
	histories     = flag.Int("histories", defaultHistories, "how many histories TestRandomHistories plays")
	historiesSeed = flag.Uint64("histories.seed", 1, "the seed of the first of them; 0 for a random one")
)

// TestRandomHistories: tabs that start, stop, crash and come again, on a store
// that fails for a while, with users who send, cancel, retry and delete. When it
// is quiet again nothing is stuck, no step has ended twice, and all tabs know what
// the log says. `make handlers` is the long form.
func TestRandomHistories(t *testing.T) {
	from := *historiesSeed
	if from == 0 {
		from = rand.Uint64N(1 << 40)
	}
	for seed := from; seed < from+uint64(*histories) && !t.Failed(); seed++ {
		story(t, func(t *testing.T, memory *memstore.Store) {
			h := &history{t: t, memory: memory, random: rand.New(rand.NewPCG(seed, 1)), running: map[*tab]bool{}, past: map[string]string{}}
			h.play()
			h.judge()
			if t.Failed() {
				t.Logf("-histories=1 -histories.seed=%d", seed)
			}
		})
	}
	t.Logf("result: %d histories, %v; seed %d", *histories, map[bool]string{false: "0 wrong", true: "some are wrong"}[t.Failed()], from)
}

type history struct {
	t       *testing.T
	memory  *memstore.Store
	tabs    []*tab
	running map[*tab]bool
	sent    int

	mu     sync.Mutex // steps draw, too
	random *rand.Rand
	past   map[string]string // what the handler has found before each message when it was first called
}

func (h *history) draw(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.random.IntN(n)
}

func (h *history) handle(_ context.Context, a *runner.Attempt) ([]byte, error) {
	m := a.Message()
	if err := h.look(a, m.ID); err != nil {
		return nil, err
	}
	for i := range 3 {
		o := runner.StepOptions{SideEffect: []runner.Policy{runner.Pure, runner.Pure, runner.Rerun, runner.Skip}[(int(m.ReceivedAt)+i)%4]}
		fn := func(context.Context, runner.Call) ([]byte, error) {
			time.Sleep(time.Duration(h.draw(400)) * time.Millisecond)
			if h.draw(6) == 0 {
				return nil, errors.New("boom")
			}
			return fmt.Append(nil, m.ID, i), nil
		}
		var err error
		if name := fmt.Sprint("step ", i); h.draw(3) == 0 {
			_, err = stream(a, name, o, func(ctx context.Context, c runner.Call, emit func([]byte) error) ([]byte, error) {
				for range h.draw(5) {
					if err := emit([]byte("part")); err != nil {
						return nil, err
					}
					time.Sleep(time.Duration(h.draw(200)) * time.Millisecond)
				}
				return fn(ctx, c)
			})
		} else {
			_, err = do(a, name, o, fn)
		}
		if err != nil {
			return nil, err
		}
	}
	return []byte("done " + m.ID), nil
}

// look looks back, and compares that with what another attempt has seen.
func (h *history) look(a *runner.Attempt, id string) error {
	messages, err := a.History()
	if err != nil {
		return err
	}
	var past string
	for _, m := range messages {
		past += fmt.Sprintf("%+v\n", plain(m))
	}
	past += fmt.Sprintf("%+v", a.Notes("note"))
	h.mu.Lock()
	defer h.mu.Unlock()
	if before, again := h.past[id]; again && past != before {
		h.t.Errorf("%s looks back on\n%s\nand before that on\n%s", id, past, before)
	}
	h.past[id] = past
	return nil
}

func (h *history) play() {
	enter := func() *tab { return open(h.t, h.memory) }
	h.tabs = []*tab{enter(), enter(), enter()}
	ctx := context.Background()
	for range 60 {
		i := h.draw(len(h.tabs))
		b := h.tabs[i]
		id := fmt.Sprint("m", h.draw(h.sent+1))
		switch h.draw(13) {
		case 0, 1, 2:
			h.sent++
			number := h.sent
			o := core.SendOptions{Interrupt: h.draw(8) == 0, First: h.draw(8) == 0}
			if !o.First && h.draw(2) == 0 {
				o.After = id
			}
			go func() { _, _ = b.SendWith(ctx, fmt.Sprint("m", number), uint64(number), []byte("body"), o) }()
		case 3:
			h.start(b)
		case 4:
			if h.running[b] {
				b.stop()
				h.running[b] = false
			}
		case 5:
			b.crash()
			h.tabs[i] = enter()
		case 6, 7:
			go func() { _, _ = b.Cancel(ctx, id) }()
		case 8:
			go func() { _, _ = b.Retry(ctx, id) }()
		case 9:
			h.trouble(b)
		case 10:
			if h.draw(8) == 0 {
				_ = h.memory.Delete(ctx, "chat")
			}
		case 11:
			if b.Refresh(ctx) == nil && h.draw(2) == 0 {
				_ = b.SaveSnapshot(ctx)
			}
		case 12:
			note := core.Note{Type: "note", ID: fmt.Sprint(h.draw(100))}
			go func() { _, _ = b.Note(ctx, note) }()
		}
		rest(time.Duration(h.draw(1500)) * time.Millisecond)
	}
	h.start(h.tabs[0])
	rest(2 * time.Hour)
}

func (h *history) start(b *tab) {
	if !h.running[b] {
		h.running[b] = true
		b.run(h.handle, runner.Options{Retry: runner.Retry{MaxAttempts: 2, Initial: 100 * time.Millisecond}, MaxStarts: core.MaxStarts})
	}
}

// trouble makes the next appends of a tab fail.
func (h *history) trouble(b *tab) {
	next := [][]func(func() (uint64, error)) (uint64, error){
		{refuse(core.ErrBlocked)},
		{refuse(core.ErrOutcomeUnknown)},
		{pass, refuse(core.ErrQuotaExceeded)},
		{func(append func() (uint64, error)) (uint64, error) {
			_, _ = append()
			return 0, core.ErrOutcomeUnknown
		}},
	}[h.draw(4)]
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.store.next = append(b.store.next, next...)
}

func (h *history) judge() {
	log, err := core.New("chat", h.memory)
	if err == nil {
		err = log.Refresh(context.Background())
	}
	if err != nil {
		h.t.Fatal(err)
	}
	want := everything(log)
	for _, m := range want {
		if m.Pending() || m.Finished && (len(m.Steps) != 3 || string(m.Result) != "done "+m.ID) {
			h.t.Errorf("the message is %+v", m)
		}
	}
	recovered := open(h.t, h.memory)
	for _, b := range append(h.tabs, recovered) {
		if err := b.Refresh(context.Background()); err != nil {
			h.t.Error(err)
		}
		expect(h.t, "what a tab knows", everything(b.Conversation), want)
		if h.running[b] {
			b.stop()
		}
		b.crash()
	}
	events, err := log.Events(context.Background(), 0, 1<<30)
	if err != nil {
		h.t.Fatal(err)
	}
	ended, over := map[string]bool{}, map[string]bool{}
	for _, e := range events {
		step := fmt.Sprint(e.Event.MessageID, " ", e.Event.Step)
		if over[e.Event.MessageID] {
			h.t.Errorf("%v of step %s after its message was finished", e.Event.Kind, step)
		}
		switch e.Event.Kind {
		case core.KindStepCompleted, core.KindStepFailed:
			if ended[step] {
				h.t.Errorf("step %s has ended twice", step)
			}
			ended[step] = true
		case core.KindMessageRetried:
			for _, index := range e.Event.Steps { // its outcome is forgotten
				delete(ended, fmt.Sprint(e.Event.MessageID, " ", index))
			}
		case core.KindProcessingFinished:
			over[e.Event.MessageID] = true
		}
	}
	rest(time.Hour)
}

// everything is what a conversation knows of its messages. A list without elements
// may be nil or not.
func everything(c *core.Conversation) (all []core.Message) {
	for m := range c.State().Received() {
		all = append(all, plain(m))
	}
	return all
}

// plain makes nil of a list without elements.
func plain(m core.Message) core.Message {
	for list := range slices.Values([]any{&m.Steps, &m.Open, &m.Starts, &m.Fatal}) {
		if v := reflect.ValueOf(list).Elem(); v.Len() == 0 {
			v.SetZero()
		}
	}
	return m
}
