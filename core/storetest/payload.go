package storetest

import (
	"bytes"
	"fmt"

	"github.com/holdfast-dev/holdfast/core"
)

var payloadStories = []story{
	{"payloads keep their bytes", func(s *stage) {
		h := s.open()
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		payloads := []string{string(every), "\x00", "\xff\xfe", "\xed\xa0\x80", "\r\n", filler(1 << 20), filler(1<<16 - 1), ""}
		h.append("chat", 0, payloads...)
		for i, payload := range payloads {
			h.append("chat", uint64(len(payloads)+i), payload)
		}
		s.open().wantLog("chat", log("chat", 0, append(payloads, payloads...)...))
	}},
	{"payload of the greatest size", func(s *stage) {
		h := s.open()
		large := filler(core.MaxPayloadBytes)
		h.append("chat", 0, "a", large)
		h.append("chat", 2, "b")
		h.wantLog("chat", log("chat", 0, "a", large, "b"))
	}},
	{"payloads and batches over the limit are refused", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a")
		tooLarge := make([]byte, core.MaxPayloadBytes+1)
		greatest := tooLarge[:core.MaxPayloadBytes]
		batch := make([][]byte, core.MaxBatchBytes/core.MaxPayloadBytes)
		for i := range batch {
			batch[i] = greatest // one slice many times: the limit holds before anything is copied
		}
		for what, payloads := range map[string][][]byte{
			"payload":           {tooLarge},
			"payload in batch":  {[]byte("b"), tooLarge, []byte("c")},
			"batch by one byte": append(batch, []byte("b")),
		} {
			_, err := h.Append(s.Context(), "chat", 1, payloads...)
			wantCode(s, what, err, core.ErrTooLarge)
			h.wantLog("chat", log("chat", 0, "a"))
		}
	}},
	{"payloads given stay the caller's", func(s *stage) {
		h := s.open()
		one, two := []byte("one"), []byte("two")
		batch := [][]byte{one, two}
		if _, err := h.Append(s.Context(), "chat", 0, batch...); err != nil {
			s.Fatal(err)
		}
		copy(one, "XXX")
		batch[1] = []byte("YYY")
		copy(two, "ZZZ")
		h.wantLog("chat", log("chat", 0, "one", "two"))
		s.open().wantLog("chat", log("chat", 0, "one", "two"))
	}},
	{"payloads read are the reader's", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "one", "two")
		want := log("chat", 0, "one", "two")
		single, _ := h.readAt("chat", 0)
		for _, entry := range []core.Entry{h.read("chat", 0, all)[0], h.scan("")[0], single} {
			for i := range entry.Payload {
				entry.Payload[i] = 'X'
			}
			// Growing one payload must not run into the next.
			_ = append(entry.Payload, "XXXXXXXXXXXX"...)
		}
		h.wantLog("chat", want)
		wantEntries(s, "scan", h.scan(""), want)
	}},
	{"payloads of one answer do not overlap", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "one", "two", "three")
		for what, entries := range map[string][]core.Entry{"read": h.read("chat", 0, all), "scan": h.scan("")} {
			_ = append(entries[0].Payload, bytes.Repeat([]byte("X"), 64)...)
			copy(entries[1].Payload, "YYY")
			wantEntries(s, fmt.Sprint(what, " after changes"), entries, log("chat", 0, "one", "YYY", "three"))
		}
	}},
}
