package core_test

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// ids are those of messages, in one text.
func ids(messages iter.Seq[core.Message]) string {
	var all []string
	for m := range messages {
		all = append(all, m.ID)
	}
	return strings.Join(all, " ")
}

// TestTree: edits of a first message and of a later one.
//
//	a - b - c - e
//	     \\ - d - g
//	f - h
func TestTree(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	for _, send := range []struct {
		id string
		o  core.SendOptions
	}{
		{"a", core.SendOptions{}},
		{"b", core.SendOptions{}},
		{"c", core.SendOptions{}},
		{"d", core.SendOptions{After: "b"}},
		{"e", core.SendOptions{After: "c"}},
		{"f", core.SendOptions{First: true}},
		{"g", core.SendOptions{After: "d"}},
		{"h", core.SendOptions{After: "f"}},
	} {
		if sent, err := c.SendWith(t.Context(), send.id, 1, nil, send.o); !sent || err != nil {
			t.Fatalf("%s: %v, %v", send.id, sent, err)
		}
		if sent, err := c.SendWith(t.Context(), send.id, 1, nil, core.SendOptions{First: true}); sent || err != nil {
			t.Fatalf("%s once more: %v, %v", send.id, sent, err)
		}
	}
	saved := memstore.New()
	snapshot := newConversation(t, "c", saved)
	snapshot.RecordAll(t.Context(), log(t, store, "c"))
	if err := snapshot.SaveSnapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for how, s := range map[string]*core.State{
		"live": c.State(), "recovered": recovered(t, "c", store).State(), "from a snapshot": recovered(t, "c", saved).State(), "a clone": c.State().Clone(),
	} {
		for _, tt := range []struct{ id, after, branch, siblings, history string }{
			{"a", "", "a b d g", "a f", ""},
			{"b", "a", "a b d g", "b", "a"},
			{"c", "b", "a b c e", "c d", "a b"},
			{"d", "b", "a b d g", "c d", "a b"},
			{"e", "c", "a b c e", "e", "a b c"},
			{"f", "", "f h", "a f", ""},
			{"g", "d", "a b d g", "g", "a b d"},
			{"h", "f", "f h", "h", "f"},
			{"unknown", "", "", "", ""},
		} {
			m, _ := s.Message(tt.id)
			history, known := s.History(tt.id)
			got := []string{m.After, ids(s.Branch(tt.id)), ids(s.Siblings(tt.id)), ids(func(yield func(core.Message) bool) {
				for _, m := range history {
					if !yield(m) {
						return
					}
				}
			})}
			if want := []string{tt.after, tt.branch, tt.siblings, tt.history}; !reflect.DeepEqual(got, want) || !known {
				t.Errorf("%s: %s is after, in the branch, beside and later than\n%q, want\n%q", how, tt.id, got, want)
			}
		}
		if got := ids(s.Received()); got != "a b c d e f g h" {
			t.Errorf("%s: received %s", how, got)
		}
		if got := ids(s.Messages()); got != "f h" {
			t.Errorf("%s: messages %s", how, got)
		}
	}
	if got := ids(core.NewState().Messages()); got != "" {
		t.Errorf("an empty state has %s", got)
	}
}

