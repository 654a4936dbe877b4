package idbstore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/hostile"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// The decoders of what is in the database, given bytes from anywhere: they must
// not panic, allocate no more than 64 KiB + 2 x input, leave the input as it is,
// give one of two errors, and what they accept must be what would be written.
// Checksums are made right: they keep out accidents, not bytes from anywhere.

// decoding runs decode, and reports whether it has accepted b.
func decoding(t testing.TB, b []byte, decode func() error) bool {
	t.Helper()
	input := slices.Clone(b)
	var err error
	hostile.BoundMemory(t, b, func() { err = decode() })
	if !bytes.Equal(b, input) {
		t.Error("the input was changed")
	}
	if err != nil && !errors.Is(err, core.ErrCorrupt) && !errors.Is(err, core.ErrUnsupportedVersion) {
		t.Errorf("untyped: %v", err)
	}
	return err == nil
}

func FuzzDecodeRecord(f *testing.F) {
	for _, g := range goldenRecords {
		b, err := hex.DecodeString(g.hex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-4])
		f.Add(b[:len(b)-5])
	}
	for _, h := range hostileRecords {
		f.Add(h.body)
	}
	f.Add(recordHeader(nil, kindEvents, 1, 50_000, 1)) // as many as follow
	hostile.Fuzz(f, func(t testing.TB, body []byte) {
		_, err := decodeRecord("s", body)
		if err != nil && !errors.Is(err, core.ErrCorrupt) && !errors.Is(err, core.ErrUnsupportedVersion) {
			t.Errorf("untyped: %v", err)
		}
		b := wire.Seal("s", slices.Clone(body))
		var r record
		if !decoding(t, b, func() (err error) { r, err = decodeRecord("s", b); return err }) {
			return
		}
		entries := entriesOf(r)
		if r.end() > core.MaxSequence || r.end()-r.first != uint64(len(entries)) || len(entries) == 0 || len(entries) > len(body) {
			t.Fatalf("%d bytes decoded to %d entries from %d to %d", len(body), len(entries), r.first, r.end())
		}
		if half := r.appendTo(nil, r.first+r.count/2, 1); !reflect.DeepEqual(half, entries[r.count/2:][:1]) {
			t.Errorf("the entry in the middle is %+v", half)
		}
		var again []byte
		switch {
		case r.deleted:
			again = encodeTombstone("s", r.first, r.stamp)
		case r.datable():
			again = encodeEntries("s", entries)
		default:
			return
		}
		same, err := decodeRecord("s", again)
		if err != nil || !reflect.DeepEqual(entriesOf(same), entries) {
			t.Errorf("written again it is %x, %v", again, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(recordKey("chat", 7))
	f.Add(tombstoneKey("é", core.MaxSequence))
	f.Add(recordKey("a", 0))
	f.Add(recordKey("a", maxEnd))
	f.Add(append(recordKey("a\xff", 1), 2))
	f.Add(sizedKey("a", 1, plainBytes+1))
	f.Add(sizedKey("a", 1, 64<<20))
	hostile.Fuzz(f, func(t testing.TB, key []byte) {
		var stream string
		var end uint64
		var deleted, ok bool
		decoding(t, key, func() error { stream, end, deleted, ok = parseKey(key); return nil })
		if !ok {
			if len(key) > 0 && bytes.Compare(before(key), key) >= 0 {
				t.Errorf("%x is not before it", before(key))
			}
			return
		}
		again := recordKey(stream, end)
		if deleted {
			again = tombstoneKey(stream, end)
		} else if len(key) > len(again) {
			size, _ := sizeBound(key)
			again = sizedKey(stream, end, size)
		}
		if err := core.CheckName("test", stream); err != nil || end > core.MaxSequence || !bytes.Equal(again, key) {
			t.Errorf("%x is read as %q, %d, %v", key, stream, end, deleted)
		}
	})
}

func FuzzDecodeValue(f *testing.F) {
	f.Add(binaryValue(7))
	f.Add(binaryValue(1<<64 - 1))
	f.Add([]byte{})
	hostile.Fuzz(f, func(t testing.TB, content []byte) {
		b := wire.Seal("k", slices.Clone(content))
		var value uint64
		var present bool
		accepted := decoding(t, b, func() (err error) { value, present, err = decodeValue("k", b); return err })
		if accepted && (!present || !bytes.Equal(encodeValue("k", value), b)) {
			t.Errorf("two forms of %d: %x", value, b)
		}
	})
}

func binaryValue(value uint64) []byte { return encodeValue("k", value)[:valueSize-4] }

// FuzzDecodeIdentity has the format before the first slash, and the epoch behind it.
func FuzzDecodeIdentity(f *testing.F) {
	f.Add([]byte("2/9f86d081884c7d659a2feaa0c55ad015"))
	f.Add([]byte("3/of another form"))
	f.Add([]byte("-1/9f86"))
	f.Add([]byte("2/not hex"))
	hostile.Fuzz(f, func(t testing.TB, both []byte) {
		format, epoch, _ := bytes.Cut(both, []byte("/"))
		var id identity
		if !decoding(t, both, func() (err error) { id, err = decodeIdentity(format, epoch); return err }) {
			return
		}
		if id.format < 1 || id.format == formatVersion && id.epoch != string(epoch) {
			t.Errorf("%q, %q are read as %+v", format, epoch, id)
		}
	})
}

func FuzzDecodeMemory(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("9f86"))
	f.Add([]byte("9f86\x007\x007\x00s"))
	f.Add([]byte("9f86\x007\x004\x00s\x009007199254740991\x000\x00another"))
	f.Add(bytes.Repeat([]byte("\x001"), 4*mostHeads))
	hostile.Fuzz(f, func(t testing.TB, b []byte) {
		text := checksumOf(string(b)) + "\x00" + string(b)
		var m memory
		accepted := decoding(t, b, func() error {
			var ok bool
			if m, ok = decodeMemory(text); !ok {
				return core.ErrCorrupt
			}
			return nil
		})
		if !accepted {
			return
		}
		for _, r := range m.heads {
			if r.head > core.MaxSequence || r.due > r.head || len(m.heads) > mostHeads {
				t.Errorf("%q is read as %+v", b, r)
			}
		}
		if again, ok := decodeMemory(m.encode()); !ok || !reflect.DeepEqual(again, m) {
			t.Errorf("%q is read as %+v, and then as %+v", b, m, again)
		}
	})
}

// Keys that are no keys hide no stream.
func TestBefore(t *testing.T) {
	for _, key := range [][]byte{
		{0}, {1}, []byte("b"), recordKey("b", 0), recordKey("b", maxEnd), append(recordKey("b", 3), 0), append(recordKey("b", 3), 2),
		append(tombstoneKey("b", 3), 0), recordKey("b\xff", 1), bytes.Repeat([]byte{0xff}, 2000),
	} {
		for _, other := range [][]byte{
			recordKey("a", 1), tombstoneKey("a", core.MaxSequence), recordKey("a\U0010ffff", core.MaxSequence), recordKey("b", 1),
			recordKey("b", 3), tombstoneKey("b", 3), recordKey("b", 1<<48-1), tombstoneKey("b", core.MaxSequence), recordKey("b\x01", 1), recordKey("c", 1),
		} {
			if less := before(key); bytes.Compare(less, key) >= 0 || (bytes.Compare(other, key) < 0) != (bytes.Compare(other, less) <= 0) {
				t.Errorf("before %x is %x, and there is %x", key, less, other)
			}
		}
	}
}
