package idbstore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sort"
	"strings"

	"github.com/holdfast-dev/holdfast/core"
)

// listed is what the object store directory has of a stream, under its name: the
// summary, and what the two indexes order it by.
type listed struct {
	recent  []byte // see recentKey
	due     []byte // see readyKey and dueKey; nil if it is neither
	summary []byte
}

// newListed returns nil for nil.
func newListed(s *core.Summary) *listed {
	if s == nil {
		return nil
	}
	l := &listed{recent: recentKey(s.Updated, s.ID), summary: core.EncodeSummary(*s)}
	switch {
	case s.Ready:
		l.due = readyKey(s.Updated, s.ID)
	case s.Due > 0:
		l.due = dueKey(s.Due, s.ID)
	}
	return l
}

// name returns the name of the stream.
func (l *listed) name() []byte { return l.recent[min(sequenceBytes, len(l.recent)):] }

// listPage is how many summaries are asked for at once, at most: so many amount to
// pageBytes, where all have as long names and as many metadata as there may be.
const listPage = 200

// List implements [core.Directory]. It costs one request for each listPage of
// them. The first time it also looks which of the remembered streams are lost.
func (s *Store) List(ctx context.Context, l core.Listing) ([]core.Summary, error) {
	if err := core.CheckListing(l); err != nil {
		return nil, err
	}
	ctx, cancel := s.WithDeadline(ctx)
	defer cancel()
	found, err := s.list(ctx, l)
	if err != nil || l.IDs != nil {
		return found, err
	}
	lost, err := s.lost(ctx, l.Prefix, found)
	if err != nil || len(lost) == 0 {
		return found, err
	}
	return withLost(found, lost, l), nil
}

func (s *Store) list(ctx context.Context, l core.Listing) ([]core.Summary, error) {
	return view(ctx, s.calls, "list", l.Prefix, directoryStore, func(ctx context.Context, tx transaction) ([]core.Summary, error) {
		if l.IDs != nil {
			return listByID(ctx, tx, l.IDs)
		}
		r, key := namesWithPrefix(l.Prefix), (*listed).name
		if l.Recent {
			var err error
			if tx, err = tx.by(recentIndex); err != nil {
				return nil, err
			}
			r, key = everyKey, func(l *listed) []byte { return l.recent }
		}
		if l.After != nil {
			r.lower = after(key(newListed(l.After)))
		}
		return list(ctx, tx, r, l, key)
	})
}

// list reads summaries in the order of tx, by keys which key returns.
func list(ctx context.Context, tx transaction, r keyRange, l core.Listing, key func(*listed) []byte) ([]core.Summary, error) {
	var found []core.Summary
	most := min(l.Limit, listPage)
	if l.Recent && l.Prefix != "" {
		most = listPage // there may be only a few among many others
	}
	for bytes.Compare(r.lower, r.upper) <= 0 {
		page, err := tx.listed(r, most).wait(ctx)
		if err != nil {
			return nil, err
		}
		for _, one := range page {
			if !bytes.HasPrefix(one.name(), []byte(l.Prefix)) {
				continue
			}
			summary, err := core.DecodeSummary(one.summary)
			if err != nil {
				continue
			}
			if found = append(found, summary); len(found) == l.Limit {
				return found, nil
			}
		}
		if len(page) < most {
			break
		}
		last := key(&page[len(page)-1])
		if bytes.Compare(last, r.lower) < 0 {
			return nil, corruptKey(l.Prefix) // it does not say where it stands
		}
		r.lower = after(last)
	}
	return found, nil
}

// lost returns the streams with a prefix of which nothing is left, also no row of
// the list, and whose loss was not reported; in order. Those in found are not.
func (s *Store) lost(ctx context.Context, prefix string, found []core.Summary) ([]string, error) {
	for _, summary := range found {
		s.heads.seen(summary.ID)
	}
	unseen := s.heads.unseen(prefix)
	if len(unseen) == 0 {
		return nil, nil
	}
	return view(ctx, s.calls, "list", prefix, recordsAndDirectory, func(ctx context.Context, tx transaction) (lost []string, err error) {
		directory, err := tx.in(directoryStore)
		if err != nil {
			return nil, err
		}
		asked := make([]answer[[]byte], len(unseen))
		for i, name := range unseen {
			asked[i] = tx.last(recordsEndingFrom(name, 0))
		}
		for i, name := range unseen {
			if record, err := asked[i].wait(ctx); err != nil {
				return nil, err
			} else if record == nil {
				lost = append(lost, name)
			} else {
				s.heads.seen(name)
			}
		}
		rows, err := listByID(ctx, directory, lost)
		isListed := func(name string) bool {
			return slices.ContainsFunc(rows, func(row core.Summary) bool { return row.ID == name })
		}
		return slices.DeleteFunc(lost, isListed), err
	})
}

