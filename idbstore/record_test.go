package idbstore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/hostile"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// Bytes that a released format has written. They must stay readable for ever,
// so this table only grows.
var goldenRecords = []struct {
	name     string
	stream   string
	first    uint64
	now      int64
	payloads [][]byte // nil for a tombstone
	hex      string
}{
	{"one event", "chat", 0, 1_700_000_000_000, [][]byte{[]byte("hi")}, "0100000180d095ffbc3100026869f4dc9176"},
	{"three events", "chat", 300, 1, [][]byte{{}, {0xff}, []byte("abc")}, "0100ac02030100000001ff000361626368f38303"},
	{"tombstone", "é", 7, 1_700_000_000_000, nil, "0101070180d095ffbc313ba411fc"},
}

func entriesOf(r record) []core.Entry { return r.appendTo(nil, r.first, math.MaxInt) }

// What compaction writes is read by every release that reads version 1.
func TestMergedRecordGolden(t *testing.T) {
	const golden = "0100ac020380d095ffbc310001610a01621300557e3375"
	entries := []core.Entry{
		{Stream: "chat", Sequence: 300, Timestamp: 1_700_000_000_000, Payload: []byte("a")},
		{Stream: "chat", Sequence: 301, Timestamp: 1_700_000_000_005, Payload: []byte("b")},
		{Stream: "chat", Sequence: 302, Timestamp: 1_699_999_999_995, Payload: []byte{}}, // the clock was set back
	}
	encoded := encodeEntries("chat", entries)
	if got := hex.EncodeToString(encoded); got != golden {
		t.Errorf("encoded to %s, the format is %s", got, golden)
	}
	r, err := decodeRecord("chat", encoded)
	if err != nil || r.first != 300 || !reflect.DeepEqual(entriesOf(r), entries) {
		t.Errorf("decoded to %+v, %v", r, err)
	}
}

func TestRecordGolden(t *testing.T) {
	for _, g := range goldenRecords {
		t.Run(g.name, func(t *testing.T) {
			encoded := encodeTombstone(g.stream, g.first, g.now)
			if g.payloads != nil {
				encoded = encodeRecord(g.stream, g.first, g.now, g.payloads)
			}
			if got := hex.EncodeToString(encoded); got != g.hex {
				t.Fatalf("encoded to %s, the format is %s", got, g.hex)
			}
			r, err := decodeRecord(g.stream, encoded)
			if err != nil {
				t.Fatal(err)
			}
			if r.first != g.first || r.end() != g.first+uint64(max(len(g.payloads), 1)) || r.deleted != (g.payloads == nil) {
				t.Fatalf("decoded to %+v", r)
			}
			for i, payload := range g.payloads {
				e := entriesOf(r)[i]
				if !bytes.Equal(e.Payload, payload) || e.Sequence != g.first+uint64(i) || e.Timestamp != g.now || e.Stream != g.stream {
					t.Fatalf("entry %d decoded to %+v", i, e)
				}
			}
		})
	}
}

// Any damage to any byte is noticed, and so is a record under another name.
func TestRecordDamage(t *testing.T) {
	good := encodeRecord("chat", 300, 1_700_000_000_000, [][]byte{[]byte("one"), []byte("two")})
	for i := range good {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(good)
			bad[i] ^= flip
			if _, err := decodeRecord("chat", bad); !errors.Is(err, core.ErrCorrupt) {
				t.Fatalf("byte %d ^ %#x: %v", i, flip, err)
			}
		}
		if _, err := decodeRecord("chat", good[:i]); !errors.Is(err, core.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := decodeRecord("chat2", good); !errors.Is(err, core.ErrCorrupt) {
		t.Fatalf("under another name: %v", err)
	}
}

// Bytes with a correct checksum that no release writes.
var hostileRecords = []struct {
	name string
	body []byte
	want error
}{
	{"newer version", []byte{2, 0, 0, 1, 0, 0, 0}, core.ErrUnsupportedVersion},
	{"newer kind", []byte{1, 2, 0, 1, 0}, core.ErrUnsupportedVersion},
	{"no events", []byte{1, 0, 0, 0, 0}, core.ErrCorrupt},
	{"count beyond the bytes", []byte{1, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0}, core.ErrCorrupt},
	{"payload beyond the bytes", []byte{1, 0, 0, 1, 0, 0, 0xff, 0x7f}, core.ErrCorrupt},
	{"sequence past 2^53-1", []byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0, 0}, core.ErrCorrupt},
	{"endless varint", bytes.Repeat([]byte{0xff}, 30), core.ErrUnsupportedVersion},
	{"trailing byte", []byte{1, 0, 0, 1, 0, 0, 0, 9}, core.ErrCorrupt},
	{"tombstone with content", []byte{1, 1, 0, 1, 0, 9}, core.ErrCorrupt},
	{"tombstone of two", []byte{1, 1, 0, 2, 0}, core.ErrCorrupt},
}

