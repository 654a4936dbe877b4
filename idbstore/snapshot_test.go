package idbstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// The contract of a core.Snapshotter is tested in package storetest.

// A transaction that others hold over the snapshots keeps no append waiting.
func TestAppendsDoNotWaitForSnapshots(t *testing.T) {
	ctx := context.Background()
	tab := freshTabs(t)
	s, peer := tab(), tab()
	appended := make(chan error, 1)
	err := peer.calls.run(ctx, "hold", "", readOnly, snapshotsStore, func(ctx context.Context, tx transaction) error {
		go func() {
			_, err := s.Append(ctx, "s", 0, []byte("x"))
			appended <- err
		}()
		for { // one request after the other keeps it open
			if _, err := tx.get([]byte("x")).wait(ctx); err != nil {
				return err
			}
			select {
			case err := <-appended:
				return err
			default:
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFrozenPageSavesNoSnapshot(t *testing.T) {
	d := newDisk()
	s := startFake(t, d, 0)
	fill(t, s, "s", 1)
	d.freeze(true)
	if err := s.SaveSnapshot(t.Context(), "s", 2, []byte("x")); !errors.Is(err, core.ErrCancelled) {
		t.Errorf("save: %v", err)
	}
	d.freeze(false)
	if b, err := s.ReadSnapshot(t.Context(), "s"); b != nil || err != nil {
		t.Errorf("there is %q, %v", b, err)
	}
	if err := s.LastError(); err != nil {
		t.Errorf("last error: %v", err)
	}
}

// A stream that is deleted while its snapshot is being saved leaves none, also
// if it has been appended to again.
func TestDeletionWhileASnapshotIsSaved(t *testing.T) {
	for _, again := range []bool{false, true} {
		d := newDisk()
		s, other := startFake(t, d, 0), startFake(t, d, 0)
		fill(t, s, "s", 1)
		d.inject(fault{step: "commit", then: func() {
			if err := other.Delete(t.Context(), "s"); err != nil {
				t.Error(err)
			}
			if again {
				if _, err := other.Append(t.Context(), "s", 3, []byte("x")); err != nil {
					t.Error(err)
				}
			}
		}})
		if err := s.SaveSnapshot(t.Context(), "s", 2, []byte("of what was deleted")); err != nil {
			t.Error(err)
		}
		if b, err := s.ReadSnapshot(t.Context(), "s"); b != nil || err != nil || d.unmet() > 0 {
			t.Errorf("appended again %v: there is %q, %v", again, b, err)
		}
	}
}

// A deletion takes the stream and its snapshot, or neither.
func TestDeleteWithSnapshotFaults(t *testing.T) {
	quota := &engineError{quotaExceeded, ""}
	lost := &engineError{"UnknownError", "lost"}
	for _, c := range []struct {
		name string
		f    fault
		gone bool
	}{
		{"the records cannot be removed", fault{step: "remove", err: quota}, false},
		{"the snapshot cannot be removed", fault{step: "remove", skip: 1, err: quota}, false},
		{"the tombstone cannot be written", fault{step: "add", err: quota}, false},
		{"no room at the commit", fault{step: "commit", err: quota}, false},
		{"lost at the commit, not written", fault{step: "commit", err: lost}, false},
		{"lost at the commit, written", fault{step: "commit", err: lost, landed: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk()
			s := startFake(t, d, 0)
			fill(t, s, "s", 1)
			if err := s.SaveSnapshot(t.Context(), "s", 2, []byte("x")); err != nil {
				t.Fatal(err)
			}
			d.inject(c.f)
			if err := s.Delete(t.Context(), "s"); err == nil {
				t.Error("the deletion has not failed")
			}
			b, err := s.ReadSnapshot(t.Context(), "s")
			if err != nil || (b == nil) != c.gone {
				t.Errorf("the snapshot is %q, %v", b, err)
			}
			if entries := everything(t, s, "s"); entries[0].Tombstone != c.gone {
				t.Errorf("the stream is %+v", entries)
			}
		})
	}
}

// A conversation whose snapshots cannot be read or saved works without them.
func TestSnapshotFaults(t *testing.T) {
	quota := &engineError{quotaExceeded, ""}
	d := newDisk()
	s := startFake(t, d, 0)
	c, err := core.Recover(t.Context(), "s", s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RecordProcessingStarted(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	d.inject(fault{step: "commit", err: quota})
	if err := c.SaveSnapshot(t.Context()); !errors.Is(err, core.ErrQuotaExceeded) || !errors.Is(s.LastError(), core.ErrQuotaExceeded) {
		t.Errorf("save: %v, last error: %v", err, s.LastError())
	}
	if err := c.SaveSnapshot(t.Context()); err != nil {
		t.Errorf("save again: %v", err)
	}
	d.inject(fault{step: "get", err: quota})
	if c, err := core.Recover(t.Context(), "s", s); err != nil || !c.State().IsInProgress("m") || d.unmet() > 0 {
		t.Errorf("recover: %v, %d faults were not met", err, d.unmet())
	}
}

// Close ends a save that waits for another tab, and does not wait itself.
func TestCloseEndsASave(t *testing.T) {
	idleStory(t, func(t *testing.T, d *disk, s *Store) {
		fill(t, s, "s", 1)
		d.inject(fault{step: "commit", silent: true})
		saved := make(chan error, 1)
		go func() { saved <- s.SaveSnapshot(t.Context(), "s", 2, []byte("x")) }()
		synctest.Wait()
		at := time.Now()
		if err := s.Close(); err != nil || time.Since(at) > 0 {
			t.Errorf("closed after %v, %v", time.Since(at), err)
		}
		if err := <-saved; !errors.Is(err, core.ErrOutcomeUnknown) || !errors.Is(err, core.ErrClosed) {
			t.Errorf("save: %v", err)
		}
		for range 20 { // whichever of the two it notices first
			if err := s.SaveSnapshot(t.Context(), "s", 2, []byte("x")); core.CodeOf(err) != core.ErrClosed {
				t.Errorf("save after close: %v", err)
			}
		}
	})
}
