package core

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"time"
	"unicode/utf8"
)

// This file knows the bytes of a snapshot, which is a state and what it is the
// state of. The parts are written and read as those of an event are:
//
//	[1, sequence, id of the last event, messages]
//	then zeros, as many as paddingOf tells
//	le32 CRC-32C of: the stream's name, 00, all bytes before
//
// The messages received come first, in order of arrival, then the others,
// by id. Each is
//
//	[id, flags, received at, body, error, runner, result, starts, steps, open steps]
//
// where the starts are one bin of all their ids, the steps one bin in which index,
// name and output of each follow one another, and an open step is
// [index, name, flags, output].
//
// snapshotVersion is to be raised with any change of this, and with any change
// of what State.Apply makes of events. Snapshots of another version are left
// aside, and the log is replayed.
const snapshotVersion = 2

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
	messageFlags = 1<<iota - 1
)

// The flags of an open step. Before it streams it has no output.
const (
	flagStarted = 1 << iota
	flagUncertain
	flagOutput
	openFlags = 1<<iota - 1
)

// What decoding allocates at most, besides the bytes that it shares with the
// snapshot: for a message, its place in the map and in the order, and for a
// step. A text and an id take twice their length at most.
const (
	messageCost = 320
	stepCost    = 64
	openCost    = 80
)

// paddingOf returns how many zeros stand behind content of a size, so that
// decoding allocates no more than 64 KiB + 2 x input. Half of the former is
// left for what does not depend on the input. Only many messages and steps with
// little in them need any.
func paddingOf(content, cost int) int { return max((cost-32<<10+1)/2-content, 0) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func snapshotSum(stream string, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(append([]byte(stream), 0), castagnoli), castagnoli, b)
}

// encodeSnapshot returns the snapshot of s, which is the state of stream before
// sequence, where last is the id of the last event. A state that does not fit
// into [MaxPayloadBytes] has none: nil.
func encodeSnapshot(stream string, sequence uint64, last EventID, s *State) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := slices.Clone(s.order)
	var others []string
	for id, m := range s.messages {
		if !m.Received {
			others = append(others, id)
		}
	}
	slices.Sort(others)
	for _, id := range others {
		all = append(all, s.messages[id])
	}
	size, cost := 64, 0
	for _, m := range all {
		n, c := m.snapshotSize()
		size, cost = size+n, cost+c
	}
	if size = max(size, paddingOf(0, cost)) + crc32.Size; size > MaxPayloadBytes {
		return nil
	}

	w := writers.Get().(*eventWriter)
	w.out = make([]byte, 0, size)
	w.array(4)
	w.uint(snapshotVersion)
	w.uint(sequence)
	_ = w.bytes(last[:])
	w.array(len(all))
	for _, m := range all {
		w.message(m)
	}
	out := w.out
	w.out = nil
	writers.Put(w)
	out = append(out, make([]byte, paddingOf(len(out), cost))...)
	return binary.LittleEndian.AppendUint32(out, snapshotSum(stream, out))
}

// snapshotSize returns how many bytes m takes at most, and what it costs to
// decode.
func (m *kept) snapshotSize() (size, cost int) {
	texts := len(m.ID) + len(m.Error) + len(m.Starts)*len(EventID{})
	cost = messageCost + openCost*len(m.Open)
	size = 64 + len(m.Body) + len(m.Result)
	if m.packed != nil {
		size, cost = size+len(m.packed.bytes), cost+m.packed.cost
	}
	for _, step := range m.Steps {
		size, cost = size+step.size(), cost+step.cost()
	}
	for _, step := range m.Open {
		texts += len(step.Name)
		size += 16 + len(step.Output)
	}
	return size + texts, cost + 2*texts
}

// size returns how many bytes a packed step takes at most.
func (s *Step) size() int { return 16 + len(s.Name) + len(s.Output) }

// cost returns what it costs to decode.
func (s *Step) cost() int { return stepCost + 2*len(s.Name) }

func (w *eventWriter) message(m *kept) {
	w.array(10)
	w.text(m.ID)
	w.flags(m.Received, m.InProgress, m.Finished, m.Errored, m.Failed, m.Cancelled, m.Body != nil, m.Result != nil)
	w.uint(m.ReceivedAt)
	_ = w.bytes(m.Body)
	w.text(m.Error)
	if (m.Runner == RunnerID{}) {
		_ = w.bytes(nil)
	} else {
		_ = w.bytes(m.Runner[:])
	}
	_ = w.bytes(m.Result)
	w.bytesLen(len(m.Starts) * len(EventID{}))
	for _, start := range m.Starts {
		w.out = append(w.out, start[:]...)
	}
	if m.packed != nil {
		_ = w.bytes(m.packed.bytes)
	} else {
		_ = w.bytes(appendSteps(nil, m.Steps))
	}
	w.array(len(m.Open))
	for _, step := range m.Open {
		w.array(4)
		w.uint(uint64(step.Index))
		w.text(step.Name)
		w.flags(step.Started, step.Uncertain, step.Output != nil)
		_ = w.bytes(step.Output)
	}
}

