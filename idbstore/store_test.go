package idbstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/storetest"
)

// The logic of the store, over a fake of the browser's storage. The real one is
// met in store_js_test.go.
func TestContractOverFake(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		t.Run(fmt.Sprintf("appends at once %v", atOnce), func(t *testing.T) {
			storetest.Run(t, func(testing.TB) storetest.Storage {
				d := newDisk()
				d.atOnce = atOnce
				return func(t testing.TB) core.DurableStore { return startFake(t, d, 0) }
			})
		})
	}
}

func startFake(t testing.TB, d *disk, timeout time.Duration) *Store {
	t.Helper()
	s, err := start(context.Background(), &fakeEngine{d}, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What the browser can do to an append, what the caller is told, and what is
// stored in the end.
func TestAppendFaults(t *testing.T) {
	ctx := context.Background()
	unknown := &engineError{"UnknownError", "connection to the storage process lost"}
	closing := &engineError{"InvalidStateError", "the connection is closing"}
	quota := &engineError{quotaExceeded, ""}
	for _, c := range []struct {
		name   string
		faults []fault
		want   core.Code // empty: acknowledged
		stored int       // events in the end, of the one that was to be appended
	}{
		{"none", nil, "", 1},
		{"closing once", []fault{{step: "begin", err: closing}}, "", 1},
		{"closing twice", []fault{{step: "begin", err: closing}, {step: "begin", err: closing}}, "", 1},
		{"closing for good", []fault{{step: "begin", err: closing}, {step: "begin", err: closing}, {step: "begin", err: closing}}, core.ErrStorageUnavailable, 0},
		{"closing, then it cannot be opened", []fault{{step: "begin", err: closing}, {step: "open", err: unknown}, {step: "open", err: unknown}}, core.ErrStorageUnavailable, 0},
		{"reading the head fails once", []fault{{step: "keys", err: unknown}}, "", 1},
		{"the write is refused", []fault{{step: "add", err: &engineError{dataError, ""}}}, core.ErrInvalidArgument, 0},
		{"no room at the commit", []fault{{step: "commit", err: quota}}, core.ErrQuotaExceeded, 0},
		{"lost at the commit, not written", []fault{{step: "commit", err: unknown}}, core.ErrOutcomeUnknown, 0},
		{"lost at the commit, written", []fault{{step: "commit", err: unknown, landed: true}}, core.ErrOutcomeUnknown, 1},
		{"no answer to the commit, written", []fault{{step: "commit", silent: true, landed: true}}, core.ErrOutcomeUnknown, 1},
		{"no answer to the commit, not written", []fault{{step: "commit", silent: true}}, core.ErrOutcomeUnknown, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk()
			s := startFake(t, d, 50*time.Millisecond)
			d.faults = slices.Clone(c.faults)
			_, err := s.Append(ctx, "s", 0, []byte("event"))
			if got := core.CodeOf(err); got != c.want {
				t.Errorf("append: %v, want code %q", err, c.want)
			}
			if len(d.faults) > 0 {
				t.Errorf("%d faults were not met", len(d.faults))
			}
			entries, err := s.ReadFrom(ctx, "s", 0, 10)
			if err != nil || len(entries) != c.stored {
				t.Errorf("%d events are stored, want %d; %v", len(entries), c.stored, err)
			}
			// And it goes on.
			if _, err := s.Append(ctx, "s", uint64(c.stored), []byte("next")); err != nil {
				t.Errorf("next append: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A record never takes the place of another, whatever the storage says of the head.
func TestAppendOverwritesNothing(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		d := newDisk()
		d.atOnce = atOnce
		s := startFake(t, d, 0)
		fill(t, s, "s", 2)
		before := everything(t, s, "s")
		d.inject(fault{step: "keys", damage: func(keys [][]byte) [][]byte { return keys[:1] }})
		if _, err := s.Append(t.Context(), "s", 2, []byte("too"), []byte("late")); !errors.Is(err, core.ErrSequenceConflict) || d.unmet() > 0 {
			t.Errorf("at once %v: %v", atOnce, err)
		}
		sameReads(t, s, "s", before)
	}
}

// A conversation settles by reading back what the store could not see.
func TestConversationSettles(t *testing.T) {
	ctx := context.Background()
	lost := &engineError{"UnknownError", "connection to the storage process lost"}
	for _, landed := range []bool{true, false} {
		d := newDisk()
		s := startFake(t, d, 0)
		c, err := core.New("s", s)
		if err != nil {
			t.Fatal(err)
		}
		d.faults = []fault{{step: "commit", err: lost, landed: landed}}
		if at, err := c.RecordProcessingStarted(ctx, "m"); err != nil || at != 0 {
			t.Errorf("landed %v: %d, %v", landed, at, err)
		}
		if entries, err := s.ReadFrom(ctx, "s", 0, 10); err != nil || len(entries) != 1 {
			t.Errorf("landed %v: stored %d times, %v", landed, len(entries), err)
		}
	}
}

// A page whose storage does not answer at all, not even to an abort.
func TestStalledCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Second
		d := newDisk()
		s := startFake(t, d, timeout)
		fill(t, s, "s", 1)
		d.stalled = true
		at := time.Now()
		if _, err := s.ReadFrom(t.Context(), "s", 0, 1); !errors.Is(err, core.ErrBlocked) || time.Since(at) != timeout {
			t.Errorf("read: %v after %v", err, time.Since(at))
		}
		at = time.Now()
		if _, err := s.Append(t.Context(), "s", 2, nil); !errors.Is(err, core.ErrBlocked) || time.Since(at) > timeout+abortGrace {
			t.Errorf("append: %v after %v", err, time.Since(at))
		}
		d.do(func() { d.stalled = false })
		if entries := everything(t, s, "s"); len(entries) != 2 {
			t.Errorf("%d events, though it was not written", len(entries))
		}
	})
}

// Calls without a deadline of their own share one, for a part of the timeout.
func TestCallsShareDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout, part = sharing * 100 * time.Millisecond, 100 * time.Millisecond
		d := newDisk()
		s := startFake(t, d, timeout)
		time.Sleep(timeout) // what opened it shares with nobody
		d.stalled = true
		var calls sync.WaitGroup
		for _, call := range []struct{ after, takes time.Duration }{{0, timeout}, {part / 2, timeout - part/2}, {part, timeout - part}, {2 * part, timeout}, {timeout, timeout}} {
			calls.Go(func() {
				time.Sleep(call.after)
				at := time.Now()
				if _, err := s.ReadFrom(context.Background(), "s", 0, 1); !errors.Is(err, core.ErrBlocked) || time.Since(at) != call.takes {
					t.Errorf("called after %v: %v after %v, not %v", call.after, err, time.Since(at), call.takes)
				}
			})
		}
		calls.Wait()
	})
}

