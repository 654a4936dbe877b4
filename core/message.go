package core

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Message is what a log says about one message. It is a copy: later events do
// not change it. Body, Steps and their outputs are shared with the [State] and
// must not be modified.
type Message struct {
	ID         string
	Position   int    // in the order of arrival, from 0; -1 if never received
	Received   bool   // there is a message_received event
	ReceivedAt uint64 // of the first such event, in milliseconds since the Unix epoch
	Body       []byte // of the first such event; nil if it had none
	After      string // the id of the message that it follows; "" for none
	InProgress bool   // processing started, and has not ended since in any way
	Finished   bool   // processing finished, at any time
	Errored    bool   // processing failed, at any time
	Error      string // the text of the last failure
	Failed     bool   // processing failed, and neither started again nor was retried since
	Cancelled  bool   // cancelled, and not retried since
	Steps      []Step // those with an outcome, completed or failed, by ascending index

	// Open are the steps that have left traces and have no outcome, by ascending
	// index.
	Open []OpenStep
	// Result is that of the last processing_finished event; nil if it had none.
	Result []byte
	// Runner is that of the last processing_started event.
	Runner RunnerID
	// Starts are the ids of the processing_started events since the last outcome of
	// a step, or since the message was retried, without those that ended with
	// processing_stopped. No more than [MaxStarts] are kept.
	Starts []EventID

	// Parked says that processing stopped because all that is under way waits: for
	// an answer or, if Due is not 0, until that time, in milliseconds since the
	// Unix epoch. Pass says that later messages may be processed until then.
	Parked bool
	Due    uint64
	Pass   bool
	// Fatal are the indexes of the failed steps that the last failure of the
	// message was made of.
	Fatal []uint32
	// Seed is what idempotency keys are made of: the id of the event that received
	// the message, or of the retry that has last forgotten a completed step.
	Seed EventID
	// Next is the index that the next new step gets.
	Next uint32
}

// MaxStarts bounds [Message.Starts].
const MaxStarts = 1000

// Pending reports whether the message waits to be processed, or is: it was
// received and has not finished, failed or been cancelled.
func (m *Message) Pending() bool {
	return m.Received && !m.Finished && !m.Failed && !m.Cancelled
}

// OpenStep returns an open step of m, and whether it is open.
func (m *Message) OpenStep(index uint32) (OpenStep, bool) {
	at, found := slices.BinarySearchFunc(m.Open, index, byIndex)
	if !found {
		return OpenStep{}, false
	}
	return m.Open[at], true
}

// OpenStep is a step that has left traces and has no outcome: it streams, has
// side effects, waits, or has failed and is to be tried again.
type OpenStep struct {
	Index uint32
	Name  string
	Place Place

	Started bool // its function may be running: a step_started event was last
	// Uncertain says that the side effects may have happened: since the step
	// started, what ran its function has ended, or the function has failed.
	Uncertain bool
	// Output is what was streamed or, of a waiting step, the prompt; nil if there
	// is none.
	Output []byte

	Attempts uint32  // calls of the function that have failed
	Failure  Failure // of the last of them
	// Due is when the next call is due, or the wait ends, in milliseconds since the
	// Unix epoch; 0 for never.
	Due uint64

	Waiting bool // it waits for an answer or for Due
	Sleep   bool // it waits, and completes when it is due; otherwise it then fails
	Pass    bool // it waits, and later messages may be processed until then
}

// kept is a message of a [State].
type kept struct {
	Message
	packed   *packedSteps // in place of Steps, unless it is nil
	outcomes uint32       // how many there were, with those that were forgotten
	row      []byte       // as a snapshot has it; nil once an event has changed it
	paths    map[string]uint32
	lineage  // After is left to tree.view
}

// lineage is where a message belongs in the tree, and when it began to be processed.
type lineage struct {
	// back is how many places before the message the one stands that it follows; 0 if
	// it follows none.
	back uint32
	// began is how many messages had begun to be processed once this one had, with
	// it; 0 if it never has. changed is how many had at the last event about it. So it
	// has changed since another one began if its changed is not less than that one's
	// began.
	began, changed uint32
	// noted is how many notes there were when it began.
	noted uint32
}

func newMessage(id string) *kept { return &kept{Message: Message{ID: id, Position: -1}} }

