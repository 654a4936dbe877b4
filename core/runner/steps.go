package runner

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/blake2s"

	"github.com/holdfast-dev/holdfast/core"
)

// Steps is where steps are called: by the handler, within a scope, or within the
// function of a step. A step is known by the scope, its name, and its key or the
// number of the call; see [StepOptions].
//
// It is safe for concurrent use, but steps that goroutines call at the same time
// have no order: they need keys or scopes of their own.
type Steps struct {
	attempt *Attempt
	fn      *function
	scope   string
	within  *Steps // the one that made this scope; nil if it is none
	after   uint32 // one more than the order of the outcome got last; guarded by the function's lock
}

// Caller calls steps: an [Attempt], [Steps], or the [Call] of a step.
type Caller interface{ steps() *Steps }

func (s *Steps) steps() *Steps { return s }

// Scope returns where steps are called that are known within the scope with this
// name, so that a loop or a branch does not count the steps of others. Two
// scopes of one name in one place are one. Name is subject to [core.CheckName].
//
// A scope for a goroutine is made before that begins: of the outcomes that others
// get later, calls within the scope are independent.
func (s *Steps) Scope(name string) *Steps {
	s.fn.mu.Lock()
	defer s.fn.mu.Unlock()
	return &Steps{attempt: s.attempt, fn: s.fn, scope: core.ScopePath(s.scope, name), within: s, after: s.after}
}

// got notes an outcome that a call has got.
func (s *Steps) got(order uint32) {
	s.fn.mu.Lock()
	defer s.fn.mu.Unlock()
	for ; s != nil; s = s.within {
		s.after = max(s.after, order+1)
	}
}

// function is one run of the handler, or of the function of a step.
type function struct {
	ctx context.Context // that it is given, and has it; ends with it
	of  *Called         // the step whose function it is; nil for the handler

	mu     sync.Mutex
	called map[string]*callee // by scope, name and key
	active map[string]int     // how many steps of a scope are under way
}

// callee is what a function has called by one name, or by one name and key.
type callee struct {
	count     uint32
	active    int  // how many are under way
	effects   bool // one of them has side effects that must not be done twice
	suspect   bool // the first one was stored after another outcome
	unordered bool // one of them was called while others of the scope were under way
}

func newFunction(ctx context.Context, of *Called) *function {
	f := &function{of: of, called: map[string]*callee{}, active: map[string]int{}}
	f.ctx = context.WithValue(ctx, functionKey{}, f)
	return f
}

// maxKeyBytes is the greatest length of a step's key.
const maxKeyBytes = 256

// Begin calls a step: it finds out who the step is, by the calls before it. What
// [Called] then does may take its time.
//
// ctx is the one that the handler, or the function of a step, was given, or one
// that is derived from it: within the function of a step only that one's own steps
// are called. A call with another context is [core.ErrInvalidArgument], and the
// message fails. The end of ctx does
// not end the step: that has a timeout, see [Retry].
//
// Calls of several goroutines have no order that a replay could keep. So a second
// step of a name without a key is [core.ErrStepMismatch] if other steps of the
// scope were under way at one of both calls.
func (s *Steps) Begin(ctx context.Context, name string, o StepOptions) (*Called, error) {
	s.fn.mu.Lock()
	defer s.fn.mu.Unlock()
	if err := s.isOf(ctx, name); err != nil {
		s.attempt.fail(err)
		return nil, err
	}
	return s.begin(name, o, core.Place{After: s.after}, s.fn.active[s.scope] > 0)
}

// isOf refuses a context that is not of the function whose steps s are.
func (s *Steps) isOf(ctx context.Context, name string) error {
	fn, _ := ctx.Value(functionKey{}).(*function)
	if fn == s.fn {
		return nil
	}
	for f := fn; f != nil && f.of != nil; f = f.of.steps.fn {
		if f.of.steps.fn == s.fn {
			return refuse(fmt.Sprintf("%s is called within the function of another step, by the steps of an outer one: use those of the call", name))
		}
	}
	return refuse(fmt.Sprintf("%s is called with another context: pass the one that the function which calls it was given, or one derived from that", name))
}

// functionKey is the key of the function in the context that it is given.
type functionKey struct{}

// BeginAfter is Begin for a caller whose calls have an order, because it delivers
// outcomes itself: after is one more than the order of the one that it has
// delivered last to the function, 0 for none. Of unordered see [core.Place].
func (s *Steps) BeginAfter(name string, o StepOptions, after uint32, unordered bool) (*Called, error) {
	s.fn.mu.Lock()
	defer s.fn.mu.Unlock()
	return s.begin(name, o, core.Place{After: after, Unordered: unordered}, false)
}

