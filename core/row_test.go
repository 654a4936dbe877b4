package core_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// row is what a page reads of a row.
type row struct {
	//lint:ignore U1000 msgpack reads its tag
	_msgpack struct{} `msgpack:",as_array"`

	ID         string
	Flags      uint64
	ReceivedAt uint64
	Body       []byte
	Error      string
	Runner     []byte
	Result     []byte
	Starts     []byte
	Steps      []byte
	Open       []openRow
	Fatal      []uint32
	Seed       []byte
	Next       uint32
	Outcomes   uint32
	Due        uint64
	Back       uint32
	Began      uint32
	Changed    uint32
	Noted      uint32
}

// openRow is an open step of a row, which has its last elements as its flags
// say.
type openRow struct {
	Index    uint32
	Name     string
	Flags    uint64
	Output   []byte
	Attempts uint32
	Due      uint64
	Place    placeRow
	Failure  []string
}

type placeRow struct {
	Scope     string
	Key       []byte
	Count     uint32
	After     uint32
	Unordered uint64
	Called    uint64
}

// The flags of an open step, as web/src/state/row.ts has them.
const (
	stepHasStarted = 1 << iota
	stepIsUncertain
	stepHasOutput
	stepWaits
	stepSleeps
	stepMayBePassed
	stepIsPlaced
	stepWasTried
)

func (r *openRow) DecodeMsgpack(d *msgpack.Decoder) error {
	count, err := d.DecodeArrayLen()
	if err != nil {
		return err
	}
	if err := d.DecodeMulti(&r.Index, &r.Name, &r.Flags, &r.Output, &r.Attempts, &r.Due); err != nil {
		return err
	}
	want := 6
	if p := &r.Place; r.Flags&stepIsPlaced != 0 {
		want += 6
		if err := d.DecodeMulti(&p.Scope, &p.Key, &p.Count, &p.After, &p.Unordered, &p.Called); err != nil {
			return err
		}
	}
	if r.Flags&stepWasTried != 0 {
		want++
		if err := d.Decode(&r.Failure); err != nil {
			return err
		}
	}
	if count != want {
		return fmt.Errorf("an open step of %d elements, not %d", count, want)
	}
	return nil
}

func readRows(t *testing.T, b []byte) []row {
	t.Helper()
	rows, _, _ := readAllRows(t, b)
	return rows
}

// readAllRows returns the rows of messages, those of notes, and the last one of
// metadata.
func readAllRows(t *testing.T, b []byte) (rows []row, notes []string, metadata string) {
	t.Helper()
	d := msgpack.NewDecoder(bytes.NewReader(b))
	for {
		raw, err := d.DecodeRaw()
		if errors.Is(err, io.EOF) {
			return rows, notes, metadata
		}
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		switch raw[0] {
		case 0x91:
			metadata = string(raw)
		case 0x93, 0x94:
			notes = append(notes, string(raw))
		default:
			var r row
			if err := msgpack.Unmarshal(raw, &r); err != nil {
				t.Fatalf("row %d of %x: %v", len(rows), b, err)
			}
			rows = append(rows, r)
		}
	}
}

func idsOf(rows []row) []string {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids
}

func changeOf(events ...core.Event) core.Change {
	var change core.Change
	for i, e := range events {
		change.Events = append(change.Events, core.LoggedEvent{Sequence: uint64(i), Event: e})
		if !slices.Contains(change.Messages, e.MessageID) {
			change.Messages = append(change.Messages, e.MessageID)
		}
	}
	return change
}

// changed applies events and returns the rows of what has changed, as a
// subscriber of a conversation gets them.
func changed(t *testing.T, c *core.Conversation, events ...core.Event) (rows []byte) {
	t.Helper()
	unsubscribe := c.Subscribe(func(change core.Change) { rows = c.State().ChangedRows(change) })
	defer unsubscribe()
	if err := c.Update(t.Context(), func(*core.State) ([]core.Event, error) { return events, nil }); err != nil {
		t.Fatal(err)
	}
	return rows
}

// The flags, as web/src/state/row.ts has them.
const (
	isReceived = 1 << iota
	isInProgress
	isFinished
	hasErrored
	isFailed
	isCancelled
	hasBody
	hasResult
	isParked
	mayBePassed
	isPart
	bodyOmitted
	resultOmitted
)