// apply applies an event to the message, and returns the step that it has
// ended, without details if it has not. Snapshots store the result, so raise
// snapshotVersion with any change here.
func (m *kept) apply(e *Event) (ended Step) {
	m.row = nil
	switch e.Kind {
	case KindMessageReceived:
		if !m.Received {
			m.Received, m.ReceivedAt, m.Body, m.Seed = true, e.ReceivedAt, copied(e.Body), e.ID
		}
	case KindProcessingStarted:
		m.InProgress, m.Failed, m.Runner = true, false, e.Runner
		m.unpark()
		if len(m.Starts) < MaxStarts && !slices.Contains(m.Starts, e.ID) {
			m.Starts = append(m.Starts, e.ID)
		}
		if !e.Resumed {
			m.doubt("")
		}
	case KindStepCompleted, KindStepFailed:
		return m.end(e)
	case KindProcessingFinished:
		m.Finished, m.InProgress, m.Result = true, false, copied(e.Output)
		m.Open, m.paths = nil, nil
		m.unpark()
	case KindErrorOccurred:
		m.Errored, m.Failed, m.Error, m.InProgress = true, true, e.Error, false
		m.Fatal = e.Steps
		m.unpark()
	case KindStepStarted:
		m.open(e, func(step *OpenStep) { step.Started = true })
	case KindStepStreamed:
		m.open(e, func(step *OpenStep) { step.stream(e.Offset, e.Output) })
	case KindAttemptFailed:
		m.open(e, func(step *OpenStep) {
			step.Uncertain = step.Uncertain || step.Started
			step.Started = false
			step.Attempts, step.Failure, step.Due = e.Attempt, e.Failure, e.Due
		})
		m.doubtWithin(e.Step)
	case KindStepWaiting:
		m.open(e, func(step *OpenStep) {
			step.Waiting, step.Sleep, step.Pass, step.Due, step.Output = true, e.Sleep, e.Pass, e.Due, copied(e.Output)
		})
	case KindStepResolved:
		m.unpark()
		m.change(e.Step, func(step *OpenStep) { step.Started, step.Uncertain = false, false })
	case KindMessageCancelled:
		m.Cancelled, m.InProgress = true, false
		m.unpark()
	case KindMessageRetried:
		m.Cancelled, m.Failed, m.Starts, m.Fatal = false, false, nil, nil
		m.unpark()
		m.forget(e)
	case KindProcessingStopped:
		if n := len(m.Starts); n > 0 && m.InProgress {
			m.Starts = slices.Clip(m.Starts[:n-1])
		}
		m.InProgress = false
		m.Parked, m.Due, m.Pass = e.Parked, e.Due, e.Pass
	}
	return Step{}
}

func (m *Message) unpark() { m.Parked, m.Due, m.Pass = false, 0, false }

// stale reports whether the step of e, which is not known, was forgotten: an
// index is never used again, and a step that is recorded by its index alone has
// no name.
func (m *kept) stale(e *Event) bool { return e.Name != "" && e.Step < m.Next }

func (m *kept) use(index uint32) {
	if index >= m.Next {
		m.Next = index + min(1, math.MaxUint32-index)
	}
}

// end applies an outcome. Of a step with a place the first one counts, of any
// other the last. A step keeps the name that it has when an outcome is recorded
// by its index alone.
func (m *kept) end(e *Event) (ended Step) {
	m.Starts = nil
	m.unpark()
	ended = Step{Index: e.Step, Name: e.Name, Output: e.Output}
	open, isOpen := m.OpenStep(e.Step)
	switch at, again := m.step(e.Step); {
	case again:
		before := m.steps()[at]
		d := before.Details()
		if d.Place.placed() || d.Failure != nil || e.Failure != nil {
			return Step{}
		}
		ended.Name = cmp.Or(e.Name, before.Name)
		return m.complete(ended, &d)
	case isOpen:
		ended.Name = open.Name
		m.close(e.Step)
	case m.stale(e):
		return Step{}
	default:
		open.Place = e.Place
		m.use(e.Step)
		m.note(e.Step, &open.Place, e.Name)
	}
	d := Details{
		Order: m.outcomes, Place: open.Place, Effects: (open.Started || open.Uncertain) && !e.Terminal,
		Failure: e.Failure, Attempts: e.Attempt,
	}
	m.outcomes++
	ended = m.complete(ended, &d)
	if e.Failure != nil && open.Place.placed() {
		m.doubt(FunctionPath(open.Place.Path(ended.Name)))
	}
	return ended
}

// note keeps the index of a path, if paths are kept: the lowest one, should a
// path be there twice.
func (m *kept) note(index uint32, p *Place, name string) {
	if m.paths == nil || !p.placed() {
		return
	}
	path := p.Path(name)
	if lowest, known := m.paths[path]; !known || index < lowest {
		m.paths[path] = index
	}
}

