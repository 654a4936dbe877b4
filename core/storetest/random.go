package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/core"
)

// The seeds are fixed, so that a failure on one store can be repeated on
// another; add one to search further.
var randomStories = []story{
	{"random calls agree with a model, seed 1", func(s *stage) { s.random(1) }},
	{"random calls agree with a model, seed 2", func(s *stage) { s.random(2) }},
	{"random calls agree with a model, seed 3", func(s *stage) { s.random(3) }},
}

// model is what a store must look like after the same calls.
type model struct {
	streams map[string][]core.Entry
	values  map[string]uint64
}

func (m *model) head(stream string) uint64 {
	if entries := m.streams[stream]; len(entries) > 0 {
		return entries[len(entries)-1].Sequence + 1
	}
	return 0
}

// live reports whether stream has entries besides a tombstone.
func (m *model) live(stream string) bool {
	entries := m.streams[stream]
	return len(entries) > 0 && !entries[len(entries)-1].Tombstone
}

// random makes random calls through two handles, which it reopens at times,
// and compares every answer with a model.
func (s *stage) random(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	names := []string{"a", "a\x01", "\u00e9"}
	m := &model{streams: make(map[string][]core.Entry), values: make(map[string]uint64)}
	handles := []*handle{s.open(), s.open()}
	step := 0
	defer func() {
		if s.Failed() {
			s.Logf("failed with seed %d at step %d", seed, step)
		}
	}()
	for ; step < 300; step++ {
		i := r.IntN(len(handles))
		h, name := handles[i], names[r.IntN(len(names))]
		switch r.IntN(13) {
		case 0, 1, 2, 3:
			s.randomAppend(r, h, m, name)
		case 4, 5:
			s.randomSwap(r, h, m, name)
		case 6:
			if r.IntN(3) == 0 {
				if m.live(name) {
					m.streams[name] = []core.Entry{tombstone(name, m.head(name))}
				}
				h.delete(name)
			}
		case 7:
			if r.IntN(4) == 0 {
				if err := h.Close(); err != nil {
					s.Fatal(err)
				}
				handles[i] = s.open()
			}
		case 8:
			sequence := nearby(r, m.head(name))
			want := slices.IndexFunc(m.streams[name], func(e core.Entry) bool { return e.Sequence == sequence })
			entry, ok := h.readAt(name, sequence)
			if ok != (want >= 0) || ok && !same(entry, m.streams[name][want]) {
				s.Fatalf("read %q at %d: %s, present %t", name, sequence, show(entry), ok)
			}
		case 9, 10:
			offset, limit := nearby(r, m.head(name)), r.IntN(20)
			want := slices.DeleteFunc(slices.Clone(m.streams[name]), func(e core.Entry) bool { return e.Sequence < offset })
			what := fmt.Sprintf("read %q from %d, limit %d", name, offset, limit)
			wantEntries(s, what, h.read(name, offset, limit), want[:min(limit, len(want))])
		default:
			s.compareAll(h, m, names, []string{"", "a", "a\x01", "b", "\u00e9"}[r.IntN(5)])
		}
	}
	s.compareAll(handles[0], m, names, "")
}

func (s *stage) randomAppend(r *rand.Rand, h *handle, m *model, name string) {
	s.Helper()
	payloads := make([]string, []int{1, 1, 1, 2, 7, 40}[r.IntN(6)])
	for i := range payloads {
		payloads[i] = filler(r.IntN(40))
	}
	head := m.head(name)
	if r.IntN(4) == 0 {
		if expected := nearby(r, head); expected != head {
			_, err := h.Append(s.Context(), name, expected, byteSlices(payloads)...)
			wantConflict(s, err, name, expected, head)
			return
		}
	}
	h.append(name, head, payloads...)
	m.streams[name] = append(m.streams[name], log(name, head, payloads...)...)
}

func (s *stage) randomSwap(r *rand.Rand, h *handle, m *model, key string) {
	s.Helper()
	stored := m.values[key]
	old, value := stored, uint64(r.IntN(3))*(1<<53+1)
	if r.IntN(3) == 0 {
		old = nearby(r, stored)
	}
	if old != stored {
		wantRegression(s, h.CompareAndSwap(s.Context(), key, old, value), key, stored, old)
	} else {
		h.swap(key, old, value)
		m.values[key] = value
	}
	h.wantValue(key, m.values[key])
}

// compareAll compares all values, and all streams that begin with prefix.
func (s *stage) compareAll(h *handle, m *model, names []string, prefix string) {
	s.Helper()
	var entries []core.Entry
	var streams []core.StreamInfo
	for _, name := range slices.Sorted(slices.Values(names)) {
		h.wantValue(name, m.values[name])
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		entries = append(entries, m.streams[name]...)
		if m.live(name) {
			streams = append(streams, core.StreamInfo{Name: name, Head: m.head(name)})
		}
	}
	wantEntries(s, fmt.Sprintf("scan %q", prefix), h.scan(prefix), entries)
	h.wantStreams(prefix, streams...)
}

// nearby returns n or a number that is mostly near it.
func nearby(r *rand.Rand, n uint64) uint64 {
	switch r.IntN(4) {
	case 0:
		return r.Uint64N(n + 1)
	case 1:
		return n + uint64(r.IntN(3))
	case 2:
		return n - min(n, uint64(r.IntN(10)))
	default:
		return n
	}
}
