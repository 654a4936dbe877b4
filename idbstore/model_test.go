package idbstore

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

var (
	modelOps  = flag.Int("model.ops", defaultModelOps, "how many operations TestModel makes")
	modelSeed = flag.Uint64("model.seed", 1, "the seed of TestModel; 0 for a random one")
)

// modelSteps is how many operations a history has, on average.
const modelSteps = 100

// TestModel makes random calls through several connections to one database, and
// the same calls on a store in memory: both must always say the same. It runs
// natively over the fake, and in the browser over the real thing. `make model`
// is the long form.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	first := seed
	t.Logf("-model.seed=%d; a history that fails with -rapid.seed=N is the first with -model.seed=N", seed)
	set(t, "rapid.steps", modelSteps)
	set(t, "rapid.nofailfile", true)
	histories, ops := 0, 0
	for ops < *modelOps {
		checks := min((*modelOps-ops)/modelSteps+1, 1000)
		set(t, "rapid.checks", max(checks, 5)) // of which -short leaves a fifth
		set(t, "rapid.seed", seed)
		seed += 1 << 32 // rapid counts on from it
		rapid.Check(t, func(r *rapid.T) {
			m := newHistory(t, r)
			defer m.end()
			r.Repeat(m.actions())
			for i := range m.tabs {
				m.reopen(r, i)
				m.look(r, m.tabs[i], "")
			}
			histories++
			ops += m.ops
		})
	}
	t.Logf("result: model: %d operations in %d histories, %s, seed %d", ops, histories, runtime.GOOS, first)
}

func set[T any](t *testing.T, name string, value T) {
	t.Helper()
	if err := flag.Set(name, fmt.Sprint(value)); err != nil {
		t.Fatal(err)
	}
}

// keeper is what the model and the store have in common.
type keeper interface {
	core.DurableStore
	core.Snapshotter
	core.Directory
}

// history is a sequence of calls.
type history struct {
	t     *testing.T
	model *memstore.Store
	tabs  []*modelTab
	open  func() *Store
	clear func() // removes the database
	ops   int
}

// modelTab is a connection, and what it was told of heads.
type modelTab struct {
	*Store
	heard sync.Mutex
	heads map[string]uint64
}

func newHistory(t *testing.T, r *rapid.T) *history {
	m := &history{t: t, model: memstore.New()}
	m.open, m.clear = modelDatabase(t, rapid.Bool().Draw(r, "appends at once"))
	for range 3 {
		m.tabs = append(m.tabs, m.tab())
	}
	return m
}

// tab opens a connection which merges whatever it can, but only when it is told.
func (m *history) tab() *modelTab {
	tab := &modelTab{Store: m.open(), heads: map[string]uint64{}}
	tab.compactor.due = 2
	tab.compactor.timer.Stop()
	tab.Watch(func(moved core.StreamInfo) {
		tab.heard.Lock()
		defer tab.heard.Unlock()
		tab.heads[moved.Name] = max(tab.heads[moved.Name], moved.Head)
	})
	return tab
}

func (m *history) reopen(r *rapid.T, i int) {
	if err := m.tabs[i].Close(); err != nil {
		r.Fatal(err)
	}
	m.tabs[i] = m.tab()
}

func (m *history) end() {
	for _, tab := range m.tabs {
		if err := tab.Close(); err != nil {
			m.t.Error(err)
		}
	}
	m.clear()
}

var (
	// Neighbours, prefixes of each other, and odd ones.
	goodNames = []string{"a", "a\x01", "ab", "\u00e9", "e\u0301", "\U0001f3d4", "\U0010ffff", strings.Repeat("n", core.MaxNameBytes)}
	badNames  = []string{"", "a\x00", "\xff", "\xed\xa0\x80", strings.Repeat("n", core.MaxNameBytes+1)}

	someName     = rapid.SampledFrom(slices.Concat(slices.Repeat(goodNames, 3), slices.Repeat(goodNames[:2], 20), badNames))
	somePrefix   = rapid.SampledFrom(slices.Concat([]string{"", "", "e", "b", "nn", "\u00e8"}, goodNames))
	someSize     = rapid.SampledFrom([]int{0, 1, 1, 7, 40, 300, smallRecord + 1})
	someCount    = rapid.SampledFrom([]int{1, 1, 1, 2, 3, 10, 0})
	someDistance = rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 1, -1, 2, -2, -5, 9, math.MinInt, math.MaxInt})
	someTime     = rapid.SampledFrom([]uint64{0, 1, 2, 1_700_000_000_000, core.MaxSequence})
	someLimit    = rapid.SampledFrom([]int{math.MaxInt, 0, 1, 2, 3, 7, 100, -1})
)

