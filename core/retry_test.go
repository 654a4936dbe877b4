package core_test

import (
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// errorOf is a failure of the message that is made of these steps.
func errorOf(steps ...uint32) core.Event {
	return core.Event{Kind: core.KindErrorOccurred, MessageID: "m", Error: "boom", Steps: steps}
}

// TestRetry has small logs, and what a retry forgets of them.
func TestRetry(t *testing.T) {
	cancelled := event(core.KindMessageCancelled, "m")
	certain := stepFailed(1, "pay", "boom")
	certain.Terminal = true
	for _, tt := range []struct {
		name      string
		log       []core.Event
		forgotten []uint32
		doubted   []uint32 // of the forgotten ones
	}{
		{name: "a cancelled message forgets nothing",
			log: []core.Event{at(stepFailed(0, "a", "boom"), "", 0, 0), cancelled}},
		{name: "a failure of no step, and none has failed",
			log: []core.Event{at(done(0, "a", ""), "", 0, 0), errorOf()}},
		{name: "the step that the failure is made of",
			log:       []core.Event{at(done(0, "a", ""), "", 0, 0), at(stepFailed(1, "b", "boom"), "", 0, 1), errorOf(1)},
			forgotten: []uint32{1}},
		{name: "a failure that was caught before stays",
			log: []core.Event{at(stepFailed(0, "a", "boom"), "", 0, 0), at(done(1, "fallback", ""), "", 0, 1),
				at(stepFailed(2, "b", "boom"), "", 0, 2), errorOf(2)},
			forgotten: []uint32{2}},
		{name: "a failure of no step: the last that has failed",
			log: []core.Event{at(stepFailed(0, "a", "boom"), "", 0, 0), at(stepFailed(1, "b", "boom"), "", 0, 1),
				at(done(2, "c", ""), "", 0, 1), errorOf()},
			forgotten: []uint32{1}},
		{name: "a failure of steps that have not failed: the last that has",
			log: []core.Event{at(stepFailed(0, "a", "boom"), "", 0, 0), at(stepFailed(1, "b", "boom"), "", 0, 0),
				at(done(2, "c", ""), "", 0, 0), errorOf(2, 99)},
			forgotten: []uint32{1}},
		{name: "the last by its outcome, not by its index",
			log: []core.Event{at(attemptFailed(0, "a", "boom", 1, 0), "", 0, 0), at(stepFailed(1, "b", "boom"), "", 0, 0),
				stepFailed(0, "a", "boom"), errorOf()},
			forgotten: []uint32{0}},
		{name: "those that have failed after it",
			log: []core.Event{at(stepFailed(0, "a", "boom"), "", 0, 0), at(stepFailed(1, "b", "boom"), "", 0, 0),
				at(stepFailed(2, "c", "boom"), "", 0, 0), errorOf(1)},
			forgotten: []uint32{1, 2}},
		{name: "of several from the first on",
			log: []core.Event{at(stepFailed(0, "a", "boom"), "", 0, 0), at(stepFailed(1, "b", "boom"), "", 0, 0),
				at(stepFailed(2, "c", "boom"), "", 0, 0), errorOf(1, 2)},
			forgotten: []uint32{1, 2}},
		{name: "those that have failed within it, also if that was caught",
			log: []core.Event{at(attemptFailed(0, "outer", "boom", 1, 0), "", 0, 0),
				at(stepFailed(1, "in", "boom"), "outer#0/", 0, 0), at(done(2, "in", ""), "outer#0/", 1, 1),
				at(stepFailed(3, "in a scope", "boom"), "outer#0/s:/", 0, 2), at(stepFailed(4, "far in", "boom"), "outer#0/in#1/", 0, 0),
				at(stepFailed(5, "beside", "boom"), "other#0/", 0, 0), at(done(6, "in, first", ""), "outer#0/", 0, 0),
				stepFailed(0, "outer", "boom"), errorOf(0)},
			forgotten: []uint32{0, 1, 2, 3, 4}},
		{name: "counted steps of its scope that were called after it was delivered",
			log: []core.Event{at(done(0, "before", ""), "", 0, 0), at(stepFailed(1, "a", "boom"), "", 0, 1),
				at(done(2, "a", ""), "", 1, 2), at(done(3, "b", ""), "", 0, 2), at(attemptFailed(4, "c", "boom", 1, 0), "", 0, 3),
				at(done(5, "called before", ""), "", 0, 1), errorOf(1)},
			forgotten: []uint32{1, 2, 3, 4}},
		{name: "and all within them, since they may be within another step now",
			log: []core.Event{at(stepFailed(0, "job", "boom"), "", 0, 0), at(attemptFailed(1, "job", "boom", 1, 0), "", 1, 1),
				at(done(2, "in", ""), "job#1/", 0, 0), at(waiting(3, "in a scope", ""), "job#1/s:/", 0, 1), at(begun(4, "far in"), "job#1/in#0/", 0, 0),
				at(done(5, "in another", ""), "job#0/", 0, 0), done(1, "job", ""), errorOf(0)},
			forgotten: []uint32{0, 1, 2, 3, 4}, doubted: []uint32{4}},
		{name: "not those with a key, unless it was used again; in other scopes those that were called because of it",
			log: []core.Event{at(stepFailed(0, "a", "boom"), "s:/", 0, 0), keyed(done(1, "b", ""), "s:/", 7, 1),
				{Kind: core.KindStepCompleted, MessageID: "m", Step: 2, Name: "b", Place: core.Place{Scope: "s:/", Key: core.Key{7}, Count: 1, After: 1, Called: 1}},
				at(done(3, "b", ""), "", 0, 1), at(done(4, "b", ""), "s:/t:/", 0, 1), at(done(5, "b", ""), "b#0/", 0, 1),
				keyed(done(6, "b", ""), "s:/", 8, 1), errorOf(0)},
			forgotten: []uint32{0, 1, 2, 3, 4, 5}},
		{name: "a step without a place",
			log: []core.Event{completed("m", 0, ""), stepFailed(1, "a", "boom"), completed("m", 2, ""),
				at(done(3, "b", ""), "", 0, 3), errorOf(1)},
			forgotten: []uint32{1}},
		{name: "and not what is within one of its name",
			log: []core.Event{at(done(0, "a", ""), "", 0, 0), at(stepFailed(1, "in", "boom"), "a#0/", 0, 0),
				stepFailed(2, "a", "boom"), errorOf(2)},
			forgotten: []uint32{2}},
		{name: "side effects that may have happened stay in doubt",
			log: []core.Event{at(stepFailed(0, "a", "boom"), "", 0, 0), at(begun(1, "pay"), "", 0, 1), done(1, "pay", "paid"),
				at(begun(2, "send"), "", 0, 1), at(begun(3, "call"), "", 0, 1), attemptFailed(3, "call", "boom", 1, 0),
				at(done(4, "b", ""), "", 0, 1), at(waiting(5, "allow", "?"), "", 0, 1), errorOf(0)},
			forgotten: []uint32{0, 1, 2, 3, 4, 5}, doubted: []uint32{1, 2, 3}},
		{name: "also of what has failed",
			log:       []core.Event{at(done(0, "a", ""), "", 0, 0), at(begun(1, "pay"), "", 0, 1), stepFailed(1, "pay", "boom"), errorOf(1)},
			forgotten: []uint32{1}, doubted: []uint32{1}},
		{name: "but not if certainly nothing was done",
			log:       []core.Event{at(done(0, "a", ""), "", 0, 0), at(begun(1, "pay"), "", 0, 1), certain, errorOf(1)},
			forgotten: []uint32{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := retriedAfter(t, tt.log, func(c *core.Conversation) (bool, error) { return c.Retry(t.Context(), "m") })
			want := core.Event{Kind: core.KindMessageRetried, MessageID: "m", Steps: tt.forgotten, Doubted: tt.doubted}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("forgotten %v, doubted %v, a new seed %v; want %v, %v", got.Steps, got.Doubted, got.Reseed, tt.forgotten, tt.doubted)
			}
		})
	}
}

