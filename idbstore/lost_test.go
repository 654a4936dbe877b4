package idbstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/holdfast-dev/holdfast/core"
)

// Whom a lost end is reported to: the caller of a conversation, and nobody who
// drops it. These stories end where the store is closed.

// loseEnd returns a store whose stream "s" of three batches has lost those that
// end at ends since an earlier life of the page.
func loseEnd(t *testing.T, d *disk, ends ...uint64) *Store {
	t.Helper()
	s := startFake(t, d, 0)
	for i := range 3 {
		appendSteps(t, s, "s", uint64(2*i), 2)
	}
	for _, end := range ends {
		raw(t, s, recordsStore, without(end))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return startFake(t, d, 0)
}

// A follower goes on, so what it finds is reported to the next caller.
func TestLostEndFoundByAFollower(t *testing.T) {
	for name, call := range map[string]func(*core.Conversation) error{
		"refresh": func(c *core.Conversation) error { return c.Refresh(context.Background()) },
		"recover": func(c *core.Conversation) error {
			_, err := core.Recover(context.Background(), "s", c.Store())
			return err
		},
		"record": func(c *core.Conversation) error {
			_, err := c.RecordProcessingStarted(context.Background(), "m")
			return err
		},
		"begin to record": func(c *core.Conversation) error {
			settled := make(chan core.Recorded, 1)
			c.BeginRecord(core.Event{Kind: core.KindProcessingStarted, MessageID: "m"}, func(r core.Recorded) { settled <- r })
			return (<-settled).Err
		},
		"begin to update": func(c *core.Conversation) error {
			started := func(*core.State) ([]core.Event, error) {
				return []core.Event{{Kind: core.KindProcessingStarted, MessageID: "m"}}, nil
			}
			if c.BeginUpdate(started, func(core.Recorded) {}) {
				return errors.New("it has begun")
			}
			return c.Update(context.Background(), started)
		},
		"send": func(c *core.Conversation) error {
			_, err := c.Send(context.Background(), "new", 1, nil)
			return err
		},
		"of a clone": func(c *core.Conversation) error {
			_, err := c.Clone().RecordProcessingStarted(context.Background(), "m")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisk()
				d.atOnce = true
				s := loseEnd(t, d, 6)
				c, err := core.New("s", s)
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				followed := make(chan error, 1)
				go func() { followed <- c.Follow(ctx) }()
				synctest.Wait()
				stop()
				if err := <-followed; err != nil {
					t.Errorf("follow: %v", err)
				}
				if c.ExpectedSeq() != 4 {
					t.Fatalf("it has read up to %d", c.ExpectedSeq())
				}
				if err := call(c); !errors.Is(err, core.ErrGap) {
					t.Errorf("the first call: %v", err)
				}
				if _, err := c.RecordProcessingStarted(t.Context(), "m"); err != nil {
					t.Errorf("then: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A stream without records is in the list until its loss was reported, unless it
// was deleted.
func TestLostStreamIsListed(t *testing.T) {
	ctx := context.Background()
	listed := func(s *Store, prefix, want string) {
		t.Helper()
		streams, err := s.Streams(ctx, prefix)
		if got := headsText(streams); err != nil || got != want {
			t.Errorf("%q lists %s, %v, want %s", prefix, got, err, want)
		}
	}
	d := newDisk()
	s := startFake(t, d, 0)
	fill(t, s, "a", 1)
	fill(t, s, "t", 1)
	for _, stream := range []string{"deleted", "also"} {
		fill(t, s, stream, 1)
		if err := s.Delete(ctx, stream); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = loseEnd(t, d, 2, 4, 6)
	listed(s, "", "[{a 2} {s 0} {t 2}]")
	listed(s, "s", "[{s 0}]")
	listed(s, "t", "[{t 2}]")
	if _, err := core.Recover(ctx, "s", s); !errors.Is(err, core.ErrGap) {
		t.Errorf("recover: %v", err)
	}
	listed(s, "", "[{a 2} {t 2}]")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = startFake(t, d, 0)
	listed(s, "", "[{a 2} {t 2}]")
	appendSteps(t, s, "s", 0, 1)
	listed(s, "", "[{a 2} {s 1} {t 2}]")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What was lost before a deletion is deleted, and what is lost after it is lost.
func TestLostEndOfADeletedStream(t *testing.T) {
	ctx := context.Background()
	for _, told := range []bool{false, true} {
		t.Run(fmt.Sprint("told before ", told), func(t *testing.T) {
			d := newDisk()
			s := loseEnd(t, d, 4, 6)
			if told {
				if _, err := core.Recover(ctx, "s", s); !errors.Is(err, core.ErrGap) {
					t.Errorf("recover: %v", err)
				}
			}
			if err := s.Delete(ctx, "s"); err != nil {
				t.Fatal(err)
			}
			for life := range 2 {
				if found := verify(t, s, "s"); found.Damage != nil {
					t.Errorf("life %d: verify finds %+v", life, found)
				}
				if _, err := core.Recover(ctx, "s", s); err != nil {
					t.Errorf("life %d: recover: %v", life, err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = startFake(t, d, 0)
			}
			appendSteps(t, s, "s", 3, 5)
			raw(t, s, recordsStore, without(8))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = startFake(t, d, 0)
			if found := verify(t, s, "s"); fmt.Sprint(found.Damage) != "[{3 7 gap }]" {
				t.Errorf("lost after the deletion: verify finds %+v", found)
			}
			if _, err := core.Recover(ctx, "s", s); !errors.Is(err, core.ErrGap) {
				t.Errorf("lost after the deletion: recover: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