// appendSteps appends index, name and output of each step, one behind the other.
func appendSteps(b []byte, steps []Step) []byte {
	size := 0
	for i := range steps {
		size += steps[i].size()
	}
	w := writers.Get().(*eventWriter)
	w.out = slices.Grow(b, size)
	for i := range steps {
		w.uint(uint64(steps[i].Index))
		w.text(steps[i].Name)
		_ = w.bytes(steps[i].Output)
	}
	b = w.out
	w.out = nil
	writers.Put(w)
	return b
}

// decodeSteps is the inverse of appendSteps.
func decodeSteps(b []byte, count int) []Step {
	r := readers.Get().(*eventReader)
	r.in = b
	r.src.Reset(b)
	steps := make([]Step, count)
	for i := range steps {
		steps[i] = Step{
			Index:  uint32(r.uint("the step index", math.MaxUint32)),
			Name:   r.text("the step's name"),
			Output: r.bytes("the output", false),
		}
	}
	r.in, r.defect = nil, ""
	r.src.Reset(nil)
	readers.Put(r)
	return steps
}

func (w *eventWriter) flags(all ...bool) {
	flags := uint64(0)
	for i, on := range all {
		if on {
			flags |= 1 << i
		}
	}
	w.uint(flags)
}

// snapshot is a decoded snapshot.
type snapshot struct {
	sequence uint64
	last     EventID
	state    *State
}

// decodeSnapshot returns the snapshot of stream whose bytes are b. It accepts
// exactly what encodeSnapshot writes, and shares b with the state, so b must
// not change afterwards. Like [DecodeEvent] it may be given bytes from anywhere.
func decodeSnapshot(stream string, b []byte) (snapshot, error) {
	size := len(b) - crc32.Size
	if size < 0 || len(b) > MaxPayloadBytes {
		return snapshot{}, errSnapshot("it has a wrong size")
	}
	if binary.LittleEndian.Uint32(b[size:]) != snapshotSum(stream, b[:size]) {
		return snapshot{}, errSnapshot("its checksum is wrong")
	}
	r := readers.Get().(*eventReader)
	r.in = b[:size:size]
	r.src.Reset(r.in)
	s, err := (&snapshotReader{eventReader: r, left: 32<<10 + 2*size, begun: time.Now()}).snapshot()
	r.in, r.defect = nil, ""
	r.src.Reset(nil) // the pool must not keep b
	readers.Put(r)
	return s, err
}

func errSnapshot(detail string) error {
	return &Error{Code: ErrCorrupt, Op: "decode snapshot", Detail: "the snapshot is damaged: " + detail}
}

// snapshotReader is an eventReader that keeps to what it may allocate.
type snapshotReader struct {
	*eventReader
	left  int
	cost  int
	read  int       // messages and steps
	begun time.Time // or gone on behind a pause
}

const (
	// longestWork is how long it reads without a pause. In a browser nothing else
	// happens meanwhile, and a user notices 50 ms (W3C, Long Tasks API).
	longestWork = 8 * time.Millisecond
	// lookEvery is after how many messages and steps it looks at the clock.
	lookEvery = 256
)

// pause lets others run from time to time. It has to sleep: without a thread of
// its own Go gives the event loop of the browser a turn when nothing of it runs.
func (r *snapshotReader) pause() {
	if r.read++; r.read%lookEvery == 0 && time.Since(r.begun) > longestWork {
		time.Sleep(time.Nanosecond)
		r.begun = time.Now()
	}
}

func (r *snapshotReader) snapshot() (snapshot, error) {
	count := r.arrayLen("the snapshot")
	version := r.uint("the version", math.MaxUint64)
	if r.defect == "" && version != snapshotVersion {
		return snapshot{}, &Error{Code: ErrUnsupportedVersion, Op: "decode snapshot",
			Detail: fmt.Sprintf("the snapshot has version %d, this release reads %d", version, snapshotVersion)}
	}
	if count != 4 {
		r.refuse("the snapshot", " has a wrong number of elements")
	}
	var s snapshot
	s.sequence = r.uint("the sequence", MaxSequence)
	r.id("the last event's id", s.last[:])
	s.state = r.state()
	content := len(r.in) - r.src.Len()
	padding := r.in[content:]
	other := func(b byte) bool { return b != 0 }
	if len(padding) != paddingOf(content, r.cost) || slices.ContainsFunc(padding, other) {
		r.refuse("the snapshot", " is followed by other bytes")
	}
	if s.sequence == 0 {
		r.refuse("the sequence", " is zero")
	}
	if r.defect != "" {
		return snapshot{}, errSnapshot(r.defect)
	}
	return s, nil
}

// spend is asked before anything is allocated whose size the input tells.
func (r *snapshotReader) spend(cost int) bool {
	r.cost += cost
	r.left -= cost
	if r.left < 0 {
		r.refuse("the snapshot", " is too short for what it claims to hold")
	}
	return r.defect == ""
}

