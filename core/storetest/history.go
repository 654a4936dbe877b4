package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"

	"github.com/holdfast-dev/holdfast/core"
)

// A conversation that starts from a snapshot is the same as one that has
// replayed its whole log, whatever that is.
var historyStories = []story{
	{"a snapshot and the rest equal the whole log, seed 1", func(s *stage) { s.history(1) }},
	{"a snapshot and the rest equal the whole log, seed 2", func(s *stage) { s.history(2) }},
	{"a snapshot and the rest equal the whole log, seed 3", func(s *stage) { s.history(3) }},
	{"snapshots of no use are left aside", func(s *stage) {
		h := s.openSnapshotter()
		r := rand.New(rand.NewPCG(4, 0))
		c := s.recover(h, "chat")
		s.randomEvents(r, c, 60)
		s.saveSnapshot(c)
		good, err := h.ReadSnapshot(s.Context(), "chat")
		if err != nil || good == nil {
			s.Fatalf("no snapshot, error %v", err)
		}
		other := s.recover(h, "other")
		s.randomEvents(r, other, 60)
		s.saveSnapshot(other)
		foreign, err := h.ReadSnapshot(s.Context(), "other")
		if err != nil {
			s.Fatal(err)
		}
		bad := [][]byte{foreign, good[:len(good)-1], append(bytes.Clone(good), 0), []byte("rubbish")}
		for range 20 {
			damaged := bytes.Clone(good)
			damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
			bad = append(bad, damaged)
		}
		for _, snapshot := range bad {
			h.save("chat", 1, string(snapshot))
			s.wantSameConversation(h, "chat")
		}
		// Of another log, which is longer, as long, and shorter.
		h.save("other", 1, string(good))
		s.wantSameConversation(h, "other")
		for _, events := range []int{40, 60, 80} {
			h.delete("chat")
			c := s.recover(h, "chat")
			s.randomEvents(r, c, events)
			h.save("chat", c.ExpectedSeq(), string(good))
			s.wantSameConversation(h, "chat")
		}
	}},
}

// history makes a random log through two conversations, with snapshots and
// deletions in between, and recovers it again and again.
func (s *stage) history(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	handles := []*snapshotter{s.openSnapshotter(), s.openSnapshotter()}
	step := 0
	defer func() {
		if s.Failed() {
			s.Logf("failed with seed %d at step %d", seed, step)
		}
	}()
	for ; step < 30; step++ {
		h := handles[r.IntN(2)]
		c := s.recover(h, "chat")
		s.randomEvents(r, c, r.IntN(12))
		if r.IntN(3) == 0 {
			s.saveSnapshot(c)
		}
		if r.IntN(10) == 0 {
			h.delete("chat")
		}
		if r.IntN(10) == 0 {
			s.saveSnapshot(c) // of before a deletion, perhaps
		}
		s.wantSameConversation(handles[r.IntN(2)], "chat")
	}
}

func (s *stage) recover(h *snapshotter, id string) *core.Conversation {
	s.Helper()
	c, err := core.Recover(s.Context(), id, h.DurableStore)
	if err != nil {
		s.Fatalf("recover %q: %v", id, err)
	}
	return c
}

func (s *stage) saveSnapshot(c *core.Conversation) {
	s.Helper()
	if err := c.SaveSnapshot(s.Context()); err != nil {
		s.Fatalf("save the snapshot of %q: %v", c.ID(), err)
	}
}

// plain hides that a store is a [core.Snapshotter].
type plain struct{ core.DurableStore }

// wantSameConversation recovers with and without the snapshot, compares, and
// appends, which shows that both know the head.
func (s *stage) wantSameConversation(h *snapshotter, id string) {
	s.Helper()
	whole, err := core.Recover(s.Context(), id, plain{h.DurableStore})
	if err != nil {
		s.Fatalf("recover %q without a snapshot: %v", id, err)
	}
	c := s.recover(h, id)
	if c.ExpectedSeq() != whole.ExpectedSeq() {
		s.Fatalf("with the snapshot at %d, without it at %d", c.ExpectedSeq(), whole.ExpectedSeq())
	}
	got, want := portrait(c.State()), portrait(whole.State())
	for i := range min(len(got.received), len(want.received)) {
		if !reflect.DeepEqual(got.received[i], want.received[i]) {
			s.Fatalf("message %d is with the snapshot\n%+v, without it\n%+v", i, got.received[i], want.received[i])
		}
	}
	if len(got.received) != len(want.received) {
		s.Fatalf("with the snapshot %d messages, without it %d", len(got.received), len(want.received))
	}
	if !bytes.Equal(got.rows, want.rows) {
		s.Fatalf("the rows are with the snapshot\n%x, without it\n%x", got.rows, want.rows)
	}
	if !reflect.DeepEqual(got.steps, want.steps) {
		s.Fatalf("the steps are with the snapshot at\n%v, without it at\n%v", got.steps, want.steps)
	}
	if err := c.Refresh(s.Context()); err != nil {
		s.Fatalf("refresh: %v", err)
	}
	for _, c := range []*core.Conversation{c, whole} {
		_, err := c.RecordProcessingStarted(s.Context(), "next")
		if c == whole && !errors.Is(err, core.ErrSequenceConflict) || c != whole && err != nil {
			s.Fatalf("append: %v", err)
		}
	}
}

// seen is all there is to see of a state.
type seen struct {
	received []core.Message // a list without elements is nil
	rows     []byte         // of all messages
	steps    map[string]string
}

func portrait(s *core.State) seen {
	all := seen{received: slices.Collect(s.Received()), steps: map[string]string{}}
	for i := range all.received {
		m := &all.received[i]
		m.Starts, m.Steps, m.Open = orNil(m.Starts), orNil(m.Steps), orNil(m.Open)
		for _, step := range m.Steps {
			all.look(s, m.ID, step.Name, step.Details().Place)
		}
		for _, step := range m.Open {
			all.look(s, m.ID, step.Name, step.Place)
		}
	}
	all.rows, _ = s.Rows(0, math.MaxInt)
	return all
}

// look notes what the state finds at the path of a step.
func (all *seen) look(s *core.State, id, name string, p core.Place) {
	path := p.Path(name)
	found := "nothing"
	if step, open := s.StepAt(id, path); step != nil {
		found = fmt.Sprintf("step %d, failed %v", step.Index, step.Failed())
	} else if open != nil {
		found = fmt.Sprintf("open step %d", open.Index)
	}
	all.steps[id+" "+path] = found
}

func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