// indexOf returns the index of the step with a path. The first call looks at all
// steps.
func (m *kept) indexOf(path string) (uint32, bool) {
	if m.paths == nil {
		m.paths = map[string]uint32{}
		for i := range m.Open {
			m.note(m.Open[i].Index, &m.Open[i].Place, m.Open[i].Name)
		}
		for _, step := range m.steps() {
			d := step.Details()
			m.note(step.Index, &d.Place, step.Name)
		}
	}
	index, found := m.paths[path]
	return index, found
}

// forget takes back what a retry has found to be forgotten.
func (m *kept) forget(e *Event) {
	if len(e.Steps) == 0 {
		return
	}
	if e.Reseed {
		m.Seed = e.ID
	}
	in := func(list []uint32, index uint32) bool { _, found := slices.BinarySearch(list, index); return found }
	var open []OpenStep
	var steps []Step
	doubt := func(index uint32, name string, p Place) {
		if in(e.Doubted, index) && name != "" {
			at, _ := slices.BinarySearchFunc(open, index, byIndex)
			open = slices.Insert(open, at, OpenStep{Index: index, Name: name, Place: p, Uncertain: true})
		}
	}
	for _, step := range m.Open {
		if in(e.Steps, step.Index) {
			doubt(step.Index, step.Name, step.Place)
		} else {
			open = append(open, step)
		}
	}
	for _, step := range m.steps() {
		if in(e.Steps, step.Index) {
			doubt(step.Index, step.Name, step.Details().Place)
		} else {
			steps = append(steps, step)
		}
	}
	m.Open, m.Steps, m.packed, m.paths = open, steps, nil, nil
}

// open changes the open step of e, and opens it first if it is not open. A step
// with an outcome does not open again.
func (m *kept) open(e *Event, change func(*OpenStep)) {
	if _, ended := m.step(e.Step); ended || m.Finished {
		return
	}
	if _, isOpen := m.OpenStep(e.Step); !isOpen {
		if m.stale(e) {
			return
		}
		at, _ := slices.BinarySearchFunc(m.Open, e.Step, byIndex)
		m.Open = slices.Insert(slices.Clip(m.Open), at, OpenStep{Index: e.Step, Name: e.Name, Place: e.Place})
		m.use(e.Step)
		m.note(e.Step, &e.Place, e.Name)
	}
	m.change(e.Step, change)
}

// change changes an open step, if it is open. The list is copied, because copies
// of m share it.
func (m *Message) change(index uint32, change func(*OpenStep)) {
	if at, found := slices.BinarySearchFunc(m.Open, index, byIndex); found {
		m.Open = slices.Clone(m.Open)
		change(&m.Open[at])
	}
}

func (m *Message) close(index uint32) {
	if at, found := slices.BinarySearchFunc(m.Open, index, byIndex); found {
		m.Open = slices.Delete(slices.Clone(m.Open), at, at+1)
	}
}

func byIndex(s OpenStep, index uint32) int { return cmp.Compare(s.Index, index) }

// doubt makes the started steps within a scope uncertain: what had called their
// functions no longer works on them.
func (m *Message) doubt(scope string) {
	for _, step := range m.Open {
		if step.Started && strings.HasPrefix(step.Place.Scope, scope) {
			m.change(step.Index, func(s *OpenStep) { s.Started, s.Uncertain = false, true })
		}
	}
}

// doubtWithin does that to the steps within the function of an open step.
func (m *Message) doubtWithin(index uint32) {
	if step, isOpen := m.OpenStep(index); isOpen && step.Place.placed() {
		m.doubt(FunctionPath(step.Place.Path(step.Name)))
	}
}

// stream puts data at an offset, and drops what was after it. What is beyond the
// end has no place. Copies of s share the bytes before it, which do not change.
func (s *OpenStep) stream(offset uint64, data []byte) {
	kept := s.Output
	switch n := uint64(len(kept)); {
	case offset > n:
		return
	case offset < n:
		kept = kept[:offset:offset]
	}
	s.Output = append(kept, data...)
}

func (m *kept) copy() Message {
	c := m.copyWithoutSteps()
	c.Steps = slices.Clip(m.steps())
	return c
}

func (m *kept) copyWithoutSteps() Message {
	c := m.Message
	c.Steps, c.Starts, c.Fatal, c.Open = nil, slices.Clip(c.Starts), slices.Clip(c.Fatal), slices.Clone(c.Open)
	for i := range c.Open {
		c.Open[i].Output = slices.Clip(c.Open[i].Output)
	}
	return c
}

// clone returns an independent message with the same content.
func (m *kept) clone() *kept {
	c := *m
	c.Message, c.packed, c.paths = m.copyWithoutSteps(), m.packed.clone(), nil
	c.Steps = slices.Clip(m.Steps)
	return &c
}