func TestRecordHostile(t *testing.T) {
	for _, h := range hostileRecords {
		if _, err := decodeRecord("s", wire.Seal("s", slices.Clone(h.body))); !errors.Is(err, h.want) {
			t.Errorf("%s: %v, want %v", h.name, err, h.want)
		}
	}
}

// Many events in few bytes take much memory only when they are asked for.
func TestRecordOfManySmallEvents(t *testing.T) {
	b := encodeRecord("s", 0, 0, make([][]byte, 100_000))
	var r record
	var err error
	hostile.BoundMemory(t, b, func() { r, err = decodeRecord("s", b) })
	if err != nil || r.end() != 100_000 {
		t.Fatal(r.end(), err)
	}
	hostile.BoundMemory(t, nil, func() {
		if one := r.appendTo(nil, 99_999, 1); len(one) != 1 || one[0].Sequence != 99_999 {
			t.Errorf("the last is %+v", one)
		}
	})
}

func TestKeys(t *testing.T) {
	inOrder := [][]byte{
		recordKey("a", 1), tombstoneKey("a", 1), sizedKey("a", 1, plainBytes+1), sizedKey("a", 1, 64<<20), recordKey("a", 2), recordKey("a", 256), recordKey("a", maxEnd),
		recordKey("a\x01", 1), recordKey("ab", 1), recordKey("b", 1), recordKey("\uffff", 1), recordKey("\U00010000", 1),
	}
	if !slices.IsSortedFunc(inOrder, bytes.Compare) {
		t.Error("keys are not ordered by stream and end")
	}
	for _, c := range []struct {
		key       []byte
		stream    string
		end       uint64
		tombstone bool
		ok        bool
	}{
		{recordKey("é", 7), "é", 7, false, true},
		{tombstoneKey("é", core.MaxSequence), "é", core.MaxSequence, true, true},
		{recordKey("a", 0), "a", 0, false, false},
		{recordKey("a", maxEnd), "a", maxEnd, false, false},
		{[]byte("a"), "", 0, false, false},
		{recordKey("", 1), "", 0, false, false},
		{append(recordKey("a", 1), 2), "", 0, false, false},
		{sizedKey("a", 1, plainBytes+1), "a", 1, false, true},
		{append(recordKey("a", 1), maxSizeMark), "a", 1, false, true},
		{append(recordKey("a", 1), sizeMark), "", 0, false, false},
		{append(recordKey("a", 1), maxSizeMark+1), "", 0, false, false},
		{nil, "", 0, false, false},
		{recordKey("a\xff", 1), "", 0, false, false},
		{recordKey(strings.Repeat("x", core.MaxNameBytes+1), 1), "", 0, false, false},
	} {
		stream, end, tombstone, ok := parseKey(c.key)
		if ok != c.ok || ok && (stream != c.stream || end != c.end || tombstone != c.tombstone) {
			t.Errorf("%x: got %q %d %v %v", c.key, stream, end, tombstone, ok)
		}
	}
}

// A key says how large its record is at most, and no more than twice as much.
func TestSizeBound(t *testing.T) {
	for _, size := range []int{1, plainBytes - 1, plainBytes, plainBytes + 1, 2 * plainBytes, 2*plainBytes + 1, smallRecord, smallRecord + 1, 1<<20 - 1, 64<<20 + 99} {
		if bound, _ := sizeBound(sizedKey("a", 1, size)); bound < size || bound >= 2*size && bound > plainBytes {
			t.Errorf("the key of %d bytes stands for %d", size, bound)
		}
	}
	if bound, _ := sizeBound(tombstoneKey("a", 1)); bound != plainBytes {
		t.Errorf("the key of a tombstone stands for %d bytes", bound)
	}
	for _, key := range [][]byte{{}, []byte("a"), append(recordKey("a", 1), 7)} {
		if bound, _ := sizeBound(key); bound <= pageBytes {
			t.Errorf("%x, which Holdfast did not write, stands for %d bytes", key, bound)
		}
	}
}
