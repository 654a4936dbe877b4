package core_test

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

// The events of steps, in short.

// at gives an event of a step a place: a call within a scope, the count-th of
// its name, that came when the outcome before after was delivered last.
func at(e core.Event, scope string, count, after uint32) core.Event {
	e.Place = core.Place{Scope: scope, Count: count, After: after, Called: 1}
	return e
}

// keyed is at with a key in place of a count.
func keyed(e core.Event, scope string, key byte, after uint32) core.Event {
	e.Place = core.Place{Scope: scope, Key: core.Key{key}, After: after, Called: 1}
	return e
}

// done is the outcome of a step with a name.
func done(step uint32, name, output string) core.Event {
	return core.Event{Kind: core.KindStepCompleted, MessageID: "m", Step: step, Name: name, Output: []byte(output)}
}

func begun(step uint32, name string) core.Event {
	return core.Event{Kind: core.KindStepStarted, MessageID: "m", Step: step, Name: name}
}

func stepFailed(step uint32, name, text string) core.Event {
	return core.Event{Kind: core.KindStepFailed, MessageID: "m", Step: step, Name: name, Failure: failureOf(text)}
}

func attemptFailed(step uint32, name, text string, attempt uint32, due uint64) core.Event {
	return core.Event{Kind: core.KindAttemptFailed, MessageID: "m", Step: step, Name: name, Failure: failureOf(text), Attempt: attempt, Due: due}
}

func waiting(step uint32, name, prompt string) core.Event {
	return core.Event{Kind: core.KindStepWaiting, MessageID: "m", Step: step, Name: name, Output: []byte(prompt)}
}

func sleeping(step uint32, name string, due uint64) core.Event {
	return core.Event{Kind: core.KindStepWaiting, MessageID: "m", Step: step, Name: name, Sleep: true, Due: due}
}

func resolved(step uint32) core.Event {
	return core.Event{Kind: core.KindStepResolved, MessageID: "m", Step: step}
}

// retried forgets steps, and doubts some of them. Its event id is 9.
func retried(steps, doubted []uint32) core.Event {
	return core.Event{Kind: core.KindMessageRetried, ID: core.EventID{9}, MessageID: "m", Steps: steps, Doubted: doubted}
}

func parked(id string, due uint64, pass bool) core.Event {
	return core.Event{Kind: core.KindProcessingStopped, MessageID: id, Parked: true, Due: due, Pass: pass}
}

func failureOf(text string) core.Failure { return core.Failure{{Name: "Error", Message: text}} }

func place(scope string, count, after uint32) core.Place {
	return at(core.Event{}, scope, count, after).Place
}

// steps are completed ones without a place, in the order of their indexes.
func steps(outputs ...string) []core.Step {
	var all []core.Step
	for i, output := range outputs {
		all = append(all, core.NewStep(uint32(i), "", []byte(output), core.Details{Order: uint32(i)}))
	}
	return all
}

func starts(ids ...byte) (all []core.EventID) {
	for _, id := range ids {
		all = append(all, core.EventID{id})
	}
	return all
}

// messageTest is what a log of one message says.
type messageTest struct {
	name   string
	events []core.Event
	want   core.Message
}

// run compares the state of a log, however it came about, with what is wanted.
func (tt messageTest) run(t *testing.T) {
	check := func(how string, s *core.State) {
		t.Helper()
		got, ok := s.Message("m")
		got.Starts, got.Open, got.Steps = orNil(got.Starts), orNil(got.Open), orNil(got.Steps)
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
		completed := slices.DeleteFunc(slices.Clone(tt.want.Steps), func(step core.Step) bool { return step.Failed() })
		last, some := s.LastCompletedStep("m")
		if n := len(completed); some != (n > 0) || some && last != completed[n-1].Index {
			t.Errorf("%s: LastCompletedStep is %d, %v", how, last, some)
		}
		for _, step := range tt.want.Steps {
			if output, ok := s.CompletedStep("m", step.Index); ok == step.Failed() || !bytes.Equal(output, step.Output) {
				t.Errorf("%s: CompletedStep %d is %q, %v", how, step.Index, output, ok)
			}
		}
	}
	check("once", stateOf(tt.events...))
	var doubled []core.Event
	for _, e := range tt.events {
		doubled = append(doubled, e, e)
	}
	check("each event twice", stateOf(doubled...))
	check("a clone", stateOf(tt.events...).Clone())
	looked := core.NewState()
	for _, e := range tt.events {
		looked.Apply(e)
		looked.Message("m")
	}
	check("looked at after each event", looked)
	check("from a snapshot", restored(t, stateOf(tt.events...)))
}