func TestRowsInParts(t *testing.T) {
	s := core.NewState()
	for i := range 100 {
		s.Apply(completed(fmt.Sprint("never", i), 0, "x"))
		s.Apply(core.Event{Kind: core.KindAttemptFailed, MessageID: fmt.Sprint("never", i), Step: 1, Name: "s", Failure: testFailure, Place: core.Place{Called: 1}})
		s.Apply(completed(fmt.Sprint("early", i), 0, "x"))
		s.Apply(received(fmt.Sprint(i*7%100), 1, "body"))
	}
	for i := range 100 {
		s.Apply(received(fmt.Sprint("early", i*7%100), 1, "body"))
	}
	whole, next := s.Rows(0, math.MaxInt)
	if next != 0 || !slices.Equal(idsOf(readRows(t, whole)), s.Known()) {
		t.Fatalf("%v, next %d", idsOf(readRows(t, whole)), next)
	}
	for _, size := range []int{1, 100, 1000, 100_000} {
		var parts []byte
		for next, more := 0, true; more; more = next > 0 {
			var part []byte
			part, next = s.Rows(next, size)
			parts = append(parts, part...)
		}
		if !bytes.Equal(parts, whole) {
			t.Errorf("parts of %d bytes differ from the whole", size)
		}
	}
	if rows, next := core.NewState().Rows(0, 100); len(rows) != 0 || next != 0 {
		t.Errorf("an empty state has rows %x, next %d", rows, next)
	}
}

// TestRowsOfASnapshot: they are the bytes that the snapshot has.
func TestRowsOfASnapshot(t *testing.T) {
	for name, events := range goldenStates {
		s := stateOf(events...)
		snapshot := core.EncodeSnapshot("chat", 300, testID, s)
		_, _, restored, err := core.DecodeSnapshot("chat", snapshot)
		if err != nil {
			t.Fatal(err)
		}
		for from, more := 0, true; more; more = from > 0 {
			want, _ := s.Rows(from, 1)
			got, next := restored.Rows(from, 1)
			if !bytes.Equal(got, want) || !bytes.Contains(snapshot, bytes.TrimPrefix(got, metadataHead)) {
				t.Errorf("%s: %x, want %x", name, got, want)
			}
			from = next
		}
	}
}

func TestRowsOfAChangedSnapshot(t *testing.T) {
	s := stateOf(received("m", 1, "x"), received("n", 2, "y"))
	_, _, restored, err := core.DecodeSnapshot("chat", core.EncodeSnapshot("chat", 300, testID, s))
	if err != nil {
		t.Fatal(err)
	}
	clone := restored.Clone()
	for _, s := range []*core.State{s, restored} {
		s.Apply(finished("n"))
	}
	want, _ := s.Rows(0, math.MaxInt)
	got, _ := restored.Rows(0, math.MaxInt)
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if rows := readRows(t, first(clone.Rows(0, math.MaxInt))); rows[1].Flags&isFinished != 0 {
		t.Error("the copy has changed too")
	}
}

func first(rows []byte, _ int) []byte { return rows }