// retriedAfter returns the event that a retry appends to a log of the message m,
// without its id.
func retriedAfter(t *testing.T, events []core.Event, retry func(*core.Conversation) (bool, error)) core.Event {
	t.Helper()
	store := memstore.New()
	c := newConversation(t, "c", store)
	all := append([]core.Event{received("m", 1, "")}, events...)
	if err := c.Update(t.Context(), func(*core.State) ([]core.Event, error) { return all, nil }); err != nil {
		t.Fatal(err)
	}
	if did, err := retry(c); !did || err != nil {
		t.Fatalf("got %v, %v", did, err)
	}
	appended := log(t, store, "c")[len(all):]
	if len(appended) != 1 {
		t.Fatalf("appended %+v", appended)
	}
	if m, _ := c.State().Message("m"); !m.Pending() {
		t.Errorf("the message is %+v", m)
	}
	return appended[0]
}

// TestRetryFrom has small logs, and what a retry from a step forgets of them.
func TestRetryFrom(t *testing.T) {
	three := []core.Event{at(done(0, "a", ""), "", 0, 0), at(done(1, "b", ""), "", 0, 1), at(stepFailed(2, "c", "boom"), "", 0, 2), errorOf(2)}
	for _, tt := range []struct {
		name      string
		log       []core.Event
		from      uint32
		forgotten []uint32
		doubted   []uint32
		reseed    bool
	}{
		{"from the first on", three, 0, []uint32{0, 1, 2}, nil, true},
		{"from the second on", three, 1, []uint32{1, 2}, nil, true},
		{"a failure alone changes no seed", three, 2, []uint32{2}, nil, false},
		{"in the order of the outcomes",
			[]core.Event{at(begun(0, "slow"), "", 0, 0), at(done(1, "a", ""), "", 0, 0), at(done(2, "b", ""), "", 0, 1), done(0, "slow", ""), errorOf()},
			2, []uint32{0, 2}, []uint32{0}, true},
		{"also those within steps",
			[]core.Event{at(attemptFailed(0, "outer", "boom", 1, 0), "", 0, 0), at(done(1, "in", ""), "outer#0/", 0, 0),
				at(done(2, "a", ""), "", 0, 0), at(done(3, "in", ""), "outer#0/", 1, 1), done(0, "outer", ""), errorOf()},
			2, []uint32{0, 2, 3}, nil, true},
		{"steps without outcome that were called after it",
			[]core.Event{at(waiting(0, "before", ""), "", 0, 0), at(done(1, "a", ""), "", 0, 0), at(waiting(2, "after", ""), "", 0, 1),
				at(begun(3, "pay"), "s:/", 0, 1), at(attemptFailed(4, "try", "boom", 1, 9), "", 0, 1), errorOf()},
			1, []uint32{1, 2, 3, 4}, []uint32{3}, true},
		{"also within steps that were called after it",
			[]core.Event{at(done(0, "a", ""), "", 0, 0), at(attemptFailed(1, "outer", "boom", 1, 0), "", 0, 1), at(waiting(2, "in", ""), "outer#0/", 0, 0),
				at(begun(3, "in a scope"), "outer#0/s:/", 0, 0), at(waiting(4, "far in", ""), "outer#0/s:/in a scope#0/", 0, 0), errorOf()},
			0, []uint32{0, 1, 2, 3, 4}, []uint32{3}, true},
		{"but not within those that were called before",
			[]core.Event{at(attemptFailed(0, "outer", "boom", 1, 0), "", 0, 0), at(done(1, "a", ""), "", 0, 0),
				at(waiting(2, "in", ""), "outer#0/", 0, 0), errorOf()},
			1, []uint32{1}, nil, true},
		{"but not those that were called after an earlier one",
			[]core.Event{at(done(0, "a", ""), "", 0, 0), at(done(1, "b", ""), "", 0, 0), at(waiting(2, "w", ""), "", 0, 1),
				at(waiting(3, "v", ""), "", 0, 2), errorOf()},
			1, []uint32{1, 3}, nil, true},
		{"side effects stay in doubt, of what has failed, too",
			[]core.Event{at(done(0, "a", ""), "", 0, 0), at(begun(1, "pay"), "", 0, 1), done(1, "pay", ""), at(begun(2, "send"), "", 0, 2),
				stepFailed(2, "send", "boom"), errorOf(2)},
			0, []uint32{0, 1, 2}, []uint32{1, 2}, true},
		{"of steps with a key like of others",
			[]core.Event{keyed(done(0, "a", ""), "", 7, 0), keyed(done(1, "a", ""), "", 8, 1), errorOf()},
			0, []uint32{0, 1}, nil, true},
		{"of a step that was recorded by its index",
			[]core.Event{completed("m", 5, ""), completed("m", 3, ""), completed("m", 4, ""), errorOf()},
			3, []uint32{3, 4}, nil, true},
		{"of a cancelled message",
			[]core.Event{at(done(0, "a", ""), "", 0, 0), event(core.KindMessageCancelled, "m")},
			0, []uint32{0}, nil, true},
		{"once more",
			[]core.Event{at(done(0, "a", ""), "", 0, 0), at(done(1, "b", ""), "", 0, 1), errorOf(), retried([]uint32{1}, nil),
				at(done(2, "b", ""), "", 0, 1), at(waiting(3, "w", ""), "", 0, 3), errorOf()},
			2, []uint32{2, 3}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := retriedAfter(t, tt.log, func(c *core.Conversation) (bool, error) { return c.RetryFrom(t.Context(), "m", tt.from) })
			want := core.Event{Kind: core.KindMessageRetried, MessageID: "m", Steps: tt.forgotten, Doubted: tt.doubted, Reseed: tt.reseed}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("forgotten %v, doubted %v, a new seed %v; want %v, %v, %v", got.Steps, got.Doubted, got.Reseed, tt.forgotten, tt.doubted, tt.reseed)
			}
		})
	}
}

