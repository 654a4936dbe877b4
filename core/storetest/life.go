package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

var lifeStories = []story{
	{"everything is there after reopening", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a", "b")
		h.append("chat", 2, "c")
		h.append("gone", 0, "x", "y")
		h.delete("gone")
		h.append("back", 0, "x")
		h.delete("back")
		h.append("back", 2, "y")
		h.swap("cursor", 0, math.MaxUint64)
		h.swap("removed", 0, 1)
		h.swap("removed", 1, 0)
		want, wantStreams := h.scan(""), h.streams("")
		for range 2 {
			if err := h.Close(); err != nil {
				s.Fatal(err)
			}
			h = s.open()
			wantEntries(s, "reopened", h.scan(""), want)
			h.wantStreams("", wantStreams...)
			h.wantValue("cursor", math.MaxUint64)
			h.wantValue("removed", 0)
			_, err := h.Append(s.Context(), "chat", 2, []byte("late"))
			wantConflict(s, err, "chat", 2, 3)
			_, err = h.Append(s.Context(), "gone", 2, []byte("late"))
			wantConflict(s, err, "gone", 2, 3)
		}
		h.append("chat", 3, "d")
		h.append("gone", 3, "z")
	}},
	{"cancelled calls do nothing", func(s *stage) {
		h := s.open()
		h.append("chat", 0, "a")
		h.swap("chat", 0, 7)
		cancelled, cancel := context.WithCancel(s.Context())
		cancel()
		late, cancelLate := context.WithDeadline(s.Context(), time.Unix(1, 0))
		defer cancelLate()
		// What a caller gives as the cause is not what has become of the call.
		left, leave := context.WithCancelCause(s.Context())
		leave(errors.New("the user has left"))
		damaged, giveUp := context.WithCancelCause(s.Context())
		giveUp(core.ErrCorrupt)
		hasty, cancelHasty := context.WithDeadlineCause(s.Context(), time.Unix(1, 0), errors.New("it took too long"))
		defer cancelHasty()
		for _, ctx := range []context.Context{cancelled, late, left, damaged, hasty} {
			for _, call := range calls {
				wantCode(s, "cancelled "+call.name, call.make(ctx, h, "new"), core.ErrCancelled)
			}
			_, err := h.Append(ctx, "chat", 1, []byte("b"))
			wantCode(s, "cancelled append", err, core.ErrCancelled)
			wantCode(s, "cancelled delete", h.Delete(ctx, "chat"), core.ErrCancelled)
			wantCode(s, "cancelled swap", h.CompareAndSwap(ctx, "chat", 7, 8), core.ErrCancelled)
		}
		wantEntries(s, "scan", h.scan(""), log("chat", 0, "a"))
		h.wantValue("chat", 7)
		h.wantValue("new", 0)
		h.append("chat", 1, "b")
	}},
	{"calls cancelled under way tell what they wrote", func(s *stage) {
		h, other := s.open(), s.open()
		var written []string
		var stored uint64
		for i := range 24 {
			ctx, cancel := context.WithCancel(s.Context())
			payload := fmt.Sprint("event ", i)
			var swapErr error
			errs := race(2, func(who int) error {
				if who == 0 {
					_, err := h.Append(ctx, "chat", uint64(len(written)), []byte(payload))
					swapErr = h.CompareAndSwap(ctx, "cursor", stored, stored+1)
					return err
				}
				defer cancel()
				for range i % 6 { // let the other get further each time
					if _, _, err := other.ReadValue(s.Context(), "other"); err != nil {
						return err
					}
				}
				return nil
			})
			wantAllNil(s, errs[1:])
			if landed := s.landed("append", errs[0], len(other.read("chat", uint64(len(written)), all)) > 0); landed {
				written = append(written, payload)
			}
			value, _, err := other.ReadValue(s.Context(), "cursor")
			if err != nil {
				s.Fatal(err)
			}
			if s.landed("swap", swapErr, value != stored) {
				stored++
			}
			other.wantLog("chat", log("chat", 0, written...))
			other.wantValue("cursor", stored)
		}
	}},
	{"flush", func(s *stage) {
		h := s.open()
		for range 2 {
			if err := h.Flush(s.Context()); err != nil {
				s.Fatalf("flush: %v", err)
			}
			h.append("chat", h.append("chat", uint64(len(h.read("chat", 0, all))), "a"), "b")
		}
		h.wantLog("chat", log("chat", 0, "a", "b", "a", "b"))
	}},
	{"a closed store refuses every call", func(s *stage) {
		h, other := s.open(), s.open()
		h.append("chat", 0, "a")
		for range 2 {
			if err := h.Close(); err != nil {
				s.Fatalf("close: %v", err)
			}
			for _, call := range calls {
				wantCode(s, call.name+" after close", call.make(s.Context(), h, "chat"), core.ErrClosed)
			}
			_, err := h.Append(s.Context(), "chat", 1, []byte("b"))
			wantCode(s, "append after close", err, core.ErrClosed)
		}
		other.wantLog("chat", log("chat", 0, "a"))
		other.wantValue("chat", 0)
		other.append("chat", 1, "b")
		s.open().wantLog("chat", log("chat", 0, "a", "b"))
	}},
	{"close waits for the calls under way", func(s *stage) {
		h, other := s.open(), s.open()
		const writers = 8
		begun := make(chan struct{}, writers)
		var found []core.Entry
		errs := race(writers+1, func(who int) error {
			if who < writers {
				begun <- struct{}{}
				_, err := h.Append(s.Context(), fmt.Sprint("stream ", who), 0, []byte("a"))
				return err
			}
			for range writers {
				<-begun
			}
			if err := h.Close(); err != nil {
				return err
			}
			var err error
			found, err = other.Scan(s.Context(), "")
			return err
		})
		wantAllNil(s, errs[writers:])
		var want []core.Entry
		for who, err := range errs[:writers] {
			if err == nil {
				want = append(want, log(fmt.Sprint("stream ", who), 0, "a")...)
			} else {
				wantCode(s, "append during close", err, core.ErrClosed)
			}
		}
		wantEntries(s, "right after close", found, want)
		wantEntries(s, "later", other.scan(""), want)
	}},
}

// landed reports whether a write that gave err has landed, and fails if err
// says anything else than what was found.
func (s *stage) landed(what string, err error, found bool) bool {
	s.Helper()
	switch {
	case err == nil && !found:
		s.Fatalf("%s: succeeded and wrote nothing", what)
	case errors.Is(err, core.ErrCancelled) && found:
		s.Fatalf("%s: %v, and it has written", what, err)
	case err != nil && !errors.Is(err, core.ErrCancelled) && !errors.Is(err, core.ErrOutcomeUnknown):
		s.Fatalf("%s: %v", what, err)
	}
	return found
}
