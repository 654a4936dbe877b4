package idbstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// The list of conversations has a row for one of which nothing is left, also no row,
// until its loss was reported. It has no other one twice, and none that was deleted.
func TestLostStreamHasARow(t *testing.T) {
	ctx := context.Background()
	listed := func(s *Store, prefix string, want ...string) {
		t.Helper()
		for _, recent := range []bool{false, true} {
			for limit := 1; limit <= 6; limit++ {
				var ids []string
				l := core.Listing{Prefix: prefix, Recent: recent, Limit: limit}
				for {
					page, err := s.List(ctx, l)
					if err != nil || len(page) > limit {
						t.Fatalf("a page of %d has %d rows, %v", limit, len(page), err)
					}
					for i, row := range page {
						if recent && l.After != nil && row.Updated > l.After.Updated {
							t.Errorf("%s comes after %s", row.ID, l.After.ID)
						}
						ids, l.After = append(ids, row.ID), &page[i]
					}
					if len(page) < limit {
						break
					}
				}
				if recent {
					slices.Sort(ids)
				}
				if !slices.Equal(ids, want) {
					t.Errorf("%q, recent %v, pages of %d: %q, want %q", prefix, recent, limit, ids, want)
				}
			}
		}
	}
	d := newDisk()
	s := startFake(t, d, 0)
	for _, id := range []string{"a", "b", "deleted", "s/1", "s/2", "t"} {
		c, err := core.New(id, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.RecordError(ctx, "m", "no"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(ctx, "deleted"); err != nil {
		t.Fatal(err)
	}
	listed(s, "", "a", "b", "s/1", "s/2", "t")
	for _, id := range []string{"a", "s/1", "s/2"} {
		raw(t, s, recordsAndDirectory, func(_ context.Context, tx transaction) error {
			directory, err := tx.in(directoryStore)
			if err != nil {
				return err
			}
			return errors.Join(tx.remove(recordsEndingFrom(id, 0)), removeKey(directory, id))
		})
	}
	raw(t, s, recordsStore, func(_ context.Context, tx transaction) error { return tx.remove(recordsEndingFrom("b", 0)) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = startFake(t, d, 0)
	if rows, err := s.List(ctx, core.Listing{Recent: true, Limit: 9, After: &core.Summary{ID: "z", Updated: 1}}); err != nil || len(rows) != 3 {
		t.Errorf("after all that have a row: %v, %v", rows, err)
	}
	listed(s, "s/", "s/1", "s/2")
	listed(s, "", "a", "b", "s/1", "s/2", "t")
	if _, err := core.Recover(ctx, "s/1", s); !errors.Is(err, core.ErrGap) {
		t.Errorf("recover: %v", err)
	}
	listed(s, "", "a", "b", "s/2", "t")
	if rows, err := s.List(ctx, core.Listing{IDs: []string{"a", "t"}}); err != nil || len(rows) != 1 {
		t.Errorf("by their ids: %v, %v", rows, err)
	}
	c, err := core.New("s/2", s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RecordError(ctx, "m", "it begins anew"); err != nil {
		t.Fatal(err)
	}
	listed(s, "s/", "s/2")
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
