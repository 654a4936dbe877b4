package idbstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

// These tests run natively and in the browser, see damage_test.go.

// storedKey is a key of the database, and the head of its stream if it is the
// last one there.
type storedKey struct {
	key     []byte
	stream  string // empty if Holdfast did not write the key
	head    uint64
	deleted bool
}

func recordAt(stream string, end uint64) storedKey {
	return storedKey{recordKey(stream, end), stream, end, false}
}

func tombstoneAt(stream string, end uint64) storedKey {
	return storedKey{tombstoneKey(stream, end), stream, end, true}
}

func foreign(key ...byte) storedKey { return storedKey{key: key} }

// fillWith replaces all records by empty ones at keys.
func fillWith(t testing.TB, s *Store, keys []storedKey) {
	t.Helper()
	raw(t, s, recordsStore, func(_ context.Context, tx transaction) error {
		if err := tx.remove(keyRange{[]byte{}, []byte{0xff, 0xff}}); err != nil {
			return err
		}
		for _, k := range keys {
			if err := tx.put(k.key, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// headsAmong returns the streams of keys, as a walk over the sorted keys finds
// them.
func headsAmong(keys []storedKey, prefix string) (heads []core.StreamInfo) {
	last := map[string]storedKey{}
	for _, k := range slices.SortedFunc(slices.Values(keys), func(a, b storedKey) int { return bytes.Compare(a.key, b.key) }) {
		last[k.stream] = k
	}
	for stream, k := range last {
		if stream != "" && !k.deleted && strings.HasPrefix(stream, prefix) {
			heads = append(heads, core.StreamInfo{Name: stream, Head: k.head})
		}
	}
	slices.SortFunc(heads, func(a, b core.StreamInfo) int { return cmp.Compare(a.Name, b.Name) })
	return heads
}

// countedKeys counts the keys that are asked for.
type countedKeys struct {
	transaction
	asked int
}

func (c *countedKeys) keys(r keyRange, limit int) answer[[][]byte] {
	c.asked += limit
	return c.transaction.keys(r, limit)
}

func headsInBatches(t testing.TB, s *Store, prefix string, most int) (heads []core.StreamInfo, asked int) {
	t.Helper()
	heads, err := view(context.Background(), s.calls, "test", "", recordsStore, func(ctx context.Context, tx transaction) ([]core.StreamInfo, error) {
		counted := &countedKeys{transaction: tx}
		defer func() { asked = counted.asked }()
		return readHeads(ctx, counted, namesWithPrefix(prefix), most)
	})
	if err != nil {
		t.Fatal(err)
	}
	return notDeleted(heads), asked
}

// Whatever stands where a batch of keys ends.
func TestStreamsInBatches(t *testing.T) {
	s := freshStore(t)
	for _, c := range []struct {
		name   string
		prefix string
		keys   []storedKey
		want   string
	}{
		{"no stream", "", nil, "[]"},
		{"streams of one record", "", []storedKey{recordAt("a", 1), recordAt("b", 2), recordAt("c", 3), recordAt("d", 4)}, "[{a 1} {b 2} {c 3} {d 4}]"},
		{"streams of several", "", []storedKey{
			recordAt("a", 1), recordAt("a", 2), recordAt("a", 5), recordAt("b", 1), recordAt("b", 300), recordAt("c", 1<<40),
		}, "[{a 5} {b 300} {c 1099511627776}]"},
		{"names that begin with another", "", []storedKey{
			recordAt("a", 1), recordAt("a", 2), recordAt("a\x01", 3), recordAt("a\x01", 4), recordAt("ab", 5), recordAt("ab", 6), recordAt("b", 7),
		}, "[{a 2} {a\x01 4} {ab 6} {b 7}]"},
		{"a prefix that is a name", "ab", []storedKey{
			recordAt("a", 1), recordAt("ab", 1), recordAt("ab", 2), recordAt("ab\x01", 3), recordAt("abc", 4), recordAt("abc", 5), recordAt("ac", 6),
		}, "[{ab 2} {ab\x01 3} {abc 5}]"},
		{"deleted streams", "", []storedKey{
			tombstoneAt("a", 3), recordAt("b", 1), tombstoneAt("c", 3), tombstoneAt("d", 3), recordAt("d", 4), recordAt("d", 5), tombstoneAt("e", 1),
		}, "[{b 1} {d 5}]"},
		{"foreign keys between streams", "", []storedKey{
			foreign(), foreign(0), foreign(1), recordAt("a", 1), foreign('b'), foreign('b', 1), foreign('b', 2), foreign('b', 3), recordAt("c", 1), foreign(0xff),
		}, "[{a 1} {c 1}]"},
		{"foreign keys within a stream", "", []storedKey{
			foreign('a', 0), foreign('a', 0, 0), recordAt("a", 1), foreign(append(recordKey("a", 1), 9)...), foreign(append(recordKey("a", 1), 1, 0)...),
			recordAt("a", 2), foreign(append(recordKey("a", 2), 9)...), foreign(recordKey("a", maxEnd)...), foreign('a', 0, 0xff), recordAt("b", 1),
		}, "[{a 2} {b 1}]"},
		{"nothing but foreign keys", "", []storedKey{foreign(), foreign(0), foreign('a'), foreign('a', 0), foreign(recordKey("a", 0)...), foreign('z'), foreign(0xff)}, "[]"},
		{"a foreign key at the end of what is asked for", "a", []storedKey{recordAt("a", 1), foreign('a', 0xff), recordAt("b", 1)}, "[{a 1}]"},
	} {
		fillWith(t, s, c.keys)
		for most := 1; most <= len(c.keys)+1; most++ {
			heads, _ := headsInBatches(t, s, c.prefix, most)
			if got := headsText(heads); got != c.want {
				t.Errorf("%s, in batches of %d: %q, want %q", c.name, most, got, c.want)
			}
		}
	}
}

// Any keys in batches of any size.
func TestStreamsAmongRandomKeys(t *testing.T) {
	s := freshStore(t)
	var pool []storedKey
	for _, name := range []string{"a", "a\x01", "ab", "b", "\u00e9", "\U0010ffff"} {
		pool = append(pool, foreign([]byte(name)...), foreign(recordKey(name, 0)...), foreign(append([]byte(name), 0xff)...))
		for end := uint64(1); end <= 4; end++ {
			pool = append(pool, recordAt(name, end), recordAt(name, end<<20), tombstoneAt(name, end), foreign(append(recordKey(name, end), 7)...))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		random.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
		keys, most := pool[:random.IntN(len(pool))], 1+random.IntN(12)
		prefix := []string{"", "a", "ab", "b", "c"}[random.IntN(5)]
		fillWith(t, s, keys)
		if got, _ := headsInBatches(t, s, prefix, most); !slices.Equal(got, headsAmong(keys, prefix)) {
			t.Fatalf("with prefix %q, in batches of %d: %+v, want %+v; keys %+v", prefix, most, got, headsAmong(keys, prefix), keys)
		}
	}
}

// Most of a long stream is never read, and short streams are read many at once.
func TestStreamsCost(t *testing.T) {
	s := freshStore(t)
	long := []storedKey{recordAt("a", 1), recordAt("z", 1), foreign(append(recordKey("m", 1<<40), 9)...)}
	for end := range uint64(4 * mostKeys) {
		long = append(long, recordAt("m", end+1))
	}
	var short []storedKey
	for i := range 3*mostKeys + 1 {
		short = append(short, recordAt(fmt.Sprintf("%06d", i), 1))
	}
	for _, c := range []struct {
		name  string
		keys  []storedKey
		asked int
	}{{"a long stream between two others", long, mostKeys + 2*compactDue}, {"many short ones", short, 4 * mostKeys}} {
		fillWith(t, s, c.keys)
		heads, asked := headsInBatches(t, s, "", mostKeys)
		if want := headsAmong(c.keys, ""); !slices.Equal(heads, want) {
			t.Errorf("%s: found %d streams, want %d", c.name, len(heads), len(want))
		}
		if asked != c.asked {
			t.Errorf("%s: asked for %d keys, want %d", c.name, asked, c.asked)
		}
	}
}

// headsText shows names and heads.
func headsText(streams []core.StreamInfo) string {
	return strings.ReplaceAll(fmt.Sprint(streams), " false}", "}")
}
