package storetest

import (
	"fmt"

	"github.com/holdfast-dev/holdfast/core"
)

var conflictStories = []story{
	{"conflict tells expected and actual", func(s *stage) {
		writer, other := s.open(), s.open()
		for _, c := range []struct {
			name     string
			batches  []int // the stream before the append
			expected []uint64
		}{
			{"absent", nil, []uint64{1, 2, 1000, core.MaxSequence - 9}},
			{"one", []int{1}, []uint64{0, 2, core.MaxSequence - 9}},
			{"batch", []int{7}, []uint64{0, 1, 3, 6, 8}}, // 1 to 6 lie within one batch
			{"mixed", []int{2, 1, 100, 7}, []uint64{0, 2, 3, 50, 102, 103, 109, 111, 255, 256, 1 << 32}},
		} {
			head := uint64(0)
			for _, size := range c.batches {
				head = writer.append(c.name, head, numbered(head, size)...)
			}
			for _, expected := range c.expected {
				for _, h := range []*handle{writer, other} {
					_, err := h.Append(s.Context(), c.name, expected, []byte("late"))
					wantConflict(s, err, c.name, expected, head)
				}
			}
			writer.wantLog(c.name, log(c.name, 0, numbered(0, int(head))...))
		}
	}},
	{"conflict far behind many appends", func(s *stage) {
		writer, late := s.open(), s.open()
		late.append("chat", 0, "event 0")
		for head := uint64(1); head < 130; {
			head = writer.append("chat", head, fmt.Sprint("event ", head))
		}
		for _, expected := range []uint64{0, 1, 63, 64, 65, 129, 131} {
			_, err := late.Append(s.Context(), "chat", expected, []byte("late"))
			wantConflict(s, err, "chat", expected, 130)
		}
		late.wantLog("chat", log("chat", 0, numbered(0, 130)...))
		late.append("chat", 130, "event 130")
		writer.wantLog("chat", log("chat", 0, numbered(0, 131)...))
	}},
	{"conflict writes nothing of a batch", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a", "b")
		for _, expected := range []uint64{0, 1, 3, 4} {
			_, err := h.Append(s.Context(), "chat", expected, []byte("x"), []byte("y"), []byte("z"))
			wantConflict(s, err, "chat", expected, 2)
			h.wantLog("chat", log("chat", 0, "a", "b"))
		}
		_, err := h.Append(s.Context(), "absent", 3, []byte("x"), []byte("y"))
		wantConflict(s, err, "absent", 3, 0)
		h.wantLog("absent", nil)
		h.wantStreams("absent")
		h.append("chat", 2, "c")
		h.wantLog("chat", log("chat", 0, "a", "b", "c"))
	}},
	{"appending the same again conflicts", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a")
		_, err := h.Append(s.Context(), "chat", 0, []byte("a"))
		wantConflict(s, err, "chat", 0, 1)
		h.wantLog("chat", log("chat", 0, "a"))
	}},
	{"sequences end at 2^53-1", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a")
		for _, c := range []struct {
			expected uint64
			payloads int
		}{
			{core.MaxSequence, 1}, {core.MaxSequence - 1, 2}, {core.MaxSequence - 99, 100},
			{core.MaxSequence + 1, 1}, {1 << 63, 1}, {1<<64 - 1, 1}, {1<<64 - 1, 2},
		} {
			_, err := h.Append(s.Context(), "chat", c.expected, make([][]byte, c.payloads)...)
			wantCode(s, fmt.Sprintf("append of %d at %d", c.payloads, c.expected), err, core.ErrOutOfRange)
		}
		// The last sequences are valid ones; this stream is just not that long.
		_, err := h.Append(s.Context(), "chat", core.MaxSequence-1, nil)
		wantConflict(s, err, "chat", core.MaxSequence-1, 1)
		h.wantLog("chat", log("chat", 0, "a"))
	}},
}
