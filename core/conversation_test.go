package core_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

func newConversation(t testing.TB, id string, store core.DurableStore) *core.Conversation {
	t.Helper()
	c, err := core.New(id, store)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func recovered(t testing.TB, id string, store core.DurableStore) *core.Conversation {
	t.Helper()
	c, err := core.Recover(t.Context(), id, store)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// record appends events through the conversation's own methods.
func record(t testing.TB, c *core.Conversation, events ...core.Event) {
	t.Helper()
	for _, e := range events {
		want := c.ExpectedSeq()
		if got, err := recordOne(t.Context(), c, e); err != nil || got != want {
			t.Fatalf("%v of %s: sequence %d, %v; want %d", e.Kind, e.MessageID, got, err, want)
		}
	}
}

func recordOne(ctx context.Context, c *core.Conversation, e core.Event) (uint64, error) {
	switch e.Kind {
	case core.KindMessageReceived:
		return c.RecordMessageReceived(ctx, e.MessageID, e.ReceivedAt, e.Body)
	case core.KindProcessingStarted:
		return c.RecordProcessingStarted(ctx, e.MessageID)
	case core.KindStepCompleted:
		return c.RecordStepCompleted(ctx, e.MessageID, e.Step, e.Output)
	case core.KindProcessingFinished:
		return c.RecordProcessingFinished(ctx, e.MessageID)
	case core.KindErrorOccurred:
		return c.RecordError(ctx, e.MessageID, e.Error)
	default:
		r := c.RecordAll(ctx, []core.Event{e})[0]
		return r.Sequence, r.Err
	}
}

// log reads all events of a conversation, without their random ids.
func log(t testing.TB, store core.DurableStore, id string) []core.Event {
	t.Helper()
	logged, err := newConversation(t, id, store).Events(t.Context(), 0, math.MaxInt32)
	if err != nil {
		t.Fatal(err)
	}
	var events []core.Event
	for _, l := range logged {
		l.Event.ID = core.EventID{}
		events = append(events, l.Event)
	}
	return events
}

// unmoved checks that what fails leaves state and position of c as they were.
func unmoved(t *testing.T, c *core.Conversation, fail func()) {
	t.Helper()
	before, expected := contents(c.State(), "m"), c.ExpectedSeq()
	fail()
	if got := contents(c.State(), "m"); !reflect.DeepEqual(got, before) {
		t.Errorf("the state has changed:\n got %+v\nwant %+v", got, before)
	}
	if got := c.ExpectedSeq(); got != expected {
		t.Errorf("the expected sequence is %d, want %d", got, expected)
	}
}

func TestNewReadsNothing(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	record(t, newConversation(t, "c", store), received("m", 1, "hi"))
	store.calls = nil
	c := newConversation(t, "c", store)
	if c.ID() != "c" || c.ExpectedSeq() != 0 || c.State().Len() != 0 {
		t.Errorf("a new conversation is %q at %d with %d messages", c.ID(), c.ExpectedSeq(), c.State().Len())
	}
	if store.calls != nil {
		t.Errorf("it called the store: %v", store.calls)
	}
}

func TestIDsAreChecked(t *testing.T) {
	store := memstore.New()
	for _, id := range []string{"", "a\x00b", "\xff", strings.Repeat("x", core.MaxNameBytes+1)} {
		if _, err := core.New(id, store); !errors.Is(err, core.ErrInvalidArgument) {
			t.Errorf("New(%.10q) gives %v", id, err)
		}
		if _, err := core.Recover(t.Context(), id, store); !errors.Is(err, core.ErrInvalidArgument) {
			t.Errorf("Recover(%.10q) gives %v", id, err)
		}
	}
}

func TestRecordingAssignsSequencesAndChangesTheState(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	story := []core.Event{
		received("m", 7, "hi"), started("m"), completed("m", 0, "a"), completed("m", 2, "c"), failed("m", "boom"), finished("m"),
	}
	for i, e := range story {
		sequence, err := recordOne(t.Context(), c, e)
		if err != nil || sequence != uint64(i) || c.ExpectedSeq() != uint64(i)+1 {
			t.Fatalf("event %d: sequence %d, %v, then %d expected", i, sequence, err, c.ExpectedSeq())
		}
		if got, want := contents(c.State(), "m"), contents(stateOf(story[:i+1]...), "m"); !reflect.DeepEqual(got, want) {
			t.Fatalf("after event %d:\n got %+v\nwant %+v", i, got, want)
		}
	}
	if got := log(t, store, "c"); !reflect.DeepEqual(got, story) {
		t.Errorf("the log is\n %+v\nwant\n %+v", got, story)
	}
}

func TestEveryEventHasItsOwnID(t *testing.T) {
	c := newConversation(t, "c", memstore.New())
	for range 100 {
		record(t, c, started("m"))
	}
	logged, err := c.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[core.EventID]bool)
	for _, l := range logged {
		ids[l.Event.ID] = true
	}
	if len(ids) != 100 {
		t.Errorf("100 events have %d ids", len(ids))
	}
}

// TestReceiveMessage pins the decisions. Only a message that was never seen is
// appended.
func TestReceiveMessage(t *testing.T) {
	tests := []struct {
		name   string
		before []core.Event
		want   core.Decision
	}{
		{"never seen", nil, core.Decision{Kind: core.Start}},
		{"another was seen", []core.Event{received("other", 1, "x"), finished("other")}, core.Decision{Kind: core.Start}},
		{"received", []core.Event{received("m", 1, "x")}, core.Decision{Kind: core.ResumeFrom}},
		{"started", []core.Event{received("m", 1, "x"), started("m")}, core.Decision{Kind: core.ResumeFrom}},
		{"one step", []core.Event{received("m", 1, "x"), completed("m", 0, "a")}, core.Decision{Kind: core.ResumeFrom, Step: 1}},
		{"steps 0 then 2", []core.Event{received("m", 1, "x"), completed("m", 0, "a"), completed("m", 2, "c")}, core.Decision{Kind: core.ResumeFrom, Step: 3}},
		{"steps backwards", []core.Event{received("m", 1, "x"), completed("m", 2, "c"), completed("m", 0, "a")}, core.Decision{Kind: core.ResumeFrom, Step: 3}},
		{"failed", []core.Event{received("m", 1, "x"), completed("m", 0, "a"), failed("m", "boom")}, core.Decision{Kind: core.ResumeFrom, Step: 1}},
		{"last step but one", []core.Event{received("m", 1, "x"), completed("m", math.MaxUint32-1, "a")}, core.Decision{Kind: core.ResumeFrom, Step: math.MaxUint32}},
		{"finished", []core.Event{received("m", 1, "x"), completed("m", 0, "a"), finished("m")}, core.Decision{Kind: core.Skip}},
		{"finished after a failure", []core.Event{received("m", 1, "x"), failed("m", "boom"), finished("m")}, core.Decision{Kind: core.Skip}},
		{"finished, then failed", []core.Event{received("m", 1, "x"), finished("m"), failed("m", "boom")}, core.Decision{Kind: core.Skip}},
		{"finished at the highest step", []core.Event{received("m", 1, "x"), completed("m", math.MaxUint32, "a"), finished("m")}, core.Decision{Kind: core.Skip}},
		{"finished, but never received", []core.Event{finished("m")}, core.Decision{Kind: core.Skip}},
		{"steps, but never received", []core.Event{completed("m", 4, "a")}, core.Decision{Kind: core.Start}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := memstore.New()
			c := newConversation(t, "c", store)
			record(t, c, tt.before...)
			// A recovered conversation decides the same.
			for name, c := range map[string]*core.Conversation{"recovered": recovered(t, "c", memoryOf(t, store)), "live": c} {
				got, err := c.ReceiveMessage(t.Context(), "m", 99, []byte("again"))
				if err != nil || got != tt.want {
					t.Errorf("%s: got %v, %v; want %v", name, got, err, tt.want)
				}
			}
			want := tt.before
			if tt.want.Kind == core.Start {
				want = append(slices.Clip(want), received("m", 99, "again"))
			}
			if got := log(t, store, "c"); !reflect.DeepEqual(got, want) {
				t.Errorf("the log is\n %+v\nwant\n %+v", got, want)
			}
		})
	}
}

