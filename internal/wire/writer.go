package wire

import (
	"math"
	"slices"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Writer appends elements to bytes. It is for one goroutine, and it cannot
// fail. Where the head of an element has one byte, or two for bytes, the
// Writer appends it itself: a call of msgpack's encoder would cost more than
// all the rest.
type Writer struct {
	enc *msgpack.Encoder
	out []byte
}

// An encoder is three allocations, so writers are used again.
var writers = sync.Pool{New: func() any {
	w := new(Writer)
	w.enc = msgpack.NewEncoder((*sink)(w))
	return w
}}

// NewWriter returns a Writer that appends to b. Call End when all is written.
func NewWriter(b []byte) *Writer {
	w := writers.Get().(*Writer)
	w.out = b
	return w
}

// End returns what was written. The Writer must not be used after it.
func (w *Writer) End() []byte {
	out := w.out
	w.out = nil
	writers.Put(w)
	return out
}

// Len returns the number of bytes so far.
func (w *Writer) Len() int { return len(w.out) }

// Array writes the head of an array of n elements.
func (w *Writer) Array(n int) {
	if n > int(msgpcode.FixedArrayMask) {
		_ = w.enc.EncodeArrayLen(n)
		return
	}
	w.out = append(w.out, msgpcode.FixedArrayLow|byte(n))
}

// Uint writes an unsigned integer.
func (w *Writer) Uint(n uint64) {
	if n > uint64(msgpcode.PosFixedNumHigh) {
		_ = w.enc.EncodeUint(n)
		return
	}
	w.out = append(w.out, byte(n))
}

// Int writes an integer. One that is not negative is written as by Uint.
func (w *Writer) Int(n int64) {
	if n < 0 {
		_ = w.enc.EncodeInt(n)
		return
	}
	w.Uint(uint64(n))
}

// Text writes s, of type str. It does not check that s is valid UTF-8.
func (w *Writer) Text(s string) {
	if len(s) > int(msgpcode.FixedStrMask) {
		_ = w.enc.EncodeString(s)
		return
	}
	w.out = append(append(w.out, msgpcode.FixedStrLow|byte(len(s))), s...)
}

// Bytes writes b, of type bin, and returns the part of the output that it is
// now. That part stays where it is if there was room for it.
func (w *Writer) Bytes(b []byte) []byte {
	w.BytesLen(len(b))
	start := len(w.out)
	w.Raw(b)
	end := len(w.out)
	return w.out[start:end:end]
}

// BytesLen writes the head of n bytes. Raw writes them.
func (w *Writer) BytesLen(n int) {
	if n > math.MaxUint8 {
		_ = w.enc.EncodeBytesLen(n)
		return
	}
	w.out = append(w.out, msgpcode.Bin8, byte(n))
}

// BytesOf writes what write writes, as an element of type bin, and returns it as
// Bytes does.
func (w *Writer) BytesOf(write func(*Writer)) []byte {
	const head = 2 // of few bytes
	start := len(w.out)
	w.Raw(make([]byte, head))
	write(w)
	b := w.out[start+head:]
	w.out = w.out[:start]
	if len(b) > math.MaxUint8 {
		b = slices.Clone(b) // its head is longer
	}
	return w.Bytes(b) // where it is already
}

// Nil writes nil.
func (w *Writer) Nil() { w.out = append(w.out, msgpcode.Nil) }

// Raw writes bytes that are encoded already.
func (w *Writer) Raw(b []byte) { w.out = append(w.out, b...) }

// sink is a Writer to which msgpack's encoder appends.
type sink Writer

func (s *sink) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *sink) WriteByte(c byte) error {
	s.out = append(s.out, c)
	return nil
}