func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func TestStateOfOneMessage(t *testing.T) {
	for _, tt := range []messageTest{
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
			core.Message{ID: "m", Received: true, ReceivedAt: 7, Body: []byte("hi"), InProgress: true, Runner: core.RunnerID{1}, Starts: starts(1)}},
		{"started without a runner",
			[]core.Event{started("m")},
			core.Message{ID: "m", Position: -1, InProgress: true, Starts: starts(0)}},
		{"started again and again",
			[]core.Event{startedBy("m", 1), startedBy("m", 2), startedBy("m", 3)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{3}, Starts: starts(1, 2, 3)}},
		{"a completed step begins the count again",
			[]core.Event{startedBy("m", 1), startedBy("m", 2), completed("m", 0, "a"), startedBy("m", 3)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{3}, Starts: starts(3), Steps: steps("a"), Next: 1}},
		{"stopped: that start does not count",
			[]core.Event{startedBy("m", 1), startedBy("m", 2), event(core.KindProcessingStopped, "m")},
			core.Message{ID: "m", Position: -1, Runner: core.RunnerID{2}, Starts: starts(1)}},
		{"cancelled",
			[]core.Event{startedBy("m", 1), event(core.KindMessageCancelled, "m")},
			core.Message{ID: "m", Position: -1, Cancelled: true, Runner: core.RunnerID{1}, Starts: starts(1)}},
		{"cancelled, then retried",
			[]core.Event{startedBy("m", 1), event(core.KindMessageCancelled, "m"), event(core.KindMessageRetried, "m")},
			core.Message{ID: "m", Position: -1, Runner: core.RunnerID{1}}},
		{"failed, then retried: the text stays",
			[]core.Event{startedBy("m", 1), failed("m", "boom"), event(core.KindMessageRetried, "m")},
			core.Message{ID: "m", Position: -1, Errored: true, Error: "boom", Runner: core.RunnerID{1}}},
		{"a result",
			[]core.Event{{Kind: core.KindProcessingFinished, MessageID: "m", Output: []byte("r")}},
			core.Message{ID: "m", Position: -1, Finished: true, Result: []byte("r")}},
		{"a step with a name",
			[]core.Event{{Kind: core.KindStepCompleted, MessageID: "m", Name: "plan", Output: []byte("a")}},
			core.Message{ID: "m", Position: -1, Steps: []core.Step{core.NewStep(0, "plan", []byte("a"), core.Details{})}, Next: 1}},
		{"side effects under way",
			[]core.Event{startedBy("m", 1), stepStarted("m", 0)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{1}, Starts: starts(1),
				Open: []core.OpenStep{{Name: "pay", Started: true}}, Next: 1}},
		{"side effects that may have happened",
			[]core.Event{startedBy("m", 1), stepStarted("m", 0), startedBy("m", 2)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{2}, Starts: starts(1, 2),
				Open: []core.OpenStep{{Name: "pay", Uncertain: true}}, Next: 1}},
		{"side effects that begin again stay uncertain",
			[]core.Event{startedBy("m", 1), stepStarted("m", 0), startedBy("m", 2), stepStarted("m", 0)},
			core.Message{ID: "m", Position: -1, InProgress: true, Runner: core.RunnerID{2}, Starts: starts(1, 2),
				Open: []core.OpenStep{{Name: "pay", Started: true, Uncertain: true}}, Next: 1}},
		{"side effects that have happened",
			[]core.Event{stepStarted("m", 0), completed("m", 0, "paid"), stepStarted("m", 0)},
			core.Message{ID: "m", Position: -1, Next: 1,
				Steps: []core.Step{core.NewStep(0, "pay", []byte("paid"), core.Details{Effects: true})}}},
		{"open steps by index, and none when it is finished",
			[]core.Event{stepStarted("m", 0), stepStarted("m", 2), finished("m"), stepStarted("m", 3)},
			core.Message{ID: "m", Position: -1, Finished: true, Next: 3}},
		{"open steps by index",
			[]core.Event{stepStarted("m", 0), stepStarted("m", 2)},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "pay", Started: true}, {Index: 2, Name: "pay", Started: true}}, Next: 3}},
		{"partial output",
			[]core.Event{streamed("m", 0, "on"), streamed("m", 2, "ce")},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "write", Output: []byte("once")}}, Next: 1}},
		{"partial output of a run that begins again",
			[]core.Event{streamed("m", 0, "on"), streamed("m", 2, "ce"), streamed("m", 0, "tw")},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "write", Output: []byte("tw")}}, Next: 1}},
		{"partial output that goes on further back",
			[]core.Event{streamed("m", 0, "one"), streamed("m", 2, "ce")},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "write", Output: []byte("once")}}, Next: 1}},
		{"partial output beyond the end has no place",
			[]core.Event{streamed("m", 1, "x"), streamed("m", 0, "on"), streamed("m", 3, "ce")},
			core.Message{ID: "m", Position: -1, Open: []core.OpenStep{{Name: "write", Output: []byte("on")}}, Next: 1}},
		{"partial output, then all of it",
			[]core.Event{streamed("m", 0, "on"), completed("m", 0, "once"), streamed("m", 2, "ce")},
			core.Message{ID: "m", Position: -1, Steps: []core.Step{core.NewStep(0, "write", []byte("once"), core.Details{})}, Next: 1}},
		{"finished",
			[]core.Event{received("m", 7, "hi"), started("m"), completed("m", 0, "a"), finished("m")},
			core.Message{ID: "m", Received: true, ReceivedAt: 7, Body: []byte("hi"), Finished: true, Steps: steps("a"), Next: 1}},
		{"failed",
			[]core.Event{received("m", 7, "hi"), started("m"), completed("m", 0, "a"), failed("m", "boom")},
			core.Message{ID: "m", Received: true, ReceivedAt: 7, Body: []byte("hi"), Errored: true, Failed: true, Error: "boom", Steps: steps("a"), Next: 1}},
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
			core.Message{ID: "m", Position: -1, Next: 3, Steps: []core.Step{
				core.NewStep(0, "", []byte("a"), core.Details{}), core.NewStep(2, "", []byte("c"), core.Details{Order: 1})}}},
		{"steps backwards",
			[]core.Event{completed("m", 2, "c"), completed("m", 1, "b"), completed("m", 0, "a")},
			core.Message{ID: "m", Position: -1, Next: 3, Steps: []core.Step{
				core.NewStep(0, "", []byte("a"), core.Details{Order: 2}), core.NewStep(1, "", []byte("b"), core.Details{Order: 1}), core.NewStep(2, "", []byte("c"), core.Details{})}}},
		{"a repeated step has the last output, and its first place in the order",
			[]core.Event{completed("m", 0, "a"), completed("m", 1, "b"), completed("m", 0, "A")},
			core.Message{ID: "m", Position: -1, Steps: steps("A", "b"), Next: 2}},
		{"the highest step there is",
			[]core.Event{completed("m", math.MaxUint32, "a")},
			core.Message{ID: "m", Position: -1, Steps: []core.Step{core.NewStep(math.MaxUint32, "", []byte("a"), core.Details{})}, Next: math.MaxUint32}},
		{"seeded by the first receipt",
			[]core.Event{{Kind: core.KindMessageReceived, MessageID: "m", ID: core.EventID{1}}, {Kind: core.KindMessageReceived, MessageID: "m", ID: core.EventID{2}}},
			core.Message{ID: "m", Received: true, Seed: core.EventID{1}}},
	} {
		t.Run(tt.name, tt.run)
	}
}

