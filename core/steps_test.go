package core_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

// found says what is at a path: the index of a step, and how it is.
func found(s *core.State, id, path string) string {
	switch step, open := s.StepAt(id, path); {
	case step != nil && open != nil:
		return "both"
	case step != nil && step.Failed():
		return fmt.Sprint(step.Index, " failed")
	case step != nil:
		return fmt.Sprint(step.Index, " ", string(step.Output))
	case open != nil && open.Uncertain:
		return fmt.Sprint(open.Index, " uncertain")
	case open != nil:
		return fmt.Sprint(open.Index, " open")
	default:
		return "nothing"
	}
}

// TestStepAt follows paths through a log.
func TestStepAt(t *testing.T) {
	key := keyed(core.Event{}, "", 7, 0).Place
	keyPath := key.Path("plan")
	looked, log := core.NewState(), []core.Event{}
	for _, step := range []struct {
		name   string
		events []core.Event
		want   map[string]string // by path; the others are as before
	}{
		{"nothing is known", nil, map[string]string{"plan#0": "nothing"}},
		{"steps", []core.Event{at(done(0, "plan", "a"), "", 0, 0), keyed(done(1, "plan", "b"), "", 7, 0), at(begun(2, "pay"), "s:/", 0, 0), at(stepFailed(3, "plan", "boom"), "pay#0/", 0, 0)},
			map[string]string{"plan#0": "0 a", keyPath: "1 b", "s:/pay#0": "2 open", "pay#0/plan#0": "3 failed",
				"plan#1": "nothing", "pay#0": "nothing", "plan": "nothing", "": "nothing", keyPath + "#1": "nothing"}},
		{"later events", []core.Event{done(2, "pay", "paid"), at(done(4, "plan", "c"), "", 1, 1), at(begun(5, "send"), "", 0, 0)},
			map[string]string{"s:/pay#0": "2 paid", "plan#1": "4 c", "send#0": "5 open"}},
		{"a step without a place has no path", []core.Event{completed("m", 6, "d"), {Kind: core.KindStepCompleted, MessageID: "m", Step: 7, Name: "bare"}},
			map[string]string{"#0": "nothing", "bare#0": "nothing"}},
		{"an outcome by the index", []core.Event{completed("m", 5, "sent")}, map[string]string{"send#0": "5 sent"}},
		{"a retry", []core.Event{failed("m", "boom"), retried([]uint32{2, 3, 4}, []uint32{2})},
			map[string]string{"s:/pay#0": "2 uncertain", "pay#0/plan#0": "nothing", "plan#1": "nothing"}},
		{"another step where one was forgotten", []core.Event{at(waiting(8, "plan", "?"), "", 1, 1)}, map[string]string{"plan#1": "8 open"}},
		{"two of one path: the first", []core.Event{at(done(9, "twice", "a"), "", 0, 0), at(done(10, "twice", "b"), "", 0, 0)}, map[string]string{"twice#0": "9 a"}},
		{"also if it has no outcome", []core.Event{at(begun(11, "again"), "", 0, 0), at(done(12, "again", "b"), "", 0, 0)}, map[string]string{"again#0": "11 open"}},
		{"the end of the message", []core.Event{finished("m")},
			map[string]string{"s:/pay#0": "nothing", "plan#1": "nothing", "again#0": "12 b"}},
	} {
		for _, e := range step.events {
			looked.Apply(e)
			log = append(log, e)
			looked.StepAt("m", "plan#0")
		}
		for how, s := range map[string]*core.State{"looked at": looked, "fresh": stateOf(log...), "a clone": looked.Clone(), "from a snapshot": restored(t, stateOf(log...))} {
			for path, want := range step.want {
				if got := found(s, "m", path); got != want {
					t.Errorf("%s, %s: at %q is %q, want %q", step.name, how, path, got, want)
				}
				if got := found(s, "other", path); got != "nothing" {
					t.Errorf("%s, %s: at %q of another message is %q", step.name, how, path, got)
				}
			}
		}
	}
	// In a clone other steps may be at a path than in the original.
	clone := looked.Clone()
	clone.Apply(at(done(13, "late", "in the clone"), "", 0, 0))
	looked.Apply(at(done(14, "late", "in the original"), "", 0, 0))
	if a, b := found(clone, "m", "late#0"), found(looked, "m", "late#0"); a != "13 in the clone" || b != "14 in the original" {
		t.Errorf("in the clone %q, in the original %q", a, b)
	}
}

