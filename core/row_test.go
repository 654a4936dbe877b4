package core_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
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
}

type openRow struct {
	//lint:ignore U1000 msgpack reads its tag
	_msgpack struct{} `msgpack:",as_array"`

	Index  uint32
	Name   string
	Flags  uint64
	Output []byte
}

func readRows(t *testing.T, b []byte) []row {
	t.Helper()
	var rows []row
	src := bytes.NewReader(b)
	d := msgpack.NewDecoder(src)
	for src.Len() > 0 {
		var r row
		if err := d.Decode(&r); err != nil {
			t.Fatalf("row %d of %x: %v", len(rows), b, err)
		}
		rows = append(rows, r)
	}
	return rows
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
	bodyOmitted
	resultOmitted
)

func TestRowsInParts(t *testing.T) {
	s := core.NewState()
	for i := range 100 {
		s.Apply(completed(fmt.Sprint("never", i), 0, "x"))
		s.Apply(received(fmt.Sprint(i*7%100), 1, "body"))
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
		want, _ := s.Rows(0, math.MaxInt)
		got, _ := restored.Rows(0, math.MaxInt)
		if !bytes.Equal(got, want) || !bytes.Contains(snapshot, got) {
			t.Errorf("%s: %x, want %x", name, got, want)
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
	s := core.NewState()
	for _, step := range []struct {
		what   string
		events []core.Event
		want   row
	}{
		{
			"it arrives",
			[]core.Event{received("m", 7, "hello")},
			row{ID: "m", Flags: isReceived | hasBody | resultOmitted, ReceivedAt: 7, Body: []byte("hello")},
		},
		{
			"steps complete, one of them twice",
			[]core.Event{completed("m", 1, "b"), completed("m", 0, "a"), completed("m", 1, "B")},
			row{ID: "m", Flags: isReceived | hasBody | bodyOmitted | resultOmitted, ReceivedAt: 7,
				Steps: slices.Concat(packed(1, "b"), packed(0, "a"), packed(1, "B"))},
		},
		{
			"it fails",
			[]core.Event{failed("m", "no")},
			row{ID: "m", Flags: isReceived | hasErrored | isFailed | hasBody | bodyOmitted | resultOmitted, ReceivedAt: 7, Error: "no"},
		},
		{
			"it is received again, which changes nothing",
			[]core.Event{received("m", 8, "other")},
			row{ID: "m", Flags: isReceived | hasErrored | isFailed | hasBody | resultOmitted, ReceivedAt: 7, Body: []byte("hello"), Error: "no"},
		},
		{
			"it finishes with a result",
			[]core.Event{{Kind: core.KindProcessingFinished, MessageID: "m", Output: []byte("r")}},
			row{ID: "m", Flags: isReceived | isFinished | hasErrored | isFailed | hasBody | hasResult | bodyOmitted, ReceivedAt: 7, Result: []byte("r"), Error: "no"},
		},
		{
			"another event has nothing of all that",
			[]core.Event{event(core.KindMessageCancelled, "m")},
			row{ID: "m", Flags: isReceived | isFinished | hasErrored | isFailed | isCancelled | hasBody | hasResult | bodyOmitted | resultOmitted, ReceivedAt: 7, Error: "no"},
		},
	} {
		for _, e := range step.events {
			s.Apply(e)
		}
		rows := readRows(t, s.ChangedRows(changeOf(step.events...)))
		if len(rows) != 1 || fmt.Sprintf("%+v", rows[0]) != fmt.Sprintf("%+v", step.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", step.what, rows, step.want)
		}
	}
}

func packed(index uint32, output string) []byte {
	return core.EncodeSteps([]core.Step{{Index: index, Output: []byte(output)}})
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
