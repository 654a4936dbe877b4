package storetest

import (
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

var appendStories = []story{
	{"append numbers entries from 0", func(s *stage) {
		h := s.open()
		for i := range uint64(5) {
			h.append("chat", i, fmt.Sprint("event ", i))
		}
		h.wantLog("chat", log("chat", 0, numbered(0, 5)...))
	}},
	{"append numbers batches without gaps", func(s *stage) {
		h := s.open()
		head := uint64(0)
		for _, size := range []int{1, 2, 7, 1, 100, 3} {
			head = h.append("chat", head, numbered(head, size)...)
		}
		h.wantLog("chat", log("chat", 0, numbered(0, 114)...))
		h.wantStreams("", core.StreamInfo{Name: "chat", Head: 114})
	}},
	{"append of no payloads is refused", func(s *stage) {
		h := s.open()
		_, err := h.Append(s.Context(), "chat", 0)
		wantCode(s, "append of nothing", err, core.ErrInvalidArgument)
		h.wantLog("chat", nil)
	}},
	{"append of empty payloads makes entries", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "")
		if _, err := h.Append(s.Context(), "chat", 1, nil, []byte{}, []byte("x"), nil); err != nil {
			s.Fatal(err)
		}
		h.wantLog("chat", log("chat", 0, "", "", "", "x", ""))
		h.append("chat", 5, "y")
		h.wantLog("chat", log("chat", 0, "", "", "", "x", "", "y"))
	}},
	{"append takes 5000 payloads at once", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "event 0")
		h.append("chat", 1, numbered(1, 5000)...)
		h.append("chat", 5001, "event 5001")
		h.wantLog("chat", log("chat", 0, numbered(0, 5002)...))
		wantEntries(s, "middle", h.read("chat", 4000, 3), log("chat", 4000, numbered(4000, 3)...))
	}},
	{"streams are independent", func(s *stage) {
		h := s.open()
		h.append("one", 0, "a")
		h.append("two", 0, "b", "c")
		h.append("one", 1, "d")
		h.wantLog("one", log("one", 0, "a", "d"))
		h.wantLog("two", log("two", 0, "b", "c"))
		h.wantLog("absent", nil)
	}},
	{"a second handle goes on where the first stopped", func(s *stage) {
		one, two := s.open(), s.open()
		one.append("chat", 0, "a")
		two.append("chat", 1, "b", "c")
		one.append("chat", 3, "d")
		for _, h := range []*handle{one, two} {
			h.wantLog("chat", log("chat", 0, "a", "b", "c", "d"))
		}
	}},
	{"timestamps are milliseconds and stay", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a", "b")
		h.delete("chat")
		h.append("chat", 3, "c")
		again := s.open().read("chat", 0, all)
		for i, entry := range h.read("chat", 0, all) {
			// A clock may jump, but not by an hour during a test.
			if age := time.Since(time.UnixMilli(entry.Timestamp)); age.Abs() > time.Hour {
				s.Errorf("entry %s was taken %v ago", show(entry), age)
			}
			if again[i].Timestamp != entry.Timestamp {
				s.Errorf("entry %s has timestamp %d, then %d", show(entry), entry.Timestamp, again[i].Timestamp)
			}
		}
	}},
}
