package core_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/hostile"
)

// goldenStates are the states, of the conversation "chat" at sequence 300, whose
// snapshots testdata/snapshots_v8.golden pins.
var goldenStates = map[string][]core.Event{
	"nothing":  nil,
	"received": {received("msg-1", 1_700_000_000_000, "hi")},
	"bodies": {
		{Kind: core.KindMessageReceived, MessageID: "none", ReceivedAt: 127},
		{Kind: core.KindMessageReceived, MessageID: "empty", ReceivedAt: 128, Body: []byte{}},
		{Kind: core.KindMessageReceived, MessageID: "päckchen-📦", Body: bytes.Repeat([]byte("x"), 300)},
	},
	"results": {
		finished("none"),
		{Kind: core.KindProcessingFinished, MessageID: "empty", Output: []byte{}},
		{Kind: core.KindProcessingFinished, MessageID: "some", Output: []byte("r")},
	},
	"in_order_of_arrival": {started("z"), received("b", 1, "1"), started("y"), received("a", 2, "2")},
	"starts":              {startedBy("m", 1), startedBy("m", 2), startedBy("m", 3)},
	"no_starts_any_more":  {startedBy("m", 1), event(core.KindProcessingStopped, "m")},
	"failed":              {received("m", 1, "x"), startedBy("m", 1), failed("m", "böom")},
	"failed_twice":        {failed("m", "one"), event(core.KindMessageRetried, "m"), failed("m", "")},
	"cancelled":           {received("m", 1, "x"), event(core.KindMessageCancelled, "m")},
	"steps": {
		completed("m", 1, "a"), done(2, "plan", "p"), completed("m", 300, "b"), completed("m", math.MaxUint32, ""), completed("m", 0, "c"),
	},
	"open_steps": {
		startedBy("m", 1), streamed("m", 0, "Once"), stepStarted("m", 3), startedBy("m", 2), stepStarted("m", 4),
	},
	"streamed_nothing": {streamed("m", 0, "Once"), streamed("m", 0, "")},
	"tree": {
		received("a", 1, ""), started("a"), aNote("draft", "n", 1, nil),
		{Kind: core.KindMessageReceived, MessageID: "b", Branch: true}, received("c", 1, ""), started("c"),
		{Kind: core.KindMessageReceived, MessageID: "d", Branch: true, After: "a"}, finished("a"),
	},
	"seeds":            {{Kind: core.KindMessageReceived, ID: testID, MessageID: "m"}},
	"failed_for_steps": {{Kind: core.KindErrorOccurred, MessageID: "m", Error: "boom", Steps: []uint32{0, 300, math.MaxUint32}}},
	"steps_with_a_place": {
		at(done(0, "plan", "a"), "", 0, 0), keyed(done(1, "plan", "b"), "agent:/", 7, 1),
		at(begun(300, "pay"), "plan#0/", 300, 2), done(300, "pay", ""),
	},
	"failed_steps": {
		at(stepFailed(0, "plan", "böom"), "", 0, 0),
		at(begun(1, "pay"), "", 0, 1), {Kind: core.KindStepFailed, MessageID: "m", Step: 1, Name: "pay", Failure: testFailure, Attempt: 300},
		{Kind: core.KindStepFailed, MessageID: "m", Step: 2, Name: "send", Failure: make(core.Failure, core.MaxCauses)},
	},
	"attempts": {
		at(attemptFailed(0, "plan", "boom", 1, 70), "", 0, 0),
		at(begun(1, "pay"), "agent:/", 0, 0), {Kind: core.KindAttemptFailed, MessageID: "m", Step: 1, Name: "pay", Failure: testFailure, Attempt: 2, Due: core.MaxSequence},
	},
	"waits": {
		at(core.Event{Kind: core.KindStepWaiting, MessageID: "m", Name: "allow", Output: []byte("?"), Due: 70, Pass: true}, "", 0, 0),
		{Kind: core.KindStepWaiting, MessageID: "m", Step: 1, Name: "ask", Output: []byte{}}, keyed(sleeping(2, "nap", core.MaxSequence), "agent:/", 7, 0),
	},
	"parked":       {received("m", 1, "x"), startedBy("m", 1), parked("m", 0, false)},
	"parked_until": {received("m", 1, "x"), parked("m", core.MaxSequence, true)},
	"notes": {
		aNote("pinned", "a", 0, nil), aNote("draft", "a", 1, []byte("one")), aNote("pinned", "b", core.MaxSequence, []byte{}), aNote("pinned", "a", 2, nil),
	},
	"metadata": {
		set("title", []byte("Trees")), set("read", []byte{}), set("gone", []byte("x")), set("title", []byte("Oaks")), set("gone", nil),
		set("large", make([]byte, core.MaxMetadataBytes)), // which is ignored
	},
	"forgotten": {
		at(done(0, "plan", "a"), "", 0, 0), at(begun(1, "pay"), "", 0, 1), done(1, "pay", "paid"), at(stepFailed(2, "send", "boom"), "", 0, 2),
		{Kind: core.KindMessageRetried, ID: testID, MessageID: "m", Steps: []uint32{1, 2}, Doubted: []uint32{1}, Reseed: true},
	},
}