// TestTreeOfAnyLog: a log that follows what is not there, or itself, is a tree all
// the same.
func TestTreeOfAnyLog(t *testing.T) {
	after := func(id, after string) core.Event {
		return core.Event{Kind: core.KindMessageReceived, MessageID: id, After: after, Branch: true}
	}
	s := stateOf(after("a", "a"), started("early"), after("b", "early"), received("early", 1, ""), after("c", "never"), after("d", "early"), after("a", "d"))
	got := map[string]string{}
	for m := range s.Received() {
		got[m.ID] = m.After
	}
	if want := map[string]string{"a": "", "b": "", "early": "b", "c": "", "d": "early"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSendAfter(t *testing.T) {
	store := memstore.New()
	c, other := newConversation(t, "c", store), newConversation(t, "c", store)
	record(t, other, received("a", 1, ""), received("b", 1, ""))
	send := func(id string, o core.SendOptions, want error) {
		t.Helper()
		if sent, err := c.SendWith(t.Context(), id, 1, nil, o); !errors.Is(err, want) || sent != (want == nil) {
			t.Errorf("%s: %v, %v, want %v", id, sent, err, want)
		}
	}
	send("of what another tab has sent", core.SendOptions{After: "a"}, nil)
	unmoved(t, c, func() {
		send("x", core.SendOptions{After: "x"}, core.ErrInvalidArgument)
		send("x", core.SendOptions{After: "unknown"}, core.ErrInvalidArgument)
		send("x", core.SendOptions{After: "unknown", Interrupt: true}, core.ErrInvalidArgument)
		send("x", core.SendOptions{After: "a", First: true}, core.ErrInvalidArgument)
	})
	if got := ids(c.State().Messages()); got != "a of what another tab has sent" {
		t.Errorf("the messages are %s", got)
	}
}

// TestInterrupt: what is unfinished is cancelled together with the message, or not
// at all; what has ended stays.
func TestInterrupt(t *testing.T) {
	store := &scripted{DurableStore: memstore.New(), appends: nil}
	c := newConversation(t, "c", store)
	record(t, c, received("done", 1, ""), started("done"), finished("done"), received("failed", 1, ""), started("failed"), failed("failed", "boom"),
		received("at work", 1, ""), started("at work"), received("waiting", 1, ""))
	interrupt := func() (bool, error) {
		return c.SendWith(t.Context(), "now", 1, nil, core.SendOptions{Interrupt: true})
	}
	store.appends = []step{refuse(core.ErrQuotaExceeded)}
	unmoved(t, c, func() {
		if _, err := interrupt(); !errors.Is(err, core.ErrQuotaExceeded) {
			t.Errorf("got %v", err)
		}
	})
	changes := 0
	c.Subscribe(func(core.Change) { changes++ })
	for _, want := range []bool{true, false} {
		if sent, err := interrupt(); sent != want || err != nil {
			t.Errorf("sent: %v, %v", sent, err)
		}
	}
	if changes != 1 {
		t.Errorf("there were %d changes", changes)
	}
	got := map[string]string{}
	for m := range recovered(t, "c", store).State().Received() {
		switch {
		case m.Cancelled:
			got[m.ID] = "cancelled"
		case m.Pending():
			got[m.ID] = "pending"
		}
	}
	if want := map[string]string{"at work": "cancelled", "waiting": "cancelled", "now": "pending"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestHistoryAtStart: whatever becomes of what is before a message, and of the
// notes, it looks back on what there was when it first began.
func TestHistoryAtStart(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	record(t, c, received("a", 1, "hi"), started("a"), completed("a", 0, "half"), failed("a", "boom"), aNote("draft", "before", 1, nil), received("b", 1, ""))
	look := func() (texts string, notes int) {
		t.Helper()
		s := c.State()
		history, err := c.History(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range history {
			texts += fmt.Sprint(m.ID, " ", string(m.Body), " ", m.Error, ", failed: ", m.Failed, ", finished: ", m.Finished, ", steps: ", len(m.Steps))
		}
		return texts, len(s.NotesAtStart("b", "draft"))
	}
	expect := func(when string, wantTexts string, wantNotes int) {
		t.Helper()
		if texts, notes := look(); texts != wantTexts || notes != wantNotes {
			t.Errorf("%s: %q and %d notes, want %q and %d", when, texts, notes, wantTexts, wantNotes)
		}
	}
	const boom = "a hi boom, failed: true, finished: false, steps: 1"
	expect("before it begins", boom, 1)
	record(t, c, aNote("draft", "just in time", 1, nil), started("b"))
	expect("at its start", boom, 2)
	record(t, c, aNote("draft", "too late", 1, nil), event(core.KindMessageRetried, "a"))
	expect("once the other is retried", boom, 2)
	record(t, c, started("a"), finished("a"), started("b"))
	expect("once the other has finished", boom, 2)
	if err := c.SaveSnapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = recovered(t, "c", store)
	expect("from a snapshot", boom, 2)
	record(t, c, received("c", 1, ""), started("c"))
	if history, known := c.State().History("c"); !known || len(history) != 2 || !history[0].Finished {
		t.Errorf("a later one looks back on %+v, %v", history, known)
	}
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.History(t.Context(), "b"); !errors.Is(err, core.ErrCancelled) {
		t.Errorf("the history of a message that was deleted: %v", err)
	}
}

// TestHistoryAmidADeletion: a loop over a branch goes on with what it has begun with.
func TestHistoryAmidADeletion(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	record(t, c, received("a", 1, ""), received("b", 1, ""), received("c", 1, ""))
	var seen string
	for m := range c.State().Branch("a") {
		seen += m.ID + " after " + m.After + ", "
		if m.ID == "a" {
			if err := store.Delete(t.Context(), "c"); err != nil {
				t.Fatal(err)
			}
			if err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			record(t, c, received("x", 1, ""), received("y", 1, ""), received("z", 1, ""))
		}
	}
	if want := "a after , b after a, c after b, "; seen != want {
		t.Errorf("seen %q, want %q", seen, want)
	}
}
