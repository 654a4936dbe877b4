package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/holdfast-dev/holdfast/core"
)

var raceStories = []story{
	{"racing writers have one winner per sequence", func(s *stage) {
		handles := []*handle{s.open(), s.open()}
		var want []string
		for round := range 10 {
			expected := uint64(len(want))
			batches := make([][]string, 6)
			errs := race(len(batches), func(writer int) error {
				batches[writer] = make([]string, 1+writer%3)
				for i := range batches[writer] {
					batches[writer][i] = fmt.Sprintf("round %d, writer %d, event %d", round, writer, i)
				}
				_, err := handles[writer%2].Append(s.Context(), "chat", expected, byteSlices(batches[writer])...)
				return err
			})
			winner := onlyWinner(s, errs)
			want = append(want, batches[winner]...)
			for writer, err := range errs {
				if writer != winner {
					wantConflict(s, err, "chat", expected, uint64(len(want)))
				}
			}
		}
		handles[0].wantLog("chat", log("chat", 0, want...))
	}},
	{"racing writers that retry all get through", func(s *stage) {
		handles := []*handle{s.open(), s.open()}
		const writers, each = 4, 8
		var mu sync.Mutex
		want := make(map[uint64]string) // what was acknowledged, by sequence
		errs := race(writers, func(writer int) error {
			head := uint64(0)
			for i := 0; i < each; {
				payload := fmt.Sprintf("writer %d, event %d", writer, i)
				first, err := handles[writer%2].Append(s.Context(), "chat", head, []byte(payload))
				var conflict *core.SequenceConflictError
				switch {
				case err == nil:
					mu.Lock()
					want[first] = payload
					mu.Unlock()
					head = first + 1
					i++
				case !errors.As(err, &conflict):
					return err
				case conflict.Actual <= head:
					return fmt.Errorf("head went back: %w", err)
				default:
					head = conflict.Actual
				}
			}
			return nil
		})
		wantAllNil(s, errs)
		payloads := make([]string, writers*each)
		for i := range payloads {
			payloads[i] = want[uint64(i)]
		}
		handles[0].wantLog("chat", log("chat", 0, payloads...))
	}},
	{"readers during appends see whole batches", func(s *stage) {
		writer, other := s.open(), s.open()
		const batch, batches = 3, 40
		whole := log("chat", 0, numbered(0, batch*batches)...)
		done := make(chan struct{})
		errs := race(4, func(who int) error {
			if who == 0 {
				defer close(done)
				for i := range uint64(batches) {
					if _, err := writer.Append(s.Context(), "chat", i*batch, byteSlices(numbered(i*batch, batch))...); err != nil {
						return err
					}
					runtime.Gosched()
				}
				return nil
			}
			reader := []*handle{writer, other}[who%2]
			seen := 0
			for last := false; !last; runtime.Gosched() { // a single thread must reach the writer
				select {
				case <-done:
					last = true // one more read, which sees everything
				default:
				}
				var entries []core.Entry
				var err error
				if who == 3 {
					entries, err = reader.Scan(s.Context(), "chat")
				} else {
					entries, err = reader.ReadFrom(s.Context(), "chat", 0, all)
				}
				if err != nil {
					return err
				}
				if n := len(entries); n%batch != 0 || n < seen || n > len(whole) || last && n < len(whole) {
					return fmt.Errorf("reader %d sees %d entries after %d", who, n, seen)
				}
				for i, entry := range entries {
					if !same(entry, whole[i]) {
						return fmt.Errorf("reader %d sees %s at %d", who, show(entry), i)
					}
				}
				seen = len(entries)
			}
			return nil
		})
		wantAllNil(s, errs)
	}},
	{"racing append and delete happen in some order", func(s *stage) {
		one, two := s.open(), s.open()
		head := one.append("chat", 0, "a", "b")
		for range 10 {
			errs := race(3, func(who int) error {
				switch who {
				case 0:
					_, err := one.Append(s.Context(), "chat", head, []byte("x"))
					return err
				case 1:
					return two.Delete(s.Context(), "chat")
				default:
					return one.Delete(s.Context(), "chat")
				}
			})
			wantAllNil(s, errs[1:])
			entries := two.read("chat", 0, all)
			switch {
			case errs[0] != nil: // deleted first, and once only
				wantConflict(s, errs[0], "chat", head, head+1)
				wantEntries(s, "deleted before the append", entries, []core.Entry{tombstone("chat", head)})
				head++
			default: // the last of the deletions came after the append
				wantEntries(s, "deleted after the append", entries, []core.Entry{tombstone("chat", head+1)})
				head += 2
			}
			head = two.append("chat", head, "again")
		}
	}},
	{"racing swaps have one winner", func(s *stage) {
		handles := []*handle{s.open(), s.open()}
		stored := uint64(0)
		for round := range uint64(10) {
			value := func(who int) uint64 { return round*100 + uint64(who) + 1 }
			errs := race(6, func(who int) error {
				return handles[who%2].CompareAndSwap(s.Context(), "cursor", stored, value(who))
			})
			winner := onlyWinner(s, errs)
			for who, err := range errs {
				if who != winner {
					wantRegression(s, err, "cursor", value(winner), stored)
				}
			}
			stored = value(winner)
			handles[0].wantValue("cursor", stored)
		}
	}},
	{"racing counters lose no step", func(s *stage) {
		handles := []*handle{s.open(), s.open()}
		errs := race(4, func(who int) error {
			stored := uint64(0)
			for i := 0; i < 8; {
				err := handles[who%2].CompareAndSwap(s.Context(), "counter", stored, stored+1)
				var regression *core.CursorRegressionError
				switch {
				case err == nil:
					stored++
					i++
				case errors.As(err, &regression):
					stored = regression.Stored
				default:
					return err
				}
			}
			return nil
		})
		wantAllNil(s, errs)
		handles[1].wantValue("counter", 4*8)
	}},
}

// race runs n calls of fn at once and returns their errors.
func race(n int, fn func(who int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var runners sync.WaitGroup
	for who := range n {
		runners.Go(func() {
			<-start
			errs[who] = fn(who)
		})
	}
	close(start)
	runners.Wait()
	return errs
}

// onlyWinner returns the index of the only nil error.
func onlyWinner(s *stage, errs []error) int {
	s.Helper()
	winner := -1
	for who, err := range errs {
		if err != nil {
			continue
		}
		if winner >= 0 {
			s.Fatalf("%d and %d have both won", winner, who)
		}
		winner = who
	}
	if winner < 0 {
		s.Fatalf("nobody has won: %v", errs)
	}
	return winner
}

func wantAllNil(s *stage, errs []error) {
	s.Helper()
	if err := errors.Join(errs...); err != nil {
		s.Fatal(err)
	}
}