func TestSnapshotGolden(t *testing.T) {
	file, err := os.ReadFile("testdata/snapshots_v8.golden")
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
		events, ok := goldenStates[name]
		if !ok {
			t.Errorf("%s is pinned, but what it means is not", name)
			continue
		}
		state := stateOf(events...)
		if got := core.EncodeSnapshot("chat", 300, testID, state); !bytes.Equal(got, want) {
			t.Errorf("encode %s:\n got %x\nwant %x", name, got, want)
		}
		sequence, last, got, err := core.DecodeSnapshot("chat", want)
		if err != nil || sequence != 300 || last != testID {
			t.Errorf("decode %s: %v, at %d after %x", name, err, sequence, last)
			continue
		}
		if got, want := known(got), known(state); !reflect.DeepEqual(got, want) {
			t.Errorf("decode %s:\n got %+v\nwant %+v", name, got, want)
		}
	}
	for name, events := range goldenStates {
		if !pinned[name] {
			t.Errorf("not pinned: %s %x", name, core.EncodeSnapshot("chat", 300, testID, stateOf(events...)))
		}
	}
}

// known is all there is in a state. A list without elements may be nil or not.
func known(s *core.State) map[string]core.Message {
	all := map[string]core.Message{}
	for _, id := range s.Known() {
		m, _ := s.Message(id)
		m.Starts, m.Steps, m.Open = orNil(m.Starts), orNil(m.Steps), orNil(m.Open)
		all[id] = m
	}
	for i, note := range s.AllNotes() {
		all[fmt.Sprint("note ", i)] = core.Message{ID: note.Type + " " + note.ID, ReceivedAt: note.At, Body: note.Data}
	}
	for key, value := range s.Metadata().All() {
		all["metadata "+key] = core.Message{Body: value}
	}
	for m := range s.Received() { // in order
		all[fmt.Sprint("in order ", len(all))] = core.Message{ID: m.ID, Position: m.Position}
	}
	return all
}

