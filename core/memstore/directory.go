package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/holdfast-dev/holdfast/core"
)

// List implements [core.Directory].
func (s *Store) List(ctx context.Context, l core.Listing) ([]core.Summary, error) {
	if err := core.CheckListing(l); err != nil {
		return nil, err
	}
	var found []core.Summary
	err := s.do(ctx, "list", l.Prefix, func(m *memory) error {
		if l.IDs != nil {
			for _, id := range l.IDs {
				if summary, ok := m.directory[id]; ok {
					found = append(found, summary)
				}
			}
			return nil
		}
		order := func(a, b core.Summary) int { return strings.Compare(a.ID, b.ID) }
		if l.Recent {
			order = func(a, b core.Summary) int {
				return cmp.Or(cmp.Compare(b.Updated, a.Updated), strings.Compare(a.ID, b.ID))
			}
		}
		found = slices.Collect(maps.Values(m.directory))
		sort.Slice(found, func(i, j int) bool { return order(found[i], found[j]) < 0 })
		found = slices.DeleteFunc(found, func(one core.Summary) bool {
			return !strings.HasPrefix(one.ID, l.Prefix) || l.After != nil && order(one, *l.After) <= 0
		})
		found = found[:min(len(found), l.Limit)]
		return nil
	})
	return found, err
}

// Due implements [core.Directory].
func (s *Store) Due(ctx context.Context, prefix string, until uint64) (streams []string, next uint64, err error) {
	if err := core.CheckPrefix("due", prefix); err != nil {
		return nil, 0, err
	}
	err = s.do(ctx, "due", prefix, func(m *memory) error {
		var due []core.Summary
		for id, summary := range m.directory {
			switch {
			case !strings.HasPrefix(id, prefix):
			case summary.Ready, summary.Due > 0 && summary.Due <= until:
				due = append(due, summary)
			case summary.Due > until:
				next = core.Sooner(next, summary.Due)
			}
		}
		key := func(s core.Summary) uint64 {
			if s.Ready {
				return core.MaxSequence - min(s.Updated, core.MaxSequence)
			}
			return 1<<63 | s.Due
		}
		sort.Slice(due, func(i, j int) bool {
			return cmp.Or(cmp.Compare(key(due[i]), key(due[j])), strings.Compare(due[i].ID, due[j].ID)) < 0
		})
		for _, summary := range due[:min(len(due), core.MaxDue)] {
			streams = append(streams, summary.ID)
		}
		return nil
	})
	return streams, next, err
}

// Mend implements [core.Directory].
func (s *Store) Mend(ctx context.Context, stream string, head uint64, summary *core.Summary) error {
	const op = "mend"
	if err := core.CheckSummary(op, stream, summary); err != nil {
		return err
	}
	mended := false
	err := s.do(ctx, op, stream, func(m *memory) error {
		if mended = m.head(stream) == head; mended {
			m.summarize(stream, summary)
		}
		return nil
	})
	if mended && err == nil {
		s.memory.announce(core.StreamInfo{Name: stream, Head: head, Summary: true})
	}
	return err
}

// summarize keeps the summary of a stream, none if it is nil.
func (m *memory) summarize(stream string, summary *core.Summary) {
	if summary == nil {
		delete(m.directory, stream)
	} else {
		m.directory[stream] = *summary
	}
}