// begin calls a step at a place, of which it is known when that is. The caller
// holds the function's lock.
func (s *Steps) begin(name string, o StepOptions, place core.Place, unordered bool) (*Called, error) {
	a := s.attempt
	if a.ctx.Err() != nil {
		return nil, a.over()
	}
	if s.fn.ctx.Err() != nil {
		return nil, &core.Error{Code: core.ErrCancelled, Op: "step", Detail: fmt.Sprintf("the function that has called %s has ended; await its steps in it", name)}
	}
	if err := core.CheckName("step", name); err != nil {
		return nil, err
	}
	if o.SideEffect > Ask {
		return nil, refuse(fmt.Sprintf("the policy of %s for side effects is %d, which is none", name, o.SideEffect))
	}
	if err := o.Retry.check("step"); err != nil {
		return nil, err
	}
	if len(s.scope) > core.MaxScopeBytes { // before it is paid for: no event could hold it
		return nil, refuse(fmt.Sprintf("the path of the scope of %s has %d bytes, the limit is %d; nest fewer scopes, or give them shorter names", name, len(s.scope), core.MaxScopeBytes))
	}
	if len(o.Key) > maxKeyBytes {
		return nil, refuse(fmt.Sprintf("the key of %s has %d bytes, the limit is %d", name, len(o.Key), maxKeyBytes))
	}
	place.Scope, place.Called = s.scope, millis(time.Now())
	if o.Key != "" {
		place.Key = hash(a.id, o.Key)
	}
	known := place.Path(name)
	c := s.fn.called[known]
	if c == nil {
		c = new(callee)
		s.fn.called[known] = c
	}
	careful := o.SideEffect == Skip || o.SideEffect == Ask
	switch {
	case o.Key != "" && c.active > 0:
		return nil, refuse(fmt.Sprintf("%s is called with a key that another call of it has, which is under way; give each its own key", name))
	case o.Key == "" && c.count > 0 && (careful || c.effects):
		return nil, refuse(fmt.Sprintf("%s has side effects and is called more than once; give each call a key", name))
	}
	c.effects = c.effects || careful
	c.unordered = c.unordered || unordered
	place.Count = c.count
	called := &Called{steps: s, callee: c, name: name, place: place, path: place.Path(name), options: o}
	called.options.Retry = o.Retry.over(a.runner.options.Retry)
	if err := s.guard(called); err != nil {
		a.fail(err)
		return nil, err
	}
	c.count++
	c.active++
	s.fn.active[s.scope]++
	return called, nil
}

// left takes back that c is under way.
func (f *function) left(c *Called) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.callee.active--
	f.active[c.place.Scope]--
}

// guard refuses a step that is known by a number and was called after another
// outcome of its scope before: then the numbers may mean other steps.
func (s *Steps) guard(c *Called) error {
	switch {
	case c.place.Key != (core.Key{}) && c.place.Count == 0:
		return nil
	case c.place.Key == (core.Key{}) && c.place.Count > 0 && c.callee.unordered:
		return c.mismatch("is called while other steps of its scope are under way, and more than once, so a replay may find its calls in another order")
	case c.place.Count > 0 && c.callee.suspect:
		return c.mismatch(afterAnother)
	}
	state := s.attempt.runner.State()
	step, open := state.StepAt(s.attempt.id, c.path)
	var stored core.Place
	switch {
	case step != nil:
		stored = step.Details().Place
	case open != nil:
		stored = open.Place
	default:
		return nil
	}
	switch {
	case stored.After == c.place.After || !state.HasOutcome(s.attempt.id, stored.After):
		return nil
	case stored.Unordered && stored.After < c.place.After:
		return c.mismatch("came out of a wait for something that is no step, beside other steps, and is called after a later outcome now: give it a key or, within the function of a step, use the step that this one is given")
	case s.follows(stored.After, c.place.After):
		return nil
	}
	second := c.place
	second.Count = 1
	if more, opened := state.StepAt(s.attempt.id, second.Path(c.name)); c.place.Count == 0 && more == nil && opened == nil {
		c.callee.suspect = true // the name may be used once
		return nil
	}
	return c.mismatch(afterAnother)
}

// follows reports whether a step that was called after one outcome of the
// function before, and is called after another one now, has come after the same
// outcome of the scope itself.
//
// All outcomes of the scope up to before were delivered then, unless a retry has
// kept some for calls that are still to come.
func (s *Steps) follows(before, now uint32) bool {
	var all, called, last, highest uint32
	m := s.attempt.Message()
	for _, step := range m.Steps {
		d := step.Details()
		highest = max(highest, d.Order+1)
		if d.Place.Scope != s.scope {
			continue
		}
		if d.Order < before {
			all = max(all, d.Order+1)
		}
		first := d.Place
		first.Count = 0
		if c := s.fn.called[first.Path(step.Name)]; c == nil || c.count <= d.Place.Count {
			continue // not called yet
		}
		if d.Order < before {
			called = max(called, d.Order+1)
		}
		if d.Order < now {
			last = max(last, d.Order+1)
		}
	}
	forgotten := int(highest) > len(m.Steps)
	return last == all || forgotten && last == called
}

const afterAnother = "is called after another outcome than before, so its number may mean another call"

func (c *Called) mismatch(why string) error {
	a, from := c.steps.attempt, "an earlier step"
	if step, _ := a.runner.State().StepAt(a.id, c.path); step != nil {
		from = fmt.Sprint("step ", step.Index)
	}
	return &core.Error{Code: core.ErrStepMismatch, Op: "step", Stream: a.runner.ID(), Detail: fmt.Sprintf(
		"step %s of message %q %s; give the calls of %s keys or scopes, and retry from %s to go on with this message",
		strings.TrimSuffix(c.path, fmt.Sprint("#", c.place.Count)), a.id, why, c.name, from)}
}

func refuse(detail string) error {
	return &core.Error{Code: core.ErrInvalidArgument, Op: "step", Detail: detail}
}

// hash returns 16 bytes that stand for texts.
func hash(texts ...string) (h core.Key) {
	sum := blake2s.Sum256([]byte(strings.Join(texts, "\x00")))
	copy(h[:], sum[:])
	return h
}
