package idbstore

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// A record holds the events of one commit, or of several that compaction has
// merged:
//
//	byte     format version, 1
//	byte     kind: 0 events, 1 tombstone
//	uvarint  sequence of the first event; of a tombstone, its own
//	uvarint  number of events, at least 1; of a tombstone 1
//	uvarint  when the first was taken, ms since the Unix epoch
//	then for each event, but not for a tombstone:
//	  varint   milliseconds after the one before
//	  uvarint  size of the payload, and the payload
//	le32     the seal with the stream's name, see wire.Seal
const (
	recordVersion   = 1
	kindEvents      = 0
	kindTombstone   = 1
	recordOverhead  = 2 + 3*binary.MaxVarintLen64 + wire.SealBytes
	payloadOverhead = 2 * binary.MaxVarintLen64
)

// encodeRecord returns the record of payloads that are appended to stream from
// sequence first on.
func encodeRecord(stream string, first uint64, now int64, payloads [][]byte) []byte {
	size := recordOverhead
	for _, payload := range payloads {
		size += payloadOverhead + len(payload)
	}
	b := recordHeader(make([]byte, 0, size), kindEvents, first, len(payloads), now)
	for _, payload := range payloads {
		b = appendEvent(b, 0, payload) // taken together with the first
	}
	return wire.Seal(stream, b)
}

// encodeEntries returns the record of entries which are in stream already, with
// the timestamps they have.
func encodeEntries(stream string, entries []core.Entry) []byte {
	size := recordOverhead
	for _, entry := range entries {
		size += payloadOverhead + len(entry.Payload)
	}
	now := entries[0].Timestamp
	b := recordHeader(make([]byte, 0, size), kindEvents, entries[0].Sequence, len(entries), now)
	for _, entry := range entries {
		b = appendEvent(b, entry.Timestamp-now, entry.Payload)
		now = entry.Timestamp
	}
	return wire.Seal(stream, b)
}

func appendEvent(b []byte, later int64, payload []byte) []byte {
	b = binary.AppendVarint(b, later)
	b = binary.AppendUvarint(b, uint64(len(payload)))
	return append(b, payload...)
}

// encodeTombstone returns the record which says that stream was deleted when
// its head was sequence.
func encodeTombstone(stream string, sequence uint64, now int64) []byte {
	return wire.Seal(stream, recordHeader(nil, kindTombstone, sequence, 1, now))
}

func recordHeader(b []byte, kind byte, first uint64, count int, now int64) []byte {
	b = append(b, recordVersion, kind)
	b = binary.AppendUvarint(b, first)
	b = binary.AppendUvarint(b, uint64(count))
	return binary.AppendUvarint(b, uint64(max(now, 0)))
}

// record is a record that decodeRecord has found whole. It shares memory with
// the bytes that it was decoded from, and so do the payloads of its entries.
// Entries are made when they are asked for, since they may be many times as
// large.
type record struct {
	stream  string
	first   uint64
	count   uint64
	stamp   int64
	deleted bool   // it is a tombstone
	events  []byte // those of the others
}

// end is the sequence after the record.
func (r record) end() uint64 { return r.first + r.count }

// appendTo appends the entries from sequence on, as long as there are fewer
// than limit.
func (r record) appendTo(entries []core.Entry, sequence uint64, limit int) []core.Entry {
	if r.deleted {
		return append(entries, core.Entry{Stream: r.stream, Sequence: r.first, Timestamp: r.stamp, Tombstone: true})
	}
	in, timestamp := reader{rest: r.events}, r.stamp
	if sequence = max(sequence, r.first); sequence < r.end() {
		entries = slices.Grow(entries, int(min(r.end()-sequence, uint64(limit-len(entries)))))
	}
	for at := r.first; at < r.end() && len(entries) < limit; at++ {
		timestamp += in.varint()
		payload := in.bytes()
		if at >= sequence {
			entries = append(entries, core.Entry{Stream: r.stream, Sequence: at, Timestamp: timestamp, Payload: payload})
		}
	}
	return entries
}

// decodeRecordAt is decodeRecord for a record whose key says where it ends, and
// whether it is a tombstone.
func decodeRecordAt(stream string, b []byte, end uint64, deleted bool) (record, error) {
	r, err := decodeRecord(stream, b)
	if err == nil && (r.end() != end || r.deleted != deleted) {
		err = misplaced(stream, r)
	}
	return r, err
}

func misplaced(stream string, r record) error {
	return &core.Error{Code: core.ErrCorrupt, Op: "read", Stream: stream,
		Detail: fmt.Sprintf("a record of sequences %d to %d stands in the wrong place", r.first, r.end()-1)}
}

// decodeRecord is the inverse of encodeRecord and encodeTombstone. It accepts
// any bytes: damage is [core.ErrCorrupt], a newer version
// [core.ErrUnsupportedVersion]. It allocates next to nothing.
func decodeRecord(stream string, b []byte) (record, error) {
	corrupt := func(detail string) (record, error) {
		return record{}, &core.Error{Code: core.ErrCorrupt, Op: "read", Stream: stream,
			Detail: "a stored record is damaged: " + detail}
	}
	if len(b) < 2+wire.SealBytes {
		return corrupt("it is too short")
	}
	body, whole := wire.Unseal(stream, b)
	if !whole {
		return corrupt("its checksum is wrong")
	}
	if body[0] != recordVersion || body[1] > kindTombstone {
		return record{}, &core.Error{Code: core.ErrUnsupportedVersion, Op: "read", Stream: stream,
			Detail: fmt.Sprintf("a stored record has format %d.%d; this release reads format %d; update Holdfast", body[0], body[1], recordVersion)}
	}
	kind := body[1]
	in := reader{rest: body[2:]}
	first, count, stamp := in.uvarint(), in.uvarint(), in.uvarint()
	switch {
	case in.failed || first >= core.MaxSequence || count == 0 || count > core.MaxSequence-first || stamp > math.MaxInt64/2:
		return corrupt("its header is out of range")
	case kind == kindTombstone:
		if count != 1 || len(in.rest) != 0 {
			return corrupt("its tombstone has content")
		}
		return record{stream: stream, first: first, count: 1, stamp: int64(stamp), deleted: true}, nil
	}
	r := record{stream: stream, first: first, count: count, stamp: int64(stamp), events: in.rest}
	for range count {
		in.varint()
		if in.bytes(); in.failed {
			return corrupt("an event is cut off")
		}
	}
	if len(in.rest) != 0 {
		return corrupt("it has trailing bytes")
	}
	return r, nil
}

// reader takes varints and byte strings off the front of rest. Once it has
// failed it returns zero values.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) skip(n int) {
	if n <= 0 {
		r.failed, n = true, len(r.rest)
	}
	r.rest = r.rest[n:]
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if r.failed || n > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// follows checks that r begins at next, where the record before it has ended.
// The first record of a read may begin earlier; if it is a tombstone, it may
// begin later, since what was before it is gone.
func follows(r record, next uint64, first bool) error {
	switch {
	case r.first == next, first && r.first < next && r.end() > next, first && r.deleted && r.end() > next:
		return nil
	case r.first > next:
		return &core.Error{Code: core.ErrGap,
			Detail: fmt.Sprintf("the records of sequences %d to %d are missing; what is before them can still be read", next, r.first-1)}
	default:
		return &core.Error{Code: core.ErrCorrupt,
			Detail: fmt.Sprintf("a record of sequences %d to %d stands where sequence %d was due", r.first, r.end()-1, next)}
	}
}
