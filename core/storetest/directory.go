package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-dev/holdfast/core"
)

var directoryStories = []story{
	{"a summary is kept by the write that wins the head", func(s *stage) {
		h, late := s.openDirectory(), s.openDirectory()
		h.wantSummaries(core.Listing{IDs: []string{"chat"}})
		one := core.Summary{ID: "chat", Created: 1, Updated: 2, Unfinished: 3, Waiting: 2, Due: 5}
		h.wantBegun(summarized(write("chat", 0, "a"), one))
		two := one
		two.Updated, two.Metadata = 7, someMetadata("title", strings.Repeat("x", 10_000))
		wantConflict(s, late.begun(summarized(write("chat", 0, "b"), two)), "chat", 0, 1)
		late.wantSummaries(core.Listing{IDs: []string{"chat"}}, one)
		h.append("chat", 1, "c")
		late.wantSummaries(core.Listing{IDs: []string{"chat"}}, one)
		late.wantBegun(summarized(write("chat", 2, "d"), two), write("other", 0, "a"))
		h.wantSummaries(core.Listing{IDs: []string{"other", "chat", "absent", "chat"}}, two, two)
		if err := h.Close(); err != nil {
			s.Fatal(err)
		}
		s.openDirectory().wantSummaries(core.Listing{Limit: 9}, two)
	}},
	{"entries have the time that a write says", func(s *stage) {
		h := s.openDirectory()
		w := write("chat", 0, "a", "b")
		w.Time = 1_234_567_890_123
		h.wantBegun(w)
		for _, entry := range h.read("chat", 0, all) {
			if entry.Timestamp != 1_234_567_890_123 {
				s.Fatalf("%s has the time %d", show(entry), entry.Timestamp)
			}
		}
	}},
	{"summaries are listed by id or by time, in parts", func(s *stage) {
		h := s.openDirectory()
		names := append([]string{"chat/1", "chat/2", "chat/3", "a", "b", "chat", "chat0"}, oddNames...)
		slices.Sort(names)
		names = slices.Compact(names)
		var byID, recent []core.Summary
		for i, name := range names {
			byID = append(byID, core.Summary{ID: name, Created: 1, Updated: []uint64{5, 0, 7, core.MaxSequence}[i%4]})
		}
		recent = slices.Clone(byID)
		slices.SortStableFunc(recent, func(a, b core.Summary) int {
			switch {
			case a.Updated > b.Updated:
				return -1
			case a.Updated < b.Updated:
				return 1
			}
			return 0
		})
		for _, i := range []int{3, 1, 2, 0} {
			for ; i < len(byID); i += 4 {
				h.wantBegun(summarized(write(byID[i].ID, 0, "a"), byID[i]))
			}
		}
		for _, prefix := range []string{"", "chat/", "b", "nothing"} {
			h.wantParts(core.Listing{Prefix: prefix}, byID)
			h.wantParts(core.Listing{Prefix: prefix, Recent: true}, recent)
		}
		gone := core.Summary{ID: "chat/", Updated: 5}
		h.wantSummaries(core.Listing{Limit: 2, After: &gone}, byID[slices.Index(names, "chat/1"):][:2]...)
		h.wantSummaries(core.Listing{Limit: core.MaxListing, Recent: true, After: &core.Summary{ID: "\U0010ffff\U0010ffff", Updated: 0}})
	}},
	{"what is due is found, and when the next is", func(s *stage) {
		h := s.openDirectory()
		h.wantDue(core.MaxSequence, 0)
		for name, due := range map[string]uint64{"never": 0, "late": 30, "soon": 10, "soon too": 10, "far": core.MaxSequence} {
			h.wantBegun(summarized(write(name, 0, "a"), core.Summary{ID: name, Due: due}))
		}
		h.wantDue(0, 10)
		h.wantDue(9, 10)
		h.wantDue(10, 30, "soon", "soon too")
		h.wantDue(29, 30, "soon", "soon too")
		h.wantDue(30, core.MaxSequence, "soon", "soon too", "late")
		h.wantDue(core.MaxSequence, 0, "soon", "soon too", "late", "far")
		h.wantBegun(summarized(write("soon", 1, "b"), core.Summary{ID: "soon"}))
		h.wantBegun(summarized(write("never", 1, "b"), core.Summary{ID: "never", Due: 1}))
		h.delete("late")
		h.wantDue(20, core.MaxSequence, "never", "soon too")
		for name, updated := range map[string]uint64{"ready": 40, "ready before": 3} {
			h.wantBegun(summarized(write(name, 0, "a"), core.Summary{ID: name, Updated: updated, Ready: true, Due: 50}))
		}
		h.wantDue(0, 1, "ready", "ready before")
		h.wantDue(20, core.MaxSequence, "ready", "ready before", "never", "soon too")
		h.wantDueOf("ready", 20, 0, "ready", "ready before")
		h.wantDueOf("so", 5, 10)
		h.wantDueOf("so", 20, 0, "soon too")
		h.wantDueOf("nothing", 20, 0)
	}},
	{"of much that is due the first is found, and what is next of a prefix", func(s *stage) {
		h := s.openDirectory()
		names := make([]string, core.MaxDue+50)
		writes := make([]core.Write, len(names))
		for i := range names {
			names[i] = fmt.Sprintf("ready %04d", i)
			writes[i] = summarized(write(names[i], 0, "a"), core.Summary{ID: names[i], Updated: uint64(i / 2), Ready: true})
		}
		for part := range slices.Chunk(writes, 100) {
			h.wantBegun(part...)
		}
		slices.SortStableFunc(names, func(a, b string) int { // of those of one time the least name comes first
			at := func(name string) int { n, _ := strconv.Atoi(name[len("ready "):]); return n / 2 }
			return cmp.Or(cmp.Compare(at(b), at(a)), strings.Compare(a, b))
		})
		h.wantBegun(summarized(write("last", 0, "a"), core.Summary{ID: "last", Due: 20}))
		h.wantDue(10, 20, names[:core.MaxDue]...)
		h.wantDueOf("last", 10, 20)
		h.wantDueOf("last", 20, 0, "last")
		h.wantDueOf("ready 0", 10, 0, names[len(names)-1000:]...)
	}},
	{"a summary is deleted with its stream", func(s *stage) {
		h := s.openDirectory()
		for _, name := range []string{"a", "a\x01", "aa"} {
			h.wantBegun(summarized(write(name, 0, "x"), core.Summary{ID: name}))
		}
		h.delete("a")
		h.wantSummaries(core.Listing{Limit: 9}, core.Summary{ID: "a\x01"}, core.Summary{ID: "aa"})
		h.wantSummaries(core.Listing{Limit: 9, Recent: true}, core.Summary{ID: "a\x01"}, core.Summary{ID: "aa"})
	}},
	{"a summary is mended only at the head that it is of", func(s *stage) {
		h := s.openDirectory()
		h.append("chat", 0, "a", "b")
		right, wrong := core.Summary{ID: "chat", Updated: 1}, core.Summary{ID: "chat", Updated: 2}
		mend := func(stream string, head uint64, summary *core.Summary) {
			s.Helper()
			if err := h.Mend(s.Context(), stream, head, summary); err != nil {
				s.Fatal(err)
			}
		}
		for _, head := range []uint64{0, 1, 3} {
			mend("chat", head, &wrong)
		}
		h.wantSummaries(core.Listing{Limit: 9})
		heard := s.listen(h.handle)
		mend("chat", 2, &right)
		heard.await("chat", 2)
		h.wantSummaries(core.Listing{Limit: 9}, right)
		mend("chat", 1, nil)
		h.wantSummaries(core.Listing{Limit: 9}, right)
		mend("chat", 2, nil)
		h.wantSummaries(core.Listing{Limit: 9})
		mend("absent", 0, nil)
		h.wantLog("chat", log("chat", 0, "a", "b"))
	}},
	{"watchers hear whether the summary has changed", func(s *stage) {
		h := s.openDirectory()
		heard := make(chan core.StreamInfo, 16)
		for _, store := range []core.DurableStore{h.handle.DurableStore, s.openDirectory().handle.DurableStore} {
			watcher, ok := store.(core.Watcher)
			if !ok {
				s.Skip("the store is no core.Watcher")
			}
			s.Cleanup(watcher.Watch(func(moved core.StreamInfo) { heard <- moved }))
		}
		want := func(moved core.StreamInfo) {
			s.Helper()
			for range 2 {
				select {
				case got := <-heard:
					if got != moved {
						s.Fatalf("heard %+v, want %+v", got, moved)
					}
				case <-s.Context().Done():
					s.Fatal("heard nothing")
				}
			}
		}
		h.wantBegun(summarized(write("chat", 0, "a"), core.Summary{ID: "chat"}))
		want(core.StreamInfo{Name: "chat", Head: 1, Summary: true})
		h.append("chat", 1, "b")
		want(core.StreamInfo{Name: "chat", Head: 2})
		h.delete("chat")
		want(core.StreamInfo{Name: "chat", Head: 3, Summary: true})
	}},
	{"bad listings and summaries are refused", func(s *stage) {
		h := s.openDirectory()
		h.wantBegun(summarized(write("chat", 0, "a"), core.Summary{ID: "chat"}))
		wantCode(s, "a summary of another", h.begun(summarized(write("chat", 1, "a"), core.Summary{ID: "other"})), core.ErrInvalidArgument)
		for what, l := range map[string]core.Listing{
			"no limit":      {},
			"a large limit": {Limit: core.MaxListing + 1},
			"a bad prefix":  {Limit: 1, Prefix: "\xff"},
			"a bad place":   {Limit: 1, After: &core.Summary{}},
			"a bad id":      {IDs: []string{"chat", ""}},
			"many ids":      {IDs: make([]string, core.MaxListing+1)},
		} {
			_, err := h.List(s.Context(), l)
			wantCode(s, what, err, core.ErrInvalidArgument)
		}
		wantCode(s, "mend of a bad name", h.Mend(s.Context(), "", 0, nil), core.ErrInvalidArgument)
		wantCode(s, "mend of another", h.Mend(s.Context(), "chat", 1, &core.Summary{ID: "other"}), core.ErrInvalidArgument)
		late, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := h.List(late, core.Listing{Limit: 1})
		wantCode(s, "list", err, core.ErrCancelled)
		_, _, err = h.Due(late, "", 1)
		wantCode(s, "due", err, core.ErrCancelled)
		if err := h.Close(); err != nil {
			s.Fatal(err)
		}
		_, err = h.List(s.Context(), core.Listing{Limit: 1})
		wantCode(s, "list after close", err, core.ErrClosed)
	}},
}

