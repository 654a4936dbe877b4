package storetest

import (
	"fmt"

	"github.com/holdfast-dev/holdfast/core"
)

var deleteStories = []story{
	{"delete leaves a tombstone at the head", func(s *stage) {
		h, other := s.open(), s.open()
		h.append("chat", 0, "a")
		h.append("chat", 1, "b", "c")
		h.delete("chat")
		want := []core.Entry{tombstone("chat", 3)}
		for _, h := range []*handle{h, other} {
			h.wantLog("chat", want)
			wantEntries(s, "scan", h.scan("ch"), want)
			wantDeletedReads(s, h, "chat", want)
		}
	}},
	{"delete makes old writers conflict", func(s *stage) {
		h, old := s.open(), s.open()
		h.append("chat", 0, "a", "b")
		h.delete("chat")
		for _, expected := range []uint64{2, 0, 1, 4} {
			_, err := old.Append(s.Context(), "chat", expected, []byte("late"), []byte("later"))
			wantConflict(s, err, "chat", expected, 3)
		}
		old.append("chat", 3, "c")
		h.wantLog("chat", append([]core.Entry{tombstone("chat", 2)}, log("chat", 3, "c")...))
	}},
	{"append goes on behind a tombstone", func(s *stage) {
		h := s.open()
		h.append("chat", 0, numbered(0, 10)...)
		h.delete("chat")
		h.append("chat", 11, "event 11")
		h.append("chat", 12, numbered(12, 5)...)
		want := append([]core.Entry{tombstone("chat", 10)}, log("chat", 11, numbered(11, 6)...)...)
		h.wantLog("chat", want)
		wantEntries(s, "scan", h.scan(""), want)
		wantDeletedReads(s, h, "chat", want)
	}},
	{"deleted streams are listed again after an append", func(s *stage) {
		h := s.open()
		h.append("a", 0, "x")
		h.append("b", 0, "x", "y")
		h.append("c", 0, "x")
		h.delete("b")
		h.wantStreams("", core.StreamInfo{Name: "a", Head: 1}, core.StreamInfo{Name: "c", Head: 1})
		h.delete("a")
		h.delete("c")
		h.wantStreams("")
		h.append("b", 3, "z")
		h.wantStreams("", core.StreamInfo{Name: "b", Head: 4})
	}},
	{"delete of an absent stream does nothing", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a")
		for _, name := range []string{"cha", "chat\x01", "chatt", "d"} {
			h.delete(name)
			h.wantLog(name, nil)
			h.append(name, 0, "first")
		}
		h.wantLog("chat", log("chat", 0, "a"))
	}},
	{"delete of a deleted stream does nothing", func(s *stage) {
		h, other := s.open(), s.open()
		h.append("chat", 0, "a")
		h.delete("chat")
		h.delete("chat")
		other.delete("chat")
		h.wantLog("chat", []core.Entry{tombstone("chat", 1)})
		h.append("chat", 2, "b")
	}},
	{"delete again after new entries moves the tombstone", func(s *stage) {
		h := s.open()
		head := uint64(0)
		for range 3 {
			head = h.append("chat", head, numbered(head, 2)...)
			head = h.append("chat", head, "last")
			h.delete("chat")
			h.wantLog("chat", []core.Entry{tombstone("chat", head)})
			head++
		}
		h.append("chat", 12, "a")
	}},
	{"delete removes one stream and all of it", func(s *stage) {
		h := s.open()
		neighbours := []string{"a", "a\x01", "a\x01\x01", "aa", "b"}
		for _, name := range neighbours {
			for head := uint64(0); head < 20; {
				head = h.append(name, head, fmt.Sprint("event ", head))
			}
		}
		h.append("a\x01", 20, numbered(20, 100)...)
		h.delete("a\x01")
		var want []core.Entry
		for _, name := range neighbours {
			if name == "a\x01" {
				want = append(want, tombstone(name, 120))
			} else {
				want = append(want, log(name, 0, numbered(0, 20)...)...)
			}
		}
		wantEntries(s, "scan", h.scan(""), want)
	}},
}

// wantDeletedReads reads stream, of which want is left, at all offsets.
func wantDeletedReads(s *stage, h *handle, stream string, want []core.Entry) {
	s.Helper()
	first := want[0].Sequence
	head := first + uint64(len(want))
	for offset := range head + 2 {
		from := want[min(max(offset, first)-first, uint64(len(want))):]
		for _, limit := range []int{0, 1, 2, 3, all} {
			what := fmt.Sprintf("read from %d, limit %d", offset, limit)
			wantEntries(s, what, h.read(stream, offset, limit), from[:min(limit, len(from))])
		}
		entry, ok := h.readAt(stream, offset)
		if wantOK := offset >= first && offset < head; ok != wantOK || ok && !same(entry, from[0]) {
			s.Fatalf("read at %d: %s, present %t, want present %t", offset, show(entry), ok, wantOK)
		}
	}
}
