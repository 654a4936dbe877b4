package core

import (
	"bytes"
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"
)

// State is what a log says about its messages: the result of applying its
// events in order. All methods are safe for concurrent use. Queries for a
// message id that no event has named answer false or none.
//
// The bytes and slices which queries return are shared: they never change, and
// the caller must not change them.
type State struct {
	mu       sync.RWMutex
	messages map[string]*kept // all that any event has named
	order    []*kept          // those received, in order of arrival; only ever appended to
}

// kept is a message of a [State].
type kept struct {
	Message
	packed *packedSteps // in place of Steps, unless it is nil
}

// packedSteps are the completed steps of a message as a snapshot has them, until
// somebody looks at them. Most messages of a long log are never looked at again, and
// bytes are less work for the garbage collector than steps. It holds one at least.
type packedSteps struct {
	bytes  []byte // see appendSteps; they do not change, but may be appended to
	count  int
	last   uint32 // the index of the last one
	cost   int    // see snapshotSize
	unpack sync.Once
	steps  []Step
}

// mostCopied is up to what size the state copies an output, a body or a result, in
// bytes. Otherwise it keeps the record that it is a part of.
const mostCopied = 16 << 10

func copied(b []byte) []byte {
	if len(b) > mostCopied {
		return b
	}
	return bytes.Clone(b)
}

// append reports whether it could add a step.
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

// Message is what a log says about one message. It is a copy: later events do
// not change it. Body, Steps and their outputs are shared with the [State] and
// must not be modified.
type Message struct {
	ID         string
	Position   int    // its place in the order of arrival, from 0; -1 if it was never received
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
	Started bool // there is a step_started event since the last processing_started
	// Uncertain says that processing started anew after a step_started: the
	// side effects may have happened.
	Uncertain bool
	Output    []byte // what was streamed
}

// NewState returns the state of an empty log.
func NewState() *State { return &State{messages: make(map[string]*kept)} }

// Apply adds an event to the state. It checks no transition, because the log is
// the truth: any event may follow any other. The first message_received event
// of a message counts, and the last step_completed event of an index. Applying
// an event again right away changes nothing, nor does replaying a whole log.
//
// The state may keep e.Body and e.Output: they must not change afterwards.
func (s *State) Apply(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(&e)
}

