package idbstore

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/later"
)

// Every append makes a record, and many small records are slow to read. So they
// are merged while nothing is appended. A merged record holds the same events
// with the same timestamps, and ends where the last record did that went into
// it.
//
// So a reader sees no difference; and the head that the last key of a stream
// has, which appends check, stays the same.
const (
	compactDue   = 64                     // small records of a stream that are worth a compaction
	compactQuiet = 200 * time.Millisecond // without an append, then it begins; see later.MostPutOff
	compactPage  = 128                    // records that one transaction looks at, at most
	compactBytes = 2 << 20                // that it reads, at most
	smallRecord  = 8 * plainBytes         // and smaller ones are merged, so once more what a page of tiny ones has made
	largeRecord  = 64 << 10               // and larger ones end a tail
	mergedRecord = 256 << 10              // bytes of a merged record, at most
)

// compactor merges the records of one store. Due and quiet do not change.
type compactor struct {
	calls  *calls
	life   context.Context // ends with the store
	frozen func() bool
	due    int
	quiet  time.Duration
	timer  *later.Timer

	mu    sync.Mutex
	tails map[string]tail // by stream
}

func newCompactor(c *calls, life context.Context, frozen func() bool) *compactor {
	m := &compactor{calls: c, life: life, frozen: frozen, due: compactDue, quiet: compactQuiet, tails: map[string]tail{}}
	m.timer = later.New(m.compactTails)
	return m
}

// tail is a part of a stream, near its end, with small records in it. The zero
// tail is none.
type tail struct {
	from  uint64 // where the first record begins
	end   uint64 // where the last one ends
	small int    // how many there are at least; others may have appended too
}

// with returns t and the record after it. A large record ends the tail, and the
// next tail begins after it: a transaction that others wait for should be
// short.
func (t tail) with(first, end uint64, size int) tail {
	switch {
	case size > largeRecord:
		return tail{}
	case t.end == 0:
		t.from = first
	}
	t.end = end
	if size <= smallRecord {
		t.small++
	}
	return t
}

// appended notes a record of this store's own.
func (m *compactor) appended(stream string, first, end uint64, size int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer.Busy()
	m.note(stream, m.tails[stream].with(first, end, size))
}

