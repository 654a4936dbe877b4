//go:build !js

package idbstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// deed is a call of the store, or a few.
type deed struct {
	name string
	do   func(ctx context.Context, k keeper) (answer any, err error)
	// loose is for snapshots, which may be kept although an error is returned.
	loose bool
	// closes says that the store is closed behind it.
	closes bool
}

func appends(stream string, expected uint64, payloads ...string) func(context.Context, keeper) (any, error) {
	return func(ctx context.Context, k keeper) (any, error) {
		all := make([][]byte, len(payloads))
		for i, payload := range payloads {
			all[i] = []byte(payload)
		}
		return k.Append(ctx, stream, expected, all...)
	}
}

func writes(writes ...core.Write) func(context.Context, keeper) (any, error) {
	return doing(func(ctx context.Context, k keeper) error {
		ended := make(chan error, 1)
		k.Begin(ctx, func(err error) { ended <- err }, writes...)
		return <-ended
	})
}

func withSummary(expected uint64) core.Write {
	return core.Write{Stream: "s", Expected: expected, Payloads: [][]byte{{1}}, Summary: &core.Summary{ID: "s", Unfinished: 2}}
}

func doing(what func(context.Context, keeper) error) func(context.Context, keeper) (any, error) {
	return func(ctx context.Context, k keeper) (any, error) { return nil, what(ctx, k) }
}

var deeds = []deed{
	{name: "append one", do: appends("s", 5, "a")},
	{name: "append many", do: appends("s", 5, "a", "", "c")},
	{name: "append to nothing", do: appends("new", 0, "a", "b")},
	{name: "append behind a tombstone", do: appends("gone", 2, "a", "b")},
	{name: "append too early", do: appends("s", 4, "a")},
	{name: "append too late", do: appends("s", 6, "a")},
	{name: "append at 0 to something", do: appends("s", 0, "a")},
	{name: "append to nothing at 3", do: appends("new", 3, "a")},
	{name: "append to several", do: writes(core.Write{Stream: "new", Expected: 0, Payloads: [][]byte{{1}}}, core.Write{Stream: "s", Expected: 5, Payloads: [][]byte{{2}, {3}}})},
	{name: "append to several, to one too late", do: writes(core.Write{Stream: "new", Expected: 0, Payloads: [][]byte{{1}}}, core.Write{Stream: "s", Expected: 6, Payloads: [][]byte{{2}}})},
	{name: "append with a summary", do: writes(withSummary(5))},
	{name: "append with a summary, too late", do: writes(withSummary(6))},
	{name: "append to several with a summary", do: writes(core.Write{Stream: "new", Expected: 0, Payloads: [][]byte{{1}}}, withSummary(5))},
	{name: "list", do: func(ctx context.Context, k keeper) (any, error) { return k.List(ctx, core.Listing{Limit: 1}) }},
	{name: "list recent", do: func(ctx context.Context, k keeper) (any, error) {
		return k.List(ctx, core.Listing{Limit: 9, Recent: true})
	}},
	{name: "list some", do: func(ctx context.Context, k keeper) (any, error) {
		return k.List(ctx, core.Listing{IDs: []string{"t", "s"}})
	}},
	{name: "due", do: func(ctx context.Context, k keeper) (any, error) {
		streams, next, err := k.Due(ctx, "", 5)
		return []any{streams, next}, err
	}},
	{name: "mend", do: doing(func(ctx context.Context, k keeper) error {
		return k.Mend(ctx, "s", 5, &core.Summary{ID: "s", Unfinished: 2})
	})},
	{name: "mend to none", do: doing(func(ctx context.Context, k keeper) error { return k.Mend(ctx, "s", 5, nil) })},
	{name: "read and append, then it compacts", do: func(ctx context.Context, k keeper) (any, error) {
		if s, ok := k.(*Store); ok {
			s.compactor.due = 2
		}
		if _, err := k.ReadFrom(ctx, "s", 0, 100); err != nil {
			return nil, err
		}
		return k.Append(ctx, "s", 5, []byte("a"))
	}},
	{name: "compact", do: doing(func(ctx context.Context, k keeper) error {
		if s, ok := k.(*Store); ok {
			s.compactor.due = 2
			return s.compactor.compact(ctx, "s", tail{end: 5})
		}
		return nil
	})},
	{name: "read", do: func(ctx context.Context, k keeper) (any, error) { return k.ReadFrom(ctx, "s", 0, 100) }},
	{name: "read in the middle", do: func(ctx context.Context, k keeper) (any, error) { return k.ReadFrom(ctx, "s", 2, 2) }},
	{name: "read at", do: func(ctx context.Context, k keeper) (any, error) {
		entry, ok, err := k.ReadAt(ctx, "s", 3)
		return []any{entry, ok}, err
	}},
	{name: "read at the head", do: func(ctx context.Context, k keeper) (any, error) {
		entry, ok, err := k.ReadAt(ctx, "s", 5)
		return []any{entry, ok}, err
	}},
	{name: "scan", do: func(ctx context.Context, k keeper) (any, error) { return k.Scan(ctx, "") }},
	{name: "streams", do: func(ctx context.Context, k keeper) (any, error) { return k.Streams(ctx, "") }},
	{name: "swap", do: doing(func(ctx context.Context, k keeper) error { return k.CompareAndSwap(ctx, "k", 7, 8) })},
	{name: "swap to nothing", do: doing(func(ctx context.Context, k keeper) error { return k.CompareAndSwap(ctx, "k", 7, 0) })},
	{name: "swap something else", do: doing(func(ctx context.Context, k keeper) error { return k.CompareAndSwap(ctx, "k", 6, 8) })},
	{name: "read value", do: func(ctx context.Context, k keeper) (any, error) {
		value, ok, err := k.ReadValue(ctx, "k")
		return []any{value, ok}, err
	}},
	{name: "flush", do: doing(func(ctx context.Context, k keeper) error { return k.Flush(ctx) })},
	{name: "delete", do: doing(func(ctx context.Context, k keeper) error { return k.Delete(ctx, "s") })},
	{name: "delete what is deleted", do: doing(func(ctx context.Context, k keeper) error { return k.Delete(ctx, "gone") })},
	{name: "save snapshot", loose: true, do: doing(func(ctx context.Context, k keeper) error {
		return k.SaveSnapshot(ctx, "s", 4, []byte("new"))
	})},
	{name: "save snapshot of nothing", loose: true, do: doing(func(ctx context.Context, k keeper) error {
		return k.SaveSnapshot(ctx, "gone", 1, []byte("new"))
	})},
	{name: "read snapshot", do: func(ctx context.Context, k keeper) (any, error) {
		b, err := k.ReadSnapshot(ctx, "s")
		return string(b), err
	}},
	{name: "come back to the page, and append", do: func(ctx context.Context, k keeper) (any, error) {
		if s, ok := k.(*Store); ok {
			s.missed()
			synctest.Wait()
		}
		return k.Append(ctx, "s", 5, []byte("a"))
	}},
	{name: "open, append and close", do: func(ctx context.Context, k keeper) (any, error) {
		if s, ok := k.(*Store); ok {
			other, err := start(ctx, s.engine, s.calls.timeout)
			if err != nil {
				return nil, err
			}
			defer other.Close()
			k = other
		}
		return k.Append(ctx, "s", 5, []byte("a"))
	}},
	{name: "lock", do: doing(func(ctx context.Context, k keeper) error {
		s, ok := k.(*Store)
		if !ok {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, 2*sweepTimeout) // else it waits for as long as it takes
		defer cancel()
		lock, err := s.Lock(ctx, "l")
		if err == nil {
			lock.Release()
		}
		return err
	})},
	{name: "append and close", closes: true, do: func(ctx context.Context, k keeper) (any, error) {
		first, err := k.Append(ctx, "s", 5, []byte("a"))
		return first, errors.Join(err, k.Close())
	}},
}

