package core_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

var testID = core.EventID{0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff}

var testRunner = core.RunnerID{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf}

var testKey = core.Key{0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf}

var testFailure = core.Failure{{Name: "StepError", Message: "the step has failed"}, {Name: "Error"}, {Message: "böom"}}

// allKinds are all kinds of events.
var allKinds = func() (all []core.Kind) {
	for kind := core.KindMessageReceived; kind <= core.KindMetadata; kind++ {
		all = append(all, kind)
	}
	return all
}()

// fullEvent has all fields.
func fullEvent() core.Event {
	return core.Event{
		ID: testID, MessageID: "msg-1", ReceivedAt: 42, Body: []byte("body"), Runner: testRunner, Resumed: true,
		Step: 3, Name: "plan", Offset: 7, Output: []byte("output"), Place: core.Place{Scope: "agent:/", Key: testKey, Count: 1, After: 2, Unordered: true, Called: 3},
		Failure: slices.Clone(testFailure), Attempt: 4, Terminal: true, Due: 5, Sleep: true, Pass: true, Parked: true,
		Error: "boom", Steps: []uint32{6, 7}, Doubted: []uint32{7}, Reseed: true,
	}
}

// goldenEvents are the events whose bytes testdata/events_v1.golden pins.
var goldenEvents = map[string]core.Event{
	"received":             {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: 1_700_000_000_000},
	"received_at_0":        {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1"},
	"received_at_127":      {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: 127},
	"received_at_128":      {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: 128},
	"received_at_max":      {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: core.MaxSequence},
	"received_with_body":   {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: 42, Body: []byte("hello")},
	"received_empty_body":  {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: 42, Body: []byte{}},
	"received_after":       {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: 42, Body: []byte("hello"), After: "msg-0", Branch: true},
	"received_first":       {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: 42, Body: []byte{}, Branch: true},
	"received_after_empty": {Kind: core.KindMessageReceived, ID: testID, MessageID: "msg-1", ReceivedAt: 42, After: "msg-0", Branch: true},
	"received_unicode_id":  {Kind: core.KindMessageReceived, ID: testID, MessageID: "päckchen-📦", ReceivedAt: 42},
	"received_long_id":     {Kind: core.KindMessageReceived, ID: testID, MessageID: strings.Repeat("m", 32), ReceivedAt: 42},
	"received_longer_id":   {Kind: core.KindMessageReceived, ID: testID, MessageID: strings.Repeat("m", 256), ReceivedAt: 42},
	"started":              {Kind: core.KindProcessingStarted, ID: testID, MessageID: "msg-1"},
	"step_0":               {Kind: core.KindStepCompleted, ID: testID, MessageID: "msg-1", Output: []byte{1, 2, 3}},
	"step_255":             {Kind: core.KindStepCompleted, ID: testID, MessageID: "msg-1", Step: 255, Output: []byte{}},
	"step_65535":           {Kind: core.KindStepCompleted, ID: testID, MessageID: "msg-1", Step: 65535, Output: []byte{}},
	"step_max":             {Kind: core.KindStepCompleted, ID: testID, MessageID: "msg-1", Step: math.MaxUint32, Output: []byte{}},
	"step_output_of_256":   {Kind: core.KindStepCompleted, ID: testID, MessageID: "msg-1", Step: 7, Output: bytes.Repeat([]byte{0xaa}, 256)},
	"finished":             {Kind: core.KindProcessingFinished, ID: testID, MessageID: "msg-1"},
	"error":                {Kind: core.KindErrorOccurred, ID: testID, MessageID: "msg-2", Error: "boom"},
	"error_without_a_text": {Kind: core.KindErrorOccurred, ID: testID, MessageID: "msg-2"},
	"id_of_zeros":          {Kind: core.KindProcessingStarted, MessageID: "msg-1"},

	"started_by_a_runner":           {Kind: core.KindProcessingStarted, ID: testID, MessageID: "msg-1", Runner: testRunner},
	"started_again_by_a_runner":     {Kind: core.KindProcessingStarted, ID: testID, MessageID: "msg-1", Runner: testRunner, Resumed: true},
	"step_with_a_name":              {Kind: core.KindStepCompleted, ID: testID, MessageID: "msg-1", Step: 1, Output: []byte{1, 2, 3}, Name: "plan"},
	"finished_with_a_result":        {Kind: core.KindProcessingFinished, ID: testID, MessageID: "msg-1", Output: []byte("done")},
	"finished_with_an_empty_result": {Kind: core.KindProcessingFinished, ID: testID, MessageID: "msg-1", Output: []byte{}},
	"step_started":                  {Kind: core.KindStepStarted, ID: testID, MessageID: "msg-1", Step: 2, Name: "pay"},
	"step_streamed":                 {Kind: core.KindStepStreamed, ID: testID, MessageID: "msg-1", Step: 3, Name: "write", Output: []byte("Once")},
	"step_streamed_on":              {Kind: core.KindStepStreamed, ID: testID, MessageID: "msg-1", Step: 3, Name: "write", Offset: 300, Output: []byte(" upon")},
	"step_streamed_far":             {Kind: core.KindStepStreamed, ID: testID, MessageID: "msg-1", Step: math.MaxUint32, Name: "write", Offset: core.MaxSequence, Output: []byte{}},
	"cancelled":                     {Kind: core.KindMessageCancelled, ID: testID, MessageID: "msg-1"},
	"retried":                       {Kind: core.KindMessageRetried, ID: testID, MessageID: "msg-1"},
	"stopped":                       {Kind: core.KindProcessingStopped, ID: testID, MessageID: "msg-1"},

	"step_with_a_place":          {Kind: core.KindStepCompleted, ID: testID, MessageID: "msg-1", Step: 1, Output: []byte{1, 2, 3}, Name: "plan", Place: core.Place{Called: 1}},
	"step_started_in_a_scope":    {Kind: core.KindStepStarted, ID: testID, MessageID: "msg-1", Step: 2, Name: "pay", Place: core.Place{Scope: "agent:/", Key: testKey, Count: 1, After: 3, Unordered: true, Called: 1_700_000_000_000}},
	"step_streamed_far_within":   {Kind: core.KindStepStreamed, ID: testID, MessageID: "msg-1", Step: 3, Name: "write", Output: []byte("Once"), Place: core.Place{Scope: "pay#0/", Count: math.MaxUint32, After: math.MaxUint32, Called: core.MaxSequence}},
	"step_failed":                {Kind: core.KindStepFailed, ID: testID, MessageID: "msg-1", Step: 4, Name: "search", Failure: core.Failure{{Name: "TypeError", Message: "böom"}}, Attempt: 3},
	"step_failed_for_certain":    {Kind: core.KindStepFailed, ID: testID, MessageID: "msg-1", Step: 4, Name: "search", Failure: testFailure, Terminal: true, Place: core.Place{Called: 128}},
	"attempt_failed":             {Kind: core.KindAttemptFailed, ID: testID, MessageID: "msg-1", Step: 4, Name: "search", Failure: core.Failure{{}}, Attempt: 1},
	"attempt_failed_to_go_on_at": {Kind: core.KindAttemptFailed, ID: testID, MessageID: "msg-1", Step: 4, Name: "search", Failure: testFailure, Attempt: math.MaxUint32, Due: core.MaxSequence, Place: core.Place{Called: 128}},
	"step_waiting":               {Kind: core.KindStepWaiting, ID: testID, MessageID: "msg-1", Step: 5, Name: "allow"},
	"step_waiting_for_an_answer": {Kind: core.KindStepWaiting, ID: testID, MessageID: "msg-1", Step: 5, Name: "allow", Pass: true, Due: 300, Output: []byte("May I?"), Place: core.Place{Called: 7}},
	"step_waiting_empty_prompt":  {Kind: core.KindStepWaiting, ID: testID, MessageID: "msg-1", Step: 5, Name: "allow", Output: []byte{}},
	"step_sleeping":              {Kind: core.KindStepWaiting, ID: testID, MessageID: "msg-1", Step: 5, Name: "nap", Sleep: true, Due: core.MaxSequence, Place: core.Place{Called: 7}},
	"note":                       {Kind: core.KindNote, ID: testID, MessageID: "note-1", Name: "pinned"},
	"note_with_data":             {Kind: core.KindNote, ID: testID, MessageID: "nöte", ReceivedAt: core.MaxSequence, Name: "draft 📦", Output: []byte("text")},
	"note_empty_data":            {Kind: core.KindNote, ID: testID, MessageID: "note-1", ReceivedAt: 128, Name: "pinned", Output: []byte{}},
	"metadata":                   {Kind: core.KindMetadata, ID: testID, MessageID: "title", Output: []byte("Trees")},
	"metadata_empty":             {Kind: core.KindMetadata, ID: testID, MessageID: "title", Output: []byte{}},
	"metadata_gone":              {Kind: core.KindMetadata, ID: testID, MessageID: "title"},

	"step_resolved":     {Kind: core.KindStepResolved, ID: testID, MessageID: "msg-1", Step: 300},
	"error_of_steps":    {Kind: core.KindErrorOccurred, ID: testID, MessageID: "msg-2", Error: "boom", Steps: []uint32{0, 4, math.MaxUint32}},
	"retried_to_forget": {Kind: core.KindMessageRetried, ID: testID, MessageID: "msg-1", Steps: []uint32{4}},
	"retried_in_doubt":  {Kind: core.KindMessageRetried, ID: testID, MessageID: "msg-1", Steps: []uint32{1, 2, 300}, Doubted: []uint32{2, 300}, Reseed: true},
	"parked":            {Kind: core.KindProcessingStopped, ID: testID, MessageID: "msg-1", Parked: true},
	"parked_until":      {Kind: core.KindProcessingStopped, ID: testID, MessageID: "msg-1", Parked: true, Due: core.MaxSequence, Pass: true},
}

func TestGoldenBytes(t *testing.T) {
	file, err := os.ReadFile("testdata/events_v1.golden")
	if err != nil {
		t.Fatal(err)
	}
	pinned := make(map[string]bool)
	for line := range strings.Lines(string(file)) {
		name, digits, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		pinned[name] = true
		want, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		event, ok := goldenEvents[name]
		if !ok {
			t.Errorf("%s is pinned, but what it means is not", name)
			continue
		}
		if got, err := core.EncodeEvent(event); err != nil || !bytes.Equal(got, want) {
			t.Errorf("encode %s:\n got %x, %v\nwant %x", name, got, err, want)
		}
		if got, err := core.DecodeEvent(want); err != nil || !reflect.DeepEqual(got, event) {
			t.Errorf("decode %s:\n got %+v, %v\nwant %+v", name, got, err, event)
		}
	}
	for name, event := range goldenEvents {
		if !pinned[name] {
			b, err := core.EncodeEvent(event)
			t.Errorf("not pinned: %s %x (%v)", name, b, err)
		}
	}
}

// What goes into the state with an append must be what a replay reads.
func TestStoredEventIsTheDecodedOne(t *testing.T) {
	for _, kind := range allKinds {
		bare := core.Event{Kind: kind, MessageID: "msg-1", Name: "plan", Failure: core.Failure{{}}}
		full, certain := fullEvent(), fullEvent()
		full.Kind, certain.Kind, certain.Doubted = kind, kind, []uint32{}
		for name, event := range map[string]core.Event{"full": full, "nothing in doubt": certain, "bare": bare} {
			payload, stored, err := core.StoredEvent(event)
			if err != nil {
				t.Fatal(err)
			}
			if want, err := core.DecodeEvent(payload); err != nil || !reflect.DeepEqual(stored, want) {
				t.Errorf("%v, %s:\n got %+v\nwant %+v, %v", kind, name, stored, want, err)
			}
			clear(event.Body)
			clear(event.Output)
			clear(event.Failure)
			clear(event.Steps)
			clear(event.Doubted)
			if again, err := core.DecodeEvent(payload); err != nil || !reflect.DeepEqual(stored, again) {
				t.Errorf("%v, %s: shares memory with the event that was given", kind, name)
			}
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	received := func(change func(*core.Event)) core.Event {
		e := core.Event{Kind: core.KindMessageReceived, ID: testID, MessageID: "m"}
		change(&e)
		return e
	}
	full := func(kind core.Kind, change func(*core.Event)) core.Event {
		e := fullEvent()
		e.Kind = kind
		change(&e)
		return e
	}
	large := make([]byte, core.MaxPayloadBytes)
	// [1, id, "m", 0, body]: 1 + 1 + 18 + 2 + 1 + 5 bytes beside the body.
	const overhead = 28
	tests := []struct {
		name  string
		event core.Event
		want  error
	}{
		{"no kind", received(func(e *core.Event) { e.Kind = 0 }), core.ErrInvalidArgument},
		{"unknown kind", received(func(e *core.Event) { e.Kind = 17 }), core.ErrInvalidArgument},
		{"empty message id", received(func(e *core.Event) { e.MessageID = "" }), core.ErrInvalidArgument},
		{"message id with NUL", received(func(e *core.Event) { e.MessageID = "a\x00" }), core.ErrInvalidArgument},
		{"message id not UTF-8", received(func(e *core.Event) { e.MessageID = "\xff" }), core.ErrInvalidArgument},
		{"longest message id", received(func(e *core.Event) { e.MessageID = strings.Repeat("x", core.MaxNameBytes) }), nil},
		{"message id too long", received(func(e *core.Event) { e.MessageID = strings.Repeat("x", core.MaxNameBytes+1) }), core.ErrInvalidArgument},
		{"after what no id can be", received(func(e *core.Event) { e.After, e.Branch = "a\x00", true }), core.ErrInvalidArgument},
		{"after what is longer than an id", received(func(e *core.Event) { e.After, e.Branch = strings.Repeat("x", core.MaxNameBytes+1), true }), core.ErrInvalidArgument},
		{"received too late", received(func(e *core.Event) { e.ReceivedAt = core.MaxSequence + 1 }), core.ErrOutOfRange},
		{"error not UTF-8", core.Event{Kind: core.KindErrorOccurred, MessageID: "m", Error: "\xed\xa0\x80"}, core.ErrInvalidArgument},
		{"largest body", received(func(e *core.Event) { e.Body = large[overhead:] }), nil},
		{"body one too large", received(func(e *core.Event) { e.Body = large[overhead-1:] }), core.ErrTooLarge},
		{"body much too large", received(func(e *core.Event) { e.Body = make([]byte, 2*core.MaxPayloadBytes) }), core.ErrTooLarge},
		{"output too large", core.Event{Kind: core.KindStepCompleted, MessageID: "m", Output: large}, core.ErrTooLarge},
		{"step started without a name", core.Event{Kind: core.KindStepStarted, MessageID: "m"}, core.ErrInvalidArgument},
		{"step streamed without a name", core.Event{Kind: core.KindStepStreamed, MessageID: "m"}, core.ErrInvalidArgument},
		{"step's name with NUL", core.Event{Kind: core.KindStepCompleted, MessageID: "m", Name: "a\x00"}, core.ErrInvalidArgument},
		{"step's name too long", core.Event{Kind: core.KindStepCompleted, MessageID: "m", Name: strings.Repeat("x", core.MaxNameBytes+1)}, core.ErrInvalidArgument},
		{"streamed too far", core.Event{Kind: core.KindStepStreamed, MessageID: "m", Name: "s", Offset: core.MaxSequence + 1}, core.ErrOutOfRange},
		{"partial output too large", core.Event{Kind: core.KindStepStreamed, MessageID: "m", Name: "s", Output: large}, core.ErrTooLarge},
		{"result too large", core.Event{Kind: core.KindProcessingFinished, MessageID: "m", Output: large}, core.ErrTooLarge},
		{"error too large", core.Event{Kind: core.KindErrorOccurred, MessageID: "m", Error: string(large)}, core.ErrTooLarge},
		{"failed without a name", full(core.KindStepFailed, func(e *core.Event) { e.Name = "" }), core.ErrInvalidArgument},
		{"attempt failed without a name", full(core.KindAttemptFailed, func(e *core.Event) { e.Name = "" }), core.ErrInvalidArgument},
		{"waiting without a name", full(core.KindStepWaiting, func(e *core.Event) { e.Name = "" }), core.ErrInvalidArgument},
		{"a place without a name", full(core.KindStepCompleted, func(e *core.Event) { e.Name = "" }), core.ErrInvalidArgument},
		{"failed without a failure", full(core.KindStepFailed, func(e *core.Event) { e.Failure = nil }), core.ErrInvalidArgument},
		{"attempt failed without a failure", full(core.KindAttemptFailed, func(e *core.Event) { e.Failure = core.Failure{} }), core.ErrInvalidArgument},
		{"as many causes as may be", core.Event{Kind: core.KindStepFailed, MessageID: "m", Name: "s", Failure: make(core.Failure, core.MaxCauses)}, nil},
		{"too many causes", full(core.KindStepFailed, func(e *core.Event) { e.Failure = make(core.Failure, core.MaxCauses+1) }), core.ErrInvalidArgument},
		{"a cause's name not UTF-8", full(core.KindStepFailed, func(e *core.Event) { e.Failure[1].Name = "\xff" }), core.ErrInvalidArgument},
		{"a cause's message not UTF-8", full(core.KindAttemptFailed, func(e *core.Event) { e.Failure[2].Message = "\xff" }), core.ErrInvalidArgument},
		{"failure too large", full(core.KindStepFailed, func(e *core.Event) { e.Failure[0].Message = string(large) }), core.ErrTooLarge},
		{"longest scope", core.Event{Kind: core.KindStepStarted, MessageID: "m", Name: "s", Place: core.Place{Scope: strings.Repeat("s", core.MaxScopeBytes), Called: 1}}, nil},
		{"scope too long", full(core.KindStepStarted, func(e *core.Event) { e.Place.Scope = strings.Repeat("s", core.MaxScopeBytes+1) }), core.ErrInvalidArgument},
		{"scope with NUL", full(core.KindStepStreamed, func(e *core.Event) { e.Place.Scope = "a\x00:/" }), core.ErrInvalidArgument},
		{"scope not UTF-8", full(core.KindStepCompleted, func(e *core.Event) { e.Place.Scope = "\xff:/" }), core.ErrInvalidArgument},
		{"called too late", full(core.KindStepWaiting, func(e *core.Event) { e.Place.Called = core.MaxSequence + 1 }), core.ErrOutOfRange},
		{"due too late", full(core.KindProcessingStopped, func(e *core.Event) { e.Due = core.MaxSequence + 1 }), core.ErrOutOfRange},
		{"steps of an error not in order", full(core.KindErrorOccurred, func(e *core.Event) { e.Steps = []uint32{1, 0} }), core.ErrInvalidArgument},
		{"a step of a retry twice", full(core.KindMessageRetried, func(e *core.Event) { e.Steps = []uint32{1, 1} }), core.ErrInvalidArgument},
		{"doubted steps not in order", full(core.KindMessageRetried, func(e *core.Event) { e.Doubted = []uint32{7, 6} }), core.ErrInvalidArgument},
		{"note without an id", full(core.KindNote, func(e *core.Event) { e.MessageID = "" }), core.ErrInvalidArgument},
		{"note without a type", full(core.KindNote, func(e *core.Event) { e.Name = "" }), core.ErrInvalidArgument},
		{"note of a type with NUL", full(core.KindNote, func(e *core.Event) { e.Name = "a\x00" }), core.ErrInvalidArgument},
		{"note of too late", full(core.KindNote, func(e *core.Event) { e.ReceivedAt = core.MaxSequence + 1 }), core.ErrOutOfRange},
		{"data too large", full(core.KindNote, func(e *core.Event) { e.Output = large }), core.ErrTooLarge},
		{"metadata without a key", full(core.KindMetadata, func(e *core.Event) { e.MessageID = "" }), core.ErrInvalidArgument},
		{"value too large", full(core.KindMetadata, func(e *core.Event) { e.Output = large }), core.ErrTooLarge},
		{"prompt too large", full(core.KindStepWaiting, func(e *core.Event) { e.Output = large }), core.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := core.EncodeEvent(tt.event)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.want != nil && b != nil {
				t.Errorf("bytes beside the error: %x", b)
			}
			if tt.want == nil {
				if got, err := core.DecodeEvent(b); err != nil || !reflect.DeepEqual(got, tt.event) {
					t.Errorf("does not come back: %v", err)
				}
			}
		})
	}
}

// TestFieldsOfOtherKindsAreNotStored pins that an event's bytes depend on the
// fields of its kind only.
func TestFieldsOfOtherKindsAreNotStored(t *testing.T) {
	for _, kind := range allKinds {
		full := fullEvent()
		full.Kind = kind
		b, err := core.EncodeEvent(full)
		if err != nil {
			t.Fatal(err)
		}
		e, err := core.DecodeEvent(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := core.EncodeEvent(e)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%v: %x, then %x (%v)", kind, b, again, err)
		}
	}
}

// hostileEvents are bytes which are no event of this release. ID and PLACE are
// short for the elements of these; see unhex.
var hostileEvents = []struct {
	name  string
	bytes string
	want  error
}{
	{"nothing", "", core.ErrCorrupt},
	{"nil", "c0", core.ErrCorrupt},
	{"nil in an array", "93 02 ID c0", core.ErrCorrupt},
	{"nil as kind", "93 c0 ID a1 6d", core.ErrCorrupt},
	{"nil as event id", "93 02 c0 a1 6d", core.ErrCorrupt},
	{"nil as body", "95 01 ID a1 6d 2a c0", core.ErrCorrupt},
	{"nil as output", "95 03 ID a1 6d 00 c0", core.ErrCorrupt},
	{"a huge bin", "c6 ffffffff", core.ErrCorrupt},
	{"a huge bin as event id", "93 02 c6 ffffffff", core.ErrCorrupt},
	{"a huge bin as body", "95 01 ID a1 6d 2a c6 ffffffff", core.ErrCorrupt},
	{"a huge str as message id", "93 02 ID db ffffffff", core.ErrCorrupt},
	{"a huge array", "dd 04000000", core.ErrCorrupt},
	{"a huge array of known kind", "dd 04000000 02 ID a1 6d", core.ErrCorrupt},
	{"a huge map", "df ffffffff", core.ErrCorrupt},
	{"deep nesting", strings.Repeat("91", 100_000), core.ErrCorrupt},
	{"deep nesting in a field", "93 02 " + strings.Repeat("91", 100_000), core.ErrCorrupt},
	{"an empty array", "90", core.ErrCorrupt},
	{"a short array", "91 01", core.ErrCorrupt},
	{"a field too few", "93 01 ID a1 6d", core.ErrCorrupt},
	{"a field more than the array has", "93 01 ID a1 6d 2a", core.ErrCorrupt},
	{"a field too few of a step", "94 03 ID a1 6d 00", core.ErrCorrupt},
	{"kind 0", "93 00 ID a1 6d", core.ErrCorrupt},
	{"kind 17", "93 11 ID a1 6d", core.ErrUnsupportedVersion},
	{"kind 255", "93 ccff ID a1 6d", core.ErrUnsupportedVersion},
	{"kind 257, which is not kind 1", "94 cd0101 ID a1 6d 2a", core.ErrUnsupportedVersion},
	{"kind 2^32+2, which is not kind 2", "93 cf0000000100000002 ID a1 6d", core.ErrUnsupportedVersion},
	{"kind 17 with other fields", "92 11 c3", core.ErrUnsupportedVersion},
	{"a field more", "96 02 ID a1 6d ID 01 00", core.ErrUnsupportedVersion},
	{"a resumption that is none", "95 02 ID a1 6d ID 00", core.ErrCorrupt},
	{"a field more of a step", "9d 03 ID a1 6d 00 c4 00 a1 6e PLACE 00", core.ErrUnsupportedVersion},
	{"a field more of a start of a step", "9c 06 ID a1 6d 00 a1 6e PLACE 00", core.ErrUnsupportedVersion},
	{"a field more of a failed step", "9f 0b ID a1 6d 00 a1 6e 92 a1 45 a0 01 00 PLACE 00", core.ErrUnsupportedVersion},
	{"a field more of an error", "96 05 ID a1 6d a0 91 00 00", core.ErrUnsupportedVersion},
	{"a field more of a retry", "97 09 ID a1 6d 91 00 90 00 00", core.ErrUnsupportedVersion},
	{"a field more of a stop", "96 0a ID a1 6d 00 00 00", core.ErrUnsupportedVersion},
	{"a field more of a decision", "95 0e ID a1 6d 00 00", core.ErrUnsupportedVersion},
	{"half a place", "97 03 ID a1 6d 00 c4 00 a1 6e a0", core.ErrCorrupt},
	{"a place that was never called", "9b 06 ID a1 6d 00 a1 6e a0 c4 00 00 00 00 00", core.ErrCorrupt},
	{"a place of a step without a name", "9c 03 ID a1 6d 00 c4 00 a0 PLACE", core.ErrCorrupt},
	{"a scope with NUL", "9b 06 ID a1 6d 00 a1 6e a1 00 c4 00 00 00 00 01", core.ErrCorrupt},
	{"a scope that is too long", "9b 06 ID a1 6d 00 a1 6e da 2001 " + strings.Repeat("6d", core.MaxScopeBytes+1) + " c4 00 00 00 00 01", core.ErrCorrupt},
	{"a scope as bin", "9b 06 ID a1 6d 00 a1 6e c4 00 c4 00 00 00 00 01", core.ErrCorrupt},
	{"a key of 15 bytes", "9b 06 ID a1 6d 00 a1 6e a0 c40f" + strings.Repeat("b0", 15) + " 00 00 00 01", core.ErrCorrupt},
	{"a key of 17 bytes", "9b 06 ID a1 6d 00 a1 6e a0 c411" + strings.Repeat("b0", 17) + " 00 00 00 01", core.ErrCorrupt},
	{"a key of zeros", "9b 06 ID a1 6d 00 a1 6e a0 c410" + strings.Repeat("00", 16) + " 00 00 00 01", core.ErrCorrupt},
	{"a count past 2^32-1", "9b 06 ID a1 6d 00 a1 6e a0 c4 00 cf0000000100000000 00 00 01", core.ErrCorrupt},
	{"after an order past 2^32-1", "9b 06 ID a1 6d 00 a1 6e a0 c4 00 00 cf0000000100000000 00 01", core.ErrCorrupt},
	{"called past 2^53-1", "9b 06 ID a1 6d 00 a1 6e a0 c4 00 00 00 00 cf0020000000000000", core.ErrCorrupt},
	{"an order that is none", "9b 06 ID a1 6d 00 a1 6e a0 c4 00 00 00 02 01", core.ErrCorrupt},
	{"a failure without a cause", "98 0b ID a1 6d 00 a1 6e 90 01 00", core.ErrCorrupt},
	{"a failure of a name alone", "98 0b ID a1 6d 00 a1 6e 91 a1 45 01 00", core.ErrCorrupt},
	{"a failure of 17 causes", "98 0b ID a1 6d 00 a1 6e dc 0022 " + strings.Repeat("a0", 34) + " 01 00", core.ErrCorrupt},
	{"a failure of 2^32-1 texts", "98 0b ID a1 6d 00 a1 6e dd ffffffff", core.ErrCorrupt},
	{"a failure as text", "98 0b ID a1 6d 00 a1 6e a1 45 01 00", core.ErrCorrupt},
	{"a cause not UTF-8", "98 0b ID a1 6d 00 a1 6e 92 a0 a1 ff 01 00", core.ErrCorrupt},
	{"a failure that is neither certain nor not", "98 0b ID a1 6d 00 a1 6e 92 a0 a0 01 02", core.ErrCorrupt},
	{"an attempt past 2^32-1", "98 0c ID a1 6d 00 a1 6e 92 a0 a0 cf0000000100000000 00", core.ErrCorrupt},
	{"an attempt due past 2^53-1", "98 0c ID a1 6d 00 a1 6e 92 a0 a0 01 cf0020000000000000", core.ErrCorrupt},
	{"an unknown flag of a wait", "98 0d ID a1 6d 00 a1 6e 08 00 c4 00", core.ErrCorrupt},
	{"a wait without a prompt that has one", "98 0d ID a1 6d 00 a1 6e 00 00 c4 01 3f", core.ErrCorrupt},
	{"a wait until past 2^53-1", "98 0d ID a1 6d 00 a1 6e 00 cf0020000000000000 c4 00", core.ErrCorrupt},
	{"an error of no steps", "95 05 ID a1 6d a0 90", core.ErrCorrupt},
	{"an error of a step twice", "95 05 ID a1 6d a0 92 01 01", core.ErrCorrupt},
	{"an error of steps that descend", "95 05 ID a1 6d a0 93 01 03 02", core.ErrCorrupt},
	{"an error of a step past 2^32-1", "95 05 ID a1 6d a0 91 cf0000000100000000", core.ErrCorrupt},
	{"an error of 2^32-1 steps", "95 05 ID a1 6d a0 dd ffffffff", core.ErrCorrupt},
	{"an error of many steps that are none", "95 05 ID a1 6d a0 dd 00100000 " + strings.Repeat("c0", 1<<20), core.ErrCorrupt},
	{"a retry that forgets nothing", "96 09 ID a1 6d 90 90 00", core.ErrCorrupt},
	{"a retry that doubts a step twice", "96 09 ID a1 6d 91 01 92 01 01 00", core.ErrCorrupt},
	{"a retry that is seeded twice", "96 09 ID a1 6d 91 01 90 02", core.ErrCorrupt},
	{"a retry without a seed", "95 09 ID a1 6d 91 01 90", core.ErrCorrupt},
	{"parked until past 2^53-1", "95 0a ID a1 6d cf0020000000000000 00", core.ErrCorrupt},
	{"parked to be passed twice", "95 0a ID a1 6d 00 02", core.ErrCorrupt},
	{"parked, half", "94 0a ID a1 6d 00", core.ErrCorrupt},
	{"a note without a type", "94 0f ID a1 6d 00", core.ErrCorrupt},
	{"a note of an empty type", "95 0f ID a1 6d 00 a0", core.ErrCorrupt},
	{"a note of a type with NUL", "95 0f ID a1 6d 00 a1 00", core.ErrCorrupt},
	{"a note of a type as bin", "95 0f ID a1 6d 00 c4 01 6e", core.ErrCorrupt},
	{"a note of past 2^53-1", "95 0f ID a1 6d cf0020000000000000 a1 6e", core.ErrCorrupt},
	{"nil as data", "96 0f ID a1 6d 00 a1 6e c0", core.ErrCorrupt},
	{"a huge bin as data", "96 0f ID a1 6d 00 a1 6e c6 ffffffff", core.ErrCorrupt},
	{"a field more of a note", "97 0f ID a1 6d 00 a1 6e c4 00 00", core.ErrUnsupportedVersion},
	{"metadata without a key", "93 10 ID a0", core.ErrCorrupt},
	{"nil as value", "94 10 ID a1 6d c0", core.ErrCorrupt},
	{"a value as str", "94 10 ID a1 6d a1 62", core.ErrCorrupt},
	{"a field more of metadata", "95 10 ID a1 6d c4 00 00", core.ErrUnsupportedVersion},
	{"a decision on no step", "93 0e ID a1 6d", core.ErrCorrupt},
	{"a field more of an end", "95 04 ID a1 6d c4 00 00", core.ErrUnsupportedVersion},
	{"a field more of a cancellation", "94 08 ID a1 6d 00", core.ErrUnsupportedVersion},
	{"a field too few of a step that streams", "96 07 ID a1 6d 00 a1 6e 00", core.ErrCorrupt},
	{"a runner that is no id", "94 02 ID a1 6d 00", core.ErrCorrupt},
	{"a runner of 15 bytes", "94 02 ID a1 6d c40ff0f1f2f3f4f5f6f7f8f9fafbfcfdfe", core.ErrCorrupt},
	{"a runner of zeros", "94 02 ID a1 6d c41000000000000000000000000000000000", core.ErrCorrupt},
	{"nil as result", "94 04 ID a1 6d c0", core.ErrCorrupt},
	{"an empty name", "96 03 ID a1 6d 00 c4 00 a0", core.ErrCorrupt},
	{"a name with NUL", "95 06 ID a1 6d 00 a1 00", core.ErrCorrupt},
	{"a name that is too long", "95 06 ID a1 6d 00 da 0401 " + strings.Repeat("6d", 1025), core.ErrCorrupt},
	{"a name as bin", "95 06 ID a1 6d 00 c4 01 6e", core.ErrCorrupt},
	{"an offset past 2^53-1", "97 07 ID a1 6d 00 a1 6e cf0020000000000000 c4 00", core.ErrCorrupt},
	{"a huge bin as partial output", "97 07 ID a1 6d 00 a1 6e 00 c6 ffffffff", core.ErrCorrupt},
	{"a field more of a message", "98 01 ID a1 6d 2a c4 00 a0 00 00", core.ErrUnsupportedVersion},
	{"a message after one with a name that none can have", "97 01 ID a1 6d 2a c4 00 a1 00 00", core.ErrCorrupt},
	{"a body that is said to be none", "97 01 ID a1 6d 2a c4 01 00 a0 00", core.ErrCorrupt},
	{"a message with half of what it follows", "96 01 ID a1 6d 2a c4 00 a0", core.ErrCorrupt},
	{"16 fields", "dc 0010 02 ID a1 6d 00 00 00 00 00 00 00 00 00 00 00 00 00", core.ErrUnsupportedVersion},
	{"a longer head than needed", "dc 0003 02 ID a1 6d", core.ErrCorrupt},
	{"a much longer head than needed", "dd 00000003 02 ID a1 6d", core.ErrCorrupt},
	{"negative fixint as kind", "93 ff ID a1 6d", core.ErrCorrupt},
	{"negative int as kind", "93 d0ff ID a1 6d", core.ErrCorrupt},
	{"positive int as kind", "93 d002 ID a1 6d", core.ErrCorrupt},
	{"float as kind", "93 ca40000000 ID a1 6d", core.ErrCorrupt},
	{"bool as kind", "93 c3 ID a1 6d", core.ErrCorrupt},
	{"negative time", "94 01 ID a1 6d ff", core.ErrCorrupt},
	{"negative time of 8 bytes", "94 01 ID a1 6d d3ffffffffffffffff", core.ErrCorrupt},
	{"float as time", "94 01 ID a1 6d cb4045000000000000", core.ErrCorrupt},
	{"timestamp ext as time", "94 01 ID a1 6d d6ff00000000", core.ErrCorrupt},
	{"ext as event", "c7 03 01 020202", core.ErrCorrupt},
	{"ext as body", "95 01 ID a1 6d 2a d4 01 00", core.ErrCorrupt},
	{"time past 2^53-1", "94 01 ID a1 6d cf0020000000000000", core.ErrCorrupt},
	{"time of all ones", "94 01 ID a1 6d cfffffffffffffffff", core.ErrCorrupt},
	{"step past 2^32-1", "95 03 ID a1 6d cf0000000100000000 c4 00", core.ErrCorrupt},
	{"kind of 2 bytes for 1", "93 cc02 ID a1 6d", core.ErrCorrupt},
	{"kind of 3 bytes for 2", "93 cd00ff ID a1 6d", core.ErrCorrupt},
	{"time of 2 bytes for 1", "94 01 ID a1 6d cc7f", core.ErrCorrupt},
	{"time of 3 bytes for 2", "94 01 ID a1 6d cd00ff", core.ErrCorrupt},
	{"time of 5 bytes for 3", "94 01 ID a1 6d ce0000ffff", core.ErrCorrupt},
	{"time of 9 bytes for 5", "94 01 ID a1 6d cf00000000ffffffff", core.ErrCorrupt},
	{"event id as str", "93 02 b0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff a1 6d", core.ErrCorrupt},
	{"event id of 15 bytes", "93 02 c40ff0f1f2f3f4f5f6f7f8f9fafbfcfdfe a1 6d", core.ErrCorrupt},
	{"event id of 17 bytes", "93 02 c411f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff00 a1 6d", core.ErrCorrupt},
	{"event id with a longer length", "93 02 c50010f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff a1 6d", core.ErrCorrupt},
	{"message id as bin", "93 02 ID c4 01 6d", core.ErrCorrupt},
	{"message id empty", "93 02 ID a0", core.ErrCorrupt},
	{"message id with NUL", "93 02 ID a1 00", core.ErrCorrupt},
	{"message id not UTF-8", "93 02 ID a1 ff", core.ErrCorrupt},
	{"message id a lone surrogate", "93 02 ID a3 eda080", core.ErrCorrupt},
	{"message id too long", "93 02 ID da 0401 " + strings.Repeat("6d", 1025), core.ErrCorrupt},
	{"message id with a longer length", "93 02 ID d9 01 6d", core.ErrCorrupt},
	{"message id of 3 length bytes for 2", "93 02 ID da 0020 " + strings.Repeat("6d", 32), core.ErrCorrupt},
	{"message id of 5 length bytes for 3", "93 02 ID db 00000100 " + strings.Repeat("6d", 256), core.ErrCorrupt},
	{"body as str", "95 01 ID a1 6d 2a a1 62", core.ErrCorrupt},
	{"body with a longer length", "95 01 ID a1 6d 2a c5 0001 62", core.ErrCorrupt},
	{"output as array", "95 03 ID a1 6d 00 91 01", core.ErrCorrupt},
	{"error not UTF-8", "94 05 ID a1 6d a1 ff", core.ErrCorrupt},
	{"error as bin", "94 05 ID a1 6d c4 01 65", core.ErrCorrupt},
	{"trailing byte", "93 02 ID a1 6d 00", core.ErrCorrupt},
	{"trailing event", "93 02 ID a1 6d 93 02 ID a1 6d", core.ErrCorrupt},
	{"a map", "83 02 01 02 02 03 03", core.ErrCorrupt},
	{"the byte that msgpack never uses", "c1", core.ErrCorrupt},
}

func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	digits = strings.ReplaceAll(digits, "ID", "c410"+hex.EncodeToString(testID[:]))
	digits = strings.ReplaceAll(digits, "PLACE", "a0 c400 00 00 00 01")
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range hostileEvents {
		t.Run(tt.name, func(t *testing.T) {
			e, err := core.DecodeEvent(unhex(t, tt.bytes))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %+v, %v; want %v", e, err, tt.want)
			}
			if !reflect.DeepEqual(e, core.Event{}) {
				t.Errorf("an event beside the error: %+v", e)
			}
		})
	}
	t.Run("larger than any event", func(t *testing.T) {
		b := append(unhex(t, "95 03 ID a1 6d 00 c6 00800000"), make([]byte, core.MaxPayloadBytes)...)
		if _, err := core.DecodeEvent(b); !errors.Is(err, core.ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	})
}

// TestDecodeTruncated cuts every golden event at every place.
func TestDecodeTruncated(t *testing.T) {
	for name, event := range goldenEvents {
		b, err := core.EncodeEvent(event)
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			if _, err := core.DecodeEvent(b[:n]); !errors.Is(err, core.ErrCorrupt) {
				t.Fatalf("%s cut to %d of %d bytes: %v", name, n, len(b), err)
			}
		}
	}
}

