package core

import (
	"slices"
	"sync"
)

// State is what a log says about its messages, notes and metadata: the result of
// applying its events in order. All methods are safe for concurrent use. Queries
// for a message id that no event has named answer false or none.
//
// The bytes and slices which queries return are shared: they never change, and
// the caller must not change them.
type State struct {
	mu       sync.RWMutex
	messages map[string]*kept // all that any event has named
	order    tree             // those received
	early    []*kept          // those that another event has named first, and of which some were received since
	pending  pending          // those of order that are [Message.Pending]
	begun    uint32           // how many messages have begun to be processed, at any time
	notes    notes
	metadata Metadata
	dates
}

// dates are what the times of events amount to.
type dates struct{ created, updated uint64 }

// take takes an event that was appended at a time, and reports whether it has
// changed them.
func (d *dates) take(kind Kind, at uint64) bool {
	before := *d
	at = min(at, MaxSequence)
	if d.created == 0 {
		*d = dates{at, at}
	}
	switch kind {
	case KindMessageReceived, KindProcessingFinished, KindErrorOccurred, KindMessageCancelled:
		d.updated = at
	}
	return *d != before
}

// NewState returns the state of an empty log.
func NewState() *State {
	return &State{messages: make(map[string]*kept), notes: newNotes(0)}
}

// Apply applies an event to the state. It checks no transition, because the log
// is the truth: any event may follow any other.
//
// The first message_received event of a message counts. Of a step with a
// [Place] the first outcome counts until a retry forgets it, and of a step
// without one the last step_completed event of its index. Of notes with one type
// and id the first counts, and of metadata the last that fits into
// [MaxMetadataBytes]. Applying an event again right away changes nothing. The
// state may keep the slices of e: they must not change afterwards.
func (s *State) Apply(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(&e)
}

// apply returns the step that e has ended, without details if it has not.
func (s *State) apply(e *Event) (ended Step) {
	switch e.Kind {
	case KindNote:
		s.notes.add(Note{Type: e.Name, ID: e.MessageID, At: e.ReceivedAt, Data: copied(e.Output)})
		return Step{}
	case KindMetadata:
		s.metadata = s.metadata.with(e.MessageID, e.Output)
		return Step{}
	}
	m, known := s.messages[e.MessageID]
	if !known {
		m = newMessage(e.MessageID)
	}
	was := m.Pending()
	ended = m.apply(e)
	if e.Kind == KindProcessingStarted && m.began == 0 {
		s.begun++
		m.began, m.noted = s.begun, uint32(len(s.notes.list))
	}
	m.changed = s.begun
	switch {
	case !known || m.Received && m.Position < 0:
		s.add(m)
		if m.Received {
			m.back = s.backFrom(m, e)
		}
	case m.Pending() != was:
		s.pending = s.pending.with(m)
	}
	return ended
}

// take applies an event of the log, with the time at which it was appended.
func (s *State) take(e *LoggedEvent) {
	notes := len(s.notes.list)
	e.ended = s.apply(&e.Event)
	e.noted = len(s.notes.list) > notes
	s.dates.take(e.Event.Kind, uint64(max(e.Timestamp, 0)))
}

// add gives a message its place: a new one, or one that was just received.
func (s *State) add(m *kept) {
	s.messages[m.ID] = m
	if m.Received {
		m.Position = len(s.order)
		s.order = append(s.order, m)
	} else {
		s.early = append(s.early, m)
	}
	if m.Pending() {
		s.pending = s.pending.with(m)
	}
}

// backFrom returns how far before m the message stands that m follows, by the event
// that m was received with. One that is not there counts as none.
func (s *State) backFrom(m *kept, e *Event) uint32 {
	if !e.Branch {
		return uint32(min(m.Position, 1))
	}
	if after := s.messages[e.After]; after != nil && after.Received {
		return uint32(m.Position - after.Position)
	}
	return 0
}

// advance applies events in one go, so that no query sees a part of them.
func (s *State) advance(events []LoggedEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		s.take(&events[i])
	}
}

// reset forgets everything. The caller holds the lock.
func (s *State) reset() {
	s.messages = make(map[string]*kept)
	s.pending = nil
	s.order, s.early = nil, nil // not truncated: iterations may be reading it
	s.begun, s.notes, s.metadata = 0, newNotes(0), Metadata{}
	s.dates = dates{}
}