func (r *snapshotReader) state() *State {
	s := NewState()
	count := r.arrayLen("the messages")
	if !r.spend(count * messageCost) {
		return s
	}
	s.messages = make(map[string]*kept, count)
	s.order = make([]*kept, 0, count)
	previous := "" // of those that were not received
	for range count {
		m := r.message()
		if r.defect != "" {
			return s
		}
		_, known := s.messages[m.ID]
		switch {
		case known, m.Received && previous != "", !m.Received && m.ID <= previous:
			r.refuse("a message", " stands in the wrong place")
		case m.Received:
			m.Position = len(s.order)
			s.order = append(s.order, m)
		default:
			previous = m.ID
		}
		s.messages[m.ID] = m
	}
	return s
}

func (r *snapshotReader) message() *kept {
	r.pause()
	r.head("a message", 10)
	m := &kept{Message: Message{ID: r.name("a message id"), Position: -1}}
	flags := r.uint("the flags", messageFlags)
	on := func(flag uint64) bool { return flags&flag != 0 }
	m.Received, m.InProgress, m.Finished = on(flagReceived), on(flagInProgress), on(flagFinished)
	m.Errored, m.Failed, m.Cancelled = on(flagErrored), on(flagFailed), on(flagCancelled)
	m.ReceivedAt = r.uint("the time of receipt", MaxSequence)
	m.Body = r.optional("the body", on(flagBody))
	m.Error = r.text("the error text")
	if runner := r.bytes("the runner's id", false); len(runner) > 0 {
		if copy(m.Runner[:], runner); len(runner) != len(m.Runner) || m.Runner == (RunnerID{}) {
			r.refuse("the runner's id", " is none")
		}
	}
	m.Result = r.optional("the result", on(flagResult))
	m.Starts = r.starts()
	m.packed = r.steps()
	m.Open = r.open()
	return m
}

// head reads the head of an array of n elements.
func (r *snapshotReader) head(what string, n int) {
	if r.arrayLen(what) != n {
		r.refuse(what, " has a wrong number of elements")
	}
}

// optional reads bytes that are nil unless they are present.
func (r *snapshotReader) optional(what string, present bool) []byte {
	b := r.bytes(what, false)
	if present {
		return b
	}
	if len(b) > 0 {
		r.refuse(what, " is there, and is said to be absent")
	}
	return nil
}

// text reads a text, and pays for it.
func (r *snapshotReader) text(what string) string {
	b := r.bytes(what, true)
	if !utf8.Valid(b) {
		r.refuse(what, " is not valid UTF-8")
	}
	if !r.spend(2 * len(b)) {
		return ""
	}
	return string(b)
}

func (r *snapshotReader) name(what string) string {
	name := r.text(what)
	if err := CheckName("decode snapshot", name); err != nil {
		r.refuse(what, ": "+detailOf(err))
	}
	return name
}

func (r *snapshotReader) starts() []EventID {
	b := r.bytes("the starts", false)
	n := len(b) / len(EventID{})
	if len(b)%len(EventID{}) != 0 || n > MaxStarts {
		r.refuse("the starts", " are not a list of ids")
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

// steps walks through the steps, and leaves them as they are.
func (r *snapshotReader) steps() *packedSteps {
	b := r.bytes("the steps", false)
	if len(b) == 0 {
		return nil
	}
	p := &packedSteps{bytes: b}
	behind := r.src.Len()
	if _, err := r.src.Seek(-int64(len(b)), io.SeekCurrent); err != nil {
		r.refuse("the steps", " are cut short")
	}
	next := uint64(0)
	for r.defect == "" && r.src.Len() > behind {
		r.pause()
		index := r.uint("the step index", math.MaxUint32)
		name := r.bytes("the step's name", true)
		if len(name) > 0 && CheckName("decode snapshot", string(name)) != nil {
			r.refuse("the step's name", " is none")
		}
		r.bytes("the output", false)
		if index < next {
			r.refuse("a step", " stands in the wrong place")
		}
		next = index + 1
		p.count++
		p.last = uint32(index)
		cost := stepCost + 2*len(name)
		p.cost += cost
		r.spend(cost)
	}
	if r.src.Len() != behind {
		r.refuse("the steps", " end within a step")
	}
	return p
}

func (r *snapshotReader) open() []OpenStep {
	count := r.arrayLen("the open steps")
	if count == 0 || !r.spend(count*openCost) {
		return nil
	}
	steps := make([]OpenStep, count)
	for i := range steps {
		step := &steps[i]
		r.head("an open step", 4)
		step.Index = uint32(r.uint("the step index", math.MaxUint32))
		step.Name = r.name("the step's name")
		flags := r.uint("the flags", openFlags)
		step.Started, step.Uncertain = flags&flagStarted != 0, flags&flagUncertain != 0
		step.Output = r.optional("the partial output", flags&flagOutput != 0)
		if i > 0 && step.Index <= steps[i-1].Index {
			r.refuse("an open step", " stands in the wrong place")
		}
	}
	return steps
}
