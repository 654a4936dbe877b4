package idbstore

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/core"
)

// tombstoneMark is appended to the key of a tombstone. That sorts after the
// plain key of the same end and before the next one, so keys alone say which
// streams were deleted.
const tombstoneMark = 1

// A record of more than plainBytes has a mark after its key, which says how large
// it is at most: plainBytes, doubled so many times as the mark is above sizeMark.
// A reader knows the sizes before it reads, so that it never takes more into
// memory than it means to. The marks sort like tombstoneMark.
const (
	plainBytes  = 4 << 10
	sizeMark    = 0x40
	maxSizeMark = sizeMark + 15 // 128 MiB; a record is at most 64 MiB and what surrounds the payloads
)

// maxEnd is above every end: heads do not pass 2^53-1.
const maxEnd = 1 << 53

// recordKey returns the key of the record of stream which ends before sequence
// end, if it is small, and else the beginning of that key. A name has no NUL, so
// keys of one stream are neighbours, and streams are ordered by the bytes of
// their names.
func recordKey(stream string, end uint64) []byte {
	key := make([]byte, 0, len(stream)+10) // room for a mark
	key = append(key, stream...)
	key = append(key, 0)
	return binary.BigEndian.AppendUint64(key, end)
}

// sizedKey returns the key of a record of size bytes.
func sizedKey(stream string, end uint64, size int) []byte {
	key := recordKey(stream, end)
	if size > plainBytes {
		key = append(key, min(sizeMark+byte(bits.Len(uint(size-1)/plainBytes)), maxSizeMark))
	}
	return key
}

// sizeBound returns how many bytes the record at key has at most, and where it
// ends. Of a key that Holdfast did not write, that is not known.
func sizeBound(key []byte) (size int, end uint64) {
	_, end, _, ok := parseKey(key)
	mark := byte(sizeMark)
	switch last := len(key) - 1; {
	case !ok:
		mark = maxSizeMark
	case last-bytes.IndexByte(key, 0) > 8 && key[last] != tombstoneMark:
		mark = key[last]
	}
	return plainBytes << (mark - sizeMark), end
}

// isMark reports whether b can follow the end in a key.
func isMark(b byte) bool { return b == tombstoneMark || b > sizeMark && b <= maxSizeMark }

// tombstoneKey returns the key of the tombstone of stream which ends before
// sequence end.
func tombstoneKey(stream string, end uint64) []byte {
	return append(recordKey(stream, end), tombstoneMark)
}

// parseKey takes the key of a record or a tombstone apart.
func parseKey(key []byte) (stream string, end uint64, tombstone, ok bool) {
	nul := bytes.IndexByte(key, 0)
	if nul < 1 {
		return "", 0, false, false
	}
	tail := key[nul+1:]
	switch {
	case len(tail) == 9 && isMark(tail[8]):
		tombstone = tail[8] == tombstoneMark
	case len(tail) != 8:
		return "", 0, false, false
	}
	end = binary.BigEndian.Uint64(tail)
	if end == 0 || end >= maxEnd || nul > core.MaxNameBytes || !utf8.Valid(key[:nul]) {
		return "", 0, false, false
	}
	return string(key[:nul]), end, tombstone, true
}

// before returns a key that is less than key, and not less than any key of a
// record that is less than key.
func before(key []byte) []byte {
	last := len(key) - 1
	less := append([]byte(nil), key[:last]...)
	if key[last] == 0 {
		return less
	}
	// No key of a record has nine bytes ff.
	return append(append(less, key[last]-1), bytes.Repeat([]byte{0xff}, 9)...)
}

// keyRange is an inclusive range of keys.
type keyRange struct{ lower, upper []byte }

// recordsFrom is the range of the records of stream that contain sequence
// offset or come after it.
func recordsFrom(stream string, offset uint64) keyRange {
	return recordsEndingFrom(stream, offset+1)
}

// recordsEndingFrom is the range of the records of stream that end at end or
// after it.
func recordsEndingFrom(stream string, end uint64) keyRange {
	return keyRange{recordKey(stream, end), recordKey(stream, maxEnd)}
}

// namesWithPrefix is the range of all keys, of records and of values, whose
// name begins with prefix. UTF-8 has no byte ff.
func namesWithPrefix(prefix string) keyRange {
	return keyRange{[]byte(prefix), append([]byte(prefix), 0xff)}
}

const sequenceBytes = 8

// recentKey orders the values of directory by when they were updated, the last
// one first, and then by the name.
func recentKey(updated uint64, stream string) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, sequenceBytes+len(stream)), core.MaxSequence-min(updated, core.MaxSequence))
	return append(key, stream...)
}

// readyKey orders those that are ready like recentKey. After them come those that
// are due later, which dueKey orders by when that is, and then by the name.
func readyKey(updated uint64, stream string) []byte {
	return append([]byte{0}, recentKey(updated, stream)...)
}

func dueKey(due uint64, stream string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{1}, due), stream...)
}

// dueUntil is the greatest key of what is due at a time: UTF-8 has no byte ff.
func dueUntil(until uint64) []byte {
	return append(dueKey(min(until, core.MaxSequence), ""), 0xff)
}

// everyKey is the range of all keys of an index: a sequence does not begin with ff.
var everyKey = keyRange{[]byte{0}, []byte{0xff}}

// after returns the least key that is greater than key.
func after(key []byte) []byte { return append(bytes.Clone(key), 0) }

func corruptKey(stream string) error {
	return &core.Error{Code: core.ErrCorrupt, Stream: stream, Detail: "the database has a key that Holdfast did not write"}
}