// TestRetryFromNoOutcome is refused, and appends nothing.
func TestRetryFromNoOutcome(t *testing.T) {
	for name, from := range map[string]uint32{"an open step": 1, "an unknown step": 3, "a step that was forgotten": 2} {
		store := memstore.New()
		c := newConversation(t, "c", store)
		events := []core.Event{received("m", 1, ""), at(done(0, "a", ""), "", 0, 0), at(waiting(1, "w", ""), "", 0, 0),
			at(stepFailed(2, "b", "boom"), "", 0, 0), errorOf(2), retried([]uint32{2}, nil), errorOf()}
		if err := c.Update(t.Context(), func(*core.State) ([]core.Event, error) { return events, nil }); err != nil {
			t.Fatal(err)
		}
		did, err := c.RetryFrom(t.Context(), "m", from)
		if did || !errors.Is(err, core.ErrInvalidArgument) || c.ExpectedSeq() != uint64(len(events)) {
			t.Errorf("%s: got %v, %v, then at %d", name, did, err, c.ExpectedSeq())
		}
	}
	c := newConversation(t, "c", memstore.New())
	record(t, c, received("m", 1, ""), completed("m", 0, ""))
	if did, err := c.RetryFrom(t.Context(), "m", 0); did || err != nil {
		t.Errorf("of a message that is pending: %v, %v", did, err)
	}
}

