package core_test

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"weak"

	"github.com/holdfast-dev/holdfast/core"
)

// The events of the stories below, in short.

func received(id string, at uint64, body string) core.Event {
	return core.Event{Kind: core.KindMessageReceived, MessageID: id, ReceivedAt: at, Body: []byte(body)}
}

func started(id string) core.Event {
	return core.Event{Kind: core.KindProcessingStarted, MessageID: id}
}

func completed(id string, step uint32, output string) core.Event {
	return core.Event{Kind: core.KindStepCompleted, MessageID: id, Step: step, Output: []byte(output)}
}

func finished(id string) core.Event {
	return core.Event{Kind: core.KindProcessingFinished, MessageID: id}
}

func failed(id, text string) core.Event {
	return core.Event{Kind: core.KindErrorOccurred, MessageID: id, Error: text}
}

func event(kind core.Kind, id string) core.Event { return core.Event{Kind: kind, MessageID: id} }

// startedBy is a start with a runner, and with the runner's number as event id.
func startedBy(id string, runner byte) core.Event {
	e := event(core.KindProcessingStarted, id)
	e.ID, e.Runner = core.EventID{runner}, core.RunnerID{runner}
	return e
}

func stepStarted(id string, step uint32) core.Event {
	return core.Event{Kind: core.KindStepStarted, MessageID: id, Step: step, Name: "pay"}
}

func streamed(id string, offset uint64, output string) core.Event {
	return core.Event{Kind: core.KindStepStreamed, MessageID: id, Name: "write", Offset: offset, Output: []byte(output)}
}

func aNote(kind, id string, at uint64, data []byte) core.Event {
	return core.Event{Kind: core.KindNote, MessageID: id, Name: kind, ReceivedAt: at, Output: data}
}

func set(key string, value []byte) core.Event {
	return core.Event{Kind: core.KindMetadata, MessageID: key, Output: value}
}

func stateOf(events ...core.Event) *core.State {
	s := core.NewState()
	for _, e := range events {
		s.Apply(e)
	}
	return s
}

// contents is all that a state says of messages with these ids, without the ids
// of events, which are random.
func contents(s *core.State, ids ...string) []core.Message {
	all := slices.Collect(s.Received())
	for _, id := range ids {
		m, _ := s.Message(id)
		all = append(all, m)
	}
	for i := range all {
		all[i].Starts, all[i].Seed = make([]core.EventID, len(all[i].Starts)), core.EventID{}
	}
	return all
}

func TestStateOfAnUnknownMessage(t *testing.T) {
	s := stateOf(received("other", 1, "x"), completed("other", 1, "x"))
	if m, ok := s.Message("m"); ok || !reflect.DeepEqual(m, core.Message{}) {
		t.Errorf("Message is %+v, %v", m, ok)
	}
	if s.IsReceived("m") || s.IsInProgress("m") || s.IsFullyProcessed("m") {
		t.Error("it has a state")
	}
	if step, ok := s.LastCompletedStep("m"); ok || step != 0 {
		t.Errorf("LastCompletedStep is %d", step)
	}
	if _, ok := s.CompletedStep("m", 0); ok {
		t.Error("it has a step")
	}
	for _, index := range []uint32{0, 2, math.MaxUint32} {
		if _, ok := s.CompletedStep("other", index); ok {
			t.Errorf("step %d is completed", index)
		}
	}
	if text, ok := s.ErrorText("m"); ok || text != "" {
		t.Errorf("ErrorText is %q", text)
	}
}

