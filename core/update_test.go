package core_test

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"sync"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// kinds returns the kinds of the events in a log.
func kinds(t testing.TB, store core.DurableStore, id string) []core.Kind {
	t.Helper()
	var all []core.Kind
	for _, e := range log(t, store, id) {
		all = append(all, e.Kind)
	}
	return all
}

// TestUpdateDecidesAnew: somebody else is faster, so the decision is made again
// with what they have appended in view, and is written right behind it.
func TestUpdateDecidesAnew(t *testing.T) {
	store := memstore.New()
	c, other := newConversation(t, "c", store), newConversation(t, "c", store)
	var seen []bool
	err := c.Update(t.Context(), func(s *core.State) ([]core.Event, error) {
		seen = append(seen, s.IsReceived("theirs"))
		if len(seen) == 1 {
			record(t, other, received("theirs", 1, ""))
		}
		return []core.Event{received("mine", 2, ""), started("mine")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []bool{false, true}; !reflect.DeepEqual(seen, want) {
		t.Errorf("decided on %v, want %v", seen, want)
	}
	if got, want := kinds(t, store, "c"), []core.Kind{core.KindMessageReceived, core.KindMessageReceived, core.KindProcessingStarted}; !reflect.DeepEqual(got, want) {
		t.Errorf("the log has %v, want %v", got, want)
	}
	if !c.State().IsInProgress("mine") || c.ExpectedSeq() != 3 {
		t.Errorf("the state is behind: %d", c.ExpectedSeq())
	}
}

func TestUpdateThatWritesNothing(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	boom := errors.New("boom")
	tests := []struct {
		name   string
		ctx    context.Context
		decide func(*core.State) ([]core.Event, error)
		want   error
	}{
		{"no events", t.Context(), func(*core.State) ([]core.Event, error) { return nil, nil }, nil},
		{"an error", t.Context(), func(*core.State) ([]core.Event, error) { return []core.Event{started("m")}, boom }, boom},
		{"a bad event among good ones", t.Context(), func(*core.State) ([]core.Event, error) { return []core.Event{started("m"), {Kind: 99}}, nil }, core.ErrInvalidArgument},
		{"an ended context", ended, func(*core.State) ([]core.Event, error) { return []core.Event{started("m")}, nil }, core.ErrCancelled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := memstore.New()
			c := newConversation(t, "c", store)
			if err := c.Update(tt.ctx, tt.decide); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if got := log(t, store, "c"); len(got) != 0 || c.ExpectedSeq() != 0 {
				t.Errorf("the log has %v", got)
			}
			record(t, c, started("m")) // the turn was given back
		})
	}
}

// TestUpdateThroughTrouble: what the store says of an append decides whether it
// is made again.
func TestUpdateThroughTrouble(t *testing.T) {
	landed := func(call func() (uint64, error)) (uint64, error) {
		_, _ = call()
		return 0, core.ErrOutcomeUnknown
	}
	tests := []struct {
		name    string
		appends []step
		want    error
		events  int
	}{
		{"it landed, unseen", []step{landed}, nil, 1},
		{"it did not land: sent once more", []step{refuse(core.ErrOutcomeUnknown)}, nil, 1},
		{"no room", []step{refuse(core.ErrQuotaExceeded)}, core.ErrQuotaExceeded, 0},
		{"closed", []step{refuse(core.ErrClosed)}, core.ErrClosed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &scripted{DurableStore: memstore.New(), appends: tt.appends}
			c := newConversation(t, "c", store)
			sent, err := c.Send(t.Context(), "m", 1, nil)
			if !errors.Is(err, tt.want) || sent != (tt.want == nil) {
				t.Errorf("got %v, %v; want %v", sent, err, tt.want)
			}
			if got := log(t, store, "c"); len(got) != tt.events {
				t.Errorf("the log has %v", got)
			}
		})
	}
}

// TestSendIfExists: it never begins a deleted conversation again.
func TestSendIfExists(t *testing.T) {
	store := memstore.New()
	c, stale := newConversation(t, "c", store), newConversation(t, "c", store)
	send := func(c *core.Conversation, id string, want error) {
		t.Helper()
		sent, err := c.SendWith(t.Context(), id, 1, nil, core.SendOptions{IfExists: true})
		if !errors.Is(err, want) || sent != (want == nil) {
			t.Errorf("%s: %t, %v, want %v", id, sent, err, want)
		}
	}
	send(c, "too early", core.ErrCancelled)
	record(t, c, received("first", 1, ""))
	send(stale, "of one who does not know the first", nil)
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	send(c, "of one who knows more than there is", core.ErrCancelled)
	send(stale, "too late", core.ErrCancelled)
	if n := recovered(t, "c", store).State().Len(); n != 0 {
		t.Errorf("there are %d messages", n)
	}
	record(t, c, received("anew", 1, ""))
	send(stale, "after that", nil)
	if sent, err := c.SendWith(t.Context(), "anew", 1, nil, core.SendOptions{IfExists: true}); sent || err != nil {
		t.Errorf("a known message: %t, %v", sent, err)
	}
}

// TestSendFromEverywhere: many senders of the same messages, in several
// conversations on one store, beside somebody who records.
func TestSendFromEverywhere(t *testing.T) {
	store := memstore.New()
	var group sync.WaitGroup
	var mu sync.Mutex
	sent := map[string]int{}
	for range 4 {
		c := recovered(t, "c", store)
		for range 2 {
			group.Go(func() {
				for i := range 25 {
					id := "m" + strconv.Itoa(i)
					did, err := c.Send(t.Context(), id, uint64(i), []byte(id))
					if err != nil {
						t.Error(err)
					}
					if did {
						mu.Lock()
						sent[id]++
						mu.Unlock()
					}
				}
			})
		}
	}
	group.Wait()
	received := map[string]int{}
	for _, e := range log(t, store, "c") {
		received[e.MessageID]++
	}
	for i := range 25 {
		id := "m" + strconv.Itoa(i)
		if sent[id] != 1 || received[id] != 1 {
			t.Errorf("%s: sent %d times, received %d times", id, sent[id], received[id])
		}
	}
}

// TestUpdateBesideRecords: events that are recorded meanwhile land, each once.
func TestUpdateBesideRecords(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if _, err := c.Send(t.Context(), "sent"+strconv.Itoa(i), 1, nil); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			if _, err := recordOne(t.Context(), c, completed("m", uint32(i), "x")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := log(t, store, "c"); len(got) != 40 || c.State().Len() != 20 {
		t.Errorf("%d events, %d messages", len(got), c.State().Len())
	}
}

// TestSettlingAMessage is what Cancel, Retry and ResolveStep do to a message in
// each of its states.
func TestSettlingAMessage(t *testing.T) {
	uncertain := []core.Event{received("m", 1, ""), startedBy("m", 1), stepStarted("m", 0), startedBy("m", 2)}
	states := map[string][]core.Event{
		"received":   {received("m", 1, "")},
		"processing": {received("m", 1, ""), startedBy("m", 1)},
		"failed":     {received("m", 1, ""), startedBy("m", 1), failed("m", "boom")},
		"cancelled":  {received("m", 1, ""), event(core.KindMessageCancelled, "m")},
		"finished":   {received("m", 1, ""), startedBy("m", 1), finished("m")},
		"uncertain":  uncertain,
	}
	calls := map[string]func(*core.Conversation) (bool, error){
		"cancel": func(c *core.Conversation) (bool, error) { return c.Cancel(t.Context(), "m") },
		"retry":  func(c *core.Conversation) (bool, error) { return c.Retry(t.Context(), "m") },
		"rerun":  func(c *core.Conversation) (bool, error) { return c.ResolveStep(t.Context(), "m", 0, true) },
		"skip":   func(c *core.Conversation) (bool, error) { return c.ResolveStep(t.Context(), "m", 0, false) },
	}
	type outcome struct {
		did     bool
		appends core.Kind // 0 for nothing
	}
	want := map[string]map[string]outcome{
		"cancel": {"received": {true, core.KindMessageCancelled}, "processing": {true, core.KindMessageCancelled},
			"uncertain": {true, core.KindMessageCancelled}, "cancelled": {true, 0}},
		"retry": {"failed": {true, core.KindMessageRetried}, "cancelled": {true, core.KindMessageRetried}},
		"rerun": {"uncertain": {true, core.KindStepResolved}},
		"skip":  {"uncertain": {true, core.KindStepCompleted}},
	}
	for call, do := range calls {
		t.Run(call+" an unknown message", func(t *testing.T) {
			c := newConversation(t, "c", memstore.New())
			if did, err := do(c); did || !errors.Is(err, core.ErrInvalidArgument) {
				t.Errorf("got %v, %v", did, err)
			}
		})
		for state, story := range states {
			t.Run(call+" a message that is "+state, func(t *testing.T) {
				store := memstore.New()
				writer, c := newConversation(t, "c", store), newConversation(t, "c", store)
				if err := writer.Update(t.Context(), func(*core.State) ([]core.Event, error) { return story, nil }); err != nil {
					t.Fatal(err)
				}
				if err := c.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				did, err := do(c)
				if err != nil || did != want[call][state].did {
					t.Errorf("got %v, %v; want %v", did, err, want[call][state].did)
				}
				got := kinds(t, store, "c")[len(story):]
				if appended := want[call][state].appends; appended == 0 && len(got) > 0 || appended != 0 && !reflect.DeepEqual(got, []core.Kind{appended}) {
					t.Errorf("appended %v, want %v", got, appended)
				}
				if again, err := do(c); err != nil || again && call != "cancel" {
					t.Errorf("again: %v, %v", again, err)
				}
			})
		}
	}
}

// TestUpdateOfADeletedConversation: it begins anew behind the deletion.
func TestUpdateOfADeletedConversation(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	record(t, c, received("m", 1, ""))
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if sent, err := c.Send(t.Context(), "m", 2, nil); !sent || err != nil {
		t.Errorf("got %v, %v", sent, err)
	}
	if m, _ := c.State().Message("m"); m.ReceivedAt != 2 {
		t.Errorf("the message is %+v", m)
	}
}

// TestDeliveryOfACancelledMessage: nobody is to work on it.
func TestDeliveryOfACancelledMessage(t *testing.T) {
	c := newConversation(t, "c", memstore.New())
	record(t, c, received("m", 1, ""))
	if _, err := c.Cancel(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if d, err := c.ReceiveMessage(t.Context(), "m", 2, nil); err != nil || d.Kind != core.Skip {
		t.Errorf("got %v, %v", d, err)
	}
	if _, err := c.Retry(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if d, err := c.ReceiveMessage(t.Context(), "m", 2, nil); err != nil || d.Kind != core.ResumeFrom {
		t.Errorf("after a retry: %v, %v", d, err)
	}
}
