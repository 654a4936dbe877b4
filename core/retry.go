package core

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// Retry appends that a failed or cancelled message is to be processed again,
// and reports whether it was one. Conflicts are retried. [ErrInvalidArgument]
// if the message was never received.
//
// What made it fail is forgotten: the failed steps that its error was made of,
// or the last failed one if there are none, those that failed after the first
// of them, and those within them. So are the steps known by a number, and all
// within them, that were called because of what is forgotten, or after it within
// the same scope or one around that: their numbers may mean something else now.
// Failures before that stay.
func (c *Conversation) Retry(ctx context.Context, messageID string) (retried bool, err error) {
	return c.retry(ctx, messageID, func(m *Message) (forgotten, error) { return m.forgetFailures(), nil })
}

// RetryFrom is [Conversation.Retry], but it forgets the outcome of the step
// with this index and all that came after it in the log, and the steps without
// an outcome that were called after one of these. [ErrInvalidArgument] if the
// step has no outcome.
func (c *Conversation) RetryFrom(ctx context.Context, messageID string, index uint32) (retried bool, err error) {
	return c.retry(ctx, messageID, func(m *Message) (forgotten, error) {
		f, found := m.forgetFrom(index)
		if !found {
			return f, &Error{Code: ErrInvalidArgument, Op: "retry", Stream: c.log.id,
				Detail: fmt.Sprintf("step %d of message %q has no outcome; look at its steps", index, messageID)}
		}
		return f, nil
	})
}

func (c *Conversation) retry(ctx context.Context, messageID string, forget func(*Message) (forgotten, error)) (retried bool, err error) {
	err = c.updateMessage(ctx, "retry", messageID, func(m *Message) ([]Event, error) {
		retried = !m.Finished && (m.Failed || m.Cancelled)
		if !retried {
			return nil, nil
		}
		f, err := forget(m)
		if err != nil {
			return nil, err
		}
		event := Event{Kind: KindMessageRetried, MessageID: messageID, Reseed: f.reseed}
		for index, doubted := range f.steps {
			event.Steps = append(event.Steps, index)
			if doubted {
				event.Doubted = append(event.Doubted, index)
			}
		}
		sort.Slice(event.Steps, func(i, j int) bool { return event.Steps[i] < event.Steps[j] })
		sort.Slice(event.Doubted, func(i, j int) bool { return event.Doubted[i] < event.Doubted[j] })
		return []Event{event}, nil
	})
	return retried && err == nil, err
}

// forgotten is what a retry forgets.
type forgotten struct {
	steps  map[uint32]bool // by index; true if only the outcome is forgotten
	reseed bool
}

// trace is what is known of a step, with an outcome or without.
type trace struct {
	index   uint32
	path    string
	place   Place
	ended   bool
	order   uint32 // of the outcome; the highest if it has none
	failed  bool
	effects bool // it may have had side effects
}

// traces returns all steps of m, in the order of their outcomes.
func (m *Message) traces() []*trace {
	var all []*trace
	for _, step := range m.Steps {
		d := step.Details()
		all = append(all, &trace{step.Index, d.Place.Path(step.Name), d.Place, true, d.Order, d.Failure != nil, d.Effects})
	}
	for _, step := range m.Open {
		all = append(all, &trace{index: step.Index, path: step.Place.Path(step.Name), place: step.Place, order: math.MaxUint32, effects: step.Started || step.Uncertain})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].order < all[j].order })
	return all
}

// add forgets t: of a step that may have had side effects only the outcome.
func (f *forgotten) add(t *trace) {
	if f.steps == nil {
		f.steps = map[uint32]bool{}
	}
	f.steps[t.index] = t.effects
}

func (m *Message) forgetFrom(index uint32) (f forgotten, found bool) {
	all := m.traces()
	at := slices.IndexFunc(all, func(t *trace) bool { return t.index == index && t.ended })
	if at < 0 {
		return f, false
	}
	from := all[at].order
	calledAfter := func(t *trace) bool { // or within one that was
		known := functionOf(t.place.Scope) == ""
		return slices.ContainsFunc(all, func(outer *trace) bool {
			within := outer.place.placed() && strings.HasPrefix(t.place.Scope, FunctionPath(outer.path))
			known = known || within
			return outer.place.After > from && (outer.index == t.index || within)
		}) || !known && t.index > index // of a step around it that has left no trace, nothing but that is known
	}
	for _, t := range all {
		if t.ended && t.order >= from || !t.ended && calledAfter(t) {
			f.add(t)
			f.reseed = f.reseed || t.ended && !t.failed
		}
	}
	return f, true
}

func (m *Message) forgetFailures() (f forgotten) {
	if !m.Failed {
		return f
	}
	all := m.traces()
	failed := slices.DeleteFunc(slices.Clone(all), func(t *trace) bool { return !t.failed })
	if len(failed) == 0 {
		return f
	}
	first := len(failed) - 1
	if at := slices.IndexFunc(failed, func(t *trace) bool { return slices.Contains(m.Fatal, t.index) }); at >= 0 {
		first = at
	}
	within := func(t *trace, do func(*trace)) {
		for _, other := range all {
			if strings.HasPrefix(other.place.Scope, FunctionPath(t.path)) {
				do(other)
			}
		}
	}
	done := map[uint32]bool{}
	var forget func(*trace)
	forget = func(t *trace) {
		if done[t.index] {
			return
		}
		done[t.index] = true
		if f.add(t); !t.place.placed() {
			return
		}
		within(t, func(inner *trace) {
			if inner.failed {
				forget(inner)
			}
		})
		for _, other := range shifted(t, all) {
			forget(other)
			within(other, f.add)
		}
	}
	for _, t := range failed[first:] {
		forget(t)
	}
	return f
}

// shifted returns the steps whose numbers may mean other calls once t has another
// outcome: those that were called because its outcome was delivered, and those
// that were called after that in its scope or one around it. All are in the order
// of their outcomes.
func shifted(t *trace, all []*trace) (steps []*trace) {
	if !t.ended {
		return nil
	}
	repeated := map[string]bool{} // keys that were used again: then numbers tell the calls apart, that of the first one too
	for _, other := range all {
		if other.place.Count > 0 {
			repeated[other.path[:strings.LastIndexByte(other.path, '#')]] = true
		}
	}
	because := map[uint32]bool{t.order + 1: true} // of the outcomes that came of it
	for _, other := range all {
		if !other.place.placed() || functionOf(other.place.Scope) != functionOf(t.place.Scope) {
			continue
		}
		caused := because[other.place.After]
		if caused && other.ended {
			because[other.order+1] = true
		}
		if (other.place.counted() || repeated[other.path]) && (caused || other.place.After > t.order && strings.HasPrefix(t.place.Scope, other.place.Scope)) {
			steps = append(steps, other)
		}
	}
	return steps
}
