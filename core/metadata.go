package core

import (
	"bytes"
	"cmp"
	"iter"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// MaxMetadataBytes is the greatest size of all keys and values of [Metadata].
const MaxMetadataBytes = 16 << 10

// Metadata is what the application has set on a conversation: values by key, such
// as a title. It never changes, and can be compared; the zero value is none.
//
// A key is subject to [CheckName], a value is opaque.
type Metadata struct {
	packed string // key and value of each in turn, of types str and bin, by ascending key
}

// All iterates over keys and values, by the bytes of the keys. The values belong to
// the caller.
func (m Metadata) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		var r wire.Reader
		for r.Reset(m.Packed()); r.More(); {
			if !yield(string(r.Text("a key")), r.Bytes("a value")) {
				return
			}
		}
	}
}

// Value returns the value of a key, and whether it has one.
func (m Metadata) Value(key string) ([]byte, bool) {
	for other, value := range m.All() {
		if other == key {
			return value, true
		}
	}
	return nil, false
}

// Packed returns key and value of each in turn, as msgpack of types str and bin, by
// the bytes of the keys.
func (m Metadata) Packed() []byte { return []byte(m.packed) }

// with returns metadata in which a key has a value, or none if that is nil; m itself
// if that would be more than [MaxMetadataBytes].
func (m Metadata) with(key string, value []byte) Metadata {
	in := m.Packed()
	size, from, to := 0, 0, 0 // from and to are the ends of what is in the place of the key
	var r wire.Reader
	for r.Reset(in); r.More(); {
		other, kept := r.Text("a key"), r.Bytes("a value")
		end := len(in) - len(r.Rest())
		order := cmp.Compare(string(other), key)
		switch {
		case order < 0:
			from, to = end, end
		case order == 0:
			to = end
			continue
		}
		size += len(other) + len(kept)
	}
	const heads = 10
	w := wire.NewWriter(make([]byte, 0, len(in)+len(key)+len(value)+heads))
	w.Raw(in[:from])
	if value != nil {
		size += len(key) + len(value)
		w.Text(key)
		w.Bytes(value)
	}
	w.Raw(in[to:])
	packed := string(w.End())
	if size > MaxMetadataBytes {
		return m
	}
	return Metadata{packed}
}

// metadataCost is how much memory a byte of metadata takes at most when it is read.
const metadataCost = 2

// The row of the metadata, beside those of row.go, is
//
//	[metadata]
func writeMetadataRow(w *wire.Writer, m Metadata) {
	w.Array(1)
	writeMetadata(w, m)
}

func writeMetadata(w *wire.Writer, m Metadata) { w.Bytes(m.Packed()) }

func readMetadata(r *wire.Reader) Metadata {
	packed := r.Bytes("the metadata")
	var in wire.Reader
	in.Reset(packed)
	size := 0
	for last := []byte(nil); in.More(); {
		key, value := in.Text("a key"), in.Bytes("a value")
		if bytes.Compare(key, last) <= 0 {
			in.Refuse("a key", " is empty, or stands in the wrong place")
		}
		size, last = size+len(key)+len(value), key
	}
	if size > MaxMetadataBytes {
		in.Refuse("the metadata", " are too large")
	}
	if defect := in.Defect(); defect != "" {
		r.Refuse("the metadata: ", defect)
	}
	return Metadata{string(packed)}
}
