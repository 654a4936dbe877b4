package core_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// beginner is a [core.Beginner] whose appends end when the test says so, or at
// once.
type beginner struct {
	*scripted
	until chan struct{} // closed when they may end; nil for at once
}

func (b *beginner) Begin(ctx context.Context, ended func(error), writes ...core.Write) {
	go func() {
		if b.until != nil {
			<-b.until
		}
		_, err := b.Append(ctx, writes[0].Stream, writes[0].Expected, writes[0].Payloads...)
		ended(err)
	}()
}

// beginOne records an event with BeginRecord.
func beginOne(t testing.TB, c *core.Conversation, e core.Event) (uint64, error) {
	t.Helper()
	settled := make(chan core.Recorded, 1)
	c.BeginRecord(e, func(r core.Recorded) { settled <- r })
	r := <-settled
	return r.Sequence, r.Err
}

func TestBeginRecord(t *testing.T) {
	store := &beginner{scripted: &scripted{DurableStore: memstore.New()}}
	c := newConversation(t, "c", store)
	var told []string
	c.Subscribe(func(change core.Change) { told = append(told, change.Messages...) })
	for i, e := range []core.Event{received("m", 1, "x"), started("m"), completed("m", 0, "out")} {
		if sequence, err := beginOne(t, c, e); err != nil || sequence != uint64(i) || c.ExpectedSeq() != uint64(i)+1 {
			t.Fatalf("event %d: sequence %d, %v, then %d is expected", i, sequence, err, c.ExpectedSeq())
		}
	}
	if output, _ := c.State().CompletedStep("m", 0); string(output) != "out" || strings.Join(told, "") != "mmm" {
		t.Errorf("the state has %q, told %v", output, told)
	}
	if other := recovered(t, "c", store); other.ExpectedSeq() != 3 {
		t.Errorf("%d events are in the log", other.ExpectedSeq())
	}

	// Another writer: it is a conflict, and the state stays.
	record(t, recovered(t, "c", store), finished("m"))
	unmoved(t, c, func() {
		_, err := beginOne(t, c, started("m"))
		isConflict(t, err, 3, 4)
	})
	store.appends = []step{refuse(core.ErrQuotaExceeded)}
	unmoved(t, c, func() {
		_, err := beginOne(t, c, started("m"))
		var typed *core.Error
		if !errors.As(err, &typed) || typed.Code != core.ErrQuotaExceeded || typed.Op != "record processing started" || typed.Stream != "c" {
			t.Errorf("got %v", err)
		}
	})
	// The turn was given back each time.
	if err := c.Refresh(t.Context()); err != nil || c.ExpectedSeq() != 4 {
		t.Errorf("refresh: %v, %d", err, c.ExpectedSeq())
	}
}

// TestBeginRecordDoesNotWait: it takes its place in the order of the calls.
func TestBeginRecordDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &beginner{scripted: &scripted{DurableStore: memstore.New()}, until: make(chan struct{})}
		c := newConversation(t, "c", store)
		var mu sync.Mutex
		settled := map[string]core.Recorded{}
		begin := func(name string, e core.Event) {
			c.BeginRecord(e, func(r core.Recorded) {
				mu.Lock()
				defer mu.Unlock()
				settled[name] = r
			})
		}
		begin("first", started("m"))
		waits := make(chan core.Recorded, 1)
		go func() { waits <- c.RecordAll(t.Context(), []core.Event{completed("m", 0, "")})[0] }()
		synctest.Wait()
		begin("third", finished("m"))
		begin("of an event that cannot be", started(""))
		if c.BeginUpdate(func(*core.State) ([]core.Event, error) { return []core.Event{started("n")}, nil }, nil) {
			t.Error("an update has overtaken the calls that wait")
		}
		if r := settled["of an event that cannot be"]; len(settled) != 1 || core.CodeOf(r.Err) != core.ErrInvalidArgument {
			t.Errorf("settled before the append: %+v", settled)
		}
		close(store.until)
		if r := <-waits; r.Sequence != 1 || r.Err != nil {
			t.Errorf("the one that waits: %+v", r)
		}
		synctest.Wait()
		if settled["first"] != (core.Recorded{}) || settled["third"] != (core.Recorded{Sequence: 2}) || len(settled) != 3 {
			t.Errorf("settled: %+v", settled)
		}
	})
}