// TestSnapshotDamage: any damage to any byte is noticed, and so is a snapshot of
// another conversation.
func TestSnapshotDamage(t *testing.T) {
	good := core.EncodeSnapshot("chat", 300, testID, stateOf(goldenStates["open_steps"]...))
	for i := range good {
		bad := bytes.Clone(good)
		for bit := range 8 {
			bad[i] = good[i] ^ 1<<bit
			if _, _, _, err := core.DecodeSnapshot("chat", bad); !errors.Is(err, core.ErrCorrupt) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
		if _, _, _, err := core.DecodeSnapshot("chat", good[:i]); !errors.Is(err, core.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, _, _, err := core.DecodeSnapshot("chat2", good); !errors.Is(err, core.ErrCorrupt) {
		t.Fatalf("of another conversation: %v", err)
	}
}

const (
	snapshotHead = "9808cd012c" + "c410" + "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff" + "0000" + "c400" + "90"          // [8, 300, id, 0, 0, none, [],
	emptyMessage = "dc0013" + "a16d" + "00" + "00" + "c400" + "a0" + "c400" + "c400" + "c400" + "c400" + "90" + // up to the open steps
		"90" + "c400" + "00" + "00" + "00" + // fatal, seed, next, outcomes, due
		noLineage
	noLineage = "00000000"
	noSteps   = "c40090" + "90" // no steps, no open steps, none of them fatal
	noEnd     = "90c4000000" + "00"
)

// with returns a snapshot of an empty message in which other bytes are in place
// of some.
func with(old, new string) string {
	if strings.Count(emptyMessage, old) == 0 {
		panic(old)
	}
	return snapshotHead + "91" + strings.Replace(emptyMessage, old, new, 1)
}

// noNotes has this in place of the metadata.
func noNotes(metadata string) string {
	return strings.TrimSuffix(snapshotHead, "c40090") + metadata + "9090"
}

// withNotes has these notes and no messages.
func withNotes(notes string) string {
	return strings.TrimSuffix(snapshotHead, "90") + strings.ReplaceAll(notes, " ", "") + "90"
}

// withSteps has these elements of steps.
func withSteps(elements string) string {
	elements = strings.ReplaceAll(elements, " ", "")
	return with(noSteps, bin(elements)+"9090")
}

// withDetails has a step with these details.
func withDetails(details string) string {
	return withSteps("00a0c400" + bin(strings.ReplaceAll(details, " ", "")))
}

// withOpen has these open steps.
func withOpen(steps string) string {
	return with(noSteps, "c400"+strings.ReplaceAll(steps, " ", "")+"90")
}

// withLineage has these last elements.
func withLineage(lineage string) string {
	return snapshotHead + "91" + strings.TrimSuffix(emptyMessage, noLineage) + lineage
}

func bin(digits string) string {
	if n := len(digits) / 2; n < 256 {
		return fmt.Sprintf("c4%02x", n) + digits
	} else if n < 1<<16 {
		return fmt.Sprintf("c5%04x", n) + digits
	} else {
		return fmt.Sprintf("c6%08x", n) + digits
	}
}

// hostileSnapshots have a right checksum, and no release writes them.
var hostileSnapshots = []struct {
	name, bytes string
	want        error
}{
	{"nothing", "", core.ErrCorrupt},
	{"no array", "c0", core.ErrCorrupt},
	{"newer version", "9409c0c0c0", core.ErrUnsupportedVersion},
	{"an older version", "9407c0c0c0", core.ErrUnsupportedVersion},
	{"a field more", "9908cd012cc410f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff0000c400909000", core.ErrCorrupt},
	{"sequence 0", "980800c410f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff0000c4009090", core.ErrCorrupt},
	{"sequence past 2^53-1", "9808cf0020000000000000c410f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff0000c4009090", core.ErrCorrupt},
	{"short id", "9808cd012cc40ff0f1f2f3f4f5f6f7f8f9fafbfcfdfe0000c4009090", core.ErrCorrupt},
	{"messages beyond the bytes", snapshotHead + "ddffffffff", core.ErrCorrupt},
	{"more messages than memory", snapshotHead + "dc4000" + strings.Repeat("90", 1<<14), core.ErrCorrupt},
	{"trailing bytes", snapshotHead + "9000", core.ErrCorrupt},
	{"two of one id", snapshotHead + "92" + emptyMessage + emptyMessage, core.ErrCorrupt},
	{"metadata as text", noNotes("a0"), core.ErrCorrupt},
	{"half of the metadata", noNotes(bin("a161")), core.ErrCorrupt},
	{"metadata without a key", noNotes(bin("a0c400")), core.ErrCorrupt},
	{"a key twice", noNotes(bin("a161c400a161c400")), core.ErrCorrupt},
	{"keys that descend", noNotes(bin("a162c400a161c400")), core.ErrCorrupt},
	{"too large metadata", noNotes(bin("a161" + bin(strings.Repeat("00", core.MaxMetadataBytes)))), core.ErrCorrupt},
	{"more notes than memory", withNotes("dc1000" + strings.Repeat("90", 1<<12)), core.ErrCorrupt},
	{"notes beyond the bytes", withNotes("ddffffffff"), core.ErrCorrupt},
	{"a note twice", withNotes("92 93a161a16e00 93a161a16e01"), core.ErrCorrupt},
	{"a note of two elements", withNotes("91 92a161a16e00"), core.ErrCorrupt},
	{"a note of five elements", withNotes("91 95a161a16e00c40000"), core.ErrCorrupt},
	{"a note without an id", withNotes("91 93a0a16e00"), core.ErrCorrupt},
	{"a note without a type", withNotes("91 93a161a000"), core.ErrCorrupt},
	{"a note of past 2^53-1", withNotes("91 93a161a16ecf0020000000000000"), core.ErrCorrupt},
	{"nil as data of a note", withNotes("91 94a161a16e00c0"), core.ErrCorrupt},
	{"received behind the others", snapshotHead + "92" + emptyMessage + strings.Replace(emptyMessage, "a16d00", "a16e01", 1), core.ErrCorrupt},
	{"a message of ten elements", with("dc0013a16d", "9aa16d"), core.ErrCorrupt},
	{"empty message id", with("a16d", "a0"), core.ErrCorrupt},
	{"message id not UTF-8", with("a16d", "a1ff"), core.ErrCorrupt},
	{"a flag that only parts have", with("a16d00", "a16dcd0400"), core.ErrCorrupt},
	{"an absent body with bytes", with("0000c400", "0000c40100"), core.ErrCorrupt},
	{"a runner of zeros", with("a0c400", "a0c410"+strings.Repeat("00", 16)), core.ErrCorrupt},
	{"a short runner", with("a0c400", "a0c40101"), core.ErrCorrupt},
	{"half a start", with("c400"+noSteps, "c4080000000000000000"+noSteps), core.ErrCorrupt},
	{"too many starts", with("c400"+noSteps, bin(strings.Repeat("00", 16*1001))+noSteps), core.ErrCorrupt},
	{"steps beyond the bytes", with("c40090", "c6ffffffff"), core.ErrCorrupt},
	{"more steps than memory", withSteps(ascendingSteps(2000, "c400")), core.ErrCorrupt},
	{"more open steps than memory", withOpen("dc4000" + strings.Repeat("90", 1<<14)), core.ErrCorrupt},
	{"more fatal steps than memory", with(noEnd, "dd00100000"+strings.Repeat("00", 1<<20)), core.ErrCorrupt},
	{"a step twice", withSteps("00a0c400c4020000 00a0c400c4020000"), core.ErrCorrupt},
	{"half a step", withSteps("00a0"), core.ErrCorrupt},
	{"a step that goes on behind the steps", withSteps("00a0c401"), core.ErrCorrupt},
	{"a step with a name that none can have", withSteps("00a100c400c4020000"), core.ErrCorrupt},
	{"a step without details", withSteps("00a0c400c400"), core.ErrCorrupt},
	{"an order past 2^32-1", withDetails("cf0000000100000000 00"), core.ErrCorrupt},
	{"an unknown flag of details", withDetails("00 08"), core.ErrCorrupt},
	{"details that go on", withDetails("00 00 00"), core.ErrCorrupt},
	{"half a place", withDetails("00 01 a0 c400 00"), core.ErrCorrupt},
	{"a place that was never called", withDetails("00 01 a0 c400 00 00 00 00"), core.ErrCorrupt},
	{"a scope with NUL", withDetails("00 01 a100 c400 00 00 00 01"), core.ErrCorrupt},
	{"a scope that is too long", withDetails("00 01 da2001" + strings.Repeat("6d", core.MaxScopeBytes+1) + "c400 00 00 00 01"), core.ErrCorrupt},
	{"a key of zeros", withDetails("00 01 a0 c410" + strings.Repeat("00", 16) + "00 00 00 01"), core.ErrCorrupt},
	{"a failure without a cause", withDetails("00 02 90 00"), core.ErrCorrupt},
	{"a failure of a name alone", withDetails("00 02 91 a145 00"), core.ErrCorrupt},
	{"a failure of 17 causes", withDetails("00 02 dc0022" + strings.Repeat("a0", 34) + "00"), core.ErrCorrupt},
	{"more causes of open steps than memory", withOpen("dc03e8" + ascendingOpen(1000, "dc0020"+strings.Repeat("a0", 32))), core.ErrCorrupt},
	{"as many messages as memory, and a large failure", largeFailure(4800, 1<<20), core.ErrCorrupt},
	{"a failure without attempts", withDetails("00 02 92 a0a0"), core.ErrCorrupt},
	{"an open step twice", withOpen("92 9600a17000c4000000 9600a17000c4000000"), core.ErrCorrupt},
	{"an open step without a name", withOpen("91 9600a000c4000000"), core.ErrCorrupt},
	{"an unknown flag of an open step", withOpen("91 9600a170cd0100c4000000"), core.ErrCorrupt},
	{"an open step of seven elements", withOpen("91 9700a17000c400000000"), core.ErrCorrupt},
	{"an open step without its place", withOpen("91 9600a17040c4000000"), core.ErrCorrupt},
	{"an open step that was never called", withOpen("91 9c00a17040c4000000 a0c40000000000"), core.ErrCorrupt},
	{"an open step without its failure", withOpen("91 9600a170cc80c4000000"), core.ErrCorrupt},
	{"an open step with an empty failure", withOpen("91 9700a170cc80c400000090"), core.ErrCorrupt},
	{"an open step with output that is none", withOpen("91 9600a17000c401000000"), core.ErrCorrupt},
	{"an open step due past 2^53-1", withOpen("91 9600a17000c40000cf0020000000000000"), core.ErrCorrupt},
	{"fatal steps that descend", with(noEnd, "920100c400000000"), core.ErrCorrupt},
	{"a fatal step past 2^32-1", with(noEnd, "91cf0000000100000000c400000000"), core.ErrCorrupt},
	{"a seed of zeros", with(noEnd, "90c410"+strings.Repeat("00", 16)+"000000"), core.ErrCorrupt},
	{"a short seed", with(noEnd, "90c40101000000"), core.ErrCorrupt},
	{"a next step past 2^32-1", with(noEnd, "90c400cf00000001000000000000"), core.ErrCorrupt},
	{"outcomes past 2^32-1", with(noEnd, "90c40000cf000000010000000000"), core.ErrCorrupt},
	{"parked until past 2^53-1", with(noEnd, "90c4000000cf0020000000000000"), core.ErrCorrupt},
	{"a message that follows one before the first", withLineage("01000000"), core.ErrCorrupt},
	{"a message that began and has not changed since", withLineage("00020100"), core.ErrCorrupt},
	{"a message that has seen more notes than there are", withLineage("00010101"), core.ErrCorrupt},
	{"a map", snapshotHead + "80", core.ErrCorrupt},
	{"nested deeply", strings.Repeat("91", 10_000), core.ErrCorrupt},
}

// ascendingSteps are n steps with these details and nothing else.
func ascendingSteps(n int, details string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "cd%04xa0c400%s", 256+i, details)
	}
	return b.String()
}

// ascendingOpen are n open steps with this failure and nothing else.
func ascendingOpen(n int, failure string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "97cd%04xa173cc80c4000000%s", 256+i, failure)
	}
	return b.String()
}