// retryModel is what a retry has to forget, in the plainest form: steps by path,
// which are taken out one by one.
type retryModel struct {
	steps     map[string]*modelStep
	forgotten map[uint32]bool // true if in doubt
	reseed    bool
}

type modelStep struct {
	index           uint32
	path, scope     string
	counted         bool
	ended, failed   bool
	order           uint32
	called, effects bool // called: after some outcome, which is that of order after
	after           uint32
}

func newRetryModel(m *core.Message) *retryModel {
	r := &retryModel{steps: map[string]*modelStep{}, forgotten: map[uint32]bool{}}
	add := func(name string, p core.Place, s modelStep) {
		s.path, s.scope = p.Path(name), p.Scope
		s.counted = strings.Contains(s.path[len(p.Scope):], "#")
		s.called, s.after = p.After > 0, p.After-1
		if p.Called == 0 {
			s.path, s.scope, s.counted = strings.Repeat("?", 1+int(s.index)), "?", false
		}
		r.steps[s.path] = &s
	}
	for _, step := range m.Steps {
		d := step.Details()
		add(step.Name, d.Place, modelStep{index: step.Index, ended: true, failed: d.Failure != nil, order: d.Order, effects: d.Effects})
	}
	for _, step := range m.Open {
		add(step.Name, step.Place, modelStep{index: step.Index, effects: step.Started || step.Uncertain})
	}
	return r
}

// forget takes out s. What may have had side effects stays as an open step.
func (r *retryModel) forget(s *modelStep) {
	if r.forgotten[s.index] = s.effects; !s.effects {
		delete(r.steps, s.path)
		return
	}
	doubted := *s
	doubted.ended, doubted.failed, doubted.order = false, false, 0
	r.steps[s.path] = &doubted
}

// forgetAfter takes out s, what has failed within it, and the counted steps that
// were called because of it, or after it in its scope or one around that, with all
// within them.
func (r *retryModel) forgetAfter(s *modelStep) {
	if now := r.steps[s.path]; now == nil || !now.ended {
		return // already
	}
	r.forget(s)
	for _, in := range r.sorted() {
		if strings.HasPrefix(in.path, s.path+"/") && in.failed {
			r.forgetAfter(in)
		}
	}
	caused := map[uint32]bool{s.order: true}
	inOrder := slices.SortedFunc(maps.Values(r.steps), func(a, b *modelStep) int {
		return cmp.Or(cmp.Compare(a.place(), b.place()), cmp.Compare(a.index, b.index))
	})
	for _, other := range inOrder {
		if other.scope == "?" || core.FunctionOf(other.scope) != core.FunctionOf(s.scope) {
			continue
		}
		because := other.called && caused[other.after]
		if because && other.ended {
			caused[other.order] = true
		}
		later := other.called && other.after >= s.order && strings.HasPrefix(s.scope, other.scope)
		if other.counted && (because || later) {
			if other.ended {
				r.forgetAfter(other)
			} else {
				r.forget(other)
			}
			for _, in := range r.sorted() {
				if strings.HasPrefix(in.path, other.path+"/") {
					r.forget(in)
				}
			}
		}
	}
}