func TestReadFaults(t *testing.T) {
	ctx := context.Background()
	lost := fault{step: "values", err: &engineError{"UnknownError", "lost"}}
	d := newDisk()
	s := startFake(t, d, 0)
	if _, err := s.Append(ctx, "s", 0, []byte("event")); err != nil {
		t.Fatal(err)
	}
	d.faults = []fault{lost, lost}
	if entries, err := s.ReadFrom(ctx, "s", 0, 10); err != nil || len(entries) != 1 {
		t.Errorf("lost twice: %d entries, %v", len(entries), err)
	}
	d.faults = []fault{lost, lost, {step: "keys", err: lost.err}} // the third time, what can be read is read one by one
	if entries, err := s.ReadFrom(ctx, "s", 0, 10); !errors.Is(err, core.ErrStorageUnavailable) {
		t.Errorf("lost three times: %d entries, %v", len(entries), err)
	}
	if !errors.Is(s.LastError(), core.ErrStorageUnavailable) {
		t.Errorf("last error: %v", s.LastError())
	}
}

func TestOpenFaults(t *testing.T) {
	failure := fault{step: "open", err: &engineError{"UnknownError", "internal error opening backing store"}}
	for _, c := range []struct {
		name   string
		faults []fault
		want   core.Code
	}{
		{"twice", []fault{failure, failure}, ""},
		{"three times", []fault{failure, failure, failure}, core.ErrStorageUnavailable},
		{"a newer version", []fault{{step: "open", err: &engineError{versionError, ""}}}, core.ErrUnsupportedVersion},
		{"no room", []fault{{step: "open", err: &engineError{quotaExceeded, ""}}}, core.ErrQuotaExceeded},
	} {
		d := newDisk()
		d.faults = c.faults
		if _, err := start(context.Background(), &fakeEngine{d}, 0); core.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want code %q", c.name, err, c.want)
		}
	}
}

