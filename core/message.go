package core

import (
	"cmp"
	"slices"
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
	InProgress bool   // processing started, and has not ended since in any way
	Finished   bool   // processing finished, at any time
	Errored    bool   // processing failed, at any time
	Error      string // the text of the last failure
	Failed     bool   // processing failed, and neither started again nor was retried since
	Cancelled  bool   // cancelled, and not retried since
	Steps      []Step // the completed steps, by ascending index

	// Open are the steps that have left traces and are not completed, by
	// ascending index.
	Open []OpenStep
	// Result is that of the last processing_finished event; nil if it had none.
	Result []byte
	// Runner is that of the last processing_started event.
	Runner RunnerID
	// Starts are the ids of the processing_started events since the last step
	// completed, or the message was retried, without those that ended with
	// processing_stopped. No more than [MaxStarts] are kept.
	Starts []EventID
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

// Step is a completed step.
type Step struct {
	Index  uint32
	Name   string // empty if it was recorded without one
	Output []byte // of the last event that completed the step
}

// OpenStep is a step that streams, or has side effects, and is not completed.
type OpenStep struct {
	Index   uint32
	Name    string
	Started bool // a step_started event follows the last processing_started
	// Uncertain reports that processing started again after a step_started: the
	// side effects may have happened.
	Uncertain bool
	Output    []byte // what was streamed
}

// kept is a message of a [State].
type kept struct {
	Message
	packed *packedSteps // in place of Steps, unless nil
	row    []byte       // from a snapshot; nil once an event has changed it
}

// apply applies an event to the message. Snapshots store the result, so raise
// snapshotVersion with any change here.
func (m *kept) apply(e *Event) {
	m.row = nil
	switch e.Kind {
	case KindMessageReceived:
		if !m.Received {
			m.Received, m.ReceivedAt, m.Body = true, e.ReceivedAt, copied(e.Body)
		}
	case KindProcessingStarted:
		m.InProgress, m.Failed, m.Runner = true, false, e.Runner
		if len(m.Starts) < MaxStarts && !slices.Contains(m.Starts, e.ID) {
			m.Starts = append(m.Starts, e.ID)
		}
		m.doubt()
	case KindStepCompleted:
		m.Starts = nil
		m.close(e.Step)
		m.complete(Step{Index: e.Step, Name: e.Name, Output: e.Output})
	case KindProcessingFinished:
		m.Finished, m.InProgress, m.Result = true, false, copied(e.Output)
		m.Open = nil
	case KindErrorOccurred:
		m.Errored, m.Failed, m.Error, m.InProgress = true, true, e.Error, false
	case KindStepStarted:
		m.open(e, func(step *OpenStep) { step.Started, step.Uncertain = true, false })
	case KindStepStreamed:
		m.open(e, func(step *OpenStep) { step.stream(e.Offset, e.Output) })
	case KindMessageCancelled:
		m.Cancelled, m.InProgress = true, false
	case KindMessageRetried:
		m.Cancelled, m.Failed, m.Starts = false, false, nil
	case KindProcessingStopped:
		if n := len(m.Starts); n > 0 && m.InProgress {
			m.Starts = slices.Clip(m.Starts[:n-1])
		}
		m.InProgress = false
	}
}

// open changes the open step of e, and opens it first if it is not open. A
// completed step does not open again. The list is copied, because copies of m
// share it.
func (m *kept) open(e *Event, change func(*OpenStep)) {
	if _, completed := m.step(e.Step); completed || m.Finished {
		return
	}
	at, found := slices.BinarySearchFunc(m.Open, e.Step, byIndex)
	if found {
		m.Open = slices.Clone(m.Open)
	} else {
		m.Open = slices.Insert(slices.Clip(m.Open), at, OpenStep{Index: e.Step})
	}
	m.Open[at].Name = e.Name
	change(&m.Open[at])
}

func (m *Message) close(index uint32) {
	if at, found := slices.BinarySearchFunc(m.Open, index, byIndex); found {
		m.Open = slices.Delete(slices.Clone(m.Open), at, at+1)
	}
}

func byIndex(s OpenStep, index uint32) int { return cmp.Compare(s.Index, index) }

// doubt makes the started steps uncertain: the runner that had started them no
// longer works on them.
func (m *Message) doubt() {
	m.Open = slices.Clone(m.Open)
	for i := range m.Open {
		step := &m.Open[i]
		step.Uncertain = step.Uncertain || step.Started
		step.Started = false
	}
}

// stream puts data at an offset, and drops what was after it. Copies of s share
// the bytes before it, which do not change.
func (s *OpenStep) stream(offset uint64, data []byte) {
	kept := s.Output
	if n := uint64(len(kept)); offset < n {
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
	c.Steps, c.Starts, c.Open = nil, slices.Clip(c.Starts), slices.Clone(c.Open)
	for i := range c.Open {
		c.Open[i].Output = slices.Clip(c.Open[i].Output)
	}
	return c
}

// clone returns an independent message with the same content.
func (m *kept) clone() *kept {
	c := &kept{Message: m.copyWithoutSteps(), packed: m.packed.clone(), row: m.row}
	c.Steps = slices.Clip(m.Steps)
	return c
}
