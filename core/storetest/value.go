package storetest

import (
	"fmt"
	"math"

	"github.com/holdfast-dev/holdfast/core"
)

var valueStories = []story{
	{"compare-and-swap follows its table", func(s *stage) {
		h := s.open()
		for i, c := range []struct{ stored, old, value uint64 }{
			{0, 0, 1}, // absent equals 0
			{0, 0, 0}, // and 0 is never stored
			{0, 1, 2}, // wrong old values
			{0, 1, 0},
			{0, math.MaxUint64, 1},
			{5, 0, 6},
			{5, 0, 0},
			{5, 4, 6},
			{5, 6, 5},
			{5, 6, 0},
			{5, 5, 6}, // right ones, up and down
			{5, 5, 5},
			{5, 5, 4},
			{5, 5, 0}, // 0 removes
			{0, 0, math.MaxUint64},
			{math.MaxUint64, math.MaxUint64, 1},
			{math.MaxUint64, math.MaxUint64 - 1, 1}, // one number after rounding to float64
			{math.MaxUint64, 0, 1},
			{1<<53 + 1, 1 << 53, 1},
			{1 << 53, 1<<53 + 1, 1},
			{1<<53 + 1, 1<<53 + 1, 1<<53 + 3},
			{1<<63 + 1, 1 << 63, 0},
			{1 << 63, 1 << 63, 1<<63 - 1},
		} {
			key := fmt.Sprint("key ", i)
			if c.stored != 0 {
				h.swap(key, 0, c.stored)
			}
			h.wantValue(key, c.stored)
			err := h.CompareAndSwap(s.Context(), key, c.old, c.value)
			switch {
			case c.old != c.stored:
				wantRegression(s, err, key, c.stored, c.old)
				h.wantValue(key, c.stored)
			case err != nil:
				s.Fatalf("swap of stored %d from %d to %d: %v", c.stored, c.old, c.value, err)
			default:
				h.wantValue(key, c.value)
				s.open().wantValue(key, c.value)
			}
		}
	}},
	{"a removed value is absent and can be set again", func(s *stage) {
		one, two := s.open(), s.open()
		one.swap("cursor", 0, 7)
		two.swap("cursor", 7, 0)
		one.wantValue("cursor", 0)
		wantRegression(s, one.CompareAndSwap(s.Context(), "cursor", 7, 8), "cursor", 0, 7)
		one.swap("cursor", 0, 9)
		two.wantValue("cursor", 9)
	}},
	{"values and streams of one name are different things", func(s *stage) {
		h := s.open()
		h.swap("same", 0, 42)
		h.wantLog("same", nil)
		wantEntries(s, "scan", h.scan(""), nil)
		h.wantStreams("")
		h.append("same", 0, "a")
		h.append("other", 0, "b")
		h.wantValue("same", 42)
		h.wantValue("other", 0)
		h.swap("same", 42, 43)
		h.wantLog("same", log("same", 0, "a"))
		h.delete("same")
		h.wantValue("same", 43)
		h.swap("same", 43, 0)
		h.wantLog("same", []core.Entry{tombstone("same", 1)})
		h.wantStreams("", core.StreamInfo{Name: "other", Head: 1})
	}},
}