// drawSummary draws none half of the time, and now and then one of another stream.
func drawSummary(r *rapid.T, stream string) *core.Summary {
	if rapid.Bool().Draw(r, "no summary") {
		return nil
	}
	if rapid.IntRange(0, 31).Draw(r, "of another") == 31 {
		stream = someName.Draw(r, "other")
	}
	state := core.NewState()
	for key := range rapid.IntRange(0, 3).Draw(r, "keys") {
		state.Apply(core.Event{Kind: core.KindMetadata, MessageID: strconv.Itoa(key), Output: make([]byte, someSize.Draw(r, "value"))})
	}
	return &core.Summary{ID: stream, Updated: someTime.Draw(r, "updated"), Due: someTime.Draw(r, "due"), Unfinished: rapid.IntRange(0, 300).Draw(r, "unfinished"), Ready: rapid.Bool().Draw(r, "ready"), Metadata: state.Metadata()}
}

// near draws a sequence near the head of a stream, most often the head itself.
func (m *history) near(r *rapid.T, stream string) uint64 {
	head := uint64(0)
	if entries, _ := m.model.ReadFrom(context.Background(), stream, 0, math.MaxInt); len(entries) > 0 {
		head = entries[len(entries)-1].Sequence + 1
	}
	switch d := someDistance.Draw(r, "from the head"); {
	case d == math.MaxInt:
		return core.MaxSequence - 1 + rapid.Uint64Range(0, 3).Draw(r, "near the limit")
	case d == math.MinInt, d < 0 && uint64(-d) > head:
		return 0
	default:
		return head + uint64(d)
	}
}

func (m *history) actions() map[string]func(*rapid.T) {
	appends := func(r *rapid.T) {
		name := someName.Draw(r, "stream")
		expected := m.near(r, name)
		payloads := make([][]byte, someCount.Draw(r, "payloads"))
		for i := range payloads {
			payloads[i] = bytes.Repeat([]byte{byte(m.ops)}, someSize.Draw(r, "size"))
		}
		w := core.Write{Stream: name, Expected: expected, Payloads: payloads, Summary: drawSummary(r, name)}
		tab, err := m.both(r, func(ctx context.Context, k keeper) (any, error) {
			if w.Summary == nil {
				return k.Append(ctx, name, expected, payloads...)
			}
			ended := make(chan error, 1)
			k.Begin(ctx, func(err error) { ended <- err }, w)
			return expected, <-ended
		})
		if err == nil {
			tab.wantHead(r, name, expected+uint64(len(payloads)))
		}
	}
	reads := func(r *rapid.T) {
		name := someName.Draw(r, "stream")
		offset, limit := m.near(r, name), someLimit.Draw(r, "limit")
		m.both(r, func(ctx context.Context, k keeper) (any, error) { return k.ReadFrom(ctx, name, offset, limit) })
	}
	swaps := func(r *rapid.T) {
		key := someName.Draw(r, "key")
		stored, _, _ := m.model.ReadValue(context.Background(), key)
		value := rapid.SampledFrom([]uint64{0, 1, 1<<53 + 1, math.MaxUint64}).Draw(r, "value")
		if rapid.IntRange(0, 3).Draw(r, "lost race") == 3 {
			stored++
		}
		m.both(r, func(ctx context.Context, k keeper) (any, error) {
			return nil, k.CompareAndSwap(ctx, key, stored, value)
		})
	}
	return map[string]func(*rapid.T){
		"append": appends, "append again": appends, "append once more": appends,
		"read": reads, "read again": reads, "swap": swaps,
		"read at": func(r *rapid.T) {
			name := someName.Draw(r, "stream")
			sequence := m.near(r, name)
			m.both(r, func(ctx context.Context, k keeper) (any, error) {
				entry, ok, err := k.ReadAt(ctx, name, sequence)
				if !ok {
					return nil, err
				}
				return []core.Entry{entry}, err
			})
		},
		"list": func(r *rapid.T) {
			l := core.Listing{Prefix: somePrefix.Draw(r, "prefix"), Recent: rapid.Bool().Draw(r, "recent"), Limit: rapid.IntRange(0, 9).Draw(r, "limit")}
			if rapid.Bool().Draw(r, "goes on") {
				l.After = &core.Summary{ID: someName.Draw(r, "after"), Updated: someTime.Draw(r, "updated")}
			}
			if rapid.IntRange(0, 3).Draw(r, "by id") == 3 {
				l.IDs = rapid.SliceOfN(someName, 0, 4).Draw(r, "ids")
			}
			m.both(r, func(ctx context.Context, k keeper) (any, error) { return k.List(ctx, l) })
		},
		"due": func(r *rapid.T) {
			prefix, until := somePrefix.Draw(r, "prefix"), someTime.Draw(r, "until")
			m.both(r, func(ctx context.Context, k keeper) (any, error) {
				streams, next, err := k.Due(ctx, prefix, until)
				return fmt.Sprintf("%q %d", streams, next), err
			})
		},
		"mend": func(r *rapid.T) {
			name := someName.Draw(r, "stream")
			head, summary := m.near(r, name), drawSummary(r, name)
			m.both(r, func(ctx context.Context, k keeper) (any, error) { return nil, k.Mend(ctx, name, head, summary) })
		},
		"look": func(r *rapid.T) { m.look(r, m.draw(r), somePrefix.Draw(r, "prefix")) },
		"read value": func(r *rapid.T) {
			key := someName.Draw(r, "key")
			m.both(r, func(ctx context.Context, k keeper) (any, error) {
				value, ok, err := k.ReadValue(ctx, key)
				return [2]any{value, ok}, err
			})
		},
		"delete": func(r *rapid.T) {
			name := someName.Draw(r, "stream")
			m.both(r, func(ctx context.Context, k keeper) (any, error) { return nil, k.Delete(ctx, name) })
		},
		"save snapshot": func(r *rapid.T) {
			name := someName.Draw(r, "stream")
			sequence, snapshot := m.near(r, name), bytes.Repeat([]byte{byte(m.ops)}, someSize.Draw(r, "size"))
			m.both(r, func(ctx context.Context, k keeper) (any, error) {
				return nil, k.SaveSnapshot(ctx, name, sequence, snapshot)
			})
		},
		"read snapshot": func(r *rapid.T) {
			name := someName.Draw(r, "stream")
			m.both(r, func(ctx context.Context, k keeper) (any, error) {
				snapshot, err := k.ReadSnapshot(ctx, name)
				return fmt.Sprintf("%x", snapshot), err
			})
		},
		"flush": func(r *rapid.T) {
			m.both(r, func(ctx context.Context, k keeper) (any, error) { return nil, k.Flush(ctx) })
		},
		"compact": func(r *rapid.T) {
			m.ops++
			name, from := rapid.SampledFrom(goodNames).Draw(r, "stream"), rapid.Uint64Range(0, 20).Draw(r, "from")
			if err := m.draw(r).compactor.compact(context.Background(), name, tail{from: from, end: core.MaxSequence}); err != nil {
				r.Log(err)
				r.Fatal("the store cannot compact")
			}
		},
		"reopen": func(r *rapid.T) {
			m.ops++
			m.reopen(r, rapid.IntRange(0, len(m.tabs)-1).Draw(r, "tab"))
		},
	}
}

