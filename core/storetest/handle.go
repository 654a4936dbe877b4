package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

// all is a limit that no stream reaches.
const all = math.MaxInt

// handle is a store with methods for calls that must succeed. They end the
// test otherwise, and are thus for the goroutine of the test only.
type handle struct {
	core.DurableStore
	t *testing.T
}

// append appends payloads at head expected and returns the new head.
func (h *handle) append(stream string, expected uint64, payloads ...string) uint64 {
	h.t.Helper()
	first, err := h.Append(h.t.Context(), stream, expected, byteSlices(payloads)...)
	if err != nil {
		h.t.Fatalf("append %.40q at %d: %v", stream, expected, err)
	}
	if first != expected {
		h.t.Fatalf("append %.40q at %d: first sequence is %d", stream, expected, first)
	}
	return expected + uint64(len(payloads))
}

// read reads what there is, though a read may have ended early.
func (h *handle) read(stream string, offset uint64, limit int) []core.Entry {
	h.t.Helper()
	entries := h.part(stream, offset, limit)
	for last := entries; sizeOf(last) >= core.MaxReadBytes && len(entries) < limit; entries = append(entries, last...) {
		last = h.part(stream, entries[len(entries)-1].Sequence+1, limit-len(entries))
	}
	return entries
}

func sizeOf(entries []core.Entry) (size int) {
	for _, entry := range entries {
		size += len(entry.Payload)
	}
	return size
}

// part reads once.
func (h *handle) part(stream string, offset uint64, limit int) []core.Entry {
	h.t.Helper()
	entries, err := h.ReadFrom(h.t.Context(), stream, offset, limit)
	if err != nil {
		h.t.Fatalf("read %.40q from %d, limit %d: %v", stream, offset, limit, err)
	}
	return entries
}

func (h *handle) readAt(stream string, sequence uint64) (core.Entry, bool) {
	h.t.Helper()
	entry, ok, err := h.ReadAt(h.t.Context(), stream, sequence)
	if err != nil {
		h.t.Fatalf("read %.40q at %d: %v", stream, sequence, err)
	}
	return entry, ok
}

func (h *handle) scan(prefix string) []core.Entry {
	h.t.Helper()
	entries, err := h.Scan(h.t.Context(), prefix)
	if err != nil {
		h.t.Fatalf("scan %.40q: %v", prefix, err)
	}
	return entries
}

func (h *handle) streams(prefix string) []core.StreamInfo {
	h.t.Helper()
	streams, err := h.Streams(h.t.Context(), prefix)
	if err != nil {
		h.t.Fatalf("streams %.40q: %v", prefix, err)
	}
	return streams
}

func (h *handle) delete(stream string) {
	h.t.Helper()
	if err := h.Delete(h.t.Context(), stream); err != nil {
		h.t.Fatalf("delete %.40q: %v", stream, err)
	}
}

func (h *handle) swap(key string, old, value uint64) {
	h.t.Helper()
	if err := h.CompareAndSwap(h.t.Context(), key, old, value); err != nil {
		h.t.Fatalf("swap %.40q from %d to %d: %v", key, old, value, err)
	}
}

// wantValue checks the value of key, where 0 means that it must be absent.
func (h *handle) wantValue(key string, want uint64) {
	h.t.Helper()
	value, ok, err := h.ReadValue(h.t.Context(), key)
	if err != nil || value != want || ok != (want != 0) {
		h.t.Fatalf("value of %.40q is %d, present %t, error %v; want %d", key, value, ok, err, want)
	}
}

// wantLog checks that stream consists of want and nothing else.
func (h *handle) wantLog(stream string, want []core.Entry) {
	h.t.Helper()
	wantEntries(h.t, fmt.Sprintf("log of %.40q", stream), h.read(stream, 0, all), want)
}

// wantStreams checks what Streams says of the names that begin with prefix.
func (h *handle) wantStreams(prefix string, want ...core.StreamInfo) {
	h.t.Helper()
	got := h.streams(prefix)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			h.t.Fatalf("streams %.40q: %d is {%.40q %d}, want {%.40q %d}",
				prefix, i, got[i].Name, got[i].Head, want[i].Name, want[i].Head)
		}
	}
	if len(got) != len(want) {
		h.t.Fatalf("streams %.40q: %d are listed, want %d", prefix, len(got), len(want))
	}
}

// log returns the entries that payloads make from sequence first on.
func log(stream string, first uint64, payloads ...string) []core.Entry {
	entries := make([]core.Entry, len(payloads))
	for i, payload := range payloads {
		entries[i] = core.Entry{Stream: stream, Sequence: first + uint64(i), Payload: []byte(payload)}
	}
	return entries
}

// tombstone returns what a deletion leaves of stream at head sequence.
func tombstone(stream string, sequence uint64) core.Entry {
	return core.Entry{Stream: stream, Sequence: sequence, Tombstone: true}
}

// wantEntries compares all but the timestamps, which are informative.
func wantEntries(t testing.TB, what string, got, want []core.Entry) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !same(got[i], want[i]) {
			t.Fatalf("%s: entry %d of %d is %s, want %s", what, i, len(got), show(got[i]), show(want[i]))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d entries, want %d", what, len(got), len(want))
	}
}

func same(a, b core.Entry) bool {
	return a.Stream == b.Stream && a.Sequence == b.Sequence && a.Tombstone == b.Tombstone && bytes.Equal(a.Payload, b.Payload)
}

func show(e core.Entry) string {
	if e.Tombstone {
		return fmt.Sprintf("{%.40q %d tombstone %.40q}", e.Stream, e.Sequence, e.Payload)
	}
	return fmt.Sprintf("{%.40q %d, %d bytes %.40q}", e.Stream, e.Sequence, len(e.Payload), e.Payload)
}

// wantCode checks that err says code.
func wantCode(t testing.TB, what string, err error, code core.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("%s: error is %v, want %s", what, err, code)
	}
}

// wantConflict checks that err is a sequence conflict with all its numbers.
func wantConflict(t testing.TB, err error, stream string, expected, actual uint64) {
	t.Helper()
	want := core.SequenceConflictError{Stream: stream, Expected: expected, Actual: actual}
	var conflict *core.SequenceConflictError
	if !errors.As(err, &conflict) || *conflict != want {
		t.Fatalf("append %.40q at %d: error is %v, want %v", stream, expected, err, &want)
	}
	wantCode(t, "append", err, core.ErrSequenceConflict)
}

// wantRegression checks that err is a lost compare-and-swap.
func wantRegression(t testing.TB, err error, key string, stored, attempted uint64) {
	t.Helper()
	want := core.CursorRegressionError{Key: key, Stored: stored, Attempted: attempted}
	var regression *core.CursorRegressionError
	if !errors.As(err, &regression) || *regression != want {
		t.Fatalf("swap %.40q from %d: error is %v, want %v", key, attempted, err, &want)
	}
	wantCode(t, "swap", err, core.ErrCursorRegression)
}

// numbered returns n payloads that tell their sequences from first on.
func numbered(first uint64, n int) []string {
	payloads := make([]string, n)
	for i := range payloads {
		payloads[i] = fmt.Sprint("event ", first+uint64(i))
	}
	return payloads
}

func byteSlices(payloads []string) [][]byte {
	converted := make([][]byte, len(payloads))
	for i, payload := range payloads {
		converted[i] = []byte(payload)
	}
	return converted
}

// filler returns n bytes that repeat nowhere near a power of two.
func filler(n int) string {
	return strings.Repeat("0123456789abcdef!", n/17+1)[:n]
}