// TestMessagesAreInOrderOfArrival: whatever happens to them later, messages keep
// the order of their first receipt, and only received ones are listed.
func TestMessagesAreInOrderOfArrival(t *testing.T) {
	s := stateOf(
		completed("early", 0, "x"),
		received("b", 9, ""), received("a", 5, ""), completed("never", 0, "y"),
		finished("a"), received("early", 1, ""), received("b", 2, ""), failed("b", "boom"),
	)
	var order []string
	for m := range s.Received() {
		if m.Position != len(order) {
			t.Errorf("%s has position %d, want %d", m.ID, m.Position, len(order))
		}
		order = append(order, m.ID)
	}
	if want := []string{"b", "a", "early"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if s.Len() != 3 {
		t.Errorf("Len is %d", s.Len())
	}
	known := s.Known()
	if want := []string{"b", "a", "early", "never"}; !slices.Equal(known, want) {
		t.Errorf("known %v, want %v", known, want)
	}
	if m, ok := s.Message("never"); !ok || m.Position != -1 || len(m.Steps) != 1 {
		t.Errorf("the message that was never received is %+v, %v", m, ok)
	}
}

// TestMessagesWhileTheStateChanges: a loop sees the messages that were there
// when it began, and may itself change the state.
func TestMessagesWhileTheStateChanges(t *testing.T) {
	s := stateOf(received("a", 1, ""), received("b", 2, ""))
	var order []string
	for m := range s.Received() {
		order = append(order, m.ID)
		s.Apply(received("during-"+m.ID, 3, ""))
		s.Apply(finished("b"))
		if m.ID == "b" && !m.Finished {
			t.Error("b is not as the log has it when its turn comes")
		}
	}
	if want := []string{"a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	for range s.Received() {
		break
	}
}

// TestReturnedMessagesDoNotChange: what a caller holds stays as it is, whatever
// steps follow, in the state or in a clone of it.
func TestReturnedMessagesDoNotChange(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := core.NewState()
		var held, want []core.Message
		for i := range 40 {
			s.Apply(completed("m", random.Uint32N(12), strconv.Itoa(i)))
			s.Apply(startedBy("m", byte(i)))
			s.Apply(core.Event{Kind: core.KindErrorOccurred, MessageID: "m", Steps: []uint32{random.Uint32N(9), 9}})
			for _, at := range []uint64{0, random.Uint64N(20), random.Uint64N(20)} {
				s.Apply(core.Event{Kind: core.KindStepStreamed, MessageID: "m", Step: 20, Name: "s", Offset: at, Output: []byte(strconv.Itoa(i))})
			}
			if random.IntN(4) == 0 {
				s = s.Clone()
			}
			m, _ := s.Message("m")
			held = append(held, m)
			m.Steps, m.Starts, m.Fatal, m.Open = slices.Clone(m.Steps), slices.Clone(m.Starts), slices.Clone(m.Fatal), slices.Clone(m.Open)
			for i := range m.Open {
				m.Open[i].Output = slices.Clone(m.Open[i].Output)
			}
			want = append(want, m)
			// What callers append for themselves must not reach the state.
			for _, m := range held {
				_ = append(m.Steps, core.Step{Index: 99})
				_ = append(m.Starts, core.EventID{99})
				_ = append(m.Fatal, 99)
				_ = append(m.Open[0].Output, '!')
			}
			for at, step := range held[i].Steps {
				if step.Index == 99 {
					t.Fatalf("seed %d: step %d was written by a caller", seed, at)
				}
			}
		}
		if !reflect.DeepEqual(held, want) {
			t.Fatalf("seed %d: a message in the caller's hands has changed", seed)
		}
	}
}