// memoryOf copies the streams of a store into another one.
func memoryOf(t *testing.T, store core.DurableStore) core.DurableStore {
	t.Helper()
	entries, err := store.Scan(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	c := memstore.New()
	for _, e := range entries {
		if _, err := c.Append(t.Context(), e.Stream, e.Sequence, e.Payload); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestThereIsNoStepAfterTheLast(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	record(t, c, received("m", 1, "x"), completed("m", math.MaxUint32, "a"))
	unmoved(t, c, func() {
		if d, err := c.ReceiveMessage(t.Context(), "m", 2, nil); !errors.Is(err, core.ErrOutOfRange) || d != (core.Decision{}) {
			t.Errorf("got %v, %v", d, err)
		}
	})
	if n := len(log(t, store, "c")); n != 2 {
		t.Errorf("the log has %d events", n)
	}
}

func TestDecisionKindString(t *testing.T) {
	for kind, want := range map[core.DecisionKind]string{0: "undecided", core.Skip: "skip", core.ResumeFrom: "resume", core.Start: "start"} {
		if got := kind.String(); got != want {
			t.Errorf("%d is %q, want %q", kind, got, want)
		}
	}
}

// TestConflictIsPassedOn: the loser learns the head, nothing of it is written,
// and nothing is tried again.
func TestConflictIsPassedOn(t *testing.T) {
	memory := memstore.New()
	store := &scripted{DurableStore: memory}
	winner, loser := newConversation(t, "c", memory), newConversation(t, "c", store)
	record(t, winner, received("m", 1, "x"), started("m"))
	unmoved(t, loser, func() {
		for _, e := range []core.Event{received("m", 2, "y"), started("m"), completed("m", 0, "y"), finished("m"), failed("m", "y")} {
			_, err := recordOne(t.Context(), loser, e)
			isConflict(t, err, 0, 2)
		}
		_, err := loser.ReceiveMessage(t.Context(), "m", 2, nil)
		isConflict(t, err, 0, 2)
	})
	if want := slices.Repeat([]string{"append"}, 6); !slices.Equal(store.calls, want) {
		t.Errorf("the store was called: %v", store.calls)
	}
	if n := len(log(t, memory, "c")); n != 2 {
		t.Errorf("the log has %d events", n)
	}
	if err := loser.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := loser.ReceiveMessage(t.Context(), "m", 2, nil); err != nil || d.Kind != core.ResumeFrom {
		t.Errorf("after a refresh: %v, %v", d, err)
	}
	record(t, loser, completed("m", 0, "y"))
}

func isConflict(t *testing.T, err error, expected, actual uint64) {
	t.Helper()
	var conflict *core.SequenceConflictError
	if !errors.As(err, &conflict) || *conflict != (core.SequenceConflictError{Stream: "c", Expected: expected, Actual: actual}) {
		t.Errorf("got %v; want a conflict of %d with %d", err, expected, actual)
	}
	if !errors.Is(err, core.ErrSequenceConflict) || core.CodeOf(err) != core.ErrSequenceConflict {
		t.Errorf("the code of %v is %v", err, core.CodeOf(err))
	}
}

func TestFailedAppendChangesNothing(t *testing.T) {
	refusals := []error{
		&core.Error{Code: core.ErrQuotaExceeded, Op: "append", Stream: "c", Detail: "no room"},
		core.ErrClosed,
		errors.New("a store that breaks its contract"),
		&core.SequenceConflictError{Stream: "c", Expected: 1, Actual: 5},
	}
	for _, refusal := range refusals {
		t.Run(refusal.Error(), func(t *testing.T) {
			store := &scripted{DurableStore: memstore.New()}
			c := newConversation(t, "c", store)
			record(t, c, received("m", 1, "x"))
			told := 0
			c.Subscribe(func(core.Change) { told++ })
			unmoved(t, c, func() {
				for _, e := range []core.Event{received("m2", 2, "y"), started("m"), completed("m", 0, "y"), finished("m"), failed("m", "y")} {
					store.appends = []step{refuse(refusal)}
					if _, err := recordOne(t.Context(), c, e); core.CodeOf(err) != core.CodeOf(refusal) {
						t.Errorf("%v: got %v, want %v", e.Kind, err, core.CodeOf(refusal))
					}
				}
				store.appends = []step{refuse(refusal)}
				if _, err := c.ReceiveMessage(t.Context(), "m2", 2, nil); core.CodeOf(err) != core.CodeOf(refusal) {
					t.Errorf("receive: got %v, want %v", err, core.CodeOf(refusal))
				}
			})
			if told != 0 {
				t.Errorf("subscribers were told %d times", told)
			}
			record(t, c, started("m")) // and it goes on when the store does
		})
	}
}

// TestRefusedArguments: what can never be accepted does not reach the store.
func TestRefusedArguments(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	c := newConversation(t, "c", store)
	tests := []struct {
		name  string
		event core.Event
		want  core.Code
	}{
		{"empty message id", started(""), core.ErrInvalidArgument},
		{"message id not UTF-8", received("\xff", 1, ""), core.ErrInvalidArgument},
		{"error not UTF-8", failed("m", "\xff"), core.ErrInvalidArgument},
		{"received too late", received("m", core.MaxSequence+1, ""), core.ErrOutOfRange},
		{"output too large", completed("m", 0, string(make([]byte, core.MaxPayloadBytes))), core.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			unmoved(t, c, func() {
				_, err := recordOne(t.Context(), c, tt.event)
				var typed *core.Error
				if !errors.As(err, &typed) || typed.Code != tt.want || typed.Stream != "c" || !strings.HasPrefix(typed.Op, "record ") {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
			if store.calls != nil {
				t.Errorf("the store was called: %v", store.calls)
			}
		})
	}
	if _, err := c.ReceiveMessage(t.Context(), "", 1, nil); !errors.Is(err, core.ErrInvalidArgument) {
		t.Errorf("receiving an empty id: %v", err)
	}
}

// TestErrorsNameTheOperationOnce, whatever kind of error the store gives.
func TestErrorsNameTheOperationOnce(t *testing.T) {
	cause := errors.New("disk on fire")
	tests := []struct {
		err  error
		want string
	}{
		{&core.Error{Code: core.ErrQuotaExceeded, Op: "append", Stream: "c", Detail: "free some space", Err: cause},
			`holdfast: record processing started "c": quota_exceeded: free some space: disk on fire`},
		{core.ErrClosed, `holdfast: record processing started "c": closed`},
		{cause, `holdfast: record processing started "c": storage_unavailable: disk on fire`},
		{context.Canceled, `holdfast: record processing started "c": cancelled: context canceled`},
		{&core.SequenceConflictError{Stream: "c", Expected: 0, Actual: 3},
			`holdfast: append "c": sequence_conflict: expected sequence 0, actual 3; refresh and decide again`},
	}
	for _, tt := range tests {
		store := &scripted{DurableStore: memstore.New(), appends: []step{refuse(tt.err)}}
		_, err := newConversation(t, "c", store).RecordProcessingStarted(t.Context(), "m")
		if err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
		// The cause, which is no Error, is still found behind it.
		if cause := cmp.Or(errors.Unwrap(tt.err), tt.err); !errors.Is(err, cause) {
			t.Errorf("%v does not contain %v", err, cause)
		}
	}
}

// TestCallersKeepTheirBytes: neither log nor state sees what the caller does to
// its slices afterwards.
func TestCallersKeepTheirBytes(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	body, output := []byte("body"), []byte("output")
	if _, err := c.ReceiveMessage(t.Context(), "m", 1, body); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RecordStepCompleted(t.Context(), "m", 0, output); err != nil {
		t.Fatal(err)
	}
	clear(body)
	clear(output)
	for _, c := range []*core.Conversation{c, recovered(t, "c", store)} {
		m, _ := c.State().Message("m")
		if !bytes.Equal(m.Body, []byte("body")) || !bytes.Equal(m.Steps[0].Output, []byte("output")) {
			t.Errorf("body %q, output %q", m.Body, m.Steps[0].Output)
		}
	}
}

// TestNoBodyIsNotAnEmptyBody, now and after a recovery.
func TestNoBodyIsNotAnEmptyBody(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	for id, body := range map[string][]byte{"none": nil, "empty": {}} {
		if _, err := c.ReceiveMessage(t.Context(), id, 1, body); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []*core.Conversation{c, recovered(t, "c", store)} {
		none, _ := c.State().Message("none")
		empty, _ := c.State().Message("empty")
		if none.Body != nil || empty.Body == nil {
			t.Errorf("none is %#v, empty is %#v", none.Body, empty.Body)
		}
	}
}

func TestCloneSharesOnlyTheStore(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	record(t, c, received("m", 1, "x"))
	told := 0
	c.Subscribe(func(core.Change) { told++ })

	clone := c.Clone()
	if clone.ID() != "c" || clone.ExpectedSeq() != 1 || !reflect.DeepEqual(contents(clone.State()), contents(c.State())) {
		t.Errorf("the clone is %q at %d with %+v", clone.ID(), clone.ExpectedSeq(), contents(clone.State()))
	}
	if err := clone.Refresh(t.Context()); err != nil {
		t.Errorf("the clone does not know the log it came from: %v", err)
	}
	unmoved(t, c, func() { record(t, clone, started("m"), completed("m", 0, "a")) })
	if told != 0 {
		t.Error("the clone told the subscribers of the original")
	}
	_, err := c.RecordProcessingFinished(t.Context(), "m")
	isConflict(t, err, 1, 3)
	// The clone knows what it wrote, and the original catches up.
	for _, c := range []*core.Conversation{clone, c} {
		if err := c.Refresh(t.Context()); err != nil || c.ExpectedSeq() != 3 {
			t.Errorf("refresh: %v, then at %d", err, c.ExpectedSeq())
		}
	}
	if told != 1 {
		t.Errorf("the subscriber was told %d times", told)
	}
}

// TestConcurrentDeliveriesStartOnce: of many deliveries of one message at the
// same time, one starts it and the others see that it did.
func TestConcurrentDeliveriesStartOnce(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	const messages, deliveries = 20, 8
	var mu sync.Mutex
	decisions := make(map[string]map[core.Decision]int)
	for i := range messages {
		decisions[strconv.Itoa(i)] = make(map[core.Decision]int)
	}
	var group sync.WaitGroup
	for id := range decisions {
		for range deliveries {
			group.Go(func() {
				d, err := c.ReceiveMessage(t.Context(), id, 1, []byte(id))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				decisions[id][d]++
			})
		}
		group.Go(func() { // and readers meanwhile
			_ = c.Clone().ExpectedSeq()
			for range c.State().Received() {
			}
		})
	}
	group.Wait()
	for id, got := range decisions {
		if want := map[core.Decision]int{{Kind: core.Start}: 1, {Kind: core.ResumeFrom}: deliveries - 1}; !reflect.DeepEqual(got, want) {
			t.Errorf("message %s: %v", id, got)
		}
	}
	if n := len(log(t, store, "c")); n != messages || c.ExpectedSeq() != messages {
		t.Errorf("the log has %d events, %d are expected", n, c.ExpectedSeq())
	}
}

// TestConcurrentRecordsTakeTurns: through one conversation nobody conflicts.
func TestConcurrentRecordsTakeTurns(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	const writers, each = 8, 25
	var mu sync.Mutex
	assigned := make(map[uint64]bool)
	var group sync.WaitGroup
	for w := range uint32(writers) {
		group.Go(func() {
			for i := range uint32(each) {
				sequence, err := c.RecordStepCompleted(t.Context(), "m", w*each+i, nil)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				assigned[sequence] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if m, _ := c.State().Message("m"); len(assigned) != writers*each || len(m.Steps) != writers*each {
		t.Errorf("%d sequences for %d steps", len(assigned), len(m.Steps))
	}
	if want := contents(recovered(t, "c", store).State(), "m"); !reflect.DeepEqual(contents(c.State(), "m"), want) {
		t.Error("the state differs from that of the log")
	}
}

// TestStateChangesOnlyAfterTheCommit looks from inside the store's append.
func TestStateChangesOnlyAfterTheCommit(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	c := newConversation(t, "c", store)
	looked := false
	store.appends = []step{func(append func() (uint64, error)) (uint64, error) {
		looked = true
		if c.State().IsReceived("m") || c.ExpectedSeq() != 0 {
			t.Error("the state has the event before it is written")
		}
		sequence, err := append()
		if c.State().IsReceived("m") || c.ExpectedSeq() != 0 {
			t.Error("the state has the event before the store said so")
		}
		return sequence, err
	}}
	record(t, c, received("m", 1, "x"))
	if !looked || !c.State().IsReceived("m") || c.ExpectedSeq() != 1 {
		t.Error("the state does not have the event")
	}
}

// TestWaitingForATurnEndsWithTheContext: while one append is stuck in the
// store, another gives up, is not written, and does not disturb the first.
func TestWaitingForATurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := memstore.New()
		store := &scripted{DurableStore: memory}
		c := newConversation(t, "c", store)
		free := make(chan struct{})
		store.appends = []step{func(append func() (uint64, error)) (uint64, error) {
			<-free
			return append()
		}}
		first := make(chan error)
		go func() {
			_, err := c.RecordMessageReceived(t.Context(), "first", 1, nil)
			first <- err
		}()
		synctest.Wait()

		ctx, cancel := context.WithCancelCause(t.Context())
		waiting := map[string]func() error{
			"record":  func() error { _, err := c.RecordProcessingStarted(ctx, "second"); return err },
			"receive": func() error { _, err := c.ReceiveMessage(ctx, "second", 1, nil); return err },
			"refresh": func() error { return c.Refresh(ctx) },
		}
		gaveUp := make(chan struct{})
		for name, wait := range waiting {
			go func() {
				if err := wait(); !errors.Is(err, core.ErrCancelled) || !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", name, err)
				}
				gaveUp <- struct{}{}
			}()
		}
		synctest.Wait()
		if c.Clone().ExpectedSeq() != 0 { // which does not wait
			t.Error("the clone is ahead")
		}
		cancel(errors.New("the user has left")) // which says nothing of the store
		for range waiting {
			<-gaveUp
		}
		close(free)
		if err := <-first; err != nil || c.ExpectedSeq() != 1 {
			t.Errorf("the first append: %v, then %d expected", err, c.ExpectedSeq())
		}
		if events := log(t, memory, "c"); len(events) != 1 {
			t.Errorf("the log has %d events", len(events))
		}
	})
}

// TestTurnGivenToACallThatHasGivenUp: it passes the turn on.
func TestTurnGivenToACallThatHasGivenUp(t *testing.T) {
	for range 200 { // which of both comes first is not said
		synctest.Test(t, func(t *testing.T) {
			store := &scripted{DurableStore: memstore.New()}
			c := newConversation(t, "c", store)
			ctx, cancel := context.WithCancel(t.Context())
			free := make(chan struct{})
			store.appends = []step{func(append func() (uint64, error)) (uint64, error) {
				<-free
				cancel()
				return append()
			}}
			go func() { _, _ = c.RecordProcessingStarted(t.Context(), "m") }()
			synctest.Wait()
			go func() { _ = c.Refresh(ctx) }()
			synctest.Wait()
			close(free)
			synctest.Wait()
			if err := c.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCancelledBeforeTheCall: nothing is sent, even if the turn is free.
func TestCancelledBeforeTheCall(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	c := newConversation(t, "c", store)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the user has left"))
	for range 50 { // a select between two open cases would pass some
		if _, err := c.RecordProcessingStarted(ctx, "m"); !errors.Is(err, core.ErrCancelled) {
			t.Fatalf("got %v", err)
		}
		if err := c.Refresh(ctx); !errors.Is(err, core.ErrCancelled) {
			t.Fatalf("refresh: %v", err)
		}
	}
	if store.calls != nil {
		t.Errorf("the store was called: %v", store.calls)
	}
}