// TestChangedRows: a change has of a message what is new.
func TestChangedRows(t *testing.T) {
	c := newConversation(t, "c", memstore.New())
	unplaced := func(order uint32) core.Details { return core.Details{Order: order} }
	const omitted = isPart | bodyOmitted | resultOmitted
	began := uint32(0)
	for _, step := range []struct {
		what   string
		events []core.Event
		want   row
	}{
		{
			"it arrives",
			[]core.Event{received("m", 7, "hello")},
			row{Flags: isReceived | hasBody | isPart | resultOmitted, Body: []byte("hello")},
		},
		{
			"steps complete, one of them twice",
			[]core.Event{completed("m", 1, "b"), completed("m", 0, "a"), completed("m", 1, "B")},
			row{Flags: isReceived | hasBody | omitted, Next: 2, Outcomes: 2, Steps: core.EncodeSteps([]core.Step{
				core.NewStep(1, "", []byte("b"), unplaced(0)), core.NewStep(0, "", []byte("a"), unplaced(1)), core.NewStep(1, "", []byte("B"), unplaced(0)),
			})},
		},
		{
			"a step has side effects, and another waits",
			[]core.Event{at(begun(2, "pay"), "a:/", 1, 2), {Kind: core.KindStepWaiting, MessageID: "m", Step: 3, Name: "allow", Output: []byte("?"), Due: 99, Pass: true}},
			row{Flags: isReceived | hasBody | omitted, Next: 4, Outcomes: 2, Open: []openRow{
				{Index: 2, Name: "pay", Flags: stepHasStarted | stepIsPlaced, Place: placeRow{Scope: "a:/", Key: []byte{}, Count: 1, After: 2, Called: 1}},
				{Index: 3, Name: "allow", Flags: stepHasOutput | stepWaits | stepMayBePassed, Output: []byte("?"), Due: 99}}},
		},
		{
			"an attempt fails, and the message is parked",
			[]core.Event{attemptFailed(2, "pay", "boom", 1, 98), started("m"), parked("m", 98, true)},
			row{Flags: isReceived | hasBody | isParked | mayBePassed | omitted, Next: 4, Outcomes: 2, Due: 98, Open: []openRow{
				{Index: 2, Name: "pay", Flags: stepIsUncertain | stepIsPlaced | stepWasTried, Attempts: 1, Due: 98,
					Place: placeRow{Scope: "a:/", Key: []byte{}, Count: 1, After: 2, Called: 1}, Failure: []string{"Error", "boom"}},
				{Index: 3, Name: "allow", Flags: stepHasOutput | stepWaits | stepMayBePassed, Output: []byte("?"), Due: 99}}},
		},
		{
			"the wait is answered by its index, and is not answered again",
			[]core.Event{completed("m", 3, "yes"), done(2, "pay", "paid"), done(2, "pay", "again")},
			row{Flags: isReceived | hasBody | omitted, Next: 4, Outcomes: 4, Steps: core.EncodeSteps([]core.Step{
				core.NewStep(3, "allow", []byte("yes"), unplaced(2)),
				core.NewStep(2, "pay", []byte("paid"), core.Details{Order: 3, Place: place("a:/", 1, 2), Effects: true}),
			})},
		},
		{
			"a step fails",
			[]core.Event{keyed(stepFailed(4, "search", "boom"), "", 5, 4)},
			row{Flags: isReceived | hasBody | omitted, Next: 5, Outcomes: 5, Steps: core.EncodeSteps([]core.Step{
				core.NewStep(4, "search", nil, core.Details{Order: 4, Place: keyed(core.Event{}, "", 5, 4).Place, Failure: failureOf("boom")}),
			})},
		},
		{
			"it fails",
			[]core.Event{{Kind: core.KindErrorOccurred, MessageID: "m", Error: "no", Steps: []uint32{4}}},
			row{Flags: isReceived | hasErrored | isFailed | hasBody | omitted, Error: "no", Next: 5, Outcomes: 5, Fatal: []uint32{4}},
		},
		{
			"it is received again, which changes nothing",
			[]core.Event{received("m", 8, "other")},
			row{Flags: isReceived | hasErrored | isFailed | hasBody | isPart | resultOmitted, Body: []byte("hello"), Error: "no", Next: 5, Outcomes: 5, Fatal: []uint32{4}},
		},
		{
			"a retry that forgets nothing is a part",
			[]core.Event{retried(nil, nil)},
			row{Flags: isReceived | hasErrored | hasBody | omitted, Error: "no", Next: 5, Outcomes: 5},
		},
		{
			"where steps are forgotten the row is the whole",
			[]core.Event{completed("m", 1, "b again"), retried([]uint32{0, 2, 4}, []uint32{2}), at(done(5, "plan", "p"), "", 0, 0)},
			row{Flags: isReceived | hasErrored | hasBody, Body: []byte("hello"), Error: "no", Next: 6, Outcomes: 6,
				Steps: core.EncodeSteps([]core.Step{
					core.NewStep(1, "", []byte("b again"), unplaced(0)), core.NewStep(3, "allow", []byte("yes"), unplaced(2)),
					core.NewStep(5, "plan", []byte("p"), core.Details{Order: 5, Place: place("", 0, 0)}),
				}),
				Open: []openRow{{Index: 2, Name: "pay", Flags: stepIsUncertain | stepIsPlaced, Place: placeRow{Scope: "a:/", Key: []byte{}, Count: 1, After: 2, Called: 1}}}},
		},
		{
			"it finishes with a result",
			[]core.Event{{Kind: core.KindProcessingFinished, MessageID: "m", Output: []byte("r")}},
			row{Flags: isReceived | isFinished | hasErrored | hasBody | hasResult | isPart | bodyOmitted, Result: []byte("r"), Error: "no", Next: 6, Outcomes: 6},
		},
		{
			"another event has nothing of all that",
			[]core.Event{event(core.KindMessageCancelled, "m")},
			row{Flags: isReceived | isFinished | hasErrored | isCancelled | hasBody | hasResult | omitted, Error: "no", Next: 6, Outcomes: 6},
		},
	} {
		rows := readRows(t, changed(t, c, step.events...))
		m, _ := c.State().Message("m")
		step.want.ID, step.want.ReceivedAt, step.want.Seed = "m", 7, m.Seed[:]
		for _, e := range step.events {
			if e.Kind == core.KindProcessingStarted {
				began = 1
			}
		}
		step.want.Began, step.want.Changed = began, began
		if len(rows) != 1 || fmt.Sprintf("%+v", rows[0]) != fmt.Sprintf("%+v", step.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", step.what, rows, step.want)
		}
	}
}

