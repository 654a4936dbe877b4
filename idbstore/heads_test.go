package idbstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

// A stream whose last records have vanished, as when a browser has lost the end
// of its own log, and nothing in the database that could tell. Recover says so
// once; what is found of it before and after, and what Recover has said.
func TestLostEnd(t *testing.T) {
	long := strings.Repeat("n", longestName+1)
	closed := func(t *testing.T, s *Store) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	others := func(t *testing.T, d *disk, name string, n int) {
		t.Helper()
		s := startFake(t, d, 0)
		for i := range n {
			appendSteps(t, s, fmt.Sprint(name, i), 0, 1)
		}
		closed(t, s)
	}
	rewritten := func(t *testing.T, d *disk, change func(*memory)) {
		t.Helper()
		m, ok := decodeMemory(d.memory)
		if !ok {
			t.Fatalf("remembered is %q", d.memory)
		}
		change(&m)
		d.memory = m.encode()
	}
	const told, lost = "told 4 to 5, ", "head 4 [{4 5 gap }]"
	for _, c := range []struct {
		name   string
		change func(t *testing.T, d *disk)
		want   string
	}{
		{"is remembered", nil, told + lost},
		{"is the whole stream", func(t *testing.T, d *disk) {
			s := startFake(t, d, 0)
			raw(t, s, recordsStore, without(2))
			raw(t, s, recordsStore, without(4))
			closed(t, s)
		}, "told 0 to 5, head 0 [{0 5 gap }]"},
		{"is the whole stream, and another program has a key in its place", func(t *testing.T, d *disk) {
			s := startFake(t, d, 0)
			raw(t, s, recordsStore, without(2))
			raw(t, s, recordsStore, without(4))
			rawPut(t, s, recordsStore, recordKey("s", 0), []byte("rubbish"))
			closed(t, s)
		}, "told 0 to 5, head 0 [{0 5 gap }]"},
		{"is told once", func(t *testing.T, d *disk) {
			s := startFake(t, d, 0)
			if _, err := core.Recover(context.Background(), "s", s); !errors.Is(err, core.ErrGap) {
				t.Errorf("recover: %v", err)
			}
			if _, err := core.Recover(context.Background(), "s", s); err != nil {
				t.Errorf("recover again: %v", err)
			}
			closed(t, s)
		}, lost},
		{"is asked for without taking note", func(t *testing.T, d *disk) {
			s := startFake(t, d, 0)
			for range 2 {
				if _, err := core.RecoverUnlessLost(context.Background(), "s", s); !errors.Is(err, core.ErrGap) {
					t.Errorf("recover: %v", err)
				}
			}
			closed(t, s)
		}, told + lost},
		{"is told of what was lost once more", func(t *testing.T, d *disk) {
			s := startFake(t, d, 0)
			if reached := s.LostEnd("s", 4, true); reached != 6 {
				t.Errorf("reached %d", reached)
			}
			appendSteps(t, s, "s", 4, 1)
			closed(t, s)
			s = startFake(t, d, 0)
			raw(t, s, recordsStore, without(5))
			closed(t, s)
		}, told + lost},
		{"is longer than the stream after new appends", func(t *testing.T, d *disk) {
			s := startFake(t, d, 0)
			appendSteps(t, s, "s", 4, 1)
			closed(t, s)
		}, "told 5 to 5, head 5 [{5 5 gap }]"},
		{"is made good by as many new appends", func(t *testing.T, d *disk) {
			s := startFake(t, d, 0)
			appendSteps(t, s, "s", 4, 2)
			closed(t, s)
		}, "head 6 []"},
		{"is forgotten with the database", func(t *testing.T, d *disk) {
			rewritten(t, d, func(m *memory) { m.epoch = "other" })
			if _, err := start(context.Background(), &fakeEngine{d}, 0); !errors.Is(err, core.ErrStoreReset) {
				t.Errorf("open: %v", err)
			}
		}, "head 4 []"},
		{"is forgotten where there is no memory", func(t *testing.T, d *disk) { d.memory = "" }, "head 4 []"},
		{"is not known from what is damaged", func(t *testing.T, d *disk) {
			d.memory = strings.Replace(d.memory, "6", "7", 1)
		}, "head 4 []"},
		{"is not known from what is no head", func(t *testing.T, d *disk) {
			rewritten(t, d, func(m *memory) { m.heads[0].head = core.MaxSequence + 1 })
		}, "head 4 []"},
		{"is not known from half a head", func(t *testing.T, d *disk) {
			rest := "epoch-1\x006\x006"
			d.memory = checksumOf(rest) + "\x00" + rest
		}, "head 4 []"},
		{"is forgotten when many others were written to", func(t *testing.T, d *disk) {
			others(t, d, "other", mostHeads)
			if heads := d.remembered().heads; len(heads) != mostHeads {
				t.Errorf("%d heads are remembered", len(heads))
			}
		}, "head 4 []"},
		{"is remembered beside others", func(t *testing.T, d *disk) {
			others(t, d, "other", mostHeads-1)
			others(t, d, long, 1)
		}, told + lost},
		{"is forgotten first of what was written to first", func(t *testing.T, d *disk) {
			others(t, d, "before", mostHeads/2)
			s := startFake(t, d, 0)
			appendSteps(t, s, "s", 4, 1)
			raw(t, s, recordsStore, without(5))
			closed(t, s)
			others(t, d, "behind", mostHeads-1)
		}, told + lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk()
			s := startFake(t, d, 0)
			for head := uint64(0); head < 6; head += 2 {
				appendSteps(t, s, "s", head, 2)
			}
			closed(t, s)
			s = startFake(t, d, 0)
			raw(t, s, recordsStore, without(6))
			closed(t, s)
			if c.change != nil {
				c.change(t, d)
			}
			s = startFake(t, d, 0)
			defer closed(t, s)
			got := ""
			_, err := core.Recover(context.Background(), "s", s)
			if _, part, ok := strings.Cut(fmt.Sprint(err), "sequences "); ok && errors.Is(err, core.ErrGap) {
				part, _, _ = strings.Cut(part, ";")
				got = "told " + part + ", "
			} else if err != nil {
				t.Errorf("recover: %v", err)
			}
			found := verify(t, s, "s")
			if got += fmt.Sprintf("head %d %v", found.Head, found.Damage); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Of more streams than are remembered those are kept that were written to last,
// also if all of them were written to at once.
func TestRememberedInOrder(t *testing.T) {
	d := newDisk()
	for life := range 2 {
		s := startFake(t, d, 0)
		for i := range mostHeads + 44 {
			appendSteps(t, s, fmt.Sprint(i), uint64(life), 1)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		m, _ := decodeMemory(d.memory)
		if len(m.heads) != mostHeads {
			t.Fatalf("%d heads are remembered, want %d", len(m.heads), mostHeads)
		}
		for i, r := range m.heads {
			if want := fmt.Sprint(mostHeads + 43 - i); r.stream != want || r.head != uint64(life)+1 {
				t.Fatalf("head %d is %d of %s, want %d of %s", i, r.head, r.stream, life+1, want)
			}
		}
	}
}

// What is remembered by several tabs, of which none knows what the others know.
func TestRememberedByTabs(t *testing.T) {
	d := newDisk()
	heads := func() string {
		m := d.remembered()
		var b strings.Builder
		for _, r := range m.heads {
			fmt.Fprint(&b, r.stream, " ", r.head, " ", r.due, " ")
		}
		return m.epoch + " " + b.String()
	}
	a, b := startFake(t, d, 0), startFake(t, d, 0)
	check := func(what, want string) {
		t.Helper()
		if got := heads(); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	a.heads.remember()
	check("nothing was appended", "epoch-1 ")
	appendSteps(t, a, "x", 0, 3)
	appendSteps(t, b, "y", 0, 1)
	a.heads.remember()
	check("one has written", "epoch-1 x 3 3 ")
	b.heads.remember()
	check("and the other", "epoch-1 y 1 1 x 3 3 ")
	appendSteps(t, b, "x", 3, 1)
	b.heads.remember()
	appendSteps(t, a, "y", 1, 1)
	a.heads.remember()
	check("in turns", "epoch-1 y 2 2 x 4 4 ")

	raw(t, a, recordsStore, func(_ context.Context, tx transaction) error {
		return tx.remove(keyRange{recordKey("x", 4), recordKey("x", 4)})
	})
	c, late := startFake(t, d, 0), startFake(t, d, 0)
	if reached := c.LostEnd("x", 3, true); reached != 4 {
		t.Errorf("reached %d", reached)
	}
	c.heads.remember()
	check("one was told", "epoch-1 x 4 3 y 2 2 ")
	appendSteps(t, late, "x", 3, 2)
	late.heads.remember()
	check("others have gone on", "epoch-1 x 5 5 y 2 2 ")
	if reached := late.LostEnd("x", 5, true); reached != 0 {
		t.Errorf("reached %d", reached)
	}

	appendSteps(t, c, "z", 0, 1)
	d.empty()
	if _, _, err := late.ReadAt(context.Background(), "x", 0); !errors.Is(err, core.ErrStoreReset) {
		t.Errorf("read: %v", err)
	}
	next := startFake(t, d, 0) // late was told
	appendSteps(t, next, "new", 0, 1)
	next.heads.remember()
	check("it was emptied", "epoch-2 new 1 1 ")
	c.heads.remember()
	check("one has not noticed yet", "epoch-2 new 1 1 ")
	if _, _, err := c.ReadAt(context.Background(), "x", 0); !errors.Is(err, core.ErrStoreReset) {
		t.Errorf("read: %v", err)
	}
	for _, s := range []*Store{a, b, c, late, next} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	check("all are closed", "epoch-2 new 1 1 ")
	if err := startFake(t, d, 0).Close(); err != nil {
		t.Error(err)
	}
}
