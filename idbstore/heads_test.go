package idbstore

import (
	"fmt"
	"strings"
	"testing"
)

// A stream whose last records have vanished, as when a browser has lost the end
// of its own log, and nothing in the database that could tell.
func TestLostEnd(t *testing.T) {
	long := strings.Repeat("n", longestName+1)
	for _, c := range []struct {
		name   string
		change func(t *testing.T, d *disk, s *Store)
		want   string
	}{
		{"is remembered", nil, "head 4 [{4 5 gap }]"},
		{"is the whole stream", func(t *testing.T, d *disk, s *Store) {
			raw(t, s, recordsStore, without(2))
			raw(t, s, recordsStore, without(4))
		}, "head 0 [{0 5 gap }]"},
		{"is longer than the stream after new appends", func(t *testing.T, d *disk, s *Store) {
			appendSteps(t, s, "s", 4, 1)
			s.remember()
		}, "head 5 [{5 5 gap }]"},
		{"is made good by as many new appends", func(t *testing.T, d *disk, s *Store) {
			appendSteps(t, s, "s", 4, 2)
		}, "head 6 []"},
		{"is forgotten with the database", func(t *testing.T, d *disk, s *Store) {
			d.memory[rememberedHeads] = "other" + strings.TrimPrefix(d.memory[rememberedHeads], s.Epoch())
		}, "head 4 []"},
		{"is forgotten where there is no memory", func(t *testing.T, d *disk, s *Store) { clear(d.memory) }, "head 4 []"},
		{"is not known from what is no head", func(t *testing.T, d *disk, s *Store) {
			d.memory[rememberedHeads] = s.Epoch() + "\x00-1\x00s\x00x\x00s\x009007199254740993\x00s\x00\x00\x008\x00other\x0099"
		}, "head 4 []"},
		{"is forgotten when many others were written to", func(t *testing.T, d *disk, s *Store) {
			for i := range mostHeads {
				appendSteps(t, s, fmt.Sprint("other ", i), 0, 1)
			}
			s.remember()
			if n := strings.Count(d.memory[rememberedHeads], "\x00"); n != 2*mostHeads {
				t.Errorf("%d heads and names are remembered", n)
			}
		}, "head 4 []"},
		{"is remembered beside others", func(t *testing.T, d *disk, s *Store) {
			for i := range mostHeads - 1 {
				appendSteps(t, s, fmt.Sprint("other ", i), 0, 1)
			}
			appendSteps(t, s, long, 0, 1)
			s.remember()
		}, "head 4 [{4 5 gap }]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk()
			s := startFake(t, d, 0)
			for head := uint64(0); head < 6; head += 2 {
				appendSteps(t, s, "s", head, 2)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = startFake(t, d, 0)
			raw(t, s, recordsStore, without(6))
			if c.change != nil {
				c.change(t, d, s)
			}
			found := verify(t, s, "s")
			if got := fmt.Sprintf("head %d %v", found.Head, found.Damage); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	t.Run("is no end that another tab has made meanwhile", func(t *testing.T) {
		d := newDisk()
		s, other := startFake(t, d, 0), startFake(t, d, 0)
		appendSteps(t, s, "s", 0, 1)
		s.remember()
		d.inject(fault{step: "recall", skip: 1, first: func() { // when the end is looked at
			appendSteps(t, other, "s", 1, 1)
			other.remember()
		}})
		if found := verify(t, s, "s"); found.Head != 2 || found.Damage != nil || d.unmet() > 0 {
			t.Errorf("found %+v", found)
		}
	})
}