// withLost puts rows for lost streams among those that were found: they come last
// by time, since nothing is known of theirs. Then somebody recovers them, and is
// told.
func withLost(found []core.Summary, lost []string, l core.Listing) []core.Summary {
	for _, name := range lost {
		summary := core.Summary{ID: name}
		if l.After == nil || listOrder(l.Recent, summary, *l.After) > 0 {
			found = append(found, summary)
		}
	}
	sort.Slice(found, func(i, j int) bool { return listOrder(l.Recent, found[i], found[j]) < 0 })
	return found[:min(len(found), l.Limit)]
}

// listOrder compares two rows as [core.Listing] orders them.
func listOrder(recent bool, a, b core.Summary) int {
	if recent && a.Updated != b.Updated {
		return cmp.Compare(b.Updated, a.Updated)
	}
	return strings.Compare(a.ID, b.ID)
}

func listByID(ctx context.Context, tx transaction, ids []string) ([]core.Summary, error) {
	var found []core.Summary
	for part := range slices.Chunk(ids, listPage) {
		asked := make([]answer[[]listed], len(part))
		for i, id := range part {
			asked[i] = tx.listed(keyRange{[]byte(id), []byte(id)}, 1)
		}
		for _, one := range asked {
			there, err := one.wait(ctx)
			if err != nil {
				return nil, err
			}
			for _, one := range there {
				if summary, err := core.DecodeSummary(one.summary); err == nil {
					found = append(found, summary)
				}
			}
		}
	}
	return found, nil
}

// Due implements [core.Directory]. It costs one request for each listPage of the
// summaries, of whatever prefix, that come before the one that is next.
func (s *Store) Due(ctx context.Context, prefix string, until uint64) (streams []string, next uint64, err error) {
	const op = "due"
	if err := core.CheckPrefix(op, prefix); err != nil {
		return nil, 0, err
	}
	next, err = view(ctx, s.calls, op, prefix, directoryStore, func(ctx context.Context, tx transaction) (uint64, error) {
		streams = nil
		tx, err := tx.by(dueIndex)
		if err != nil {
			return 0, err
		}
		end := dueUntil(until)
		for r := everyKey; ; {
			page, err := tx.listed(r, listPage).wait(ctx)
			if err != nil {
				return 0, err
			}
			for _, one := range page {
				name := string(one.name())
				if !strings.HasPrefix(name, prefix) {
					continue
				}
				if bytes.Compare(one.due, end) > 0 {
					if summary, err := core.DecodeSummary(one.summary); err == nil {
						return summary.Due, nil
					}
				}
				if len(streams) < core.MaxDue {
					streams = append(streams, name)
				}
			}
			if len(page) < listPage {
				return 0, nil
			}
			last := page[len(page)-1].due
			if len(streams) == core.MaxDue && bytes.Compare(last, end) < 0 {
				last = end // what is next counts, and no more of what is due
			}
			if bytes.Compare(last, r.lower) < 0 {
				return 0, corruptKey(prefix) // it does not say where it stands
			}
			r.lower = after(last)
		}
	})
	if err != nil {
		return nil, 0, err
	}
	return streams, next, nil
}

// Mend implements [core.Directory].
func (s *Store) Mend(ctx context.Context, stream string, head uint64, summary *core.Summary) error {
	const op = "mend"
	if err := core.CheckSummary(op, stream, summary); err != nil {
		return err
	}
	var last []byte
	mended := false
	err := s.calls.run(ctx, op, stream, readWriteIdle, recordsAndDirectory, func(ctx context.Context, tx transaction) error {
		key, now, _, err := lastRecord(ctx, tx, stream)
		if last, mended = key, err == nil && now == head; !mended {
			return err
		}
		directory, err := tx.in(directoryStore)
		if err != nil {
			return err
		}
		if summary == nil {
			return removeKey(directory, stream)
		}
		return directory.list(stream, newListed(summary))
	})
	if err == nil && mended {
		s.news.announce(core.StreamInfo{Name: stream, Head: head, Summary: true}, last)
	}
	return err
}