// apply is what snapshots are the result of: with any change of it,
// snapshotVersion is to be raised. The caller holds the lock.
func (s *State) apply(e *Event) {
	m := s.messages[e.MessageID]
	if m == nil {
		m = &kept{Message: Message{ID: e.MessageID, Position: -1}}
		s.messages[e.MessageID] = m
	}
	switch e.Kind {
	case KindMessageReceived:
		if !m.Received {
			m.Received, m.ReceivedAt, m.Body = true, e.ReceivedAt, copied(e.Body)
			m.Position = len(s.order)
			s.order = append(s.order, m)
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

// open changes an open step, which begins with this event if it is not open
// yet. A completed step does not open again. The list is copied: copies of m
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

// doubt makes the started steps uncertain: whoever ran them does no longer.
func (m *Message) doubt() {
	m.Open = slices.Clone(m.Open)
	for i := range m.Open {
		step := &m.Open[i]
		step.Uncertain = step.Uncertain || step.Started
		step.Started = false
	}
}

// stream puts data at an offset, and drops what was behind it. Copies share
// the bytes before it, which do not change.
func (s *OpenStep) stream(offset uint64, data []byte) {
	kept := s.Output
	if n := uint64(len(kept)); offset < n {
		kept = kept[:offset:offset]
	}
	s.Output = append(kept, data...)
}

// OpenStep returns an open step of m, and whether it is open.
func (m *Message) OpenStep(index uint32) (OpenStep, bool) {
	at, found := slices.BinarySearchFunc(m.Open, index, byIndex)
	if !found {
		return OpenStep{}, false
	}
	return m.Open[at], true
}

// complete adds a step. Copies of m share m.Steps and were clipped to their
// length, so appending behind it is unseen by them; any other change is made
// to a copy.
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

// advance applies events in one go, so that no query sees a part of them.
func (s *State) advance(events []LoggedEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		s.apply(&events[i].Event)
	}
}

// reset forgets everything. The caller holds the lock.
func (s *State) reset() {
	s.messages = make(map[string]*kept)
	s.order = nil // not truncated: iterations may be reading it
}

// Clone returns an independent copy.
func (s *State) Clone() *State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &State{
		messages: make(map[string]*kept, len(s.messages)),
		order:    make([]*kept, len(s.order)),
	}
	for id, m := range s.messages {
		clone := &kept{Message: m.copyWithoutSteps(), packed: m.packed.clone()}
		clone.Steps = slices.Clip(m.Steps)
		c.messages[id] = clone
		if clone.Received {
			c.order[clone.Position] = clone
		}
	}
	return c
}

// IsReceived reports whether the message was received.
func (s *State) IsReceived(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	return m != nil && m.Received
}

// IsInProgress reports whether processing of the message started and has not
// ended since: it has not finished, failed, or been cancelled or stopped.
func (s *State) IsInProgress(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	return m != nil && m.InProgress
}

// IsFullyProcessed reports whether processing of the message finished.
func (s *State) IsFullyProcessed(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	return m != nil && m.Finished
}

// LastCompletedStep returns the highest index of a completed step of the
// message, and whether there is one. It takes constant time.
func (s *State) LastCompletedStep(id string) (uint32, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	switch {
	case m == nil:
		return 0, false
	case m.packed != nil:
		return m.packed.last, true
	case len(m.Steps) == 0:
		return 0, false
	default:
		return m.Steps[len(m.Steps)-1].Index, true
	}
}

// CompletedStep returns the output of a step of the message, and whether that
// step is completed.
func (s *State) CompletedStep(id string, index uint32) ([]byte, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	if m == nil {
		return nil, false
	}
	at, found := m.step(index)
	if !found {
		return nil, false
	}
	return m.steps()[at].Output, true
}

// ErrorText returns the text of the last failure of the message, and whether
// there was one. It stays when the message is processed later.
func (s *State) ErrorText(id string) (string, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	if m == nil {
		return "", false
	}
	return m.Error, m.Errored
}

// Message returns what the log says about a message, and whether any event has
// named it, even if it was never received.
func (s *State) Message(id string) (Message, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	if m == nil {
		return Message{}, false
	}
	return m.copy(), true
}

// MessageWithoutSteps is [State.Message], but that Steps is nil. It takes the same
// time however many there are.
func (s *State) MessageWithoutSteps(id string) (Message, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	if m == nil {
		return Message{}, false
	}
	return m.copyWithoutSteps(), true
}

// PackedMessage is [State.Message] for who passes it on: Steps is nil, and the
// completed steps are bytes, in which index, name and output of each follow one
// another, by ascending index, as msgpack.
func (s *State) PackedMessage(id string) (m Message, steps []byte, known bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := s.messages[id]
	switch {
	case found == nil:
		return Message{}, nil, false
	case found.packed != nil:
		steps = slices.Clip(found.packed.bytes)
	default:
		steps = appendSteps(nil, found.Steps)
	}
	return found.copyWithoutSteps(), steps, true
}

// Len returns the number of received messages.
func (s *State) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.order)
}

// Messages iterates over the received messages in order of arrival. Which ones,
// and their order, is settled when the loop begins; each is as the log has it
// when its turn comes. The loop's body may use the state.
func (s *State) Messages() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		s.mu.RLock()
		order := s.order
		s.mu.RUnlock()
		for _, m := range order {
			s.mu.RLock()
			message := m.copy()
			s.mu.RUnlock()
			if !yield(message) {
				return
			}
		}
	}
}

// NextPending returns the message that is to be processed next: the oldest of
// those that are [Message.Pending]. It reports whether there is one.
func (s *State) NextPending() (Message, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.order {
		if m.Pending() {
			return m.copy(), true
		}
	}
	return Message{}, false
}

// Known returns the ids of all messages that any event has named, in no order.
func (s *State) Known() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.messages))
}
