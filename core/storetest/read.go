package storetest

import (
	"fmt"
	"math"
	"strings"

	"github.com/holdfast-dev/holdfast/core"
)

var readStories = []story{
	{"read from every offset with many limits", func(s *stage) {
		h := s.open()
		var head uint64
		// Other streams around it must not show through.
		h.append("cha", 0, numbered(0, 9)...)
		h.append("chatt", 0, numbered(0, 9)...)
		for _, size := range []int{1, 2, 7, 100, 1, 1, 7, 2} {
			head = h.append("chat", head, numbered(head, size)...)
		}
		want := log("chat", 0, numbered(0, int(head))...)
		for offset := range head + 3 {
			from := want[min(offset, head):]
			for _, limit := range []int{0, 1, 2, 3, 7, 8, 100, 101, int(head), all} {
				what := fmt.Sprintf("read from %d, limit %d", offset, limit)
				wantEntries(s, what, h.read("chat", offset, limit), from[:min(limit, len(from))])
			}
		}
	}},
	{"read in pages sees every entry once", func(s *stage) {
		h := s.open()
		for head := uint64(0); head < 150; {
			head = h.append("chat", head, numbered(head, 1+int(head)%4)...)
		}
		for _, page := range []int{1, 10, 64} {
			var got []core.Entry
			for {
				entries := h.read("chat", uint64(len(got)), page)
				got = append(got, entries...)
				if len(entries) < page {
					break
				}
			}
			wantEntries(s, fmt.Sprintf("pages of %d", page), got, log("chat", 0, numbered(0, len(got))...))
			if len(got) < 150 {
				s.Fatalf("pages of %d: %d entries, want at least 150", page, len(got))
			}
		}
	}},
	{"read of large entries may end early", func(s *stage) {
		h := s.open()
		large := strings.Repeat("x", core.MaxReadBytes/2+1)
		h.append("chat", 0, "a", "b")
		h.append("chat", 2, large)
		h.append("chat", 3, large)
		h.append("chat", 4, "c", large)
		h.append("chat", 6, "d")
		want := log("chat", 0, "a", "b", large, large, "c", large, "d")
		for offset := range want {
			for _, limit := range []int{1, 3, all} {
				from := want[offset:]
				from = from[:min(limit, len(from))]
				got := h.part("chat", uint64(offset), limit)
				if len(got) < len(from) && sizeOf(got) >= core.MaxReadBytes {
					from = from[:len(got)]
				}
				wantEntries(s, fmt.Sprintf("read from %d, limit %d", offset, limit), got, from)
				wantEntries(s, "in parts", h.read("chat", uint64(offset), all), want[offset:])
			}
		}
	}},
	{"read of an absent stream is empty", func(s *stage) {
		h := s.open()
		h.append("b", 0, "x")
		for _, name := range []string{"a", "b\x01", "bb", "c"} {
			for _, offset := range []uint64{0, 1, math.MaxUint64} {
				wantEntries(s, name, h.read(name, offset, all), nil)
				if entry, ok := h.readAt(name, offset); ok {
					s.Fatalf("absent stream %q has %s", name, show(entry))
				}
			}
		}
	}},
	{"read far behind the head is empty", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a", "b")
		h.append("chats", 0, "c")
		for _, offset := range []uint64{2, 3, 255, 1 << 32, core.MaxSequence - 1, core.MaxSequence, core.MaxSequence + 1, 1 << 63, math.MaxUint64} {
			wantEntries(s, fmt.Sprintf("read from %d", offset), h.read("chat", offset, all), nil)
			if entry, ok := h.readAt("chat", offset); ok {
				s.Fatalf("read at %d: %s", offset, show(entry))
			}
		}
	}},
	{"read with a negative limit is refused", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a")
		for _, limit := range []int{-1, math.MinInt} {
			_, err := h.ReadFrom(s.Context(), "chat", 0, limit)
			wantCode(s, fmt.Sprintf("limit %d", limit), err, core.ErrInvalidArgument)
		}
	}},
	{"read at finds each entry of each batch", func(s *stage) {
		h := s.open()
		h.append("cha", 0, numbered(0, 20)...)
		var head uint64
		for _, size := range []int{2, 1, 7, 1} {
			head = h.append("chat", head, numbered(head, size)...)
		}
		for i, want := range log("chat", 0, numbered(0, int(head))...) {
			entry, ok := h.readAt("chat", uint64(i))
			if !ok || !same(entry, want) {
				s.Fatalf("read at %d: %s, present %t, want %s", i, show(entry), ok, show(want))
			}
		}
		for sequence := head; sequence < head+10; sequence++ {
			if entry, ok := h.readAt("chat", sequence); ok {
				s.Fatalf("read at %d: %s, want none", sequence, show(entry))
			}
		}
	}},
}
