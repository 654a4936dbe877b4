package core_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/hostile"
)

// goldenStates are the states, of the conversation "chat" at sequence 300, whose
// snapshots testdata/snapshots_v2.golden pins.
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
		completed("m", 0, "a"), completed("m", 300, "b"), completed("m", 1<<32-1, ""),
		{Kind: core.KindStepCompleted, MessageID: "m", Step: 2, Name: "plan", Output: []byte("p")},
	},
	"open_steps": {
		startedBy("m", 1), streamed("m", 0, "Once"), stepStarted("m", 3), startedBy("m", 2), stepStarted("m", 4),
	},
	"streamed_nothing": {streamed("m", 0, "Once"), streamed("m", 0, "")},
}

func TestSnapshotGolden(t *testing.T) {
	file, err := os.ReadFile("testdata/snapshots_v2.golden")
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
		if len(m.Starts) == 0 {
			m.Starts = nil
		}
		all[id] = m
	}
	for m := range s.Messages() { // in order
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
	snapshotHead = "9402cd012c" + "c410" + "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff" // [1, 300, id,
	emptyMessage = "9a" + "a16d" + "00" + "00" + "c400" + "a0" + "c400" + "c400" + "c400" + "c400" + "90"
)

// hostileSnapshots have a right checksum, and no release writes them.
var hostileSnapshots = []struct {
	name, bytes string
	want        error
}{
	{"nothing", "", core.ErrCorrupt},
	{"no array", "c0", core.ErrCorrupt},
	{"newer version", "9403c0c0c0", core.ErrUnsupportedVersion},
	{"an older version", "9401c0c0c0", core.ErrUnsupportedVersion},
	{"a field more", "9502cd012cc410f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff9000", core.ErrCorrupt},
	{"sequence 0", "940200c410f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff90", core.ErrCorrupt},
	{"sequence past 2^53-1", "9402cf0020000000000000c410f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff90", core.ErrCorrupt},
	{"short id", "9402cd012cc40ff0f1f2f3f4f5f6f7f8f9fafbfcfdfe90", core.ErrCorrupt},
	{"messages beyond the bytes", snapshotHead + "ddffffffff", core.ErrCorrupt},
	{"more messages than memory", snapshotHead + "dc4000" + strings.Repeat("90", 1<<14), core.ErrCorrupt},
	{"trailing bytes", snapshotHead + "9000", core.ErrCorrupt},
	{"two of one id", snapshotHead + "92" + emptyMessage + emptyMessage, core.ErrCorrupt},
	{"wrong order", snapshotHead + "92" + emptyMessage + strings.Replace(emptyMessage, "a16d", "a16c", 1), core.ErrCorrupt},
	{"received behind the others", snapshotHead + "92" + emptyMessage + strings.Replace(emptyMessage, "a16d00", "a16e01", 1), core.ErrCorrupt},
	{"empty message id", snapshotHead + "91" + strings.Replace(emptyMessage, "a16d", "a0", 1), core.ErrCorrupt},
	{"message id not UTF-8", snapshotHead + "91" + strings.Replace(emptyMessage, "a16d", "a1ff", 1), core.ErrCorrupt},
	{"unknown flag", snapshotHead + "91" + strings.Replace(emptyMessage, "a16d00", "a16dcd0100", 1), core.ErrCorrupt},
	{"an absent body with bytes", snapshotHead + "91" + strings.Replace(emptyMessage, "0000c400", "0000c40100", 1), core.ErrCorrupt},
	{"a runner of zeros", snapshotHead + "91" + strings.Replace(emptyMessage, "a0c400", "a0c410"+strings.Repeat("00", 16), 1), core.ErrCorrupt},
	{"a short runner", snapshotHead + "91" + strings.Replace(emptyMessage, "a0c400", "a0c40101", 1), core.ErrCorrupt},
	{"half a start", snapshotHead + "91" + strings.Replace(emptyMessage, "c400c40090", "c4080000000000000000c40090", 1), core.ErrCorrupt},
	{"too many starts", snapshotHead + "91" + strings.Replace(emptyMessage, "c400c40090", "c53e90"+strings.Repeat("00", 16*1001)+"c40090", 1), core.ErrCorrupt},
	{"steps beyond the bytes", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c6ffffffff", 1), core.ErrCorrupt},
	{"more steps than memory", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", ascendingSteps(2000)+"90", 1), core.ErrCorrupt},
	{"more open steps than memory", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c400dc4000"+strings.Repeat("90", 1<<14), 1), core.ErrCorrupt},
	{"a step twice", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c408"+"00a0c400"+"00a0c400"+"90", 1), core.ErrCorrupt},
	{"half a step", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c402"+"00a0"+"90", 1), core.ErrCorrupt},
	{"a step that goes on behind the steps", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c404"+"00a0c401"+"90", 1), core.ErrCorrupt},
	{"a step with a name that none can have", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c405"+"00a100c400"+"90", 1), core.ErrCorrupt},
	{"an open step twice", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c40092"+"9400a17000c400"+"9400a17000c400", 1), core.ErrCorrupt},
	{"an open step without a name", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c40091"+"9400a000c400", 1), core.ErrCorrupt},
	{"an unknown flag of an open step", snapshotHead + "91" + strings.Replace(emptyMessage, "c40090", "c40091"+"9400a17008c400", 1), core.ErrCorrupt},
	{"a map", snapshotHead + "80", core.ErrCorrupt},
	{"nested deeply", strings.Repeat("91", 10_000), core.ErrCorrupt},
}

// ascendingSteps is a bin of n steps without anything in them.
func ascendingSteps(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "cd%04xa0c400", 256+i)
	}
	return fmt.Sprintf("c5%04x", b.Len()/2) + b.String()
}

func TestDecodeHostileSnapshots(t *testing.T) {
	if _, _, _, err := core.DecodeSnapshot("chat", core.SealSnapshot("chat", unhex(t, snapshotHead+"91"+emptyMessage))); err != nil {
		t.Fatalf("what the others are made of: %v", err)
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
		"one start a step": func(i int) core.Event { return started(fmt.Sprint(i)) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{200, 230, 1793, 5000} {
				if name == "open steps" {
					n = min(n, 2000) // each is inserted into a copy of the list
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
