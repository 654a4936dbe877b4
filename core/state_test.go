package core_test

import (
	"bytes"
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

func stateOf(events ...core.Event) *core.State {
	s := core.NewState()
	for _, e := range events {
		s.Apply(e)
	}
	return s
}

// contents is all that a state says of messages with these ids; of their starts
// how many there are, because the ids of events are random.
func contents(s *core.State, ids ...string) []core.Message {
	all := slices.Collect(s.Messages())
	for _, id := range ids {
		m, _ := s.Message(id)
		all = append(all, m)
	}
	for i := range all {
		all[i].Starts = make([]core.EventID, len(all[i].Starts))
	}
	return all
}

func steps(outputs ...string) []core.Step {
	var all []core.Step
	for i, output := range outputs {
		all = append(all, core.Step{Index: uint32(i), Output: []byte(output)})
	}
	return all
}

func TestStateOfOneMessage(t *testing.T) {
	one := core.RunnerID{1}
	starts := func(ids ...byte) (all []core.EventID) {
		for _, id := range ids {
			all = append(all, core.EventID{id})
		}
		return all
	}
	tests := []struct {
		name   string
		events []core.Event
		want   core.Message
	}{
		{"received",
			[]core.Event{received("m", 7, "hi")},
			core.Message{ID: "m", Received: true, ReceivedAt: 7, Body: []byte("hi")}},
		{"the first receipt wins",
			[]core.Event{received("m", 7, "hi"), received("m", 8, "ho")},
			core.Message{ID: "m", Received: true, ReceivedAt: 7, Body: []byte("hi")}},
		{"the first receipt wins, even without a body",
			[]core.Event{{Kind: core.KindMessageReceived, MessageID: "m"}, received("m", 8, "ho")},
			core.Message{ID: "m", Received: true}},
		{"started",
			[]core.Event{received("m", 7, "hi"), startedBy("m", 1)},
			core.Message{ID: "m", Received: true, ReceivedAt: 7, Body: []byte("hi"), InProgress: true, Runner: one, Starts: starts(1)}},
		{"started without a runner",
			[]core.Event{started("m")},
			core.Message{ID: "m", Position: -1, InProgress: true, Starts: starts(0)}},
		{"started again and again",
			[]core.Event{startedBy("m", 1), startedBy("m", 2), startedBy("m", 3)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{3}, Starts: starts(1, 2, 3)}},
		{"a completed step begins the count anew",
			[]core.Event{startedBy("m", 1), startedBy("m", 2), completed("m", 0, "a"), startedBy("m", 3)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{3}, Starts: starts(3), Steps: steps("a")}},
		{"stopped: that start does not count",
			[]core.Event{startedBy("m", 1), startedBy("m", 2), event(core.KindProcessingStopped, "m")},
			core.Message{ID: "m", Position: -1, Runner: core.RunnerID{2}, Starts: starts(1)}},
		{"cancelled",
			[]core.Event{startedBy("m", 1), event(core.KindMessageCancelled, "m")},
			core.Message{ID: "m", Position: -1, Cancelled: true, Runner: one, Starts: starts(1)}},
		{"cancelled, then retried",
			[]core.Event{startedBy("m", 1), event(core.KindMessageCancelled, "m"), event(core.KindMessageRetried, "m")},
			core.Message{ID: "m", Position: -1, Runner: one}},
		{"failed, then retried: the text stays",
			[]core.Event{startedBy("m", 1), failed("m", "boom"), event(core.KindMessageRetried, "m")},
			core.Message{ID: "m", Position: -1, Errored: true, Error: "boom", Runner: one}},
		{"a result",
			[]core.Event{{Kind: core.KindProcessingFinished, MessageID: "m", Output: []byte("r")}},
			core.Message{ID: "m", Position: -1, Finished: true, Result: []byte("r")}},
		{"a step with a name",
			[]core.Event{{Kind: core.KindStepCompleted, MessageID: "m", Name: "plan", Output: []byte("a")}},
			core.Message{ID: "m", Position: -1, Steps: []core.Step{{Name: "plan", Output: []byte("a")}}}},
		{"side effects under way",
			[]core.Event{startedBy("m", 1), stepStarted("m", 0)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: one, Starts: starts(1),
				Open: []core.OpenStep{{Name: "pay", Started: true}}}},
		{"side effects that may have happened",
			[]core.Event{startedBy("m", 1), stepStarted("m", 0), startedBy("m", 2)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{2}, Starts: starts(1, 2),
				Open: []core.OpenStep{{Name: "pay", Uncertain: true}}}},
		{"side effects that are to happen again",
			[]core.Event{startedBy("m", 1), stepStarted("m", 0), startedBy("m", 2), stepStarted("m", 0)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{2}, Starts: starts(1, 2),
				Open: []core.OpenStep{{Name: "pay", Started: true}}}},
		{"side effects that have happened",
			[]core.Event{stepStarted("m", 0), completed("m", 0, "paid"), stepStarted("m", 0)},
			core.Message{ID: "m", Position: -1, Steps: steps("paid")}},
		{"open steps by index, and none when it is finished",
			[]core.Event{stepStarted("m", 2), stepStarted("m", 0), finished("m"), stepStarted("m", 1)},
			core.Message{ID: "m", Position: -1, Finished: true}},
		{"open steps by index",
			[]core.Event{stepStarted("m", 2), stepStarted("m", 0)},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "pay", Started: true}, {Index: 2, Name: "pay", Started: true}}}},
		{"partial output",
			[]core.Event{streamed("m", 0, "on"), streamed("m", 2, "ce")},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "write", Output: []byte("once")}}}},
		{"partial output of a run that begins anew",
			[]core.Event{streamed("m", 0, "on"), streamed("m", 2, "ce"), streamed("m", 0, "tw")},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "write", Output: []byte("tw")}}}},
		{"partial output that goes on further back",
			[]core.Event{streamed("m", 0, "one"), streamed("m", 2, "ce")},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "write", Output: []byte("once")}}}},
		{"partial output, then all of it",
			[]core.Event{streamed("m", 0, "on"), completed("m", 0, "once"), streamed("m", 2, "ce")},
			core.Message{ID: "m", Position: -1, Steps: steps("once")}},
		{"finished",
			[]core.Event{received("m", 7, "hi"), started("m"), completed("m", 0, "a"), finished("m")},
			core.Message{ID: "m", Received: true, ReceivedAt: 7, Body: []byte("hi"), Finished: true, Steps: steps("a")}},
		{"failed",
			[]core.Event{received("m", 7, "hi"), started("m"), completed("m", 0, "a"), failed("m", "boom")},
			core.Message{ID: "m", Received: true, ReceivedAt: 7, Body: []byte("hi"), Errored: true, Failed: true, Error: "boom", Steps: steps("a")}},
		{"failed without a text",
			[]core.Event{failed("m", "")},
			core.Message{ID: "m", Position: -1, Errored: true, Failed: true}},
		{"the last failure wins",
			[]core.Event{failed("m", "boom"), failed("m", "bang")},
			core.Message{ID: "m", Position: -1, Errored: true, Failed: true, Error: "bang"}},
		{"a failure stays when processing goes on",
			[]core.Event{failed("m", "boom"), started("m")},
			core.Message{ID: "m", Position: -1, Errored: true, Error: "boom", InProgress: true, Starts: starts(0)}},
		{"a failure stays when processing finishes",
			[]core.Event{failed("m", "boom"), started("m"), finished("m")},
			core.Message{ID: "m", Position: -1, Errored: true, Error: "boom", Finished: true, Starts: starts(0)}},
		{"started once more after the end",
			[]core.Event{finished("m"), started("m")},
			core.Message{ID: "m", Position: -1, Finished: true, InProgress: true, Starts: starts(0)}},
		{"steps 0 then 2",
			[]core.Event{completed("m", 0, "a"), completed("m", 2, "c")},
			core.Message{ID: "m", Position: -1, Steps: []core.Step{{Index: 0, Output: []byte("a")}, {Index: 2, Output: []byte("c")}}}},
		{"steps backwards",
			[]core.Event{completed("m", 2, "c"), completed("m", 1, "b"), completed("m", 0, "a")},
			core.Message{ID: "m", Position: -1, Steps: steps("a", "b", "c")}},
		{"a repeated step has the last output",
			[]core.Event{completed("m", 0, "a"), completed("m", 1, "b"), completed("m", 0, "A")},
			core.Message{ID: "m", Position: -1, Steps: steps("A", "b")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check := func(how string, s *core.State) {
				t.Helper()
				got, ok := s.Message("m")
				if len(got.Starts) == 0 {
					got.Starts = nil
				}
				if len(got.Open) == 0 {
					got.Open = nil
				}
				if !ok || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("%s:\n got %+v\nwant %+v", how, got, tt.want)
				}
				if got := s.IsReceived("m"); got != tt.want.Received {
					t.Errorf("%s: IsReceived is %v", how, got)
				}
				if got := s.IsInProgress("m"); got != tt.want.InProgress {
					t.Errorf("%s: IsInProgress is %v", how, got)
				}
				if got := s.IsFullyProcessed("m"); got != tt.want.Finished {
					t.Errorf("%s: IsFullyProcessed is %v", how, got)
				}
				if text, ok := s.ErrorText("m"); ok != tt.want.Errored || text != tt.want.Error {
					t.Errorf("%s: ErrorText is %q, %v", how, text, ok)
				}
				if got := s.Len() == 1; got != tt.want.Received {
					t.Errorf("%s: Len is %d", how, s.Len())
				}
				last, some := s.LastCompletedStep("m")
				if n := len(tt.want.Steps); some != (n > 0) || some && last != tt.want.Steps[n-1].Index {
					t.Errorf("%s: LastCompletedStep is %d, %v", how, last, some)
				}
				for _, step := range tt.want.Steps {
					if output, ok := s.CompletedStep("m", step.Index); !ok || !bytes.Equal(output, step.Output) {
						t.Errorf("%s: CompletedStep %d is %q, %v", how, step.Index, output, ok)
					}
				}
			}
			check("once", stateOf(tt.events...))
			check("replayed twice", stateOf(slices.Concat(tt.events, tt.events)...))
			var doubled []core.Event
			for _, e := range tt.events {
				doubled = append(doubled, e, e)
			}
			check("each event twice", stateOf(doubled...))
			check("a clone", stateOf(tt.events...).Clone())
		})
	}
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
	for m := range s.Messages() {
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
	for m := range s.Messages() {
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
	for range s.Messages() {
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
			for _, at := range []uint64{0, random.Uint64N(20), random.Uint64N(20)} {
				s.Apply(core.Event{Kind: core.KindStepStreamed, MessageID: "m", Step: 20, Name: "s", Offset: at, Output: []byte(strconv.Itoa(i))})
			}
			if random.IntN(4) == 0 {
				s = s.Clone()
			}
			m, _ := s.Message("m")
			held = append(held, m)
			m.Steps, m.Starts, m.Open = slices.Clone(m.Steps), slices.Clone(m.Starts), slices.Clone(m.Open)
			for i := range m.Open {
				m.Open[i].Output = slices.Clone(m.Open[i].Output)
			}
			want = append(want, m)
			// What callers append for themselves must not reach the state.
			for _, m := range held {
				_ = append(m.Steps, core.Step{Index: 99})
				_ = append(m.Starts, core.EventID{99})
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
		model := map[uint32]core.Step{}
		for i := range random.IntN(40) {
			step := core.Step{Index: uint32(i), Output: []byte(strconv.Itoa(i))}
			switch random.IntN(12) {
			case 0:
				step.Index = random.Uint32N(50)
			case 1:
				step.Output = large
			case 2:
				step.Name = "named"
			}
			model[step.Index] = step
			for _, s := range all {
				s.Apply(core.Event{Kind: core.KindStepCompleted, MessageID: "m", Step: step.Index, Name: step.Name, Output: step.Output})
			}
			hold := func(s *core.State) {
				packed := s.PackedSteps("m")
				held, want = append(held, packed), append(want, bytes.Clone(packed))
				_ = append(packed, '!')
			}
			hold(all[0])
			if output, ok := all[1].CompletedStep("m", step.Index); !ok || !bytes.Equal(output, step.Output) {
				t.Fatalf("seed %d: step %d is %q, %v", seed, step.Index, output, ok)
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
		for _, index := range slices.Sorted(maps.Keys(model)) {
			steps = append(steps, model[index])
		}
		for i, s := range all {
			last, some := s.LastCompletedStep("m")
			packed := s.PackedSteps("m")
			if m, _ := s.Message("m"); !slices.EqualFunc(m.Steps, steps, sameStep) || !bytes.Equal(packed, core.EncodeSteps(steps)) {
				t.Fatalf("seed %d, state %d: steps %+v, packed %x", seed, i, m.Steps, packed)
			}
			if some != (len(steps) > 0) || some && last != steps[len(steps)-1].Index {
				t.Fatalf("seed %d, state %d: the last step is %d, %v", seed, i, last, some)
			}
		}
		if !reflect.DeepEqual(held, want) {
			t.Fatalf("seed %d: packed steps in the caller's hands have changed", seed)
		}
	}
}

func sameStep(a, b core.Step) bool {
	return a.Index == b.Index && a.Name == b.Name && bytes.Equal(a.Output, b.Output)
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
	if string(m.Body) != "body" || string(m.Open[0].Output) != "partial" || !reflect.DeepEqual(m.Steps, steps("first", "second")) || string(n.Result) != "result" {
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

// TestReplayTwice: for random logs, replaying all of it again changes nothing.
func TestReplayTwice(t *testing.T) {
	ids := []string{"a", "b", "c"}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var log []core.Event
		for i := range random.IntN(40) {
			log = append(log, core.Event{
				Kind:       core.Kind(1 + random.IntN(int(core.KindProcessingStopped))),
				ID:         core.EventID{byte(i)},
				MessageID:  ids[random.IntN(len(ids))],
				ReceivedAt: uint64(i),
				Runner:     core.RunnerID{byte(i)},
				Step:       random.Uint32N(4),
				Name:       "step",
				Output:     []byte{byte(i)},
				Error:      strconv.Itoa(i),
			})
		}
		once, twice := contents(stateOf(log...), ids...), contents(stateOf(slices.Concat(log, log)...), ids...)
		if !reflect.DeepEqual(once, twice) {
			t.Fatalf("seed %d:\n once %+v\ntwice %+v", seed, once, twice)
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
			}
		})
		group.Go(func() {
			for range 200 {
				for m := range s.Messages() {
					for _, step := range m.Steps {
						_ = step.Output[0]
					}
				}
				s.LastCompletedStep("m0")
				s.CompletedStep("m0", 3)
				s.ErrorText("m0")
				s.Message("m0")
				s.Clone().Apply(finished("m0"))
				_ = s.IsReceived("m0") || s.IsInProgress("m0") || s.IsFullyProcessed("m0") || s.Len() > 0
			}
		})
	}
	group.Wait()
}