// furnish puts something of everything into a store.
func furnish(t testing.TB, k keeper) {
	ctx := context.Background()
	for _, do := range []func(context.Context, keeper) (any, error){
		appends("s", 0, "0"), appends("s", 1, "1", "2", "3"), appends("s", 4, "4"),
		appends("gone", 0, "0"), doing(func(ctx context.Context, k keeper) error { return k.Delete(ctx, "gone") }),
		appends("t", 0, "0", "1"), doing(func(ctx context.Context, k keeper) error { return k.Delete(ctx, "t") }),
		appends("t", 3, "3"),
		doing(func(ctx context.Context, k keeper) error { return k.CompareAndSwap(ctx, "k", 0, 7) }),
		doing(func(ctx context.Context, k keeper) error { return k.SaveSnapshot(ctx, "s", 5, []byte("old")) }),
		doing(func(ctx context.Context, k keeper) error {
			return k.Mend(ctx, "s", 5, &core.Summary{ID: "s", Updated: 3, Unfinished: 1, Due: 3})
		}),
		doing(func(ctx context.Context, k keeper) error {
			return k.Mend(ctx, "t", 4, &core.Summary{ID: "t", Updated: 4, Due: 9})
		}),
	} {
		if _, err := do(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
}

// shown is all that a store shows, but the times.
func shown(k keeper) (string, error) {
	ctx := context.Background()
	entries, err := k.Scan(ctx, "")
	if err != nil {
		return "", err
	}
	streams, err := k.Streams(ctx, "")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, entry := range entries {
		fmt.Fprintf(&b, "%s:%d:%s:%v ", entry.Stream, entry.Sequence, entry.Payload, entry.Tombstone)
	}
	for _, stream := range streams {
		fmt.Fprintf(&b, "%s<%d ", stream.Name, stream.Head)
	}
	value, ok, err := k.ReadValue(ctx, "k")
	if err != nil {
		return "", err
	}
	fmt.Fprint(&b, value, ok)
	for _, stream := range []string{"s", "gone"} {
		snapshot, err := k.ReadSnapshot(ctx, stream)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " %q", snapshot)
	}
	summaries, err := k.List(ctx, core.Listing{Limit: 99})
	if err != nil {
		return "", err
	}
	for _, s := range summaries {
		fmt.Fprintf(&b, " %s:%d:%d:%v:%v", s.ID, s.Unfinished, s.Waiting, s.Ready, s.Due > 0)
	}
	return b.String(), nil
}

// saying is the answer of a deed, without times.
func saying(answer any, err error) string {
	var conflict *core.SequenceConflictError
	var regression *core.CursorRegressionError
	switch {
	case errors.As(err, &conflict):
		return conflict.Error()
	case errors.As(err, &regression):
		return regression.Error()
	}
	if entries, ok := answer.([]core.Entry); ok {
		for i := range entries {
			entries[i].Timestamp = 0
		}
	}
	if pair, ok := answer.([]any); ok {
		if entry, ok := pair[0].(core.Entry); ok {
			entry.Timestamp = 0
			pair[0] = entry
		}
	}
	return fmt.Sprint(answer)
}

// plan is a deed and what the model says of it.
type plan struct {
	deed
	before, after string // what is shown
	answer        string
	code          core.Code
}

func planned(t testing.TB, d deed) plan {
	memory := memstore.New()
	furnish(t, memory)
	p := plan{deed: d}
	p.before, _ = shown(memory)
	answer, err := d.do(context.Background(), memory.Share())
	p.answer, p.code = saying(answer, err), core.CodeOf(err)
	p.after, _ = shown(memory)
	return p
}

func TestSweepOfTheStore(t *testing.T) {
	w := newSwept()
	for _, atOnce := range []bool{false, true} {
		furnished := newDisk()
		furnished.atOnce = atOnce
		s := startFake(t, furnished, 0)
		furnish(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, d := range deeds {
			t.Run(fmt.Sprintf("%s, at once %v", d.name, atOnce), func(t *testing.T) {
				w.sweep(t, furnished.clone, planned(t, d).play)
			})
		}
	}
	w.report(t, allSteps)
}

func (p plan) play(s *strike) {
	store, peer := s.open(), s.open()
	var answer any
	s.call(p.code, func(ctx context.Context) (err error) {
		answer, err = p.do(ctx, store)
		return err
	})
	said := core.CodeOf(s.err) == p.code
	if said && saying(answer, s.err) != p.answer {
		s.failf("answered %s, want %s", saying(answer, s.err), p.answer)
	}
	if s.emptied {
		p.checkEmptied(s, said, store, peer)
		return
	}
	before, after := p.before, p.after
	switch {
	case said:
		before = after
	case p.loose || core.CodeOf(s.err).Outcome() == core.Unknown:
	default:
		after = before
	}
	if !p.closes {
		p.checkShown(s, "the same store", store, before, after)
	}
	p.checkShown(s, "another tab", peer, before, after)
	again := s.open()
	p.checkShown(s, "the next life", again, before, after)
	// Once more: it works now, unless it has been done.
	answer, err := p.do(context.Background(), again)
	switch code := core.CodeOf(err); {
	case code == p.code && saying(answer, err) == p.answer:
	case (code == core.ErrSequenceConflict || code == core.ErrCursorRegression) && p.before != p.after:
	default:
		s.failf("once more: %v, %v", saying(answer, err), err)
	}
	p.checkShown(s, "another tab, once more", peer, p.after, p.after)
	if _, err := peer.Append(context.Background(), "peer", 0, []byte("x")); err != nil {
		s.failf("then another tab appends: %v", err)
	}
	s.close(store, peer, again)
}

func (s *strike) close(stores ...*Store) {
	for _, store := range stores {
		if err := store.Close(); err != nil {
			s.failf("then close: %v", err)
		}
	}
}

func (p plan) checkShown(s *strike, where string, k keeper, before, after string) {
	s.Helper()
	got, err := shown(k)
	if err != nil || got != before && got != after {
		s.failf("%s shows\n%s, %v, want\n%s, or\n%s", where, got, err, before, after)
	}
}

// checkEmptied checks that nothing was written into what came in place of the
// store, and that everybody notices.
func (p plan) checkEmptied(s *strike, said bool, store, peer *Store) {
	if said && p.before != p.after && s.written == 0 && !p.loose {
		s.failf("acknowledged, and then it was not there")
	}
	for _, k := range []*Store{store, peer} {
		if got, err := shown(k); !(errors.Is(err, core.ErrStoreReset) || k == store && p.closes && errors.Is(err, core.ErrClosed)) {
			s.failf("a store that was emptied shows %s, %v", got, err)
		}
	}
	again := s.open()
	nothing, _ := shown(memstore.New())
	p.checkShown(s, "the next life", again, nothing, nothing)
	s.close(store, peer, again)
}