// TestStateOfSteps is what the log says about steps with a place.
func TestStateOfSteps(t *testing.T) {
	plan := core.Details{Place: place("", 0, 0)}
	failure := failureOf("boom")
	for _, tt := range []messageTest{
		{"completed",
			[]core.Event{at(done(0, "plan", "a"), "", 0, 0), at(done(1, "plan", "b"), "", 1, 1)},
			core.Message{Next: 2, Steps: []core.Step{
				core.NewStep(0, "plan", []byte("a"), plan),
				core.NewStep(1, "plan", []byte("b"), core.Details{Order: 1, Place: place("", 1, 1)})}}},
		{"the first outcome counts",
			[]core.Event{at(done(0, "plan", "a"), "", 0, 0), done(0, "plan", "b"), stepFailed(0, "plan", "boom")},
			core.Message{Next: 1, Steps: []core.Step{core.NewStep(0, "plan", []byte("a"), plan)}}},
		{"also if it is recorded by its index",
			[]core.Event{at(done(0, "plan", "a"), "", 0, 0), completed("m", 0, "b")},
			core.Message{Next: 1, Steps: []core.Step{core.NewStep(0, "plan", []byte("a"), plan)}}},
		{"failed",
			[]core.Event{startedBy("m", 1), at(stepFailed(0, "plan", "boom"), "", 0, 0)},
			core.Message{InProgress: true, Runner: core.RunnerID{1}, Next: 1, Steps: []core.Step{
				core.NewStep(0, "plan", []byte{}, core.Details{Place: place("", 0, 0), Failure: failure})}}},
		{"a failure is an outcome, and stays",
			[]core.Event{at(stepFailed(0, "plan", "boom"), "", 0, 0), done(0, "plan", "a"), stepFailed(0, "plan", "bang")},
			core.Message{Next: 1, Steps: []core.Step{
				core.NewStep(0, "plan", []byte{}, core.Details{Place: place("", 0, 0), Failure: failure})}}},
		{"a failure without a place stays, too",
			[]core.Event{stepFailed(0, "plan", "boom"), completed("m", 0, "a")},
			core.Message{Next: 1, Steps: []core.Step{core.NewStep(0, "plan", []byte{}, core.Details{Failure: failure})}}},
		{"an output without a place does not become a failure",
			[]core.Event{completed("m", 0, "a"), stepFailed(0, "plan", "boom")},
			core.Message{Next: 1, Steps: steps("a")}},
		{"the place is that of the first event",
			[]core.Event{at(begun(0, "pay"), "a:/", 2, 0), at(done(0, "pay", "a"), "b:/", 3, 4)},
			core.Message{Next: 1, Steps: []core.Step{
				core.NewStep(0, "pay", []byte("a"), core.Details{Place: place("a:/", 2, 0), Effects: true})}}},
		{"so is the name, also if the outcome is recorded by its index",
			[]core.Event{at(waiting(0, "allow", "?"), "", 0, 0), completed("m", 0, "yes")},
			core.Message{Next: 1, Steps: []core.Step{core.NewStep(0, "allow", []byte("yes"), plan)}}},
		{"a failed attempt clears no starts, an outcome does",
			[]core.Event{startedBy("m", 1), at(attemptFailed(0, "plan", "boom", 1, 70), "", 0, 0), startedBy("m", 2)},
			core.Message{InProgress: true, Runner: core.RunnerID{2}, Starts: starts(1, 2), Next: 1,
				Open: []core.OpenStep{{Name: "plan", Place: place("", 0, 0), Attempts: 1, Failure: failure, Due: 70}}}},
		{"the last attempt counts",
			[]core.Event{at(attemptFailed(0, "plan", "bang", 1, 70), "", 0, 0), attemptFailed(0, "plan", "boom", 2, 0)},
			core.Message{Next: 1, Open: []core.OpenStep{{Name: "plan", Place: place("", 0, 0), Attempts: 2, Failure: failure}}}},
		{"failed after attempts",
			[]core.Event{at(attemptFailed(0, "plan", "bang", 1, 70), "", 0, 0), {Kind: core.KindStepFailed, MessageID: "m", Name: "plan", Failure: failure, Attempt: 2}},
			core.Message{Next: 1, Steps: []core.Step{
				core.NewStep(0, "plan", []byte{}, core.Details{Place: place("", 0, 0), Failure: failure, Attempts: 2})}}},
		{"a failed attempt with side effects leaves them uncertain",
			[]core.Event{at(begun(0, "pay"), "", 0, 0), attemptFailed(0, "pay", "boom", 1, 0)},
			core.Message{Next: 1, Open: []core.OpenStep{{Name: "pay", Place: place("", 0, 0), Uncertain: true, Attempts: 1, Failure: failure}}}},
		{"and they stay so when it is called again",
			[]core.Event{at(begun(0, "pay"), "", 0, 0), attemptFailed(0, "pay", "boom", 1, 0), begun(0, "pay"), attemptFailed(0, "pay", "boom", 2, 0)},
			core.Message{Next: 1, Open: []core.OpenStep{{Name: "pay", Place: place("", 0, 0), Uncertain: true, Attempts: 2, Failure: failure}}}},
		{"a failed attempt without side effects leaves nothing uncertain",
			[]core.Event{at(attemptFailed(0, "plan", "boom", 1, 0), "", 0, 0), startedBy("m", 1)},
			core.Message{InProgress: true, Runner: core.RunnerID{1}, Starts: starts(1), Next: 1,
				Open: []core.OpenStep{{Name: "plan", Place: place("", 0, 0), Attempts: 1, Failure: failure}}}},
		{"a decision clears the doubt, and nothing else",
			[]core.Event{startedBy("m", 1), at(begun(0, "pay"), "", 0, 0), attemptFailed(0, "pay", "boom", 1, 7), resolved(0)},
			core.Message{InProgress: true, Runner: core.RunnerID{1}, Starts: starts(1), Next: 1,
				Open: []core.OpenStep{{Name: "pay", Place: place("", 0, 0), Attempts: 1, Failure: failure, Due: 7}}}},
		{"a decision on no step",
			[]core.Event{at(done(0, "plan", "a"), "", 0, 0), resolved(0), resolved(1)},
			core.Message{Next: 1, Steps: []core.Step{core.NewStep(0, "plan", []byte("a"), plan)}}},
		{"failed, and side effects may have happened",
			[]core.Event{at(begun(0, "pay"), "", 0, 0), stepFailed(0, "pay", "boom")},
			core.Message{Next: 1, Steps: []core.Step{
				core.NewStep(0, "pay", []byte{}, core.Details{Place: place("", 0, 0), Failure: failure, Effects: true})}}},
		{"failed, and certainly nothing has happened",
			[]core.Event{at(begun(0, "pay"), "", 0, 0), {Kind: core.KindStepFailed, MessageID: "m", Name: "pay", Failure: failure, Terminal: true}},
			core.Message{Next: 1, Steps: []core.Step{
				core.NewStep(0, "pay", []byte{}, core.Details{Place: place("", 0, 0), Failure: failure})}}},
		{"waiting for an answer",
			[]core.Event{at(core.Event{Kind: core.KindStepWaiting, MessageID: "m", Name: "allow", Output: []byte("?"), Due: 70, Pass: true}, "", 0, 0)},
			core.Message{Next: 1, Open: []core.OpenStep{{Name: "allow", Place: place("", 0, 0), Waiting: true, Pass: true, Due: 70, Output: []byte("?")}}}},
		{"a wait is in no doubt after a start",
			[]core.Event{at(sleeping(0, "nap", 70), "", 0, 0), startedBy("m", 1), startedBy("m", 2)},
			core.Message{InProgress: true, Runner: core.RunnerID{2}, Starts: starts(1, 2), Next: 1,
				Open: []core.OpenStep{{Name: "nap", Place: place("", 0, 0), Waiting: true, Sleep: true, Due: 70}}}},
		{"answered",
			[]core.Event{at(waiting(0, "allow", "?"), "", 0, 0), done(0, "allow", "yes"), waiting(0, "allow", "again?")},
			core.Message{Next: 1, Steps: []core.Step{core.NewStep(0, "allow", []byte("yes"), plan)}}},
	} {
		tt.want.ID, tt.want.Position = "m", -1
		t.Run(tt.name, tt.run)
	}
}

