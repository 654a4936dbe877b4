package idbstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// These tests run over the fake, which notes how much a request reads at once.

// Whatever the sizes of records are, and in whatever order they come, no request
// reads more than pageBytes and one record.
func TestBoundsOfMemory(t *testing.T) {
	const small, large, huge = 50, 1 << 20, 8 << 20
	random := rand.New(rand.NewPCG(1, 0))
	var mixed []int
	for range 200 {
		mixed = append(mixed, random.IntN(1<<random.IntN(22)))
	}
	for _, c := range []struct {
		name  string
		sizes []int
	}{
		{"small ones before large ones", append(repeat(2, small), repeat(30, large)...)},
		{"many small ones before large ones", append(repeat(3000, small), repeat(30, large)...)},
		{"large ones between small ones", alternating(30, small, large)},
		{"huge ones", append(repeat(2, small), repeat(4, huge)...)},
		{"all sizes", mixed},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			d := newDisk()
			s := startFake(t, d, 0)
			defer s.Close()
			head := uint64(0)
			for _, size := range c.sizes {
				if _, err := s.Append(ctx, "s", head, make([]byte, size)); err != nil {
					t.Fatal(err)
				}
				head++
			}
			d.read = 0
			for what, read := range map[string]func() (int, error){
				"read":    func() (int, error) { return readAll(ctx, t, s) },
				"scan":    func() (int, error) { entries, err := s.Scan(ctx, ""); return len(entries), err },
				"inspect": func() (int, error) { return inspected(ctx, t, s) },
				"compact": func() (int, error) { return int(head), s.compactor.compact(ctx, "s", tail{end: head}) },
				"a read that has failed twice": func() (int, error) {
					lost := fault{step: "values", err: lostEngine}
					d.inject(lost, lost)
					return readAll(ctx, t, s)
				},
			} {
				if n, err := read(); err != nil || n != len(c.sizes) {
					t.Errorf("%s: %d of %d, %v", what, n, len(c.sizes), err)
				}
				if d.read > pageBytes {
					t.Errorf("%s: one request has read %d KiB beyond its largest record", what, d.read>>10)
				}
				d.read = 0
			}
		})
	}
}

// The list of conversations is read in parts as well, however long the names are,
// and however many the metadata.
func TestBoundsOfTheList(t *testing.T) {
	ctx := context.Background()
	d := newDisk()
	s := startFake(t, d, 0)
	defer s.Close()
	var ids []string
	raw(t, s, directoryStore, func(_ context.Context, tx transaction) error {
		for i := range core.MaxListing {
			id := fmt.Sprintf("%0*d", core.MaxNameBytes, i)
			ids = append(ids, id)
			largest := core.EncodeSummary(core.Summary{ID: id, Created: core.MaxSequence, Updated: core.MaxSequence, Due: core.MaxSequence})
			if err := tx.list(id, &listed{recentKey(1, id), readyKey(1, id), append(largest, make([]byte, core.MaxMetadataBytes)...)}); err != nil {
				return err
			}
		}
		return nil
	})
	for what, read := range map[string]func() error{
		"by time":  func() error { _, err := s.List(ctx, core.Listing{Limit: core.MaxListing, Recent: true}); return err },
		"by id":    func() error { _, err := s.List(ctx, core.Listing{Limit: core.MaxListing}); return err },
		"by ids":   func() error { _, err := s.List(ctx, core.Listing{IDs: ids}); return err },
		"what due": func() error { _, _, err := s.Due(ctx, "", 1); return err },
	} {
		d.read, d.asked = 0, 0
		if err := read(); err != nil || d.read+d.largest > pageBytes || d.asked*d.largest > pageBytes {
			t.Errorf("%s: a request has read %d KiB, and %d were asked at once, of %d KiB; %v", what, (d.read+d.largest)>>10, d.asked, d.largest>>10, err)
		}
	}
}