// seen notes what a read has come across: records of earlier lives of the page,
// and of other tabs. A few are not worth counting, since they may be counted
// already.
func (m *compactor) seen(stream string, t tail) {
	if t.small < m.due {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.tails[stream]; known.from <= t.from && t.from <= known.end {
		t = tail{from: known.from, end: max(known.end, t.end), small: known.small + t.small}
	}
	m.note(stream, t)
}

// note keeps t, and sets the timer if it is due. The caller holds mu.
func (m *compactor) note(stream string, t tail) {
	if t.end == 0 {
		delete(m.tails, stream)
		return
	}
	m.tails[stream] = t
	if t.small >= m.due {
		m.soon()
	}
}

// soon sets the timer.
func (m *compactor) soon() { m.timer.In(m.quiet) }

// compactTails compacts what is due. A failure changes nothing, and LastError
// returns it.
func (m *compactor) compactTails() {
	for stream, t := range m.dueTails() {
		_ = m.compact(m.life, stream, t)
	}
}

// dueTails takes the tails that are to be compacted now. A frozen page compacts
// nothing, because its transactions would block all other tabs; the store sets the
// timer again when it thaws.
func (m *compactor) dueTails() map[string]tail {
	due := map[string]tail{}
	if m.life.Err() != nil || m.frozen() {
		return due
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for stream, t := range m.tails {
		if t.small >= m.due {
			due[stream] = t
			delete(m.tails, stream) // what is appended from now on is another tail
		}
	}
	return due
}

// compact merges the records of stream within t, a page in each transaction.
// Appends and other tabs take their turn in between.
func (m *compactor) compact(ctx context.Context, stream string, t tail) error {
	for t.from < t.end && !m.frozen() {
		var p merging
		err := m.calls.run(ctx, "compact", stream, readWriteIdle, recordsStore, func(ctx context.Context, tx transaction) error {
			p = merging{stream: stream, next: t.from}
			return p.merge(ctx, tx, keyRange{recordKey(stream, t.from+1), append(recordKey(stream, t.end), maxSizeMark)}, m.due/2)
		})
		if err != nil || p.last {
			return err
		}
		t.from = p.next
	}
	return nil
}

// merging is one transaction of a compaction.
type merging struct {
	stream  string
	records int    // that it has come past
	bytes   int    // that it has read, at most
	next    uint64 // the sequence after them
	last    bool   // there are no more
	groups  []group
}

// group is what becomes one record.
type group struct {
	lower, upper []byte // the keys of its first and its last record
	records      int
	bytes        int
	entries      []core.Entry
}

// merge merges the first records in r, if that makes them fewer by least.
// Whatever a read would refuse is an error, and then nothing is changed, so that
// damage stays where readers find it. What is not merged in any case, because it
// is large or alone between large ones, is not even read.
func (m *merging) merge(ctx context.Context, tx transaction, r keyRange, least int) error {
	keys, err := tx.keys(r, compactPage).wait(ctx)
	if err != nil {
		return err
	}
	m.last = len(keys) < compactPage
	for len(keys) > 0 {
		if m.bytes > compactBytes-2*smallRecord {
			m.last = false
			break
		}
		n := m.run(keys)
		if n > 1 {
			err = m.read(ctx, tx, keys[:n])
		} else {
			err = m.pass(keys[0])
		}
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	fewer := 0
	for _, g := range m.groups {
		fewer += g.records - 1
	}
	if fewer < max(least, 1) {
		return nil // another tab has been here
	}
	for _, g := range m.groups {
		if g.records == 1 {
			continue
		}
		// Both keys were read in this transaction, so no other record lies
		// between.
		if err := tx.remove(keyRange{g.lower, g.upper}); err != nil {
			return err
		}
		_, end, _, _ := parseKey(g.upper)
		merged := encodeEntries(m.stream, g.entries)
		if err := tx.add(sizedKey(m.stream, end, len(merged)), merged); err != nil {
			return err
		}
	}
	return nil
}

// run returns how many of the first keys are those of small records; at least 1.
func (m *merging) run(keys [][]byte) int {
	n, bytes := 0, m.bytes
	for n < len(keys) {
		size, _ := sizeBound(keys[n])
		if size > smallRecord || bytes+size > compactBytes {
			break
		}
		n, bytes = n+1, bytes+size
	}
	if n > 1 {
		m.bytes = bytes
	}
	return max(n, 1)
}

// pass goes past a record without a look at it.
func (m *merging) pass(key []byte) error {
	name, end, _, ok := parseKey(key)
	if !ok || name != m.stream {
		return corruptKey(m.stream)
	}
	m.records, m.next = m.records+1, end
	m.groups = append(m.groups, group{bytes: mergedRecord, records: 1}) // nothing fits after it
	return nil
}

// read takes the records at keys, which are neighbours.
func (m *merging) read(ctx context.Context, tx transaction, keys [][]byte) error {
	values, err := tx.values(keyRange{keys[0], keys[len(keys)-1]}, len(keys)).wait(ctx)
	if err != nil {
		return err
	}
	for i, value := range values {
		if err := m.take(keys[i], value); err != nil {
			return err
		}
	}
	return nil
}

// take adds a record to the last group, or to a new one if it does not fit.
func (m *merging) take(key, value []byte) error {
	name, end, deleted, ok := parseKey(key)
	if !ok || name != m.stream {
		return corruptKey(m.stream)
	}
	r, err := decodeRecord(m.stream, value)
	if err != nil {
		return err
	}
	if err := follows(r, m.next, m.records == 0); err != nil {
		return err
	}
	if r.end() != end || r.deleted != deleted {
		return corruptKey(m.stream)
	}
	if deleted || !r.datable() {
		return m.pass(key)
	}
	m.records, m.next = m.records+1, end
	n := len(m.groups) - 1
	if n < 0 || m.groups[n].bytes+len(value) > mergedRecord {
		m.groups = append(m.groups, group{lower: key})
		n++
	}
	g := &m.groups[n]
	g.upper, g.records, g.bytes = key, g.records+1, g.bytes+len(value)
	g.entries = r.appendTo(g.entries, r.first, math.MaxInt)
	return nil
}

// datable reports whether the time of r can be that of a record. It always is
// in records that Holdfast wrote.
func (r record) datable() bool {
	return uint64(r.appendTo(nil, r.first, 1)[0].Timestamp) <= math.MaxInt64/2
}
