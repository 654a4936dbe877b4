package idbstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/later"
)

// When a compaction begins. Inside of synctest, time passes at once.

// idleStory runs a story with a store on an empty disk, which it closes.
func idleStory(t *testing.T, tell func(t *testing.T, d *disk, s *Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s := startFake(t, d, 0)
		tell(t, d, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// appendOnes appends n events, one record each, and returns the new head.
func appendOnes(t *testing.T, s *Store, head uint64, n int, payload ...byte) uint64 {
	t.Helper()
	for range n {
		if _, err := s.Append(t.Context(), "s", head, payload); err != nil {
			t.Fatal(err)
		}
		head++
	}
	return head
}

// wantRecords checks how many records there are, now and after d.
func wantRecords(t *testing.T, s *Store, now int, d time.Duration, then int) {
	t.Helper()
	synctest.Wait()
	if keys, _ := records(t, s, "s"); len(keys) != now {
		t.Errorf("%d records, want %d", len(keys), now)
	}
	<-time.After(d)
	synctest.Wait()
	if keys, _ := records(t, s, "s"); len(keys) != then {
		t.Errorf("%d records after %v, want %d", len(keys), d, then)
	}
}

func TestCompactionWaitsForQuiet(t *testing.T) {
	idleStory(t, func(t *testing.T, _ *disk, s *Store) {
		head := appendOnes(t, s, 0, compactDue-1)
		wantRecords(t, s, compactDue-1, time.Hour, compactDue-1) // too few
		for range 10 {
			head = appendOnes(t, s, head, 1)
			<-time.After(compactQuiet - 1)
		}
		wantRecords(t, s, compactDue+9, 2*compactQuiet, 1)
		// The next round leaves what is merged alone.
		appendOnes(t, s, head, compactDue)
		wantRecords(t, s, compactDue+1, time.Hour, 2)
	})
}

func TestCompactionDoesNotWaitForEver(t *testing.T) {
	idleStory(t, func(t *testing.T, _ *disk, s *Store) {
		head := uint64(0)
		const whileItWaits = 2 * later.MostPutOff
		for head < 2*(compactDue+whileItWaits) {
			head = appendOnes(t, s, head, 1)
			<-time.After(compactQuiet / 2)
		}
		if keys, _ := records(t, s, "s"); len(keys) > compactDue+whileItWaits {
			t.Errorf("%d records", len(keys))
		}
	})
}

func TestFrozenPageDoesNotCompact(t *testing.T) {
	idleStory(t, func(t *testing.T, d *disk, s *Store) {
		appendOnes(t, s, 0, compactDue)
		d.freeze(true)
		wantRecords(t, s, compactDue, time.Hour, compactDue)
		d.freeze(false)
		s.missed() // as at the event `resume`
		wantRecords(t, s, compactDue, time.Second, 1)
	})
}

func TestPageThatFreezesEndsItsCompaction(t *testing.T) {
	idleStory(t, func(t *testing.T, d *disk, s *Store) {
		head := write(t, s, "s", 0, repeat(1000, 10)...)
		d.freeze(true)
		if err := s.compactor.compact(t.Context(), "s", tail{end: head}); err != nil {
			t.Error(err)
		}
		wantRecords(t, s, 1000, time.Hour, 1000)
	})
}

func TestReadersCompactWhatWasLeft(t *testing.T) {
	idleStory(t, func(t *testing.T, d *disk, s *Store) {
		head := uint64(0)
		for range 20 { // pages that live too short to compact anything
			page := startFake(t, d, 0)
			head = appendOnes(t, page, head, 50)
			if err := page.Close(); err != nil {
				t.Fatal(err)
			}
		}
		before := everything(t, s, "s")
		wantRecords(t, s, 1000, time.Second, (1000+compactPage-1)/compactPage)
		sameReads(t, s, "s", before)
	})
}

// Two tabs append in turn: neither has a tail of its own, one merges it.
func TestTabsThatTakeTurnsCompact(t *testing.T) {
	idleStory(t, func(t *testing.T, d *disk, s *Store) {
		other := startFake(t, d, 0)
		head := uint64(0)
		for range compactDue {
			head = appendOnes(t, other, appendOnes(t, s, head, 1), 1)
		}
		wantRecords(t, s, 2*compactDue, time.Second, 2)
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestClosedStoreDoesNotCompact(t *testing.T) {
	idleStory(t, func(t *testing.T, d *disk, s *Store) {
		appendOnes(t, s, 0, compactDue)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantRecords(t, startFake(t, d, 0), compactDue, time.Hour, compactDue)
		if err := s.LastError(); err != nil {
			t.Errorf("last error: %v", err)
		}
	})
}

// Whatever fails, appends do not, everything is there, and the next compaction
// is not disturbed.
func TestCompactionFaults(t *testing.T) {
	lost := &engineError{"UnknownError", "lost"}
	quota := &engineError{quotaExceeded, ""}
	for _, c := range []struct {
		name string
		f    fault
		want core.Code // of LastError
	}{
		{"no transaction", fault{step: "begin", err: quota}, core.ErrQuotaExceeded},
		{"no transaction, another connection has one", fault{step: "begin", err: lost}, ""},
		{"the keys cannot be read", fault{step: "keys", err: quota}, core.ErrQuotaExceeded},
		{"the values cannot be read", fault{step: "values", err: quota}, core.ErrQuotaExceeded},
		{"the first removal fails", fault{step: "remove", err: quota}, core.ErrQuotaExceeded},
		{"the first record cannot be written", fault{step: "add", err: quota}, core.ErrQuotaExceeded},
		{"the second removal fails", fault{step: "remove", skip: 1, err: quota}, core.ErrQuotaExceeded},
		{"the second record cannot be written", fault{step: "add", skip: 1, err: quota}, core.ErrQuotaExceeded},
		{"no room at the commit", fault{step: "commit", err: quota}, core.ErrQuotaExceeded},
		{"lost at the commit, not written", fault{step: "commit", err: lost}, core.ErrOutcomeUnknown},
		{"lost at the commit, written", fault{step: "commit", err: lost, landed: true}, core.ErrOutcomeUnknown},
		{"no answer to the commit, not written", fault{step: "commit", silent: true}, core.ErrOutcomeUnknown},
		{"no answer to the commit, written", fault{step: "commit", silent: true, landed: true}, core.ErrOutcomeUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			idleStory(t, func(t *testing.T, d *disk, s *Store) {
				large := make([]byte, smallRecord-100)
				head := appendOnes(t, s, 0, compactDue, large...)
				before := everything(t, s, "s")
				d.inject(c.f)
				<-time.After(time.Minute)
				synctest.Wait()
				if d.unmet() > 0 {
					t.Error("the fault was not met")
				}
				if got := core.CodeOf(s.LastError()); got != c.want {
					t.Errorf("last error: %v, want code %q", s.LastError(), c.want)
				}
				sameReads(t, s, "s", before)
				head = appendOnes(t, s, head, compactDue)
				<-time.After(time.Minute)
				synctest.Wait()
				if keys, _ := records(t, s, "s"); len(keys) > compactDue+1 {
					t.Errorf("%d records", len(keys))
				}
				if entries := everything(t, s, "s"); uint64(len(entries)) != head {
					t.Errorf("%d entries, want %d", len(entries), head)
				}
			})
		})
	}
}

// A compaction that waits for another tab's transaction holds up neither Close
// nor, once that tab is done, an append.
func TestCompactionBehindAStuckTab(t *testing.T) {
	idleStory(t, func(t *testing.T, d *disk, s *Store) {
		write(t, s, "s", 0, repeat(compactDue, 10)...)
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		d.inject(fault{step: "commit", silent: true})
		go func() { ended <- s.compactor.compact(ctx, "s", tail{end: 2 * compactDue}) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, core.ErrOutcomeUnknown) {
			t.Error(err)
		}
		appendOnes(t, s, 2*compactDue, 1)
	})
}