// TestDecodeAfterARefusal pins that a refused input leaves nothing behind in
// the reused reader.
func TestDecodeAfterARefusal(t *testing.T) {
	good := unhex(t, "93 02 ID a1 6d")
	for _, tt := range hostileEvents {
		if _, err := core.DecodeEvent(unhex(t, tt.bytes)); err == nil {
			t.Fatalf("%s is accepted", tt.name)
		}
		if _, err := core.DecodeEvent(good); err != nil {
			t.Fatalf("after %s: %v", tt.name, err)
		}
	}
}

func TestDecodeSharesTheInput(t *testing.T) {
	b := append(make([]byte, 0, 64), unhex(t, "95 03 ID a1 6d 00 c4 02 0102")...)
	e, err := core.DecodeEvent(b)
	if err != nil {
		t.Fatal(err)
	}
	if &e.Output[0] != &b[len(b)-2] {
		t.Error("the output is a copy")
	}
	if cap(e.Output) != len(e.Output) {
		t.Error("appending to the output would write behind the input")
	}
}

func TestKindString(t *testing.T) {
	want := []string{"kind(0)", "message_received", "processing_started", "step_completed", "processing_finished", "error_occurred",
		"step_started", "step_streamed", "message_cancelled", "message_retried", "processing_stopped",
		"step_failed", "attempt_failed", "step_waiting", "step_resolved", "note", "metadata_set", "kind(17)"}
	for i, name := range want {
		if got := core.Kind(i).String(); got != name {
			t.Errorf("kind %d is %q, want %q", i, got, name)
		}
	}
}
