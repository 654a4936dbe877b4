package core

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// packedSteps are the completed steps of a message as bytes, at least one,
// until a caller looks at them. Most messages of a long log are never looked at
// again, and bytes are less work for the garbage collector than steps.
type packedSteps struct {
	bytes  []byte // see appendSteps; they do not change, but may be appended to
	count  int
	last   uint32 // the index of the last one
	cost   int    // see Step.cost
	unpack sync.Once
	steps  []Step
}

// mostCopied is the size in bytes up to which the state copies an output, a
// body or a result. With a larger one it keeps all of the record that has it.
const mostCopied = 16 << 10

func copied(b []byte) []byte {
	if len(b) > mostCopied {
		return b
	}
	return bytes.Clone(b)
}

// append adds a step, and reports whether it could.
func (p *packedSteps) append(step Step) bool {
	looked := p.steps != nil
	if looked || p.count > 0 && step.Index <= p.last || len(step.Output) > mostCopied {
		return false
	}
	p.bytes = appendSteps(p.bytes, []Step{step})
	p.count, p.last, p.cost = p.count+1, step.Index, p.cost+step.cost()
	return true
}

// clone returns the same steps, to which others may be appended.
func (p *packedSteps) clone() *packedSteps {
	if p == nil {
		return nil
	}
	return &packedSteps{bytes: slices.Clip(p.bytes), count: p.count, last: p.last, cost: p.cost}
}

// steps returns the completed steps.
func (m *kept) steps() []Step {
	p := m.packed
	if p == nil {
		return m.Steps
	}
	p.unpack.Do(func() { p.steps = decodeSteps(p.bytes, p.count) })
	return p.steps
}

// packedBytes returns the completed steps as bytes.
func (m *kept) packedBytes() []byte {
	if m.packed != nil {
		return m.packed.bytes
	}
	return appendSteps(nil, m.Steps)
}

// complete adds a step. Copies of m share m.Steps and were clipped to their
// length, so they do not see what is appended; any other change is made to a
// copy.
func (m *kept) complete(step Step) {
	packed := m.packed
	if packed == nil && len(m.Steps) == 0 {
		packed = new(packedSteps)
	}
	if packed != nil && packed.append(step) {
		m.packed = packed
		return
	}
	step.Output = copied(step.Output)
	at, found := m.step(step.Index)
	m.Steps, m.packed = m.steps(), nil
	switch {
	case found:
		m.Steps = slices.Clone(m.Steps)
		m.Steps[at] = step
	case at == len(m.Steps):
		m.Steps = append(m.Steps, step)
	default:
		m.Steps = slices.Insert(slices.Clip(m.Steps), at, step)
	}
}

// step returns where the step with this index is, or would have to be. Steps
// usually complete in order, so the last one is looked at first.
func (m *kept) step(index uint32) (int, bool) {
	if p := m.packed; p != nil && p.last < index {
		return p.count, false
	}
	steps := m.steps()
	if n := len(steps); n == 0 || steps[n-1].Index < index {
		return n, false
	}
	return slices.BinarySearchFunc(steps, index, func(s Step, index uint32) int {
		return cmp.Compare(s.Index, index)
	})
}

// lastStep returns the index of the last completed step, and whether there is
// one.
func (m *kept) lastStep() (uint32, bool) {
	if m.packed != nil {
		return m.packed.last, true
	}
	if n := len(m.Steps); n > 0 {
		return m.Steps[n-1].Index, true
	}
	return 0, false
}

// stepCost is what a step takes in memory at most, apart from its bytes. Its
// name takes twice its length at most.
const stepCost = 64

// cost returns how much memory it takes to unpack s, at most.
func (s *Step) cost() int { return stepCost + 2*len(s.Name) }

// size returns how many bytes s takes when it is packed, at most.
func (s *Step) size() int { return 16 + len(s.Name) + len(s.Output) }

// appendSteps appends index, name and output of each step, one after the other.
func appendSteps(b []byte, steps []Step) []byte {
	size := 0
	for i := range steps {
		size += steps[i].size()
	}
	w := wire.NewWriter(slices.Grow(b, size))
	for i := range steps {
		w.Uint(uint64(steps[i].Index))
		w.Text(steps[i].Name)
		w.Bytes(steps[i].Output)
	}
	return w.End()
}

// decodeSteps is the inverse of appendSteps.
func decodeSteps(b []byte, count int) []Step {
	var r wire.Reader
	r.Reset(b)
	steps := make([]Step, count)
	for i := range steps {
		index, name, output := nextStep(&r)
		steps[i] = Step{Index: index, Name: string(name), Output: output}
	}
	return steps
}

func nextStep(r *wire.Reader) (index uint32, name, output []byte) {
	index = uint32(r.Uint("the step index", math.MaxUint32))
	return index, r.Text("the step's name"), r.Bytes("the output")
}