// place is where the outcome of s stands in the log; that of none comes last.
func (s *modelStep) place() uint64 {
	if !s.ended {
		return 1 << 32
	}
	return uint64(s.order)
}

func (r *retryModel) sorted() []*modelStep {
	return slices.SortedFunc(maps.Values(r.steps), func(a, b *modelStep) int { return cmp.Compare(a.index, b.index) })
}

// failures forgets what ended the message.
func (r *retryModel) failures(m *core.Message) {
	var failed []*modelStep
	for _, s := range r.sorted() {
		if s.failed {
			failed = append(failed, s)
		}
	}
	slices.SortFunc(failed, func(a, b *modelStep) int { return cmp.Compare(a.order, b.order) })
	if !m.Failed || len(failed) == 0 {
		return
	}
	first := failed[len(failed)-1].order
	for _, s := range slices.Backward(failed) {
		if slices.Contains(m.Fatal, s.index) {
			first = s.order
		}
	}
	for _, s := range failed {
		if s.order >= first {
			r.forgetAfter(s)
		}
	}
}

// from forgets the outcomes from one on, and what was called after it.
func (r *retryModel) from(index, order uint32) {
	all := r.sorted()
	for _, s := range all {
		after := func(s *modelStep) bool { return s.called && s.after >= order }
		within := slices.ContainsFunc(all, func(outer *modelStep) bool { return strings.HasPrefix(s.path, outer.path+"/") && after(outer) })
		// Of a step within one that has left no trace, only its index says when it began.
		traced := slices.ContainsFunc(all, func(outer *modelStep) bool { return strings.HasPrefix(s.path, outer.path+"/") })
		within = within || s.scope != "?" && core.FunctionOf(s.scope) != "" && !traced && s.index > index
		if s.ended && s.order >= order || !s.ended && (after(s) || within) {
			r.reseed = r.reseed || s.ended && !s.failed
			r.forget(s)
		}
	}
}

// TestRetryAgainstAModel retries messages with random logs, again and again.
func TestRetryAgainstAModel(t *testing.T) {
	retries, forgotten, doubted := 0, 0, 0
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 5))
		store := memstore.New()
		c := newConversation(t, "c", store)
		do := func(events ...core.Event) {
			if err := c.Update(t.Context(), func(*core.State) ([]core.Event, error) { return events, nil }); err != nil {
				t.Fatal(err)
			}
		}
		do(received("a", 1, ""))
		for n := range 240 {
			if e := randomEvent(random, c.State(), n); e.MessageID == "a" && e.Kind != core.KindProcessingFinished && e.Kind != core.KindMessageRetried {
				do(e)
			}
			m, _ := c.State().Message("a")
			if !m.Failed && !m.Cancelled {
				continue
			}
			model := newRetryModel(&m)
			retry := func() (bool, error) { return c.Retry(t.Context(), "a") }
			if len(m.Steps) > 0 && random.IntN(2) == 0 {
				step := m.Steps[random.IntN(len(m.Steps))]
				model.from(step.Index, step.Details().Order)
				retry = func() (bool, error) { return c.RetryFrom(t.Context(), "a", step.Index) }
			} else {
				model.failures(&m)
			}
			want := core.Event{Kind: core.KindMessageRetried, MessageID: "a", Reseed: model.reseed}
			for _, index := range slices.Sorted(maps.Keys(model.forgotten)) {
				want.Steps = append(want.Steps, index)
				if model.forgotten[index] {
					want.Doubted = append(want.Doubted, index)
				}
			}
			if did, err := retry(); !did || err != nil {
				t.Fatalf("seed %d: %v, %v", seed, did, err)
			}
			events := log(t, store, "c")
			if got := events[len(events)-1]; !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: of %+v\n got %+v\nwant %+v", seed, m, got, want)
			}
			after, _ := c.State().Message("a")
			left := newRetryModel(&after)
			if !reflect.DeepEqual(left.steps, model.steps) {
				t.Fatalf("seed %d: after %+v\n there is %+v", seed, want, after)
			}
			retries, forgotten, doubted = retries+1, forgotten+len(want.Steps), doubted+len(want.Doubted)
		}
	}
	if retries < 500 || forgotten < 2*retries || doubted < retries/4 {
		t.Errorf("only %d retries, which forgot %d steps and doubted %d", retries, forgotten, doubted)
	}
}