// TestReturnedStepsDoNotChange: what StepAt has returned is a copy.
func TestReturnedStepsDoNotChange(t *testing.T) {
	s := stateOf(at(begun(0, "pay"), "", 0, 0), at(core.Event{Kind: core.KindStepStreamed, MessageID: "m", Step: 1, Name: "write", Output: []byte("on")}, "", 0, 0))
	_, open := s.StepAt("m", "pay#0")
	_, streams := s.StepAt("m", "write#0")
	s.Apply(attemptFailed(0, "pay", "boom", 1, 0))
	s.Apply(core.Event{Kind: core.KindStepStreamed, MessageID: "m", Step: 1, Name: "write", Offset: 2, Output: []byte("ce")})
	open.Attempts = 7
	streams.Output = append(streams.Output, "!!"...)
	_, again := s.StepAt("m", "pay#0")
	m, _ := s.Message("m")
	if !open.Started || open.Uncertain || again.Attempts != 1 || string(m.Open[1].Output) != "once" {
		t.Errorf("returned %+v, then %+v; the message is %+v", open, again, m)
	}
}

func TestHasOutcome(t *testing.T) {
	s := stateOf(at(done(0, "a", ""), "", 0, 0), at(stepFailed(1, "b", "boom"), "", 0, 1), completed("m", 2, ""), retried([]uint32{1}, nil), at(waiting(3, "w", ""), "", 0, 0))
	for how, s := range map[string]*core.State{"live": s, "a clone": s.Clone(), "from a snapshot": restored(t, s)} {
		for after, want := range []bool{true, true, false, true, false} {
			if got := s.HasOutcome("m", uint32(after)); got != want {
				t.Errorf("%s: after %d: %v", how, after, got)
			}
		}
		if !s.HasOutcome("other", 0) || s.HasOutcome("other", 1) {
			t.Errorf("%s: of a message that is not known", how)
		}
	}
}

func TestStepDetails(t *testing.T) {
	for _, want := range []core.Details{
		{},
		{Order: 1<<32 - 1, Effects: true},
		{Order: 300, Place: core.Place{Scope: "agent:/", Key: testKey, Count: 7, After: 9, Called: core.MaxSequence}},
		{Place: core.Place{Called: 1}, Failure: testFailure, Attempts: 300, Effects: true},
		{Failure: make(core.Failure, core.MaxCauses)},
	} {
		step := core.NewStep(0, "s", nil, want)
		if got := step.Details(); !reflect.DeepEqual(got, want) || step.Failed() != (want.Failure != nil) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if step := (core.Step{}); !reflect.DeepEqual(step.Details(), core.Details{}) || step.Failed() {
		t.Errorf("a step of nobody has %+v", step.Details())
	}
}

// TestRandomLogs: a state that others look at, a clone and a snapshot say the
// same as a fresh replay of the log, and go on in the same way.
func TestRandomLogs(t *testing.T) {
	kinds := map[core.Kind]int{}
	seen := map[string]int{}
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 6))
		looked, other := core.NewState(), core.NewState()
		var log []core.Event
		copies := map[string]map[string]core.Message{} // by what they were
		for n := range 80 {
			e := randomEvent(random, looked, n)
			kinds[e.Kind]++
			log = append(log, e)
			looked.Apply(e)
			other.Apply(e)
			for _, path := range paths(looked) {
				seen[found(looked, path[0], path[1])[2:]]++
			}
			switch random.IntN(8) {
			case 0:
				other = other.Clone()
			case 1:
				other = restored(t, other)
			case 2:
				m := known(other)
				copies[fmt.Sprintf("%+v", m)] = m
			}
		}
		for was, m := range copies {
			if is := fmt.Sprintf("%+v", m); is != was {
				t.Fatalf("seed %d: a copy has become\n %s\nwas\n %s", seed, is, was)
			}
		}
		fresh := stateOf(log...)
		want, all := known(fresh), paths(fresh)
		b := core.EncodeSnapshot("chat", 300, testID, fresh)
		for how, s := range map[string]*core.State{"looked at": looked, "saved and copied": other} {
			if got := known(s); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, %s:\n got %+v\nwant %+v", seed, how, got, want)
			}
			if !bytes.Equal(core.EncodeSnapshot("chat", 300, testID, s), b) {
				t.Fatalf("seed %d, %s: another snapshot", seed, how)
			}
			for _, path := range all {
				if got, want := found(s, path[0], path[1]), found(fresh, path[0], path[1]); got != want {
					t.Fatalf("seed %d, %s: at %q is %q, want %q", seed, how, path[1], got, want)
				}
			}
		}
	}
	for _, kind := range allKinds {
		if kinds[kind] < 100 {
			t.Errorf("only %d events are %v", kinds[kind], kind)
		}
	}
	for _, what := range []string{"failed", "open", "uncertain"} {
		if seen[what] < 100 {
			t.Errorf("only %d steps are %s", seen[what], what)
		}
	}
}

// paths are those of all steps in a state, each after the id of its message.
func paths(s *core.State) (all [][2]string) {
	messages := known(s)
	for _, id := range slices.Sorted(maps.Keys(messages)) {
		m := messages[id]
		for _, step := range m.Steps {
			if d := step.Details(); d.Place.Called > 0 {
				all = append(all, [2]string{id, d.Place.Path(step.Name)})
			}
		}
		for _, step := range m.Open {
			all = append(all, [2]string{id, step.Place.Path(step.Name)})
		}
	}
	return all
}
