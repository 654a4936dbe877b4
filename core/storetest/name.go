package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/core"
)

// oddNames are valid names that a careless store confuses, refuses or sorts
// wrongly. They stand in the contract's order, by the bytes of their UTF-8;
// UTF-16 would put everything from U+10000 on before U+E000.
var oddNames = []string{
	"\x01", "\x01\x01", "\x01a", " ", " a", "\"", "%00", "..", "/", "0", "1", "10", "2", "A", "\\u0000", "__proto__",
	"a", "a\x01", "a\n", "a ", "a/b", "aa", "ab", "b", "constructor",
	"e\u0301", // é in two code points
	strings.Repeat("x", core.MaxNameBytes-1), strings.Repeat("x", core.MaxNameBytes),
	"\x7f", "\u0080",
	"\u00e9", // é in one
	strings.Repeat("\u00e9", core.MaxNameBytes/2),
	"\u07ff", "\u0800", "\u2028", "\u65e5\u672c", "\ud7ff", "\ue000", "\ufeff", "\ufeffa", "\ufffd", "\ufffe", "\uffff", "\uffffa",
	"\U00010000", "\U0001f600", "\U0010ffff", "\U0010ffffa",
}

// badNames are refused as names; all but the empty one also as prefixes.
var badNames = []string{
	"", "\x00", "a\x00", "\x00a", "a\x00b", "\xff", "a\x80", "\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80",
	strings.Repeat("x", core.MaxNameBytes+1), strings.Repeat("\u00e9", core.MaxNameBytes/2) + "a",
}

var nameStories = []story{
	{"odd names name different streams in byte order", func(s *stage) {
		h := s.open()
		var wantScan []core.Entry
		var wantStreams []core.StreamInfo
		for i, name := range slices.Backward(oddNames) {
			h.append(name, 0, numbered(0, 1+i%3)...)
		}
		for i, name := range oddNames {
			n := 1 + i%3
			h.wantLog(name, log(name, 0, numbered(0, n)...))
			wantScan = append(wantScan, log(name, 0, numbered(0, n)...)...)
			wantStreams = append(wantStreams, core.StreamInfo{Name: name, Head: uint64(n)})
		}
		wantEntries(s, "scan", h.scan(""), wantScan)
		h.wantStreams("", wantStreams...)
	}},
	{"prefixes select by bytes", func(s *stage) {
		h := s.open()
		prefixes := []string{"", "z", "aaa", "\u65e5", "\u65e6"}
		for _, name := range oddNames {
			_, first := utf8.DecodeRuneInString(name)
			prefixes = append(prefixes, name, name[:first])
			h.append(name, 0, "a")
			h.append(name, 1, "b", "c")
		}
		slices.Sort(prefixes)
		for _, prefix := range slices.Compact(prefixes) {
			var wantScan []core.Entry
			var wantStreams []core.StreamInfo
			for _, name := range oddNames {
				if strings.HasPrefix(name, prefix) {
					wantScan = append(wantScan, log(name, 0, "a", "b", "c")...)
					wantStreams = append(wantStreams, core.StreamInfo{Name: name, Head: 3})
				}
			}
			wantEntries(s, fmt.Sprintf("scan %.40q", prefix), h.scan(prefix), wantScan)
			h.wantStreams(prefix, wantStreams...)
		}
	}},
	{"odd names name different keys", func(s *stage) {
		h := s.open()
		for i, name := range oddNames {
			h.swap(name, 0, uint64(i)+1)
		}
		for i, name := range oddNames {
			h.wantValue(name, uint64(i)+1)
		}
	}},
	{"bad names are refused by every method", func(s *stage) {
		h := s.open()
		for _, name := range badNames {
			for _, call := range calls {
				if call.takes == nothing || call.takes == aPrefix && name == "" {
					continue
				}
				wantCode(s, fmt.Sprintf("%s of %.40q", call.name, name), call.make(s.Context(), h, name), core.ErrInvalidArgument)
			}
		}
		wantEntries(s, "scan", h.scan(""), nil)
	}},
}

// calls has every method that can fail, with arguments that succeed for a
// name that is not in use. Those that write come first.
var calls = []struct {
	name  string
	takes argument
	make  func(ctx context.Context, store core.DurableStore, name string) error
}{
	{"append", aName, func(ctx context.Context, store core.DurableStore, name string) error {
		_, err := store.Append(ctx, name, 0, []byte("a"), []byte("b"))
		return err
	}},
	{"compare-and-swap", aName, func(ctx context.Context, store core.DurableStore, name string) error {
		return store.CompareAndSwap(ctx, name, 0, 1)
	}},
	{"delete", aName, func(ctx context.Context, store core.DurableStore, name string) error {
		return store.Delete(ctx, name)
	}},
	{"flush", nothing, func(ctx context.Context, store core.DurableStore, name string) error {
		return store.Flush(ctx)
	}},
	{"read from", aName, func(ctx context.Context, store core.DurableStore, name string) error {
		_, err := store.ReadFrom(ctx, name, 0, 1)
		return err
	}},
	{"read at", aName, func(ctx context.Context, store core.DurableStore, name string) error {
		_, _, err := store.ReadAt(ctx, name, 0)
		return err
	}},
	{"read value", aName, func(ctx context.Context, store core.DurableStore, name string) error {
		_, _, err := store.ReadValue(ctx, name)
		return err
	}},
	{"scan", aPrefix, func(ctx context.Context, store core.DurableStore, name string) error {
		_, err := store.Scan(ctx, name)
		return err
	}},
	{"streams", aPrefix, func(ctx context.Context, store core.DurableStore, name string) error {
		_, err := store.Streams(ctx, name)
		return err
	}},
}

// argument is what a call does with the name it is given.
type argument int

const (
	nothing argument = iota
	aName
	aPrefix
)