// TestLooksChangeNothing: steps are kept in another form once somebody has looked at
// them, which nobody must see.
func TestLooksChangeNothing(t *testing.T) {
	large := bytes.Repeat([]byte("x"), core.MostCopied+1)
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 2))
		all := []*core.State{core.NewState(), core.NewState(), core.NewState()} // looked at never, always, at times
		held, want := [][]byte{}, [][]byte{}
		model, next, orders := map[uint32]core.Step{}, uint32(0), uint32(0)
		for i := range random.IntN(40) {
			e := completed("m", uint32(i), strconv.Itoa(i))
			switch random.IntN(12) {
			case 0:
				e.Step = random.Uint32N(50)
			case 1:
				e.Output = large
			case 2:
				e.Name = "named"
			case 3:
				e = stepFailed(uint32(i), "search", "boom")
			}
			before, known := model[e.Step]
			switch {
			case known && (before.Failed() || e.Failure != nil): // the first outcome counts
			case known:
				model[e.Step] = core.NewStep(e.Step, cmp.Or(e.Name, before.Name), e.Output, before.Details())
			case e.Name != "" && e.Step < next: // of a step that was forgotten
			default:
				model[e.Step] = core.NewStep(e.Step, e.Name, e.Output, core.Details{Order: orders, Failure: e.Failure})
				next, orders = max(next, e.Step+1), orders+1
			}
			for _, s := range all {
				s.Apply(e)
			}
			hold := func(s *core.State) {
				packed := s.PackedSteps("m")
				held, want = append(held, packed), append(want, bytes.Clone(packed))
				_ = append(packed, '!')
			}
			hold(all[0])
			want, known := model[e.Step]
			if output, ok := all[1].CompletedStep("m", e.Step); ok != (known && !want.Failed()) || !bytes.Equal(output, want.Output) {
				t.Fatalf("seed %d: step %d is %q, %v", seed, e.Step, output, ok)
			}
			switch random.IntN(4) {
			case 0:
				all[2].Message("m")
			case 1:
				clone := all[2].Clone()
				clone.Apply(completed("m", 60, "in the clone"))
				hold(clone)
			case 2:
				original := all[2]
				all[2] = original.Clone()
				original.Apply(completed("m", 60, "in the original"))
			}
		}
		var steps []core.Step
		completed, highest := false, uint32(0)
		for _, index := range slices.Sorted(maps.Keys(model)) {
			step := model[index]
			steps = append(steps, step)
			if !step.Failed() {
				completed, highest = true, index
			}
		}
		for i, s := range all {
			last, some := s.LastCompletedStep("m")
			packed := s.PackedSteps("m")
			if m, _ := s.Message("m"); !slices.EqualFunc(m.Steps, steps, sameStep) || !bytes.Equal(packed, core.EncodeSteps(steps)) {
				t.Fatalf("seed %d, state %d: steps %+v, packed %x", seed, i, m.Steps, packed)
			}
			if some != completed || last != highest {
				t.Fatalf("seed %d, state %d: the last step is %d, %v", seed, i, last, some)
			}
		}
		if !reflect.DeepEqual(held, want) {
			t.Fatalf("seed %d: packed steps in the caller's hands have changed", seed)
		}
	}
}

func sameStep(a, b core.Step) bool {
	return a.Index == b.Index && a.Name == b.Name && bytes.Equal(a.Output, b.Output) && reflect.DeepEqual(a.Details(), b.Details())
}

// TestStateKeepsNoRecord: a few bytes of a message must not keep a record of half a
// megabyte in memory.
func TestStateKeepsNoRecord(t *testing.T) {
	record := new([1 << 19]byte)
	rest := record[:]
	part := func(text string) []byte {
		n := copy(rest, text)
		defer func() { rest = rest[n:] }()
		return rest[:n:n]
	}
	s := stateOf(
		core.Event{Kind: core.KindMessageReceived, MessageID: "m", Body: part("body")},
		core.Event{Kind: core.KindStepStreamed, MessageID: "m", Step: 2, Name: "s", Output: part("partial")},
		core.Event{Kind: core.KindStepWaiting, MessageID: "m", Step: 3, Name: "w", Output: part("prompt")},
		core.Event{Kind: core.KindStepCompleted, MessageID: "m", Step: 1, Output: part("second")},
		core.Event{Kind: core.KindStepCompleted, MessageID: "m", Step: 0, Output: part("first")},
		core.Event{Kind: core.KindProcessingFinished, MessageID: "n", Output: part("result")},
	)
	rest = nil
	kept := weak.Make(record)
	runtime.GC()
	if kept.Value() != nil {
		t.Error("the record is still in memory")
	}
	m, _ := s.Message("m")
	n, _ := s.Message("n")
	outputs := []core.Step{core.NewStep(0, "", []byte("first"), core.Details{Order: 1}), core.NewStep(1, "", []byte("second"), core.Details{})}
	if string(m.Body) != "body" || string(m.Open[0].Output) != "partial" || string(m.Open[1].Output) != "prompt" || !reflect.DeepEqual(m.Steps, outputs) || string(n.Result) != "result" {
		t.Errorf("the state is %+v, %+v", m, n)
	}
}

