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

func (b *beginner) BeginAppend(stream string, expectedSeq uint64, payload []byte, ended func(error)) bool {
	if b.busy {
		return false
	}
	go func() {
		if b.until != nil {
			<-b.until
		}
		_, err := b.Append(context.Background(), stream, expectedSeq, payload)
		ended(err)
	}()
	return true
}

// beginOne records an event with BeginRecord.
func beginOne(t testing.TB, c *core.Conversation, e core.Event) (uint64, error) {
	t.Helper()
	settled := make(chan core.Recorded, 1)
	if !c.BeginRecord(e, func(r core.Recorded) { settled <- r }) {
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
	if !c.BeginRecord(started("m"), func(r core.Recorded) { settled <- r }) {
		t.Fatal("it has not begun")
	}
	behind := make(chan core.Recorded, 1)
	go func() { behind <- c.RecordAll(t.Context(), []core.Event{completed("m", 0, "")})[0] }()
	for name, begun := range map[string]bool{
		"behind another":             c.BeginRecord(started("m"), never),
		"over another kind of store": newConversation(t, "c", memory).BeginRecord(started("m"), never),
		"over a busy store":          newConversation(t, "c", &beginner{scripted: memory, busy: true}).BeginRecord(started("m"), never),
		"of an event that cannot be": newConversation(t, "c", &beginner{scripted: memory}).BeginRecord(started(""), never),
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