func TestBeginUpdate(t *testing.T) {
	two := func(*core.State) ([]core.Event, error) { return []core.Event{received("m", 1, "x"), started("m")}, nil }
	tests := []struct {
		name   string
		before func(t *testing.T, c *core.Conversation, store *beginner)
		decide func(*core.State) ([]core.Event, error)
		begun  bool
		head   uint64 // after it
		code   core.Code
	}{
		{"two events", nil, two, true, 2, ""},
		{"none", nil, func(*core.State) ([]core.Event, error) { return nil, nil }, false, 0, ""},
		{"an error", nil, func(*core.State) ([]core.Event, error) { return nil, core.ErrLostOwnership }, false, 0, ""},
		{"an event that cannot be", nil, func(*core.State) ([]core.Event, error) { return []core.Event{received("m", 1, "x"), started("")}, nil }, false, 0, ""},
		{"after others have appended", func(t *testing.T, _ *core.Conversation, store *beginner) {
			record(t, recovered(t, "c", store), finished("m"))
		},
			two, true, 1, core.ErrSequenceConflict},
		{"no room", func(_ *testing.T, _ *core.Conversation, store *beginner) {
			store.appends = []step{refuse(core.ErrQuotaExceeded)}
		},
			two, true, 0, core.ErrQuotaExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &beginner{scripted: &scripted{DurableStore: memstore.New()}}
			c := newConversation(t, "c", store)
			if tt.before != nil {
				tt.before(t, c, store)
			}
			settled := make(chan core.Recorded, 1)
			if begun := c.BeginUpdate(tt.decide, func(r core.Recorded) { settled <- r }); begun != tt.begun {
				t.Fatalf("begun: %v", begun)
			} else if begun {
				if r := <-settled; tt.code == "" && (r.Err != nil || r.Sequence != 0 || c.ExpectedSeq() != 2 || !c.State().IsInProgress("m")) || tt.code != "" && core.CodeOf(r.Err) != tt.code {
					t.Errorf("settled with %+v, then %d is expected", r, c.ExpectedSeq())
				}
			}
			if err := c.Refresh(t.Context()); err != nil || c.ExpectedSeq() != tt.head { // the turn was given back
				t.Errorf("refresh: %v, %d", err, c.ExpectedSeq())
			}
		})
	}
}

func TestWithSend(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	c := newConversation(t, "c", store)
	stop := c.WithSend(func(s *core.State, id string) []core.Event {
		if s.IsReceived(id) || !s.IsIdle() {
			return nil
		}
		return []core.Event{started(id)}
	})
	for _, id := range []string{"a", "a", "b"} { // a again is no new message, and b comes while a is processed
		if _, err := c.Send(t.Context(), id, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !c.State().IsInProgress("a") || c.State().IsInProgress("b") || c.ExpectedSeq() != 3 {
		t.Errorf("%d events, and the state is %+v", c.ExpectedSeq(), c.State().Known())
	}
	record(t, c, finished("a"), finished("b"))
	later := c.WithSend(func(*core.State, string) []core.Event { return []core.Event{started("later")} })
	stop() // not that of another
	if _, err := c.Send(t.Context(), "c", 1, nil); err != nil || !c.State().IsInProgress("later") {
		t.Errorf("%v, and the later one was not asked", err)
	}
	later()
	if _, err := c.Send(t.Context(), "d", 1, nil); err != nil || c.ExpectedSeq() != 8 {
		t.Errorf("%v, %d events", err, c.ExpectedSeq())
	}
}