func TestOpenWithATimeoutThatIsOver(t *testing.T) {
	if _, err := start(t.Context(), &fakeEngine{newDisk()}, -1); !errors.Is(err, core.ErrInvalidArgument) {
		t.Errorf("got %v", err)
	}
}

// A page that missed notices opens a new connection and looks at all streams.
func TestMissedNotices(t *testing.T) {
	d := newDisk()
	s := startFake(t, d, 0)
	before := s.calls.connection.db
	heard := make(chan core.StreamInfo, 1)
	s.Watch(func(stream core.StreamInfo) { heard <- stream })
	s.missed()
	if stream := <-heard; stream.Name != "" {
		t.Errorf("heard of %+v", stream)
	}
	if !before.lost() {
		t.Error("the old connection is still in use")
	}
	if _, err := s.Append(context.Background(), "s", 0, nil); err != nil {
		t.Error(err)
	}
}

// Other tabs hear of an append that comes after a pause before it is
// acknowledged, and of those right behind it together.
func TestNewsForOtherTabs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s, other := startFake(t, d, 0), startFake(t, d, 0)
		var mu sync.Mutex
		var heads []uint64
		other.Watch(func(stream core.StreamInfo) {
			mu.Lock()
			defer mu.Unlock()
			heads = append(heads, stream.Head)
		})
		add := func(expected uint64) {
			t.Helper()
			if _, err := s.Append(t.Context(), "s", expected, nil); err != nil {
				t.Fatal(err)
			}
		}
		check := func(want ...uint64) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(heads, want) {
				t.Errorf("heard of %v, want %v", heads, want)
			}
		}
		add(0)
		check(1)
		add(1)
		add(2)
		check(1)
		time.Sleep(postDelay)
		check(1, 3)
		add(3)
		check(1, 3)
		time.Sleep(time.Second)
		check(1, 3, 4)
		add(4)
		check(1, 3, 4, 5)
		add(5)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		check(1, 3, 4, 5, 6)
	})
}

func TestResetOverFake(t *testing.T) {
	ctx := context.Background()
	d := newDisk()
	s := startFake(t, d, 0)
	d.empty()
	for range 2 {
		if _, err := s.Append(ctx, "s", 0, nil); !errors.Is(err, core.ErrStoreReset) {
			t.Errorf("append into an emptied store: %v", err)
		}
	}
	again := startFake(t, d, 0)
	if _, err := again.Append(ctx, "s", 0, nil); err != nil {
		t.Errorf("a store opened afresh: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	d.empty()
	if _, err := start(ctx, &fakeEngine{d}, 0); !errors.Is(err, core.ErrStoreReset) {
		t.Errorf("the next life of the page: %v", err)
	}
}

// A call that its caller has cancelled says so, whatever the caller gives as the
// cause, and is no failure of the storage.
func TestCancelledWithACause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s := startFake(t, d, time.Hour)
		fill(t, s, "s", 1)
		cancelled, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(core.ErrCorrupt) })
		late, cancelLate := context.WithTimeoutCause(t.Context(), time.Second, errors.New("it took too long"))
		defer cancelLate()
		d.do(func() { d.stalled = true })
		for _, ctx := range []context.Context{cancelled, late} {
			for _, moment := range []string{"meanwhile", "before"} {
				if _, err := s.ReadFrom(ctx, "s", 0, 1); core.CodeOf(err) != core.ErrCancelled {
					t.Errorf("read, ended %s: %v", moment, err)
				}
				if _, err := s.Append(ctx, "s", 2, nil); core.CodeOf(err) != core.ErrCancelled {
					t.Errorf("append, ended %s: %v", moment, err)
				}
				if _, err := core.Recover(ctx, "s", s); core.CodeOf(err) != core.ErrCancelled {
					t.Errorf("recover, ended %s: %v", moment, err)
				}
			}
		}
		if err := s.LastError(); err != nil {
			t.Errorf("last error: %v", err)
		}
	})
}
