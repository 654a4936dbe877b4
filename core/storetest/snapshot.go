package storetest

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

var snapshotStories = []story{
	{"a snapshot is there for every handle until the next", func(s *stage) {
		one, two := s.openSnapshotter(), s.openSnapshotter()
		one.append("chat", 0, "a", "b", "c")
		one.append("other", 0, "a")
		one.wantSnapshot("chat", "")
		for sequence := uint64(1); sequence <= 3; sequence++ {
			want := fmt.Sprint("state at ", sequence)
			one.save("chat", sequence, want)
			one.wantSnapshot("chat", want)
			two.wantSnapshot("chat", want)
			one.wantSnapshot("other", "")
			one, two = two, one
		}
		one.save("chat", 1, "an earlier one")
		two.wantSnapshot("chat", "an earlier one")
		if err := one.Close(); err != nil {
			s.Fatal(err)
		}
		s.openSnapshotter().wantSnapshot("chat", "an earlier one")
		two.wantLog("chat", log("chat", 0, "a", "b", "c"))
	}},
	{"a snapshot of what is not there is not kept", func(s *stage) {
		h := s.openSnapshotter()
		h.save("absent", 1, "x")
		h.wantSnapshot("absent", "")
		h.append("chat", 0, "a", "b")
		h.save("chat", 2, "x")
		h.save("chat", 3, "beyond the head")
		h.wantSnapshot("chat", "x")
	}},
	{"a snapshot is deleted with its stream", func(s *stage) {
		h, late := s.openSnapshotter(), s.openSnapshotter()
		names := []string{"a", "a\x01", "aa"}
		for _, name := range names {
			h.append(name, 0, "x", "y")
			h.save(name, 2, "state of "+name)
		}
		h.delete("a")
		for range 2 {
			h.wantSnapshot("a", "")
			for _, name := range names[1:] {
				h.wantSnapshot(name, "state of "+name)
			}
			// Who has not heard of the deletion saves what he has: 3 is the head
			// now, and before it is the tombstone.
			for sequence := uint64(1); sequence <= 3; sequence++ {
				late.save("a", sequence, "late")
			}
			late.wantSnapshot("a", "")
			h.delete("a") // again
		}
		h.append("a", 3, "z")
		late.save("a", 3, "late")
		late.wantSnapshot("a", "")
		h.save("a", 4, "new")
		late.wantSnapshot("a", "new")
	}},
	{"racing saves and deletions leave no snapshot behind", func(s *stage) {
		one, two := s.openSnapshotter(), s.openSnapshotter()
		head := uint64(0)
		for range 20 {
			head = one.append("chat", head, "a")
			wantAllNil(s, race(3, func(who int) error {
				switch who {
				case 0:
					return one.Delete(s.Context(), "chat")
				case 1:
					return one.SaveSnapshot(s.Context(), "chat", head, []byte("x"))
				default:
					return two.SaveSnapshot(s.Context(), "chat", head, []byte("x"))
				}
			}))
			head++
			one.wantSnapshot("chat", "")
		}
	}},
	{"snapshots keep their bytes", func(s *stage) {
		h := s.openSnapshotter()
		for _, name := range oddNames {
			h.append(name, 0, "x")
			h.save(name, 1, "state of "+name)
		}
		for _, name := range oddNames {
			h.wantSnapshot(name, "state of "+name)
		}
		name := oddNames[0]
		given := []byte("mine")
		if err := h.SaveSnapshot(s.Context(), name, 1, given); err != nil {
			s.Fatal(err)
		}
		given[0] = 'M'
		got, err := h.ReadSnapshot(s.Context(), name)
		if err != nil {
			s.Fatal(err)
		}
		got[1] = 'I'
		h.wantSnapshot(name, "mine")
		large := filler(core.MaxPayloadBytes)
		h.save(name, 1, large)
		h.wantSnapshot(name, large)
	}},
	{"bad snapshots are refused", func(s *stage) {
		h := s.openSnapshotter()
		h.append("chat", 0, "a")
		for _, c := range []struct {
			stream   string
			sequence uint64
			snapshot []byte
			want     core.Code
		}{
			{"", 1, []byte("x"), core.ErrInvalidArgument},
			{"\x00", 1, []byte("x"), core.ErrInvalidArgument},
			{"chat", 0, []byte("x"), core.ErrOutOfRange},
			{"chat", core.MaxSequence + 1, []byte("x"), core.ErrOutOfRange},
			{"chat", 1, nil, core.ErrInvalidArgument},
			{"chat", 1, make([]byte, core.MaxPayloadBytes+1), core.ErrTooLarge},
		} {
			what := fmt.Sprintf("save of %d bytes for %.40q at %d", len(c.snapshot), c.stream, c.sequence)
			wantCode(s, what, h.SaveSnapshot(s.Context(), c.stream, c.sequence, c.snapshot), c.want)
		}
		_, err := h.ReadSnapshot(s.Context(), "\xff")
		wantCode(s, "read for a bad name", err, core.ErrInvalidArgument)
		h.wantSnapshot("chat", "")
	}},
	{"snapshots heed the context and the end of the store", func(s *stage) {
		h := s.openSnapshotter()
		h.append("chat", 0, "a")
		h.save("chat", 1, "x")
		late, cancel := context.WithDeadline(s.Context(), time.Unix(1, 0))
		defer cancel()
		wantCode(s, "save", h.SaveSnapshot(late, "chat", 1, []byte("y")), core.ErrCancelled)
		_, err := h.ReadSnapshot(late, "chat")
		wantCode(s, "read", err, core.ErrCancelled)
		h.wantSnapshot("chat", "x")
		if err := h.Close(); err != nil {
			s.Fatal(err)
		}
		wantCode(s, "save after close", h.SaveSnapshot(s.Context(), "chat", 1, []byte("y")), core.ErrClosed)
		_, err = h.ReadSnapshot(s.Context(), "chat")
		wantCode(s, "read after close", err, core.ErrClosed)
		s.openSnapshotter().wantSnapshot("chat", "x")
	}},
}

// snapshotter is a handle on a store that is a [core.Snapshotter].
type snapshotter struct {
	*handle
	core.Snapshotter
}

// openSnapshotter skips the story if the store is no [core.Snapshotter].
func (s *stage) openSnapshotter() *snapshotter {
	s.Helper()
	h := s.open()
	store, ok := h.DurableStore.(core.Snapshotter)
	if !ok {
		s.Skip("the store is no core.Snapshotter")
	}
	return &snapshotter{h, store}
}

func (h *snapshotter) save(stream string, sequence uint64, snapshot string) {
	h.t.Helper()
	if err := h.SaveSnapshot(h.t.Context(), stream, sequence, []byte(snapshot)); err != nil {
		h.t.Fatalf("save %.40q at %d: %v", stream, sequence, err)
	}
}

// wantSnapshot checks the snapshot of stream, where an empty one is none.
func (h *snapshotter) wantSnapshot(stream, want string) {
	h.t.Helper()
	got, err := h.ReadSnapshot(h.t.Context(), stream)
	if err != nil || !bytes.Equal(got, []byte(want)) || want == "" && got != nil {
		h.t.Fatalf("snapshot of %.40q is %.40q, error %v, want %.40q", stream, got, err, want)
	}
}
