package wire

import (
	"bytes"
	"io"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Reader reads elements from bytes of any origin. It accepts exactly what a
// Writer writes, and it allocates next to nothing: bytes are parts of the
// input. After the first defect every element reads as zero or empty, so that
// the caller checks once, with Defect.
//
// The zero value reads nothing; call Reset. A Reader must not be copied.
type Reader struct {
	in     []byte
	src    bytes.Reader
	dec    *msgpack.Decoder
	defect string
}

// Reset makes the Reader read b, from its beginning and without a defect.
func (r *Reader) Reset(b []byte) {
	r.in, r.defect = b, ""
	r.src.Reset(b)
}

// Defect says what is wrong with the input: the first thing that was refused,
// empty if nothing was.
func (r *Reader) Defect() string { return r.defect }

// Refuse notes a defect, in words such as "the event" and " is cut short".
func (r *Reader) Refuse(what, why string) {
	if r.defect == "" {
		r.defect = what + why
	}
}

// Rest returns the input that was not read.
func (r *Reader) Rest() []byte { return r.in[r.offset():] }

// More reports whether there is input that was not read, and no defect.
func (r *Reader) More() bool { return r.defect == "" && r.src.Len() > 0 }

func (r *Reader) offset() int { return len(r.in) - r.src.Len() }

// decoder returns the decoder for heads of more than two bytes. It never gets
// to read what follows a head: it would allocate whatever a length claims
// (vmihailenco/msgpack v5.4.1, issues 376 and 401). It does not read ahead,
// because a bytes.Reader is an io.ByteScanner.
func (r *Reader) decoder() *msgpack.Decoder {
	if r.dec == nil {
		r.dec = msgpack.NewDecoder(&r.src)
	}
	return r.dec
}

// peek returns the type byte of the next element; 0xc1, which msgpack never
// uses, if there is none or if the input is refused already.
func (r *Reader) peek() byte {
	const never = 0xc1
	if !r.More() {
		return never
	}
	return r.in[r.offset()]
}

// skip passes over a type byte.
func (r *Reader) skip() { _, _ = r.src.ReadByte() }

// ArrayLen reads the head of an array, and returns how many elements it has:
// no more than there are bytes left.
func (r *Reader) ArrayLen(what string) int {
	var count, least int
	var err error
	switch code := r.peek(); {
	case msgpcode.IsFixedArray(code):
		r.skip()
		count = int(code & msgpcode.FixedArrayMask)
	case code == msgpcode.Array16, code == msgpcode.Array32:
		if least = 1 << 4; code == msgpcode.Array32 {
			least = 1 << 16
		}
		count, err = r.decoder().DecodeArrayLen()
	default:
		r.Refuse(what, " is not an array")
		return 0
	}
	if err != nil || count < least || count > r.src.Len() {
		r.Refuse(what, " has a wrong number of elements")
		return 0
	}
	return count
}

// Array reads the head of an array of n elements.
func (r *Reader) Array(what string, n int) {
	if r.ArrayLen(what) != n {
		r.Refuse(what, " has a wrong number of elements")
	}
}

// Uint reads an unsigned integer up to most.
func (r *Reader) Uint(what string, most uint64) uint64 {
	var n, least uint64
	var err error
	switch code := r.peek(); {
	case code <= msgpcode.PosFixedNumHigh:
		r.skip()
		n = uint64(code)
	case code >= msgpcode.Uint8 && code <= msgpcode.Uint64:
		least = [...]uint64{1 << 7, 1 << 8, 1 << 16, 1 << 32}[code-msgpcode.Uint8]
		n, err = r.decoder().DecodeUint64()
	default:
		r.Refuse(what, " is not an unsigned integer")
		return 0
	}
	switch {
	case err != nil:
		r.Refuse(what, " is cut short")
	case n < least:
		r.Refuse(what, " is not in its shortest form")
	case n > most:
		r.Refuse(what, " is out of range")
	}
	return n
}

// Bytes reads an element of type bin, as a part of the input.
func (r *Reader) Bytes(what string) []byte { return r.bytes(what, false) }

// Text reads an element of type str, as a part of the input that is valid
// UTF-8.
func (r *Reader) Text(what string) []byte {
	b := r.bytes(what, true)
	if !utf8.Valid(b) {
		r.Refuse(what, " is not valid UTF-8")
		return nil
	}
	return b
}

func (r *Reader) bytes(what string, str bool) []byte {
	type8, type16, type32, least8 := msgpcode.Bin8, msgpcode.Bin16, msgpcode.Bin32, 0
	if str {
		type8, type16, type32, least8 = msgpcode.Str8, msgpcode.Str16, msgpcode.Str32, 1<<5
	}
	n, least := 0, 0
	var err error
	switch code := r.peek(); {
	case str && msgpcode.IsFixedString(code):
		r.skip()
		n = int(code & msgpcode.FixedStrMask)
	case code == type8:
		r.skip()
		length, end := r.src.ReadByte()
		n, least, err = int(length), least8, end
	case code == type16, code == type32:
		if least = 1 << 8; code == type32 {
			least = 1 << 16
		}
		n, err = r.decoder().DecodeBytesLen()
	default:
		r.Refuse(what, " is of another type")
		return nil
	}
	if err != nil || n < 0 || n > r.src.Len() {
		r.Refuse(what, " is cut short")
		return nil
	}
	if n < least {
		r.Refuse(what, " has a length that is not in its shortest form")
		return nil
	}
	start := r.offset()
	if _, err := r.src.Seek(int64(n), io.SeekCurrent); err != nil {
		r.Refuse(what, " is cut short")
		return nil
	}
	return r.in[start : start+n : start+n]
}

// ID reads an element of type bin that fills id.
func (r *Reader) ID(what string, id []byte) {
	b := r.Bytes(what)
	if len(b) != len(id) {
		r.Refuse(what, " has a wrong length")
	}
	copy(id, b)
}