func TestCloneIsIndependent(t *testing.T) {
	s := stateOf(received("m", 1, ""), completed("m", 0, "a"), completed("never", 3, "z"))
	before := contents(s, "never")
	c := s.Clone()
	c.Apply(completed("m", 1, "in the clone"))
	c.Apply(completed("m", 0, "in the clone"))
	c.Apply(received("n", 2, ""))
	c.Apply(finished("never"))
	if got := contents(s, "never"); !reflect.DeepEqual(got, before) {
		t.Errorf("the clone changed the original:\n got %+v\nwant %+v", got, before)
	}
	c = s.Clone()
	s.Apply(completed("m", 1, "in the original"))
	s.Apply(finished("m"))
	s.Apply(received("n", 2, ""))
	if got := contents(c, "never"); !reflect.DeepEqual(got, before) {
		t.Errorf("the original changed the clone:\n got %+v\nwant %+v", got, before)
	}
	c.Apply(finished("m"))
	if m := slices.Collect(c.Messages())[0]; !m.Finished {
		t.Error("the clone lists another message than it changes")
	}
}

// TestApplyTwice: an event that is applied again right away changes nothing,
// whatever was before it.
func TestApplyTwice(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		once, twice := core.NewState(), core.NewState()
		for i := range random.IntN(60) {
			e := randomEvent(random, once, i)
			once.Apply(e)
			twice.Apply(e)
			twice.Apply(e)
			if a, b := known(once), known(twice); !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d, event %d, %+v:\n once %+v\ntwice %+v", seed, i, e, a, b)
			}
		}
	}
}

// TestStateIsSafeForConcurrentUse is for the race detector.
func TestStateIsSafeForConcurrentUse(t *testing.T) {
	s := core.NewState()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range uint32(200) {
				s.Apply(received("m"+strconv.Itoa(int(i%10)), 1, "x"))
				s.Apply(completed("m0", i%7, "x"))
				s.Apply(failed("m0", "x"))
				s.Apply(core.Event{Kind: core.KindStepCompleted, MessageID: "m1", Step: 10 + i, Name: "s", Output: []byte("x"), Place: core.Place{Count: i, Called: 1}})
				s.Apply(core.Event{Kind: core.KindMessageRetried, MessageID: "m1", Steps: []uint32{10 + i/2}})
			}
		})
		group.Go(func() {
			for range 200 {
				for m := range s.Received() {
					for _, step := range m.Steps {
						_ = step.Output[0]
					}
				}
				s.LastCompletedStep("m0")
				s.CompletedStep("m0", 3)
				s.ErrorText("m0")
				s.Message("m0")
				s.StepAt("m1", "s#7")
				s.HasOutcome("m1", 7)
				s.NextPending(1)
				s.Clone().Apply(finished("m0"))
				_ = s.IsReceived("m0") || s.IsInProgress("m0") || s.IsFullyProcessed("m0") || s.Len() > 0
			}
		})
	}
	group.Wait()
}

// TestPendingAtRandom: which messages are pending, and which is next, is what a
// look at all of them says.
func TestPendingAtRandom(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := core.NewState()
		for number := range 200 {
			s.Apply(randomEvent(r, s, number))
			if number%50 == 49 {
				s = s.Clone()
			}
			next, due, idle, held := "", uint64(0), true, false
			for m := range s.Received() {
				switch {
				case !m.Pending():
					continue
				case !held && next == "" && (!m.Parked || m.Due > 0 && m.Due <= 100):
					next = m.ID
				case !held && next == "":
					due = core.Sooner(due, m.Due)
				}
				idle, held = false, held || m.Parked && !m.Pass
			}
			if id, at := s.NextPending(100); id != next || at != due || s.IsIdle() != idle {
				t.Fatalf("seed %d, event %d: next is %q, due %d, idle %v; want %q, %d, %v", seed, number, id, at, s.IsIdle(), next, due, idle)
			}
		}
	}
}