// TestChangedRowsInOrderOfArrival: a page counts the messages as they arrive.
func TestChangedRowsInOrderOfArrival(t *testing.T) {
	events := []core.Event{
		completed("never", 0, "x"), completed("late", 0, "x"), received("early", 1, ""), received("late", 2, ""),
	}
	s := stateOf(events...)
	if ids := idsOf(readRows(t, s.ChangedRows(changeOf(events...)))); !slices.Equal(ids, []string{"early", "late", "never"}) {
		t.Errorf("the rows are of %v", ids)
	}
}

// stepRow is a step with an outcome as a page reads it.
type stepRow struct {
	Index           uint32
	Name            string
	Output, Details []byte
}

func readSteps(t *testing.T, b []byte) map[uint32]stepRow {
	t.Helper()
	steps := map[uint32]stepRow{}
	src := bytes.NewReader(b)
	for d := msgpack.NewDecoder(src); src.Len() > 0; {
		var s stepRow
		if err := d.DecodeMulti(&s.Index, &s.Name, &s.Output, &s.Details); err != nil {
			t.Fatal(err)
		}
		steps[s.Index] = s
	}
	return steps
}

// TestChangedRowsAddUp: a page that takes the rows of every change has what the
// rows of the whole state say.
func TestChangedRowsAddUp(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 3))
		c := newConversation(t, "c", memstore.New())
		page, steps := map[string]row{}, map[string]map[uint32]stepRow{}
		var notes []string
		metadata := ""
		for n := range 40 {
			var events []core.Event
			for i := range 1 + random.IntN(4) {
				events = append(events, randomEvent(random, c.State(), 4*n+i))
			}
			rows, added, set := readAllRows(t, changed(t, c, events...))
			notes, metadata = append(notes, added...), cmp.Or(set, metadata)
			for _, r := range rows {
				news, old := readSteps(t, r.Steps), page[r.ID]
				if r.Flags&isPart == 0 || steps[r.ID] == nil {
					steps[r.ID] = map[uint32]stepRow{}
				}
				maps.Copy(steps[r.ID], news)
				if r.Flags&bodyOmitted != 0 {
					r.Body = old.Body
				}
				if r.Flags&resultOmitted != 0 {
					r.Result = old.Result
				}
				r.Flags &^= isPart | bodyOmitted | resultOmitted
				r.Steps = nil
				page[r.ID] = r
			}
		}
		messages, wantNotes, wantMetadata := readAllRows(t, first(c.State().Rows(0, math.MaxInt)))
		if !slices.Equal(notes, wantNotes) || cmp.Or(metadata, "\x91\xc4\x00") != cmp.Or(wantMetadata, "\x91\xc4\x00") {
			t.Errorf("seed %d: notes and metadata\n %q, %q\nwant\n %q, %q", seed, notes, metadata, wantNotes, wantMetadata)
		}
		for _, want := range messages {
			if whole := readSteps(t, want.Steps); !reflect.DeepEqual(steps[want.ID], whole) {
				t.Errorf("seed %d, %s: steps\n %+v\nwant\n %+v", seed, want.ID, steps[want.ID], whole)
			}
			want.Steps = nil
			if got := page[want.ID]; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("seed %d:\n got %+v\nwant %+v", seed, got, want)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// metadataHead is the head of the row of metadata, which a snapshot has without it.
var metadataHead = []byte{0x91}
