package storetest

import (
	"context"
	"fmt"

	"github.com/holdfast-dev/holdfast/core"
)

// check reads everything through a new handle and fails unless it is
// consistent: names strictly ordered, every stream contiguous from 0 or from a
// tombstone, and Scan, ReadFrom, ReadAt and Streams of one mind.
func (s *stage) check() {
	s.Helper()
	h := s.open()
	scanned := h.scan("")
	listed := h.streams("")
	previous := ""
	for len(scanned) > 0 {
		name := scanned[0].Stream
		if name <= previous {
			s.Fatalf("check: stream %.40q comes after %.40q", name, previous)
		}
		previous = name
		n := 0
		for n < len(scanned) && scanned[n].Stream == name {
			n++
		}
		s.checkStream(h, scanned[:n])
		scanned = scanned[n:]
		listed = s.checkListed(h, listed, name)
	}
	if len(listed) > 0 {
		s.Fatalf("check: stream %+v is listed and has no entries", listed[0])
	}
}

// checkStream checks one stream, given all that Scan says of it.
func (s *stage) checkStream(h *handle, scanned []core.Entry) {
	s.Helper()
	name := scanned[0].Stream
	wantEntries(s, fmt.Sprintf("check: read of %.40q against scan", name), h.read(name, 0, all), scanned)
	for i, entry := range scanned {
		if entry.Tombstone && (i > 0 || len(entry.Payload) > 0) {
			s.Fatalf("check: entry %d is %s; a tombstone is first and empty", i, show(entry))
		}
		if i == 0 && !entry.Tombstone && entry.Sequence != 0 {
			s.Fatalf("check: the log begins with %s, neither at 0 nor with a tombstone", show(entry))
		}
		if want := scanned[0].Sequence + uint64(i); entry.Sequence != want {
			s.Fatalf("check: entry %d is %s, want sequence %d", i, show(entry), want)
		}
	}
	if inspector, ok := h.DurableStore.(core.Inspector); ok {
		s.checkInspected(inspector, name, scanned)
	}
	last := scanned[len(scanned)-1]
	if entry, ok := h.readAt(name, last.Sequence); !ok || !same(entry, last) {
		s.Fatalf("check: last entry is %s, present %t, want %s", show(entry), ok, show(last))
	}
	if entry, ok := h.readAt(name, last.Sequence+1); ok {
		s.Fatalf("check: %s is behind the last entry", show(entry))
	}
}

// checkInspected checks that an inspection finds all of a stream, and no damage.
func (s *stage) checkInspected(inspector core.Inspector, name string, scanned []core.Entry) {
	s.Helper()
	var found []core.Entry
	for offset := uint64(0); ; {
		part, err := inspector.Inspect(context.Background(), name, offset)
		if err != nil || len(part.Damage) > 0 {
			s.Fatalf("check: inspection of %.40q from %d: %+v, %v", name, offset, part.Damage, err)
		}
		if part.End == offset {
			break
		}
		found, offset = append(found, part.Entries...), part.End
	}
	wantEntries(s, fmt.Sprintf("check: inspection of %.40q against scan", name), found, scanned)
}

// checkListed checks that listed begins with name and its head, unless only a
// tombstone is left of it, and returns the rest of listed.
func (s *stage) checkListed(h *handle, listed []core.StreamInfo, name string) []core.StreamInfo {
	s.Helper()
	entries := h.read(name, 0, all)
	last := entries[len(entries)-1]
	if last.Tombstone {
		if len(listed) > 0 && listed[0].Name == name {
			s.Fatalf("check: deleted stream %.40q is listed", name)
		}
		return listed
	}
	want := core.StreamInfo{Name: name, Head: last.Sequence + 1}
	if len(listed) == 0 || listed[0] != want {
		s.Fatalf("check: listed are %.200v, want next %+v", listed, want)
	}
	return listed[1:]
}
