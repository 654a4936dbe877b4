package core_test

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// conversationOf returns a conversation with these events.
func conversationOf(t *testing.T, store core.DurableStore, events ...core.Event) *core.Conversation {
	t.Helper()
	c := newConversation(t, "c", store)
	if err := c.Update(t.Context(), func(*core.State) ([]core.Event, error) { return events, nil }); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAnswer asks for an answer to step 1 of each log.
func TestAnswer(t *testing.T) {
	asked := []core.Event{received("m", 1, ""), startedBy("m", 1), at(done(0, "plan", ""), "", 0, 0), at(waiting(1, "allow", "?"), "agent:/", 0, 1)}
	then := func(events ...core.Event) []core.Event { return append(asked[:len(asked):len(asked)], events...) }
	for _, tt := range []struct {
		name string
		log  []core.Event
		want bool
	}{
		{"waits", asked, true},
		{"waits in a parked message", then(parked("m", 70, false)), true},
		{"waits while nobody works", then(event(core.KindProcessingStopped, "m")), true},
		{"waits in a message that has failed", then(failed("m", "boom")), true},
		{"waits in a message that was cancelled", then(event(core.KindMessageCancelled, "m")), true},
		{"waits, and was to be answered earlier", append(asked[:3:3], core.Event{Kind: core.KindStepWaiting, MessageID: "m", Step: 1, Name: "allow", Due: 1}), true},
		{"was answered", then(done(1, "allow", "no")), false},
		{"was answered by its index", then(completed("m", 1, "no")), false},
		{"waited too long", then(stepFailed(1, "allow", "late")), false},
		{"was forgotten", then(failed("m", "boom"), retried([]uint32{1}, nil)), false},
		{"was forgotten, and waits as another", then(failed("m", "boom"), retried([]uint32{1}, nil), at(waiting(2, "allow", "?"), "agent:/", 0, 1)), false},
		{"is of a finished message", then(finished("m")), false},
		{"sleeps", append(asked[:3:3], sleeping(1, "nap", 70)), false},
		{"runs", append(asked[:3:3], begun(1, "pay")), false},
		{"is uncertain", append(asked[:3:3], begun(1, "pay"), attemptFailed(1, "pay", "boom", 1, 0)), false},
		{"is not known", asked[:3], false},
	} {
		t.Run("a step that "+tt.name, func(t *testing.T) {
			store := memstore.New()
			c := conversationOf(t, store, tt.log...)
			answer := []byte("yes")
			if did, err := c.Answer(t.Context(), "m", 1, answer); did != tt.want || err != nil {
				t.Fatalf("got %v, %v", did, err)
			}
			clear(answer)
			if did, err := c.Answer(t.Context(), "m", 1, []byte("again")); did || err != nil {
				t.Errorf("again: %v, %v", did, err)
			}
			appended := log(t, store, "c")[len(tt.log):]
			if !tt.want {
				if len(appended) > 0 {
					t.Errorf("appended %+v", appended)
				}
				return
			}
			if want := []core.Event{done(1, "allow", "yes")}; !reflect.DeepEqual(appended, want) {
				t.Errorf("appended %+v, want %+v", appended, want)
			}
			m, _ := c.State().Message("m")
			if output, ok := c.State().CompletedStep("m", 1); !ok || string(output) != "yes" || m.Parked || len(m.Open) > 0 {
				t.Errorf("the answer is %q, %v; the message is %+v", output, ok, m)
			}
		})
	}
	if did, err := newConversation(t, "c", memstore.New()).Answer(t.Context(), "m", 0, nil); did || !errors.Is(err, core.ErrInvalidArgument) {
		t.Errorf("to an unknown message: %v, %v", did, err)
	}
}

// TestAnswersFromEverywhere: one of them counts, and its caller knows.
func TestAnswersFromEverywhere(t *testing.T) {
	store := memstore.New()
	conversationOf(t, store, received("m", 1, ""), at(waiting(0, "allow", "?"), "", 0, 0))
	var counted atomic.Pointer[string]
	var group sync.WaitGroup
	for _, answer := range []string{"a", "b", "c", "d", "e", "f"} {
		c := recovered(t, "c", store)
		group.Go(func() {
			did, err := c.Answer(t.Context(), "m", 0, []byte(answer))
			if err != nil {
				t.Error(err)
			}
			if did && !counted.CompareAndSwap(nil, &answer) {
				t.Error("two answers count")
			}
		})
	}
	group.Wait()
	output, _ := recovered(t, "c", store).State().CompletedStep("m", 0)
	if answer := counted.Load(); answer == nil || *answer != string(output) {
		t.Errorf("the answer is %q, and it was %v that counted", output, answer)
	}
}

// TestResolveStep: a decision counts, whether or not a runner works.
func TestResolveStep(t *testing.T) {
	paid := place("agent:/", 2, 0)
	uncertain := []core.Event{received("m", 1, ""), startedBy("m", 1), at(begun(0, "pay"), "agent:/", 2, 0), attemptFailed(0, "pay", "boom", 1, 0)}
	for name, more := range map[string][]core.Event{
		"while a runner works": nil,
		"while it is parked":   {parked("m", 0, false)},
		"while nobody works":   {event(core.KindProcessingStopped, "m")},
		"of a failed message":  {failed("m", "boom")},
		"after a crash":        {startedBy("m", 2), begun(0, "pay"), startedBy("m", 3)},
		"after a retry":        {failed("m", "boom"), retried([]uint32{0}, []uint32{0})},
	} {
		events := append(uncertain[:len(uncertain):len(uncertain)], more...)
		t.Run("rerun "+name, func(t *testing.T) {
			c := conversationOf(t, memstore.New(), events...)
			before, _ := c.State().Message("m")
			if did, err := c.ResolveStep(t.Context(), "m", 0, true); !did || err != nil {
				t.Fatalf("got %v, %v", did, err)
			}
			m, _ := c.State().Message("m")
			want := before.Open[0]
			want.Uncertain = false
			if !reflect.DeepEqual(m.Open, []core.OpenStep{want}) || m.Parked || len(m.Starts) != len(before.Starts) {
				t.Errorf("the message is %+v", m)
			}
			record(t, c, started("m"), started("m"))
			if m, _ := c.State().Message("m"); m.Open[0].Uncertain {
				t.Error("a start has taken the decision back")
			}
			if did, err := c.ResolveStep(t.Context(), "m", 0, true); did || err != nil {
				t.Errorf("again: %v, %v", did, err)
			}
		})
		t.Run("skip "+name, func(t *testing.T) {
			c := conversationOf(t, memstore.New(), events...)
			if did, err := c.ResolveStep(t.Context(), "m", 0, false); !did || err != nil {
				t.Fatalf("got %v, %v", did, err)
			}
			m, _ := c.State().Message("m")
			want := core.NewStep(0, "pay", []byte{}, core.Details{Place: paid, Effects: true})
			if !reflect.DeepEqual(m.Steps, []core.Step{want}) || len(m.Open) > 0 || m.Parked || len(m.Starts) > 0 {
				t.Errorf("the message is %+v", m)
			}
		})
	}
	for name, events := range map[string][]core.Event{
		"a step that runs":             {at(begun(0, "pay"), "", 0, 0)},
		"a step that has failed":       {at(begun(0, "pay"), "", 0, 0), stepFailed(0, "pay", "boom")},
		"a step that waits":            {at(waiting(0, "allow", "?"), "", 0, 0)},
		"a step that tries again":      {at(attemptFailed(0, "plan", "boom", 1, 0), "", 0, 0)},
		"a step of another index":      {at(begun(1, "pay"), "", 0, 0), attemptFailed(1, "pay", "boom", 1, 0)},
		"a step of a finished message": {at(begun(0, "pay"), "", 0, 0), attemptFailed(0, "pay", "boom", 1, 0), finished("m")},
	} {
		store := memstore.New()
		c := conversationOf(t, store, append([]core.Event{received("m", 1, "")}, events...)...)
		for _, rerun := range []bool{true, false} {
			if did, err := c.ResolveStep(t.Context(), "m", 0, rerun); did || err != nil || len(log(t, store, "c")) != 1+len(events) {
				t.Errorf("%s, rerun %v: %v, %v", name, rerun, did, err)
			}
		}
	}
}

func TestNextPending(t *testing.T) {
	a, b, c := received("a", 1, ""), received("b", 2, ""), received("c", 3, "")
	const none = ""
	for _, tt := range []struct {
		name string
		log  []core.Event
		now  uint64
		want string
		due  uint64
	}{
		{"nothing", nil, 0, none, 0},
		{"the oldest", []core.Event{b, a, c}, 0, "b", 0},
		{"never received", []core.Event{started("a"), b}, 0, "b", 0},
		{"in progress", []core.Event{a, b, started("a")}, 0, "a", 0},
		{"stopped", []core.Event{a, b, startedBy("a", 1), event(core.KindProcessingStopped, "a")}, 0, "a", 0},
		{"those that have ended", []core.Event{a, b, c, finished("a"), failed("b", "boom")}, 0, "c", 0},
		{"cancelled, and retried", []core.Event{a, b, event(core.KindMessageCancelled, "a"), event(core.KindMessageCancelled, "b"), event(core.KindMessageRetried, "b")}, 0, "b", 0},
		{"parked for an answer", []core.Event{a, b, parked("a", 0, false)}, 1 << 50, none, 0},
		{"parked until a time", []core.Event{a, b, parked("a", 70, false)}, 69, none, 70},
		{"that has come", []core.Event{a, b, parked("a", 70, false)}, 70, "a", 0},
		{"to be passed", []core.Event{a, b, parked("a", 0, true)}, 0, "b", 0},
		{"to be passed until a time", []core.Event{a, b, parked("a", 70, true)}, 69, "b", 70},
		{"that has come, although another may pass", []core.Event{a, b, started("b"), parked("a", 70, true)}, 71, "a", 0},
		{"all parked", []core.Event{a, b, parked("a", 90, true), parked("b", 70, true)}, 0, none, 70},
		{"one of them for an answer", []core.Event{a, b, parked("a", 90, true), parked("b", 0, true)}, 0, none, 90},
		{"the second is due", []core.Event{a, b, parked("a", 90, true), parked("b", 70, false)}, 80, "b", 90},
		{"the second is not to be passed", []core.Event{a, b, c, parked("a", 90, true), parked("b", 80, false), parked("c", 70, true)}, 75, none, 80},
		{"the first is not to be passed, and the second is due earlier", []core.Event{a, b, parked("a", 90, false), parked("b", 70, true)}, 80, none, 90},
		{"parked, and cancelled", []core.Event{a, b, parked("a", 70, false), event(core.KindMessageCancelled, "a")}, 0, "b", 0},
		{"parked, and begun again", []core.Event{a, b, parked("a", 70, false), started("a")}, 0, "a", 0},
		{"parked, and answered", []core.Event{a, b, {Kind: core.KindStepWaiting, MessageID: "a", Name: "w"}, parked("a", 0, false), completed("a", 0, "yes")}, 0, "a", 0},
	} {
		for how, s := range map[string]*core.State{"live": stateOf(tt.log...), "a clone": stateOf(tt.log...).Clone(), "from a snapshot": restored(t, stateOf(tt.log...))} {
			id, due := s.NextPending(tt.now)
			if id != tt.want || due != tt.due {
				t.Errorf("%s, %s, at %d: %q, due %d; want %q, due %d", tt.name, how, tt.now, id, due, tt.want, tt.due)
			}
		}
	}
}

// TestDue: the first time at which something happens by itself, whichever
// message is next then.
func TestDue(t *testing.T) {
	a, b := received("a", 1, ""), received("b", 2, "")
	for _, tt := range []struct {
		name string
		log  []core.Event
		want uint64
	}{
		{"nothing", nil, 0},
		{"nothing waits", []core.Event{a, b, started("a")}, 0},
		{"for an answer", []core.Event{a, parked("a", 0, true)}, 0},
		{"the first", []core.Event{a, b, parked("a", 70, false), parked("b", 90, true)}, 70},
		{"the second", []core.Event{a, b, parked("a", 90, true), parked("b", 70, true)}, 70},
		{"the second, which the first holds up", []core.Event{a, b, parked("a", 90, false), parked("b", 70, true)}, 90},
		{"after one that waits for an answer", []core.Event{a, b, parked("a", 0, true), parked("b", 70, true)}, 70},
		{"after one that waits for an answer and holds it up", []core.Event{a, b, parked("a", 0, false), parked("b", 70, true)}, 0},
		{"one that is in progress again", []core.Event{a, b, parked("a", 70, true), parked("b", 90, true), started("a")}, 90},
		{"one that was never received", []core.Event{parked("a", 70, true), b, parked("b", 90, true)}, 90},
		{"one that was cancelled", []core.Event{a, parked("a", 70, true), event(core.KindMessageCancelled, "a")}, 0},
	} {
		for how, s := range map[string]*core.State{"live": stateOf(tt.log...), "from a snapshot": restored(t, stateOf(tt.log...))} {
			if due := s.Due(); due != tt.want {
				t.Errorf("%s, %s: due at %d, want %d", tt.name, how, due, tt.want)
			}
		}
	}
}

// restored returns what a snapshot of s says.
func restored(t *testing.T, s *core.State) *core.State {
	t.Helper()
	_, _, restored, err := core.DecodeSnapshot("chat", core.EncodeSnapshot("chat", 300, testID, s))
	if err != nil {
		t.Fatal(err)
	}
	return restored
}