// largeFailure has n messages, and in the last one an open step that has failed
// with a text of this size in bytes.
func largeFailure(n, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, snapshotHead+"dc%04x", n)
	for i := range n {
		message := strings.Replace(emptyMessage, "a16d", fmt.Sprintf("a4%x", fmt.Sprintf("%04d", i)), 1)
		if i == n-1 {
			message = strings.Replace(message, noSteps, "c400"+fmt.Sprintf("919700a173cc80c400000092a0db%08x", size)+strings.Repeat("6d", size)+"90", 1)
		}
		b.WriteString(message)
	}
	return b.String()
}

func TestDecodeHostileSnapshots(t *testing.T) {
	for _, good := range []string{snapshotHead + "91" + emptyMessage, noNotes(bin("a161c400a162c40100")), withNotes("91 93a161a16e00")} {
		if _, _, _, err := core.DecodeSnapshot("chat", core.SealSnapshot("chat", unhex(t, good))); err != nil {
			t.Fatalf("what the others are made of: %v", err)
		}
	}
	for _, tt := range hostileSnapshots {
		t.Run(tt.name, func(t *testing.T) {
			b := core.SealSnapshot("chat", unhex(t, tt.bytes))
			err := withinMemory(t, b)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// withinMemory decodes b and checks what that allocates.
func withinMemory(t testing.TB, b []byte) (err error) {
	t.Helper()
	hostile.BoundMemory(t, b, func() { _, _, _, err = core.DecodeSnapshot("chat", b) })
	return err
}

// TestSnapshotsOfManySmallThings: decoding keeps to the bound where a message
// or a step takes more memory than bytes.
func TestSnapshotsOfManySmallThings(t *testing.T) {
	for name, event := range map[string]func(i int) core.Event{
		"messages":      func(i int) core.Event { return event(core.KindMessageCancelled, fmt.Sprint(i)) },
		"received":      func(i int) core.Event { return received(fmt.Sprint(i), 1, "x") },
		"long ids":      func(i int) core.Event { return received(strings.Repeat("x", 100+i%900)+fmt.Sprint(i), 1, "x") },
		"error texts":   func(i int) core.Event { return failed(fmt.Sprint(i), strings.Repeat("x", i%50)) },
		"steps":         func(i int) core.Event { return completed("m", uint32(i), "x") },
		"steps of many": func(i int) core.Event { return completed(fmt.Sprint(i/3), uint32(i), "x") },
		"open steps":    func(i int) core.Event { return stepStarted("m", uint32(i)) },
		"starts": func(i int) core.Event {
			e := started(fmt.Sprint(i / 900))
			e.ID = core.EventID{byte(i), byte(i >> 8)}
			return e
		},
		"names of a byte": func(i int) core.Event {
			return core.Event{Kind: core.KindStepCompleted, MessageID: "m", Step: uint32(i), Name: "s", Output: []byte{}}
		},
		"one start a step":   func(i int) core.Event { return started(fmt.Sprint(i)) },
		"steps with a place": func(i int) core.Event { return at(done(uint32(i), "s", ""), strings.Repeat("x", i%90)+"/", 0, 0) },
		"failed steps":       func(i int) core.Event { return at(stepFailed(uint32(i), "s", "x"), "", 0, 0) },
		"failures of nothing": func(i int) core.Event {
			e := stepFailed(uint32(i), "s", "")
			e.Failure = make(core.Failure, core.MaxCauses)
			return e
		},
		"attempts": func(i int) core.Event { return at(attemptFailed(uint32(i), "s", "x", 1, 1), "agent:/", 0, 0) },
		"attempts of nothing": func(i int) core.Event {
			e := attemptFailed(uint32(i), "s", "", 1, 1)
			e.Failure = make(core.Failure, core.MaxCauses)
			return e
		},
		"notes":          func(i int) core.Event { return aNote("n", fmt.Sprint(i), 1, nil) },
		"notes of types": func(i int) core.Event { return aNote(fmt.Sprint(strings.Repeat("t", i%90), i), "n", 1, []byte("x")) },
		"metadata":       func(i int) core.Event { return set(fmt.Sprint(i), []byte{}) },
		"waits":          func(i int) core.Event { return waiting(uint32(i), "s", "") },
		"fatal steps": func(i int) core.Event {
			return core.Event{Kind: core.KindErrorOccurred, MessageID: fmt.Sprint(i), Steps: []uint32{0, 1, 2, uint32(3 + i)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{200, 230, 1793, 5000} {
				switch name {
				case "open steps", "attempts", "attempts of nothing", "metadata", "waits":
					n = min(n, 1000) // each is inserted into a copy of the others
				}
				state := core.NewState()
				for i := range n {
					state.Apply(event(i))
				}
				b := core.EncodeSnapshot("chat", 300, testID, state)
				if b == nil {
					t.Fatalf("%d have no snapshot", n)
				}
				if err := withinMemory(t, b); err != nil {
					t.Fatalf("%d: %v", n, err)
				}
				if _, _, got, _ := core.DecodeSnapshot("chat", b); !reflect.DeepEqual(known(got), known(state)) {
					t.Errorf("%d are others", n)
				}
			}
		})
	}
}

// TestSnapshotPadding is as long as it has to be, and zero.
func TestSnapshotPadding(t *testing.T) {
	state := core.NewState()
	for i := range 1000 {
		state.Apply(received(fmt.Sprint(i), 1, "x"))
	}
	b := core.EncodeSnapshot("chat", 300, testID, state)
	content := b[:len(b)-4]
	if content[len(content)-1] != 0 || content[len(content)-1000] != 0 {
		t.Fatal("it is not padded")
	}
	other := bytes.Clone(content)
	other[len(other)-500] = 1
	for name, content := range map[string][]byte{
		"one less": content[:len(content)-1], "one more": append(bytes.Clone(content), 0), "not zero": other,
	} {
		if _, _, _, err := core.DecodeSnapshot("chat", core.SealSnapshot("chat", content)); !errors.Is(err, core.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSnapshotLimit: a state has a snapshot up to 8 MiB, or none.
func TestSnapshotLimit(t *testing.T) {
	state := core.NewState()
	part := make([]byte, 1<<20)
	for i := range 9 {
		b := core.EncodeSnapshot("chat", 300, testID, state)
		if i < 8 != (b != nil) || len(b) > core.MaxPayloadBytes {
			t.Errorf("%d MiB have a snapshot of %d bytes", i, len(b))
		}
		state.Apply(core.Event{Kind: core.KindMessageReceived, MessageID: fmt.Sprint(i), Body: part})
	}
	state = core.NewState()
	for i := range 60_000 { // which decode to more than twice the limit
		state.Apply(received(fmt.Sprint(i), 1, ""))
	}
	if b := core.EncodeSnapshot("chat", 300, testID, state); b != nil {
		t.Errorf("a snapshot of %d bytes", len(b))
	}
}

// TestSnapshotIsACopy: the state that was saved, and the one that was read, go
// different ways.
func TestSnapshotIsACopy(t *testing.T) {
	events := []core.Event{received("m", 1, "x"), startedBy("m", 1), streamed("m", 0, "Once"), completed("m", 4, "a")}
	state := stateOf(events...)
	b := core.EncodeSnapshot("chat", 300, testID, state)
	input := bytes.Clone(b)
	_, _, got, err := core.DecodeSnapshot("chat", b)
	if err != nil {
		t.Fatal(err)
	}
	before := known(state)
	got.Apply(streamed("m", 4, " upon"))
	got.Apply(completed("m", 5, "b"))
	got.Apply(startedBy("m", 2))
	got.Apply(received("n", 2, "y"))
	if !bytes.Equal(b, input) {
		t.Error("the bytes have changed")
	}
	if !reflect.DeepEqual(known(state), before) {
		t.Error("the other state has changed")
	}
	if m, _ := got.Message("m"); string(m.Open[0].Output) != "Once upon" || len(m.Steps) != 2 {
		t.Errorf("got %+v", m)
	}
}

// TestSnapshotIsReadByMany: who looks first at a message unpacks its steps, while
// others look, too, and the log goes on.
func TestSnapshotIsReadByMany(t *testing.T) {
	state := core.NewState()
	for i := range 300 {
		state.Apply(received(fmt.Sprint(i%3), 1, "x"))
		state.Apply(completed(fmt.Sprint(i%3), uint32(i), fmt.Sprint(i)))
	}
	_, _, got, err := core.DecodeSnapshot("chat", core.EncodeSnapshot("chat", 600, testID, state))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		clone := got.Clone()
		all.Go(func() {
			for i := range 300 {
				id := fmt.Sprint(i % 3)
				if output, ok := got.CompletedStep(id, uint32(i)); !ok || string(output) != fmt.Sprint(i) {
					t.Errorf("step %d is %q, %v", i, output, ok)
				}
				if last, ok := clone.LastCompletedStep(id); !ok || last != uint32(297+i%3) {
					t.Errorf("the last step of %s is %d, %v", id, last, ok)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 3 {
			got.Apply(completed(fmt.Sprint(i), uint32(300+i), "new"))
		}
	})
	all.Wait()
	for i := range 3 {
		id := fmt.Sprint(i)
		m, _ := got.Message(id)
		if packed := got.PackedSteps(id); len(m.Steps) != 101 || !bytes.Equal(packed, core.EncodeSteps(m.Steps)) {
			t.Errorf("%s has %d steps, packed %x", id, len(m.Steps), packed)
		}
	}
}
