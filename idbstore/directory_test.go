//go:build !js

package idbstore

import (
	"context"
	"slices"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

// TestDamagedSummaries: one that cannot be read is left out of the list, and is
// due, so that who processes all recovers the conversation, which mends it.
func TestDamagedSummaries(t *testing.T) {
	ctx := context.Background()
	s := startFake(t, newDisk(), 0)
	defer s.Close()
	for _, id := range []string{"a", "b", "c"} {
		c, err := core.New(id, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.RecordError(ctx, "m", "no"); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (ids []string) {
		t.Helper()
		summaries, err := s.List(ctx, core.Listing{Limit: 1, Recent: true})
		for ; err == nil && len(summaries) > 0; summaries, err = s.List(ctx, core.Listing{Limit: 1, Recent: true, After: &summaries[0]}) {
			ids = append(ids, summaries[0].ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(ids)
		return ids
	}
	for name, summary := range map[string][]byte{"rubbish": []byte("rubbish"), "nothing": nil, "another version": core.EncodeSummary(core.Summary{ID: "b"})[1:]} {
		raw(t, s, directoryStore, func(_ context.Context, tx transaction) error {
			return tx.list("b", &listed{recent: recentKey(9, "b"), due: dueKey(core.MaxSequence, "b"), summary: summary})
		})
		if ids := list(); !slices.Equal(ids, []string{"a", "c"}) {
			t.Errorf("%s: listed are %q", name, ids)
		}
		streams, next, err := s.Due(ctx, "", 1000)
		if err != nil || !slices.Equal(streams, []string{"b"}) || next != 0 {
			t.Errorf("%s: due are %q, next %d, error %v", name, streams, next, err)
		}
		if _, err := core.Recover(ctx, "b", s); err != nil {
			t.Fatal(err)
		}
		if ids := list(); !slices.Equal(ids, []string{"a", "b", "c"}) {
			t.Errorf("%s: after it was recovered listed are %q", name, ids)
		}
		if streams, _, err := s.Due(ctx, "", 1000); err != nil || len(streams) > 0 {
			t.Errorf("%s: after it was recovered due are %q, error %v", name, streams, err)
		}
	}
}