// A read takes the records that have what it was asked for, and no others.
func TestReadsWhatItWasAskedFor(t *testing.T) {
	ctx := context.Background()
	d := newDisk()
	s := startFake(t, d, 0)
	defer s.Close()
	const events, size = 1000, 100
	batch := make([][]byte, events)
	for i := range batch {
		batch[i] = make([]byte, size)
	}
	for i := range 20 {
		if _, err := s.Append(ctx, "s", uint64(i*events), batch...); err != nil {
			t.Fatal(err)
		}
	}
	for what, read := range map[string]func() (int, error){
		"read":    func() (int, error) { entries, err := s.ReadFrom(ctx, "s", events, 2*events); return len(entries), err },
		"inspect": func() (int, error) { part, err := s.Inspect(ctx, "s", events); return len(part.Entries), err },
	} {
		d.read = 0
		n, err := read()
		if err != nil || d.read > n*(size+10) {
			t.Errorf("%s: %d events of %d bytes, and a request has read %d KiB; %v", what, n, size, d.read>>10, err)
		}
	}
}

var lostEngine = &engineError{"UnknownError", "connection to the storage process lost"}

func alternating(n int, sizes ...int) (all []int) {
	for range n {
		all = append(all, sizes...)
	}
	return all
}

// readAll reads all of a stream, and returns how many entries it has.
func readAll(ctx context.Context, t *testing.T, s *Store) (n int, err error) {
	t.Helper()
	for {
		entries, err := s.ReadFrom(ctx, "s", uint64(n), 8192)
		if err != nil || len(entries) == 0 {
			return n, err
		}
		size, last := 0, 0
		for _, entry := range entries {
			last = len(entry.Payload)
			size += last
		}
		if size-last >= core.MaxReadBytes {
			t.Errorf("a read returns %d KiB and one entry", (size-last)>>10)
		}
		n += len(entries)
	}
}

// inspected inspects all of a stream, and returns how many entries it has.
func inspected(ctx context.Context, t *testing.T, s *Store) (n int, err error) {
	t.Helper()
	for at := uint64(0); ; {
		part, err := s.Inspect(ctx, "s", at)
		if err != nil || part.End == at {
			return n, err
		}
		size, largest := 0, 0
		for _, entry := range part.Entries {
			size += len(entry.Payload)
			largest = max(largest, len(entry.Payload))
		}
		if size-largest > 2*pageBytes {
			t.Errorf("inspect returns %d KiB beyond its largest record at once", (size-largest)>>10)
		}
		n, at = n+len(part.Entries), part.End
	}
}

// A compaction reads small records alone: a transaction that others wait for
// should be short, whatever other tabs have appended between.
func TestCompactionReadsNoLargeRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s, worker := startFake(t, d, 0), startFake(t, d, 0)
		head := uint64(0)
		for range compactDue {
			head = appendOnes(t, worker, appendOnes(t, s, head, 1), 1, make([]byte, 1<<20)...)
		}
		d.largest, d.read = 0, 0
		time.Sleep(time.Minute)
		synctest.Wait()
		if d.read+d.largest > compactBytes {
			t.Errorf("a request of the compaction has read %d KiB", (d.read+d.largest)>>10)
		}
		if s.LastError() != nil {
			t.Error(s.LastError())
		}
		// Where there is something to merge between large ones, it is merged.
		head = appendOnes(t, s, head, 2*compactDue)
		appendOnes(t, worker, head, 1, make([]byte, 1<<20)...)
		time.Sleep(time.Minute)
		synctest.Wait()
		if keys, _ := records(t, s, "s"); len(keys) != 2*compactDue+2 {
			t.Errorf("%d records, want %d", len(keys), 2*compactDue+2)
		}
		for _, s := range []*Store{s, worker} {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Of a log in which no record is small a compaction reads nothing.
func TestCompactionOfLargeRecords(t *testing.T) {
	d := newDisk()
	s := startFake(t, d, 0)
	defer s.Close()
	head := write(t, s, "s", 0, repeat(200, smallRecord)...)
	before := everything(t, s, "s")
	d.largest = 0
	if err := s.compactor.compact(context.Background(), "s", tail{end: head}); err != nil || d.largest > 0 {
		t.Errorf("it has read %d bytes, %v", d.largest, err)
	}
	sameReads(t, s, "s", before)
}