func (m *history) draw(r *rapid.T) *modelTab {
	return m.tabs[rapid.IntRange(0, len(m.tabs)-1).Draw(r, "tab")]
}

// both makes a call through some tab and on the model, now and then with a
// context that has ended.
func (m *history) both(r *rapid.T, call func(context.Context, keeper) (any, error)) (*modelTab, error) {
	tab := m.draw(r)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if rapid.IntRange(0, 31).Draw(r, "cancelled") == 31 {
		cancel()
	}
	return tab, m.same(ctx, r, tab, call)
}

// same makes a call through tab and on the model, and compares.
func (m *history) same(ctx context.Context, r *rapid.T, tab *modelTab, call func(context.Context, keeper) (any, error)) error {
	m.ops++
	want, wantErr := call(ctx, m.model)
	got, err := call(ctx, tab.Store)
	if wantErr != nil {
		want = conflictOf(wantErr)
	}
	if err != nil {
		got = conflictOf(err)
	}
	if core.CodeOf(err) != core.CodeOf(wantErr) || !reflect.DeepEqual(timeless(got), timeless(want)) {
		r.Logf("got %.400s, %v\nwant %.400s, %v", fmt.Sprintf("%+v", got), err, fmt.Sprintf("%+v", want), wantErr)
		r.Fatal("the store differs from the model") // of one text, since rapid shrinks what fails with the same
	}
	return err
}

// look compares all values, and all streams that begin with prefix.
func (m *history) look(r *rapid.T, tab *modelTab, prefix string) {
	ctx := context.Background()
	_ = m.same(ctx, r, tab, func(ctx context.Context, k keeper) (any, error) { return k.Scan(ctx, prefix) })
	_ = m.same(ctx, r, tab, func(ctx context.Context, k keeper) (any, error) { return k.Streams(ctx, prefix) })
	_ = m.same(ctx, r, tab, func(ctx context.Context, k keeper) (any, error) {
		return k.List(ctx, core.Listing{Prefix: prefix, Limit: core.MaxListing})
	})
}

// wantHead checks that the tab was told of its own append.
func (tab *modelTab) wantHead(r *rapid.T, stream string, head uint64) {
	tab.heard.Lock()
	defer tab.heard.Unlock()
	if tab.heads[stream] != head {
		r.Logf("told that the head of %.40q is %d, want %d", stream, tab.heads[stream], head)
		r.Fatal("the store does not tell of its own append")
	}
}

// conflictOf returns what an error says in numbers, if it does.
func conflictOf(err error) any {
	var conflict *core.SequenceConflictError
	var regression *core.CursorRegressionError
	switch {
	case errors.As(err, &conflict):
		return *conflict
	case errors.As(err, &regression):
		return *regression
	default:
		return nil
	}
}

// timeless returns answer without times, and with nothing for all that is empty.
func timeless(answer any) any {
	switch list := answer.(type) {
	case []core.Entry:
		for i := range list {
			list[i].Timestamp = 0
			list[i].Payload = append([]byte{}, list[i].Payload...)
		}
		return append([]core.Entry{}, list...)
	case []core.Summary:
		return append([]core.Summary{}, list...)
	case []core.StreamInfo:
		return append([]core.StreamInfo{}, list...)
	default:
		return answer
	}
}