// TestStateOfStepsWithin: when a function has ended, those of the steps within
// it may be running no longer.
func TestStateOfStepsWithin(t *testing.T) {
	all := []core.Event{
		at(attemptFailed(0, "outer", "boom", 1, 0), "", 0, 0),
		at(begun(1, "in"), "outer#0/", 0, 0),
		at(begun(2, "in a scope"), "outer#0/s:/", 0, 0),
		at(begun(3, "far in"), "outer#0/in#0/", 0, 0),
		at(begun(4, "beside"), "", 0, 0),
		at(begun(5, "in another"), "outer#1/", 0, 0),
		at(begun(6, "in one of a longer name"), "outer#00/", 0, 0),
		at(begun(7, "in a scope of that name"), "outer#0:/", 0, 0),
		at(attemptFailed(8, "in, not begun", "boom", 1, 0), "outer#0/", 0, 0),
	}
	for name, end := range map[string]core.Event{
		"a failed attempt": attemptFailed(0, "outer", "boom", 2, 0),
		"its failure":      stepFailed(0, "outer", "boom"),
	} {
		m, _ := stateOf(append(slices.Clip(all), end)...).Message("m")
		for _, step := range m.Open {
			within := step.Index >= 1 && step.Index <= 3
			if beside := step.Index >= 4 && step.Index <= 7; step.Uncertain != within || step.Started != beside {
				t.Errorf("%s leaves %q started %v, uncertain %v", name, step.Name, step.Started, step.Uncertain)
			}
		}
	}
	m, _ := stateOf(append(slices.Clip(all), done(0, "outer", ""))...).Message("m")
	if slices.ContainsFunc(m.Open, func(step core.OpenStep) bool { return step.Uncertain }) {
		t.Errorf("its output leaves in doubt what nobody will call again: %+v", m.Open)
	}
}

