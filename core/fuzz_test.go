package core_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/hostile"
)

// FuzzDecodeEvent feeds the decoder bytes from anywhere. It must not panic,
// must not allocate more than 64 KiB + 2 x input, must give one of two errors,
// and must accept an event in one form only.
func FuzzDecodeEvent(f *testing.F) {
	for _, event := range goldenEvents {
		b, err := core.EncodeEvent(event)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(append(b, 0xc0))
	}
	for _, tt := range hostileEvents {
		f.Add(unhex(f, tt.bytes))
	}
	hostile.Fuzz(f, func(t testing.TB, b []byte) {
		input := bytes.Clone(b)
		var e core.Event
		var err error
		hostile.BoundMemory(t, b, func() { e, err = core.DecodeEvent(b) })
		if !bytes.Equal(b, input) {
			t.Error("the input was changed")
		}
		if err != nil {
			if !errors.Is(err, core.ErrCorrupt) && !errors.Is(err, core.ErrUnsupportedVersion) {
				t.Errorf("untyped: %v", err)
			}
			return
		}
		again, stored, err := core.StoredEvent(e)
		if err != nil {
			t.Fatalf("%+v is decoded, but cannot be encoded: %v", e, err)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("two forms of one event:\n%x\n%x", b, again)
		}
		if !reflect.DeepEqual(stored, e) {
			t.Errorf("another event is kept than decoded:\n%+v\n%+v", stored, e)
		}
	})
}

// FuzzDecodeSnapshot does the same with snapshots, whose checksum is right: it
// keeps out accidents, not bytes from anywhere.
func FuzzDecodeSnapshot(f *testing.F) {
	for _, events := range goldenStates {
		b := core.EncodeSnapshot("chat", 300, testID, stateOf(events...))
		f.Add(b[:len(b)-4])
	}
	for _, tt := range hostileSnapshots {
		f.Add(unhex(f, tt.bytes))
	}
	hostile.Fuzz(f, func(t testing.TB, content []byte) {
		b := core.SealSnapshot("chat", content)
		input := bytes.Clone(b)
		if err := withinMemory(t, b); err != nil {
			if !errors.Is(err, core.ErrCorrupt) && !errors.Is(err, core.ErrUnsupportedVersion) {
				t.Errorf("untyped: %v", err)
			}
			return
		}
		sequence, last, state, err := core.DecodeSnapshot("chat", b)
		if err != nil || !bytes.Equal(b, input) {
			t.Fatalf("the input was changed, %v", err)
		}
		if again := core.EncodeSnapshot("chat", sequence, last, state); !bytes.Equal(again, b) {
			t.Errorf("two forms of one snapshot:\n%x\n%x", b, again)
		}
		if again := core.EncodeSnapshot("chat", sequence, last, core.Unpacked(state)); !bytes.Equal(again, b) {
			t.Errorf("two forms of one snapshot, unpacked:\n%x\n%x", b, again)
		}
	})
}
