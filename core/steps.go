package core

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// Step is a step with an outcome: it has completed, or has failed for good.
type Step struct {
	Index   uint32
	Name    string // empty if it was recorded without one
	Output  []byte // of the event that completed the step
	details []byte
}

// Details are what else is known of a [Step].
type Details struct {
	// Order is the place of its outcome among all of the message, from 0. An
	// order is never used again.
	Order uint32
	Place Place
	// Effects says that it may have had side effects.
	Effects  bool
	Failure  Failure // nil if it has completed
	Attempts uint32  // calls of the function of a step that has failed
}

// Details returns what else is known of s.
func (s *Step) Details() Details {
	var r wire.Reader
	r.Reset(s.details)
	return readDetails(&r)
}

// Failed reports whether the step has failed.
func (s *Step) Failed() bool {
	var r wire.Reader
	r.Reset(s.details)
	return checkDetails(&r)
}

// The flags of details.
const (
	detailsPlaced = 1 << iota
	detailsFailed
	detailsEffects
	detailsFlags = 1<<iota - 1
)

func (d *Details) encode() []byte {
	w := wire.NewWriter(make([]byte, 0, d.size()))
	d.write(w)
	return w.End()
}

// size returns how many bytes d takes at most.
func (d *Details) size() int {
	size := 6
	if d.Place.placed() {
		size += 43 + len(d.Place.Scope)
	}
	if d.Failure != nil {
		size += 10 + d.Failure.size()
	}
	return size
}

func (d *Details) write(w *wire.Writer) {
	w.Uint(uint64(d.Order))
	w.Uint(flagsOf(d.Place.placed(), d.Failure != nil, d.Effects))
	if d.Place.placed() {
		writePlace(w, &d.Place)
	}
	if d.Failure != nil {
		writeFailure(w, d.Failure)
		w.Uint(uint64(d.Attempts))
	}
}

func readDetails(r *wire.Reader) (d Details) {
	d.Order = uint32(r.Uint("the order", math.MaxUint32))
	flags := r.Uint("the flags", detailsFlags)
	d.Effects = flags&detailsEffects != 0
	if flags&detailsPlaced != 0 {
		d.Place = readPlace(r, textOf)
	}
	if flags&detailsFailed != 0 {
		d.Failure = readFailure(r)
		d.Attempts = uint32(r.Uint("the attempts", math.MaxUint32))
	}
	return d
}

// checkDetails reads details, reports whether the step has failed, and keeps
// nothing.
func checkDetails(r *wire.Reader) (failed bool) {
	none := func([]byte) string { return "" }
	r.Uint("the order", math.MaxUint32)
	flags := r.Uint("the flags", detailsFlags)
	if flags&detailsPlaced != 0 {
		readPlace(r, none)
	}
	if failed = flags&detailsFailed != 0; failed {
		var causes [MaxCauses]Cause
		readCauses(r, &causes, none)
		r.Uint("the attempts", math.MaxUint32)
	}
	return failed
}

// packedSteps are the steps with an outcome of a message as bytes, at least one,
// until a caller looks at them. Most messages of a long log are never looked at
// again, and bytes are less work for the garbage collector than steps.
type packedSteps struct {
	bytes  []byte // see appendSteps; they do not change, but may be appended to
	count  int
	last   uint32 // the index of the last one
	cost   int    // see Step.cost
	failed bool   // some of them have failed
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

// append adds a step with details, and reports whether it could.
func (p *packedSteps) append(step *Step, d *Details) bool {
	looked := p.steps != nil
	if looked || p.count > 0 && step.Index <= p.last || len(step.Output) > mostCopied {
		return false
	}
	w := wire.NewWriter(slices.Grow(p.bytes, step.size()+d.size()))
	writeStep(w, step)
	step.details = w.BytesOf(d.write)
	p.bytes = w.End()
	p.count, p.last, p.cost, p.failed = p.count+1, step.Index, p.cost+step.cost(), p.failed || d.Failure != nil
	return true
}

// clone returns the same steps, to which others may be appended.
func (p *packedSteps) clone() *packedSteps {
	if p == nil {
		return nil
	}
	return &packedSteps{bytes: slices.Clip(p.bytes), count: p.count, last: p.last, cost: p.cost, failed: p.failed}
}

// steps returns the steps with an outcome.
func (m *kept) steps() []Step {
	p := m.packed
	if p == nil {
		return m.Steps
	}
	p.unpack.Do(func() { p.steps = decodeSteps(p.bytes, p.count) })
	return p.steps
}

// packedBytes returns the steps with an outcome as bytes.
func (m *kept) packedBytes() []byte {
	if m.packed != nil {
		return m.packed.bytes
	}
	return appendSteps(nil, m.Steps)
}

// complete adds a step, and returns it with its details. Copies of m share m.Steps
// and were clipped to their length, so they do not see what is appended; any other
// change is made to a copy.
func (m *kept) complete(step Step, d *Details) Step {
	packed := m.packed
	if packed == nil && len(m.Steps) == 0 {
		packed = new(packedSteps)
	}
	if packed != nil && packed.append(&step, d) {
		m.packed = packed
		return step
	}
	step.details = d.encode()
	ended := step
	if step.Output = copied(step.Output); step.Output == nil {
		step.Output = []byte{} // as packed steps have it
	}
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
	return ended
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
	if m.packed != nil && !m.packed.failed {
		return m.packed.last, true
	}
	for _, step := range slices.Backward(m.steps()) {
		if !step.Failed() {
			return step.Index, true
		}
	}
	return 0, false
}

// stepCost is what a step takes in memory at most, apart from its bytes. Its
// name takes twice its length at most.
const stepCost = 96

// cost returns how much memory it takes to unpack s, at most.
func (s *Step) cost() int { return stepCost + 2*len(s.Name) }

// size returns how many bytes s takes when it is packed, at most.
func (s *Step) size() int { return 24 + len(s.Name) + len(s.Output) + len(s.details) }

// appendSteps appends index, name, output and details of each step, one after
// the other. Details are order and flags and, as the flags say, place, failure
// and attempts.
func appendSteps(b []byte, steps []Step) []byte {
	size := 0
	for i := range steps {
		size += steps[i].size()
	}
	w := wire.NewWriter(slices.Grow(b, size))
	for i := range steps {
		writeStep(w, &steps[i])
		w.Bytes(steps[i].details)
	}
	return w.End()
}

// writeStep writes what comes before the details.
func writeStep(w *wire.Writer, s *Step) {
	w.Uint(uint64(s.Index))
	w.Text(s.Name)
	w.Bytes(s.Output)
}

// decodeSteps is the inverse of appendSteps.
func decodeSteps(b []byte, count int) []Step {
	var r wire.Reader
	r.Reset(b)
	steps := make([]Step, count)
	for i := range steps {
		steps[i] = nextStep(&r)
	}
	return steps
}

func nextStep(r *wire.Reader) Step {
	return Step{
		Index:   uint32(r.Uint("the step index", math.MaxUint32)),
		Name:    string(r.Text("the step's name")),
		Output:  r.Bytes("the output"),
		details: r.Bytes("the details"),
	}
}