// TestStateOfAParkedMessage is what begins and what ends a wait of a message.
func TestStateOfAParkedMessage(t *testing.T) {
	asked := []core.Event{startedBy("m", 1), startedBy("m", 2), at(waiting(0, "allow", "?"), "", 0, 0)}
	stopped := append(slices.Clip(asked), parked("m", 70, true))
	m, _ := stateOf(stopped...).Message("m")
	if !m.Parked || m.Due != 70 || !m.Pass || m.InProgress || !reflect.DeepEqual(m.Starts, starts(1)) || !m.Open[0].Waiting {
		t.Errorf("parked it is %+v", m)
	}
	if m, _ := stateOf(append(slices.Clip(asked), event(core.KindProcessingStopped, "m"))...).Message("m"); m.Parked {
		t.Error("a stop alone parks it")
	}
	for _, tt := range []struct {
		name  string
		event core.Event
		ends  bool
	}{
		{"a start", startedBy("m", 3), true},
		{"an answer", done(0, "allow", "yes"), true},
		{"an answer by the index", completed("m", 0, "yes"), true},
		{"the end of the time", stepFailed(0, "allow", "late"), true},
		{"a decision", resolved(0), true},
		{"a cancellation", event(core.KindMessageCancelled, "m"), true},
		{"a retry", retried(nil, nil), true},
		{"the end of the message", finished("m"), true},
		{"a failure of the message", failed("m", "boom"), true},
		{"a stop", event(core.KindProcessingStopped, "m"), true},
		{"another receipt", received("m", 1, ""), false},
		{"a failed attempt", at(attemptFailed(1, "plan", "boom", 1, 0), "", 0, 0), false},
		{"partial output", at(core.Event{Kind: core.KindStepStreamed, MessageID: "m", Step: 1, Name: "write"}, "", 0, 0), false},
	} {
		m, _ := stateOf(append(slices.Clip(stopped), tt.event)...).Message("m")
		if m.Parked == tt.ends || !m.Parked && (m.Due != 0 || m.Pass) {
			t.Errorf("after %s: parked %v until %d, pass %v", tt.name, m.Parked, m.Due, m.Pass)
		}
	}
}