// someMetadata is of one key.
func someMetadata(key, value string) core.Metadata {
	s := core.NewState()
	s.Apply(core.Event{Kind: core.KindMetadata, MessageID: key, Output: []byte(value)})
	return s.Metadata()
}

func summarized(w core.Write, summary core.Summary) core.Write {
	w.Summary = &summary
	return w
}

// directory is a handle on a store that is a [core.Directory].
type directory struct {
	*beginner
	core.Directory
}

func (s *stage) openDirectory() *directory {
	s.Helper()
	h := s.openBeginner()
	store, ok := h.DurableStore.(core.Directory)
	if !ok {
		s.Skip("the store is no core.Directory")
	}
	return &directory{h, store}
}

func (h *directory) wantSummaries(l core.Listing, want ...core.Summary) {
	h.t.Helper()
	got, err := h.List(h.t.Context(), l)
	if err != nil {
		h.t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		h.t.Fatalf("list %+v: %+v, want %+v", l, got, want)
	}
}

// wantParts lists everything in parts of different size.
func (h *directory) wantParts(l core.Listing, all []core.Summary) {
	h.t.Helper()
	want := slices.DeleteFunc(slices.Clone(all), func(one core.Summary) bool { return !strings.HasPrefix(one.ID, l.Prefix) })
	for _, l.Limit = range []int{1, 2, 3, len(all), core.MaxListing} {
		l.After = nil
		rest := want
		for {
			part := rest[:min(l.Limit, len(rest))]
			h.wantSummaries(l, part...)
			if rest = rest[len(part):]; len(part) < l.Limit {
				break
			}
			last := part[len(part)-1]
			l.After = &core.Summary{ID: last.ID, Updated: last.Updated}
		}
	}
}

func (h *directory) wantDue(until, next uint64, streams ...string) {
	h.t.Helper()
	h.wantDueOf("", until, next, streams...)
}

func (h *directory) wantDueOf(prefix string, until, next uint64, streams ...string) {
	h.t.Helper()
	got, at, err := h.Due(h.t.Context(), prefix, until)
	if err != nil || at != next || !slices.Equal(got, streams) {
		h.t.Fatalf("due at %d: %q, next %d, error %v; want %q, next %d", until, got, at, err, streams, next)
	}
}
