package core_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/holdfast-dev/holdfast/core"
)

// randomKinds are the kinds of random events, each as often as it is drawn.
var randomKinds = slices.Concat(allKinds,
	slices.Repeat([]core.Kind{core.KindProcessingStarted, core.KindStepStarted, core.KindAttemptFailed, core.KindStepFailed}, 2),
	slices.Repeat([]core.Kind{core.KindStepCompleted}, 4))

// randomEvent returns an event of any kind about one of a few messages, mostly
// one that may come next in the log of which s is the state. It is as a log has
// it. No two places of a message have one path.
func randomEvent(r *rand.Rand, s *core.State, number int) core.Event {
	e := core.Event{
		Kind:       randomKinds[r.IntN(len(randomKinds))],
		MessageID:  []string{"a", "b", "c"}[r.IntN(3)],
		ReceivedAt: uint64(number),
		Body:       randomBytes(r),
		After:      []string{"", "a", "b", "c"}[r.IntN(4)],
		Branch:     r.IntN(2) == 0,
		Runner:     core.RunnerID{byte(r.IntN(3))},
		Output:     randomBytes(r),
		Failure:    core.Failure{{Name: "Error", Message: strconv.Itoa(number)}, {Message: "cause"}}[:1+r.IntN(2)],
		Attempt:    r.Uint32N(4),
		Terminal:   r.IntN(3) == 0,
		Due:        r.Uint64N(3) * 100,
		Sleep:      r.IntN(2) == 0,
		Pass:       r.IntN(2) == 0,
		Parked:     r.IntN(2) == 0,
		Resumed:    r.IntN(3) == 0,
		Error:      strconv.Itoa(number),
		Reseed:     r.IntN(2) == 0,
	}
	binary.BigEndian.PutUint32(e.ID[:], uint32(number)+1)
	m, _ := s.Message(e.MessageID)
	e.Step, e.Name, e.Place = randomStep(r, &m)
	if open, isOpen := m.OpenStep(e.Step); isOpen {
		e.Offset = r.Uint64N(uint64(len(open.Output)) + 2) // or beyond the end
	}
	if e.Kind == core.KindStepCompleted && r.IntN(8) == 0 {
		e.Name, e.Place = "", core.Place{} // by its index alone
	}
	for index := range m.Next {
		switch r.IntN(8) {
		case 0:
			e.Steps = append(e.Steps, index)
		case 1:
			e.Steps, e.Doubted = append(e.Steps, index), append(e.Doubted, index)
		case 2:
			if r.IntN(8) == 0 {
				e.Doubted = append(e.Doubted, index) // which says nothing
			}
		}
	}
	switch e.Kind {
	case core.KindNote:
		e.MessageID = strconv.Itoa(r.IntN(40))
	case core.KindMetadata:
		if r.IntN(2) == 0 {
			e.Output = make([]byte, r.IntN(core.MaxMetadataBytes/2)) // of which three may be too much
		}
	}
	_, stored, err := core.StoredEvent(e)
	if err != nil {
		panic(err)
	}
	stored.ID = e.ID
	return stored
}

func randomBytes(r *rand.Rand) []byte {
	switch r.IntN(4) {
	case 0:
		return nil
	case 1:
		return []byte{}
	default:
		return []byte(strconv.Itoa(r.IntN(1000)))
	}
}

// randomStep returns which step of a message an event is about: mostly an open
// one, or a new one.
func randomStep(r *rand.Rand, m *core.Message) (index uint32, name string, p core.Place) {
	switch kind := r.IntN(10); {
	case kind < 5 && len(m.Open) > 0:
		step := m.Open[r.IntN(len(m.Open))]
		return step.Index, step.Name, core.Place{}
	case kind == 5 && len(m.Steps) > 0:
		step := m.Steps[r.IntN(len(m.Steps))]
		return step.Index, "plan", step.Details().Place
	case kind == 6:
		return r.Uint32N(m.Next + 3), "plan", core.Place{}
	}
	p = core.Place{Count: m.Next, Called: 1 + r.Uint64N(9)}
	name = []string{"plan", "pay", "a/b"}[r.IntN(3)]
	if r.IntN(4) == 0 {
		p.Key = core.Key{1, byte(m.Next)}
		p.Count *= r.Uint32N(2)
	}
	if len(m.Open) > 0 && r.IntN(2) == 0 {
		outer := m.Open[r.IntN(len(m.Open))]
		p.Scope = core.FunctionPath(outer.Place.Path(outer.Name))
	}
	if r.IntN(4) == 0 {
		p.Scope = core.ScopePath(p.Scope, "agent")
	}
	if len(m.Steps) > 0 && r.IntN(4) > 0 {
		step := m.Steps[r.IntN(len(m.Steps))]
		p.After = step.Details().Order + 1
	}
	return m.Next, name, p
}