// TestStateOfARetriedMessage: what a retry says is forgotten is gone, and its
// index is not used again.
func TestStateOfARetriedMessage(t *testing.T) {
	first := place("", 0, 0)
	log := []core.Event{
		{Kind: core.KindMessageReceived, ID: core.EventID{1}, MessageID: "m"},
		at(done(0, "plan", "a"), "", 0, 0),
		at(begun(1, "pay"), "", 0, 1), done(1, "pay", "paid"),
		at(begun(2, "send"), "", 0, 2), attemptFailed(2, "send", "boom", 1, 70),
		at(waiting(3, "allow", "?"), "", 0, 2),
		at(stepFailed(4, "search", "boom"), "", 0, 2),
		{Kind: core.KindErrorOccurred, MessageID: "m", Error: "boom", Steps: []uint32{4}},
	}
	plan := core.NewStep(0, "plan", []byte("a"), core.Details{Place: first})
	pay := core.NewStep(1, "pay", []byte("paid"), core.Details{Order: 1, Place: place("", 0, 1), Effects: true})
	send := core.OpenStep{Index: 2, Name: "send", Place: place("", 0, 2), Uncertain: true, Attempts: 1, Failure: failureOf("boom"), Due: 70}
	allow := core.OpenStep{Index: 3, Name: "allow", Place: place("", 0, 2), Waiting: true, Output: []byte("?")}
	search := core.NewStep(4, "search", []byte{}, core.Details{Order: 2, Place: place("", 0, 2), Failure: failureOf("boom")})
	paying := core.OpenStep{Index: 1, Name: "pay", Place: place("", 0, 1), Uncertain: true}
	sending := core.OpenStep{Index: 2, Name: "send", Place: place("", 0, 2), Uncertain: true}
	for _, tt := range []messageTest{
		{"nothing is forgotten", []core.Event{retried(nil, nil)},
			core.Message{Steps: []core.Step{plan, pay, search}, Open: []core.OpenStep{send, allow}, Next: 5}},
		{"a failure is forgotten", []core.Event{retried([]uint32{4}, nil)},
			core.Message{Steps: []core.Step{plan, pay}, Open: []core.OpenStep{send, allow}, Next: 5}},
		{"a step is in doubt", []core.Event{retried([]uint32{1, 4}, []uint32{1})},
			core.Message{Steps: []core.Step{plan}, Open: []core.OpenStep{paying, send, allow}, Next: 5}},
		{"an open step is in doubt, and begins afresh", []core.Event{retried([]uint32{2}, []uint32{2})},
			core.Message{Steps: []core.Step{plan, pay, search}, Open: []core.OpenStep{sending, allow}, Next: 5}},
		{"open steps are forgotten", []core.Event{retried([]uint32{2, 3}, nil)},
			core.Message{Steps: []core.Step{plan, pay, search}, Next: 5}},
		{"all is forgotten", []core.Event{retried([]uint32{0, 1, 2, 3, 4}, nil)}, core.Message{Next: 5}},
		{"a doubt about nothing that is forgotten, or known, or named",
			[]core.Event{completed("m", 7, "by its index"), retried([]uint32{4, 7, 99}, []uint32{0, 2, 7, 99})},
			core.Message{Steps: []core.Step{plan, pay}, Open: []core.OpenStep{send, allow}, Next: 8}},
		{"what comes late from before is ignored",
			[]core.Event{retried([]uint32{1, 2, 3, 4}, nil), done(1, "pay", "late"), begun(2, "send"), done(3, "allow", "late"), stepFailed(4, "search", "late")},
			core.Message{Steps: []core.Step{plan}, Next: 5}},
		{"but not what is recorded by its index",
			[]core.Event{retried([]uint32{4}, nil), completed("m", 4, "late")},
			core.Message{Steps: []core.Step{plan, pay, core.NewStep(4, "", []byte("late"), core.Details{Order: 3})}, Open: []core.OpenStep{send, allow}, Next: 5}},
		{"a step in doubt is called again, and ends",
			[]core.Event{retried([]uint32{1, 4}, []uint32{1}), begun(1, "pay"), done(1, "pay", "again")},
			core.Message{Steps: []core.Step{plan, core.NewStep(1, "pay", []byte("again"), core.Details{Order: 3, Place: place("", 0, 1), Effects: true})},
				Open: []core.OpenStep{send, allow}, Next: 5}},
		{"a forgotten step gets another index",
			[]core.Event{retried([]uint32{4}, nil), at(done(5, "search", "found"), "", 0, 2)},
			core.Message{Steps: []core.Step{plan, pay, core.NewStep(5, "search", []byte("found"), core.Details{Order: 3, Place: place("", 0, 2)})},
				Open: []core.OpenStep{send, allow}, Next: 6}},
		{"a new seed",
			[]core.Event{{Kind: core.KindMessageRetried, ID: core.EventID{9}, MessageID: "m", Steps: []uint32{0}, Reseed: true}},
			core.Message{Steps: []core.Step{pay, search}, Open: []core.OpenStep{send, allow}, Next: 5, Seed: core.EventID{9}}},
	} {
		tt.events = slices.Concat(log, tt.events)
		tt.want.ID, tt.want.Received, tt.want.Errored, tt.want.Error = "m", true, true, "boom"
		if tt.want.Seed == (core.EventID{}) {
			tt.want.Seed = core.EventID{1}
		}
		t.Run(tt.name, tt.run)
	}
	if m, _ := stateOf(log...).Message("m"); !reflect.DeepEqual(m.Fatal, []uint32{4}) || !m.Failed {
		t.Errorf("before the retry it is %+v", m)
	}
}
