package storetest

import (
	"context"
	"sync"

	"github.com/holdfast-dev/holdfast/core"
)

var severalStories = []story{
	{"several streams are appended to at once", func(s *stage) {
		h := s.openBeginner()
		listener := s.listen(h.handle)
		h.append("two", 0, "a")
		for i := range uint64(3) {
			h.wantBegun(write("one", 2*i, "b", "c"), write("two", i+1, "d"), write("three", i, ""))
		}
		h.wantLog("one", log("one", 0, "b", "c", "b", "c", "b", "c"))
		h.wantLog("two", log("two", 0, "a", "d", "d", "d"))
		h.wantLog("three", log("three", 0, "", "", ""))
		s.openBeginner().wantStreams("", core.StreamInfo{Name: "one", Head: 6}, core.StreamInfo{Name: "three", Head: 3}, core.StreamInfo{Name: "two", Head: 4})
		for name, head := range map[string]uint64{"one": 6, "two": 4, "three": 3} {
			listener.await(name, head)
		}
	}},
	{"of several streams all have to have the expected head", func(s *stage) {
		h := s.openBeginner()
		h.append("one", 0, "a", "b")
		h.append("deleted", 0, "a")
		h.delete("deleted")
		wantConflict(s, h.begun(write("one", 2, "c"), write("two", 1, "d")), "two", 1, 0)
		wantConflict(s, h.begun(write("two", 0, "d"), write("one", 1, "c")), "one", 1, 2)
		wantConflict(s, h.begun(write("two", 0, "d"), write("deleted", 0, "e"), write("one", 2, "c")), "deleted", 0, 2)
		h.wantLog("one", log("one", 0, "a", "b"))
		h.wantLog("two", nil)
		h.wantBegun(write("two", 0, "d"), write("deleted", 2, "e"), write("one", 2, "c"))
		h.wantLog("one", log("one", 0, "a", "b", "c"))
	}},
	{"several writes are checked before anything is sent", func(s *stage) {
		h := s.openBeginner()
		wantCode(s, "nothing", h.begun(), core.ErrInvalidArgument)
		wantCode(s, "a write of nothing", h.begun(write("one", 0, "a"), write("two", 0)), core.ErrInvalidArgument)
		wantCode(s, "two to one stream", h.begun(write("one", 0, "a"), write("one", 1, "b")), core.ErrInvalidArgument)
		wantCode(s, "a bad name", h.begun(write("one", 0, "a"), write("a\x00", 0, "b")), core.ErrInvalidArgument)
		half := string(make([]byte, core.MaxPayloadBytes))
		var large []core.Write
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
			large = append(large, write(name, 0, half))
		}
		wantCode(s, "more than a batch", h.begun(large...), core.ErrTooLarge)
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		wantCode(s, "cancelled before", h.begunWithin(ctx, write("one", 0, "a"), write("two", 0, "b")), core.ErrCancelled)
		h.wantStreams("")
	}},
	{"of those that append to the same streams at once one wins", func(s *stage) {
		var race sync.WaitGroup
		won := make(chan int, 8)
		for i := range 8 {
			h := s.openBeginner()
			race.Go(func() {
				names := []string{"one", "two"}
				if h.begun(write(names[i%2], 0, "a"), write(names[1-i%2], 0, "b")) == nil {
					won <- i
				}
			})
		}
		race.Wait()
		close(won)
		if len(won) != 1 {
			s.Fatalf("%d have won", len(won))
		}
		names := []string{"one", "two"}
		i := <-won
		h := s.open()
		h.wantLog(names[i%2], log(names[i%2], 0, "a"))
		h.wantLog(names[1-i%2], log(names[1-i%2], 0, "b"))
	}},
}

func write(stream string, expected uint64, payloads ...string) core.Write {
	return core.Write{Stream: stream, Expected: expected, Payloads: byteSlices(payloads)}
}

// beginner is a handle on a store that is a [core.Beginner].
type beginner struct {
	*handle
	core.Beginner
}

func (s *stage) openBeginner() *beginner {
	s.Helper()
	h := s.open()
	store, ok := h.DurableStore.(core.Beginner)
	if !ok {
		s.Skip("the store is no core.Beginner")
	}
	return &beginner{h, store}
}

// begun begins writes and waits for what becomes of them.
func (h *beginner) begun(writes ...core.Write) error { return h.begunWithin(h.t.Context(), writes...) }

func (h *beginner) begunWithin(ctx context.Context, writes ...core.Write) error {
	ended := make(chan error, 1)
	h.Begin(ctx, func(err error) { ended <- err }, writes...)
	return <-ended
}

func (h *beginner) wantBegun(writes ...core.Write) {
	h.t.Helper()
	if err := h.begun(writes...); err != nil {
		h.t.Fatal(err)
	}
}
