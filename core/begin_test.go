package core_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// beginner is a [core.Beginner] whose appends end when the test says so, or at
// once.
type beginner struct {
	*scripted
	busy  bool          // it would have to wait
	until chan struct{} // closed when they may end; nil for at once
}

func (b *beginner) BeginAppend(stream string, expectedSeq uint64, payloads [][]byte, ended func(error)) bool {
	if b.busy {
		return false
	}
	go func() {
		if b.until != nil {
			<-b.until
		}
		_, err := b.Append(context.Background(), stream, expectedSeq, payloads...)
		ended(err)
	}()
	return true
}

// beginOne records an event with BeginRecord.
func beginOne(t testing.TB, c *core.Conversation, e core.Event) (uint64, error) {
	t.Helper()
	settled := make(chan core.Recorded, 1)
	if !c.BeginRecord(e, 0, func(r core.Recorded) { settled <- r }) {
		t.Fatal("it has not begun")
	}
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

// TestBeginRecordDoesNotWait: where it would have to it does nothing.
func TestBeginRecordDoesNotWait(t *testing.T) {
	never := func(core.Recorded) { t.Error("settled, though it has not begun") }
	memory := &scripted{DurableStore: memstore.New()}
	store := &beginner{scripted: memory, until: make(chan struct{})}
	c := newConversation(t, "c", store)
	settled := make(chan core.Recorded, 1)
	if !c.BeginRecord(started("m"), 0, func(r core.Recorded) { settled <- r }) {
		t.Fatal("it has not begun")
	}
	behind := make(chan core.Recorded, 1)
	go func() { behind <- c.RecordAll(t.Context(), []core.Event{completed("m", 0, "")})[0] }()
	for name, begun := range map[string]bool{
		"behind another":                      c.BeginRecord(started("m"), 0, never),
		"behind two that have landed, of one": c.BeginRecord(started("m"), 2, never),
		"over another kind of store":          newConversation(t, "c", memory).BeginRecord(started("m"), 0, never),
		"over a busy store":                   newConversation(t, "c", &beginner{scripted: memory, busy: true}).BeginRecord(started("m"), 0, never),
		"of an event that cannot be":          newConversation(t, "c", &beginner{scripted: memory}).BeginRecord(started(""), 0, never),
	} {
		if begun {
			t.Errorf("%s: it has begun", name)
		}
	}
	close(store.until)
	if r := <-settled; r.Sequence != 0 || r.Err != nil {
		t.Errorf("the one that has begun: %+v", r)
	}
	if r := <-behind; r.Sequence != 1 || r.Err != nil {
		t.Errorf("the one behind: %+v", r)
	}
}

// teller is a [core.Beginner] whose appends are carried out at once, and told
// when the test says so.
type teller struct {
	*scripted
	ends []func() // one for each append, which tells its end
}

func (s *teller) BeginAppend(stream string, expectedSeq uint64, payloads [][]byte, ended func(error)) bool {
	_, err := s.Append(context.Background(), stream, expectedSeq, payloads...)
	s.ends = append(s.ends, func() { ended(err) })
	return true
}

// TestBeginRecordBehindLanded: an append can begin behind some that have landed
// and were not told of; the conversation follows when they are, and in order.
func TestBeginRecordBehindLanded(t *testing.T) {
	for name, told := range map[string][]int{"told in order": {0, 1, 2}, "the first is told last": {1, 2, 0}} {
		t.Run(name, func(t *testing.T) {
			store := &teller{scripted: &scripted{DurableStore: memstore.New()}}
			c := newConversation(t, "c", store)
			settled := make(chan core.Recorded, 3)
			begin := func(landed int, e core.Event) {
				t.Helper()
				if !c.BeginRecord(e, landed, func(r core.Recorded) { settled <- r }) {
					t.Fatalf("the one behind %d has not begun", landed)
				}
			}
			for i := range 3 {
				begin(i, completed("m", uint32(i), ""))
			}
			if c.ExpectedSeq() != 0 || len(c.State().Known()) > 0 {
				t.Error("it knows of appends that nobody has told of")
			}
			for _, i := range told {
				store.ends[i]()
			}
			for i := range uint64(3) {
				if r := <-settled; r.Sequence != i || r.Err != nil {
					t.Errorf("append %d: %+v", i, r)
				}
			}
			if err := c.Refresh(t.Context()); err != nil || c.ExpectedSeq() != 3 { // the turn was given back
				t.Errorf("refresh: %v, %d", err, c.ExpectedSeq())
			}
			if last, _ := c.State().LastCompletedStep("m"); last != 2 {
				t.Errorf("the last step is %d", last)
			}
			begin(0, finished("m"))
			store.ends[3]()
			if r := <-settled; r.Sequence != 3 || r.Err != nil {
				t.Errorf("the next one: %+v", r)
			}
		})
	}
}

// TestBeginRecordBehindUnknown: one that has committed behind one of which nothing can be found
// out is acknowledged, and the state does not get a hole.
func TestBeginRecordBehindUnknown(t *testing.T) {
	memory := &scripted{DurableStore: memstore.New()}
	store := &teller{scripted: memory}
	c := newConversation(t, "c", store)
	memory.appends = []step{func(append func() (uint64, error)) (uint64, error) {
		_, _ = append()
		return 0, errUnknown
	}}
	settled := make(chan core.Recorded, 2)
	for i := range 2 {
		if !c.BeginRecord(completed("m", uint32(i), ""), i, func(r core.Recorded) { settled <- r }) {
			t.Fatalf("append %d has not begun", i)
		}
	}
	memory.reads = []look{unreadable}
	for _, tell := range store.ends {
		tell()
	}
	if r := <-settled; !errors.Is(r.Err, core.ErrOutcomeUnknown) {
		t.Errorf("the first: %+v", r)
	}
	if r := <-settled; r.Sequence != 1 || r.Err != nil {
		t.Errorf("the second: %+v", r)
	}
	if c.ExpectedSeq() != 0 || len(c.State().Known()) > 0 {
		t.Error("the state has the second without the first")
	}
	if _, err := c.RecordProcessingFinished(t.Context(), "m"); err == nil {
		t.Error("it appends to a log that it does not know")
	} else {
		isConflict(t, err, 0, 2)
	}
	if err := c.Refresh(t.Context()); err != nil || c.ExpectedSeq() != 2 || len(c.State().Known()) != 1 {
		t.Errorf("refresh: %v, %d", err, c.ExpectedSeq())
	}
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
		{"a busy store", func(_ *testing.T, _ *core.Conversation, store *beginner) { store.busy = true }, two, false, 0, ""},
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
			store.busy = false
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
