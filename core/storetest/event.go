package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/holdfast-dev/holdfast/core"
)

// randomEvents appends n random events of all kinds, in a few groups, and then
// takes some messages up again.
func (s *stage) randomEvents(r *rand.Rand, c *core.Conversation, n int) {
	s.Helper()
	for n > 0 {
		group := make([]core.Event, min(n, 1+r.IntN(5)))
		decided := false
		err := c.Update(s.Context(), func(state *core.State) ([]core.Event, error) {
			decided = true
			for i := range group {
				group[i] = randomEvent(r, state)
			}
			return group, nil
		})
		if err != nil || !decided {
			s.Fatalf("append %+v: %v", group, err)
		}
		n -= len(group)
	}
	for _, m := range slices.Collect(c.State().Received()) {
		s.randomCall(r, c, &m)
	}
}

// randomCall retries a message that has failed or was cancelled, and answers or
// decides where a step waits.
func (s *stage) randomCall(r *rand.Rand, c *core.Conversation, m *core.Message) {
	s.Helper()
	var err error
	switch r.IntN(6) {
	case 0:
		_, err = c.Retry(s.Context(), m.ID)
	case 1:
		if len(m.Steps) > 0 {
			_, err = c.RetryFrom(s.Context(), m.ID, m.Steps[r.IntN(len(m.Steps))].Index)
		}
	case 2:
		if len(m.Open) > 0 {
			index := m.Open[r.IntN(len(m.Open))].Index
			_, answerErr := c.Answer(s.Context(), m.ID, index, []byte("yes"))
			_, decideErr := c.ResolveStep(s.Context(), m.ID, index, r.IntN(2) == 0)
			err = errors.Join(answerErr, decideErr)
		}
	}
	if err != nil {
		s.Fatalf("take up %q: %v", m.ID, err)
	}
}

// randomEvent is one of any kind, about few messages with few steps, so that
// the events of one meet. Mostly it may come next in the log with that state.
func randomEvent(r *rand.Rand, s *core.State) core.Event {
	data := func() []byte {
		switch r.IntN(4) {
		case 0:
			return nil
		case 1:
			return []byte{}
		default:
			return []byte(filler(r.IntN(300)))
		}
	}
	e := core.Event{
		Kind:       core.Kind(1 + r.IntN(int(core.KindMetadata))),
		MessageID:  fmt.Sprint("message ", r.IntN(6)),
		ReceivedAt: r.Uint64N(core.MaxSequence + 1),
		Body:       data(),
		Offset:     r.Uint64N(400),
		Output:     data(),
		Failure:    core.Failure{{Name: "Error", Message: filler(r.IntN(40))}, {Message: "cause"}}[:1+r.IntN(2)],
		Attempt:    r.Uint32N(5),
		Terminal:   r.IntN(3) == 0,
		Due:        r.Uint64N(core.MaxSequence + 1),
		Sleep:      r.IntN(2) == 0,
		Pass:       r.IntN(2) == 0,
		Parked:     r.IntN(2) == 0,
		Resumed:    r.IntN(3) == 0,
		Error:      filler(r.IntN(40)),
		Reseed:     r.IntN(2) == 0,
	}
	if e.Kind == core.KindNote {
		e.MessageID = fmt.Sprint("note ", r.IntN(40))
	}
	if r.IntN(2) == 0 {
		e.Runner = core.RunnerID{byte(r.IntN(3))}
	}
	m, _ := s.Message(e.MessageID)
	for index := range min(m.Next, 200) {
		if r.IntN(6) == 0 {
			e.Steps = append(e.Steps, index)
			if r.IntN(2) == 0 {
				e.Doubted = append(e.Doubted, index)
			}
		}
	}
	randomStep(r, &m, &e)
	return e
}

// randomStep makes e about one of the steps of a message: an open one, any one,
// or a new one.
func randomStep(r *rand.Rand, m *core.Message, e *core.Event) {
	e.Name = []string{"plan", "search", "\u00e9crire"}[r.IntN(3)]
	switch n := r.IntN(8); {
	case n < 3 && len(m.Open) > 0:
		step := m.Open[r.IntN(len(m.Open))]
		e.Step, e.Name = step.Index, step.Name
		return
	case n == 3:
		e.Step = []uint32{0, 1, 2, 3, 200}[r.IntN(5)]
		return
	case n == 4 && e.Kind == core.KindStepCompleted:
		e.Step, e.Name = []uint32{0, 3, 1<<32 - 1}[r.IntN(3)], ""
		return
	}
	e.Step = m.Next
	e.Place = core.Place{Count: r.Uint32N(3), After: r.Uint32N(1 + uint32(len(m.Steps))), Called: 1 + r.Uint64N(core.MaxSequence)}
	if r.IntN(3) == 0 {
		e.Place.Key = core.Key{1 + byte(r.IntN(3))}
	}
	if len(m.Open) > 0 && r.IntN(3) == 0 {
		outer := m.Open[r.IntN(len(m.Open))]
		if within := core.FunctionPath(outer.Place.Path(outer.Name)); len(within) < core.MaxScopeBytes/2 {
			e.Place.Scope = within
		}
	}
	if r.IntN(3) == 0 {
		e.Place.Scope = core.ScopePath(e.Place.Scope, "agent")
	}
}