// Clone returns an independent copy.
func (s *State) Clone() *State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &State{
		messages: make(map[string]*kept, len(s.messages)), begun: s.begun, notes: s.notes.clone(),
		metadata: s.metadata, dates: s.dates,
	}
	for m := range s.all {
		c.add(m.clone())
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
// message, and whether there is one. It takes constant time, unless steps of the
// message have failed.
func (s *State) LastCompletedStep(id string) (uint32, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	if m == nil {
		return 0, false
	}
	return m.lastStep()
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
	step := m.steps()[at]
	return step.Output, !step.Failed()
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
	return s.order.view(m), true
}

// withoutSteps is [State.Message] without Steps and After. It takes the same
// time for any number of steps.
func (s *State) withoutSteps(id string) (Message, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	if m == nil {
		return Message{}, false
	}
	return m.copyWithoutSteps(), true
}

// Notes returns the notes of a type, in order.
func (s *State) Notes(kind string) []Note {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.notes.of(kind)
}

func (s *State) lastNote(kind string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.notes.last(kind)
}

func (s *State) isNoted(name noteName) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.notes.has(name)
}

// Metadata returns what the application has set.
func (s *State) Metadata() Metadata {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.metadata
}

// all iterates over all messages that any event has named: those received in
// order of arrival, then the others in the order in which events have named them.
// The caller holds the lock.
func (s *State) all(yield func(*kept) bool) {
	for i := range len(s.order) + len(s.early) {
		if m := s.at(i); m != nil && !yield(m) {
			return
		}
	}
}

// at returns what stands at a place of that order; nil for one that has moved to
// those received.
func (s *State) at(i int) *kept {
	if i < len(s.order) {
		return s.order[i]
	}
	if m := s.early[i-len(s.order)]; !m.Received {
		return m
	}
	return nil
}

// Len returns the number of received messages.
func (s *State) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.order)
}

func (s *State) pendingIDs() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := make([]string, len(s.pending))
	for i, m := range s.pending {
		ids[i] = m.ID
	}
	return ids
}

// NextPending returns the id of the message that is to be processed next, at a
// time in milliseconds since the Unix epoch: the oldest of those that are
// [Message.Pending]; "" if there is none. A parked message is passed over until
// it is due, and holds up those after it unless it lets them pass; due is when
// the first of those passed over is, 0 for never.
func (s *State) NextPending(now uint64) (id string, due uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for m := range s.pending.eligible {
		if !m.Parked || m.Due > 0 && m.Due <= now {
			return m.ID, due
		}
		due = Sooner(due, m.Due)
	}
	return "", due
}

// IsIdle reports whether no message is [Message.Pending].
func (s *State) IsIdle() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.pending) == 0
}

// Due returns when the next message that waits goes on by itself, in
// milliseconds since the Unix epoch; 0 for never. One that another message holds
// up does not count.
func (s *State) Due() (due uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for m := range s.pending.eligible {
		if m.Parked {
			due = Sooner(due, m.Due)
		}
	}
	return due
}

// Sooner returns the earlier of two times, of which 0 is never.
func Sooner(a, b uint64) uint64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// StepAt returns what is known of the step of a message with a path, see
// [Place.Path]: the step if it has an outcome, or what is open, or neither.
func (s *State) StepAt(id, path string) (*Step, *OpenStep) {
	s.mu.Lock() // the first look keeps what it has found
	defer s.mu.Unlock()
	m := s.messages[id]
	if m == nil {
		return nil, nil
	}
	index, known := m.indexOf(path)
	if !known {
		return nil, nil
	}
	if at, ended := m.step(index); ended {
		step := m.steps()[at]
		return &step, nil
	}
	open, _ := m.OpenStep(index)
	open.Output = slices.Clip(open.Output)
	return nil, &open
}

// HasOutcome reports whether the outcome of a message with an order, see
// [Details], of one less than after is known and was not forgotten; true for 0.
func (s *State) HasOutcome(id string, after uint32) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.messages[id]
	return after == 0 || m != nil && slices.ContainsFunc(m.steps(), func(step Step) bool { return step.Details().Order+1 == after })
}
