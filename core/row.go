package core

import (
	"bytes"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// A row is a message as bytes: in snapshots, and for the page, which reads it
// in web/src/state/row.ts. It is a msgpack array:
//
//	[id, flags, received at, body, error, runner, result, starts, steps, open steps,
//	 fatal, seed, next, outcomes, due, back, began, changed, noted]
//
// id and error are of type str. runner has 16 bytes or none, starts are the ids
// of all starts in one bin, and steps are one bin in which those with an outcome
// follow one another, see appendSteps. fatal is an array of indexes, seed has 16
// bytes or none. An open step is
//
//	[index, name, flags, output, attempts, due]
//	[index, name, flags, output, attempts, due, place, failure]
//
// where the place is as in event_codec.go, and there as the flags say, like the failure.
//
// A message's position is not in its row. Rows of received messages stand in
// the order of arrival; those of messages that were never received come after
// them, in the order in which events have named them.
//
// Two other rows are told from it by how many elements they have: that of a note,
// see note.go, and that of the metadata, see metadata.go.
//
// A row of a change is a part: it has only the steps that ended with the change,
// perhaps in another order and more than once, and a body or a result only if
// that came with it, otherwise a flag says that it is omitted. Where steps were
// forgotten it is the whole.

const rowFields = 19

// The flags of a message. A body and a result may be absent or empty.
const (
	flagReceived = 1 << iota
	flagInProgress
	flagFinished
	flagErrored
	flagFailed
	flagCancelled
	flagBody
	flagResult
	flagParked
	flagPass
	flagPart // this and the following only in changes
	flagBodyOmitted
	flagResultOmitted
	storedFlags = flagPart - 1
)

// The flags of an open step. Before it streams it has no output.
const (
	flagStarted = 1 << iota
	flagUncertain
	flagOutput
	flagWaiting
	flagSleep
	flagWaitPass
	flagPlaced
	flagTried
	openFlags = 1<<iota - 1
)

// part is what a change has brought of a message.
type part struct {
	received, finished bool
	whole              bool // steps were forgotten, so that all of it is new
	steps              []Step
}

// partsOf returns what a change has brought, by message.
func partsOf(change Change) map[string]*part {
	parts := make(map[string]*part, 1)
	for i := range change.Events {
		e := &change.Events[i].Event
		if e.Kind.ofConversation() {
			continue
		}
		p := parts[e.MessageID]
		if p == nil {
			p = new(part)
			parts[e.MessageID] = p
		}
		switch e.Kind {
		case KindMessageReceived:
			p.received = true
		case KindProcessingFinished:
			p.finished = true
		case KindStepCompleted, KindStepFailed:
			if step := change.Events[i].ended; step.details != nil {
				p.steps = append(p.steps, step)
			}
		case KindMessageRetried:
			p.whole = p.whole || len(e.Steps) > 0
		}
	}
	return parts
}

// Rows returns the rows of the messages that any event has named, of the notes and
// of the metadata, from the given place on: as many as it takes to fill size bytes,
// and one at least if there is one. It returns the place after them, 0 after the
// last one. Only a page of the same release can read them; see
// web/src/state/row.ts.
func (s *State) Rows(from, size int) (rows []byte, next int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	messages := len(s.order) + len(s.early)
	end := messages + len(s.notes.list) + 1
	w := wire.NewWriter(make([]byte, 0, min(size, 256*max(end-from, 0))))
	for next = from; next < end && (w.Len() == 0 || w.Len() < size); next++ {
		switch note := next - messages; {
		case note == len(s.notes.list):
			if s.metadata != (Metadata{}) {
				writeMetadataRow(w, s.metadata)
			}
		case note >= 0:
			writeNote(w, &s.notes.list[note])
		default:
			if m := s.at(next); m != nil {
				writeRow(w, m, nil)
			}
		}
	}
	if next >= end {
		next = 0
	}
	return w.End(), next
}

// ChangedRows returns the rows of the messages that a change is about, with
// what it has brought, of the notes that it has added, and of the metadata if it
// has set some. Call it while the state is that of the change, as a subscriber
// does.
func (s *State) ChangedRows(change Change) []byte {
	parts := partsOf(change)
	s.mu.RLock()
	defer s.mu.RUnlock()
	messages := make([]*kept, len(change.Messages))
	for i, id := range change.Messages {
		messages[i] = s.messages[id]
	}
	// New messages come in order of arrival, and those at -1 last.
	sort.Slice(messages, func(i, j int) bool { return uint(messages[i].Position) < uint(messages[j].Position) })
	w := wire.NewWriter(make([]byte, 0, 128*len(messages)))
	for _, m := range messages {
		if part := parts[m.ID]; part.whole {
			writeRow(w, m, nil)
		} else {
			writeRow(w, m, part)
		}
	}
	metadata := false
	for i := range change.Events {
		switch e := &change.Events[i]; {
		case e.noted:
			writeNote(w, &Note{Type: e.Event.Name, ID: e.Event.MessageID, At: e.Event.ReceivedAt, Data: e.Event.Output})
		case e.Event.Kind == KindMetadata:
			metadata = true
		}
	}
	if metadata {
		writeMetadataRow(w, s.metadata)
	}
	return w.End()
}

// writeRow writes the row of m: the whole of it, or the part that a change has
// brought.
func writeRow(w *wire.Writer, m *kept, change *part) {
	if change == nil && m.row != nil {
		w.Raw(m.row)
		return
	}
	body, result := m.Body, m.Result
	noBody, noResult := change != nil && !change.received, change != nil && !change.finished
	if noBody {
		body = nil
	}
	if noResult {
		result = nil
	}
	w.Array(rowFields)
	w.Text(m.ID)
	w.Uint(flagsOf(m.Received, m.InProgress, m.Finished, m.Errored, m.Failed, m.Cancelled, m.Body != nil, m.Result != nil,
		m.Parked, m.Pass, change != nil, noBody, noResult))
	w.Uint(m.ReceivedAt)
	w.Bytes(body)
	w.Text(m.Error)
	writeID(w, m.Runner)
	w.Bytes(result)
	w.BytesLen(len(m.Starts) * len(EventID{}))
	for _, start := range m.Starts {
		w.Raw(start[:])
	}
	if change != nil {
		w.Bytes(appendSteps(nil, change.steps))
	} else {
		w.Bytes(m.packedBytes())
	}
	w.Array(len(m.Open))
	for i := range m.Open {
		writeOpenStep(w, &m.Open[i])
	}
	writeIndexes(w, m.Fatal)
	writeID(w, m.Seed)
	w.Uint(uint64(m.Next))
	w.Uint(uint64(m.outcomes))
	w.Uint(m.Due)
	for _, n := range [...]uint32{m.back, m.began, m.changed, m.noted} {
		w.Uint(uint64(n))
	}
}

// writeID writes nothing for the zero value.
func writeID[ID ~[16]byte](w *wire.Writer, id ID) {
	if id == (ID{}) {
		w.Bytes(nil)
	} else {
		w.Bytes(id[:])
	}
}

func writeOpenStep(w *wire.Writer, s *OpenStep) {
	placed, tried := s.Place.placed(), s.Failure != nil
	count := 6
	if placed {
		count += placeFields
	}
	if tried {
		count++
	}
	w.Array(count)
	w.Uint(uint64(s.Index))
	w.Text(s.Name)
	w.Uint(flagsOf(s.Started, s.Uncertain, s.Output != nil, s.Waiting, s.Sleep, s.Pass, placed, tried))
	w.Bytes(s.Output)
	w.Uint(uint64(s.Attempts))
	w.Uint(s.Due)
	if placed {
		writePlace(w, &s.Place)
	}
	if tried {
		writeFailure(w, s.Failure)
	}
}

// What a row takes in memory at most when it is read, apart from the bytes that
// it shares: a message with its place in the map and in the order, and an open
// step. A text and an id take twice their length at most.
const (
	messageCost = 496
	openCost    = 240
	causeCost   = 32
)

// rowSize returns how many bytes the row of m has at most, and what it costs to
// read it.
func (m *kept) rowSize() (size, cost int) {
	texts := len(m.ID) + len(m.Error) + len(m.Starts)*len(EventID{})
	cost = messageCost + openCost*len(m.Open)
	size = 148 + len(m.Body) + len(m.Result) + 5*len(m.Fatal)
	cost += 4 * len(m.Fatal)
	if m.packed != nil {
		size, cost = size+len(m.packed.bytes), cost+m.packed.cost
	}
	for _, step := range m.Steps {
		size, cost = size+step.size(), cost+step.cost()
	}
	for i := range m.Open {
		step := &m.Open[i]
		texts += len(step.Name) + len(step.Place.Scope)
		for _, cause := range step.Failure {
			texts += len(cause.Name) + len(cause.Message)
			size += 10
			cost += causeCost
		}
		size += 96 + len(step.Output)
	}
	return size + texts, cost + 2*texts
}

// rowReader reads rows from anywhere, and keeps to what it may allocate. The
// messages share the input.
type rowReader struct {
	wire.Reader
	in    []byte
	steps wire.Reader // of the steps within a row

	details wire.Reader // of a step
	left    int
	cost    int
	read    int       // messages and steps
	begun   time.Time // or when the last pause ended
}

const (
	// longestWork is how long it reads without a pause. In a browser nothing
	// else happens until then, and a user notices 50 ms (W3C, Long Tasks API).
	longestWork = 8 * time.Millisecond
	// lookEvery is the number of messages and steps between looks at the clock.
	lookEvery = 256
)

func newRowReader(b []byte, left int) *rowReader {
	r := &rowReader{in: b, left: left, begun: time.Now()}
	r.Reset(b)
	return r
}

// pause lets others run from time to time. It has to sleep: in the browser Go
// returns to the event loop only when no goroutine can run.
func (r *rowReader) pause() {
	if r.read++; r.read%lookEvery == 0 && time.Since(r.begun) > longestWork {
		time.Sleep(time.Nanosecond)
		r.begun = time.Now()
	}
}

// spend is asked before anything is allocated whose size the input gives.
func (r *rowReader) spend(cost int) bool {
	r.cost += cost
	r.left -= cost
	if r.left < 0 {
		r.Refuse("the snapshot", " is too short for what it claims to hold")
	}
	return r.Defect() == ""
}

// row reads a row. It leaves the message's position to the caller.
func (r *rowReader) row() *kept {
	r.pause()
	start := len(r.in) - len(r.Rest())
	r.Array("a message", rowFields)
	m := &kept{Message: Message{ID: r.name("a message id"), Position: -1}}
	flags := r.Uint("the flags", storedFlags)
	on := func(flag uint64) bool { return flags&flag != 0 }
	m.Received, m.InProgress, m.Finished = on(flagReceived), on(flagInProgress), on(flagFinished)
	m.Errored, m.Failed, m.Cancelled = on(flagErrored), on(flagFailed), on(flagCancelled)
	m.Parked, m.Pass = on(flagParked), on(flagPass)
	m.ReceivedAt = r.Uint("the time of receipt", MaxSequence)
	m.Body = optionalBytes(&r.Reader, "the body", on(flagBody))
	m.Error = r.text("the error text")
	r.id("the runner's id", m.Runner[:])
	m.Result = optionalBytes(&r.Reader, "the result", on(flagResult))
	m.Starts = r.starts()
	m.packed = r.packedSteps()
	m.Open = r.open()
	m.Fatal = r.fatal()
	r.id("the seed", m.Seed[:])
	m.Next = uint32(r.Uint("the next index", math.MaxUint32))
	m.outcomes = uint32(r.Uint("the outcomes", math.MaxUint32))
	m.Due = r.Uint("the time", MaxSequence)
	for _, n := range [...]*uint32{&m.back, &m.began, &m.changed, &m.noted} {
		*n = uint32(r.Uint("a number", math.MaxUint32))
	}
	end := len(r.in) - len(r.Rest())
	m.row = r.in[start:end:end]
	return m
}

// id reads an id, and leaves it as it is if there is none.
func (r *rowReader) id(what string, id []byte) {
	if b := r.Bytes(what); len(b) > 0 {
		if copy(id, b); len(b) != len(id) || bytes.Count(b, []byte{0}) == len(b) {
			r.Refuse(what, " is none")
		}
	}
}

func (r *rowReader) fatal() []uint32 {
	count := r.ArrayLen("the steps")
	if count == 0 || !r.spend(4*count) {
		return nil
	}
	indexes := make([]uint32, count)
	for i := range indexes {
		if indexes[i] = uint32(r.Uint("the step index", math.MaxUint32)); i > 0 && indexes[i] <= indexes[i-1] {
			r.Refuse("the steps", " are not in order")
		}
	}
	return indexes
}

// text reads a text, and pays for it.
func (r *rowReader) text(what string) string { return r.keep(r.Text(what)) }

// keep pays for a text that was read.
func (r *rowReader) keep(b []byte) string {
	if !r.spend(2 * len(b)) {
		return ""
	}
	return string(b)
}

func (r *rowReader) name(what string) string {
	name := r.text(what)
	if err := CheckName("decode snapshot", name); err != nil {
		r.Refuse(what, ": "+detailOf(err))
	}
	return name
}

func (r *rowReader) starts() []EventID {
	b := r.Bytes("the starts")
	n := len(b) / len(EventID{})
	if len(b)%len(EventID{}) != 0 || n > MaxStarts {
		r.Refuse("the starts", " are not a list of ids")
	}
	if n == 0 || !r.spend(2*len(b)) {
		return nil
	}
	starts := make([]EventID, n)
	for i := range starts {
		copy(starts[i][:], b[i*len(EventID{}):])
	}
	return starts
}

// packedSteps walks through the steps, and leaves them as they are.
func (r *rowReader) packedSteps() *packedSteps {
	b := r.Bytes("the steps")
	if len(b) == 0 {
		return nil
	}
	p := &packedSteps{bytes: b}
	r.steps.Reset(b)
	for next := uint64(0); r.steps.More() && r.Defect() == ""; p.count++ {
		r.pause()
		step := nextStep(&r.steps)
		if step.Name != "" && CheckName("decode snapshot", step.Name) != nil {
			r.steps.Refuse("the step's name", " is none")
		}
		if uint64(step.Index) < next {
			r.steps.Refuse("a step", " stands in the wrong place")
		}
		r.details.Reset(step.details)
		p.failed = checkDetails(&r.details) || p.failed
		if r.details.More() {
			r.details.Refuse("the details", " are followed by other bytes")
		}
		if defect := r.details.Defect(); defect != "" {
			r.steps.Refuse("the details: ", defect)
		}
		next, p.last = uint64(step.Index)+1, step.Index
		cost := step.cost()
		p.cost += cost
		r.spend(cost)
	}
	if defect := r.steps.Defect(); defect != "" {
		r.Refuse("the steps: ", defect)
	}
	return p
}

func (r *rowReader) open() []OpenStep {
	count := r.ArrayLen("the open steps")
	if count == 0 || !r.spend(count*openCost) {
		return nil
	}
	steps := make([]OpenStep, count)
	for i := range steps {
		step := &steps[i]
		count := r.ArrayLen("an open step")
		step.Index = uint32(r.Uint("the step index", math.MaxUint32))
		step.Name = r.name("the step's name")
		flags := r.Uint("the flags", openFlags)
		on := func(flag uint64) bool { return flags&flag != 0 }
		step.Started, step.Uncertain = on(flagStarted), on(flagUncertain)
		step.Waiting, step.Sleep, step.Pass = on(flagWaiting), on(flagSleep), on(flagWaitPass)
		step.Output = optionalBytes(&r.Reader, "the partial output", on(flagOutput))
		step.Attempts = uint32(r.Uint("the attempts", math.MaxUint32))
		step.Due = r.Uint("the time", MaxSequence)
		want := 6
		if on(flagPlaced) {
			want += placeFields
			step.Place = readPlace(&r.Reader, r.keep)
		}
		if on(flagTried) {
			want++
			var causes [MaxCauses]Cause
			if n := readCauses(&r.Reader, &causes, r.keep); r.spend(n * causeCost) {
				step.Failure = slices.Clone(causes[:n])
			}
		}
		if count != want {
			r.Refuse("an open step", " has a wrong number of elements")
		}
		if i > 0 && step.Index <= steps[i-1].Index {
			r.Refuse("an open step", " stands in the wrong place")
		}
	}
	return steps
}
