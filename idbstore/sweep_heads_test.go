//go:build !js

package idbstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// What cannot be remembered now is remembered with the next change, together
// with what others have remembered, and health says what was wrong.
func TestRememberedAfterFailures(t *testing.T) {
	for _, f := range []fault{
		{step: "recall", err: lostError}, {step: "recall", silent: true},
		{step: "remember", err: lostError}, {step: "remember", silent: true},
		{step: "lock", err: lostError}, {step: "lock", silent: true},
	} {
		t.Run(fmt.Sprint(f.step, f.silent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisk()
				a, b := startFake(t, d, 0), startFake(t, d, 0)
				appendSteps(t, a, "x", 0, 3)
				time.Sleep(time.Second)
				d.inject(f)
				appendSteps(t, b, "y", 0, 6)
				time.Sleep(10 * time.Second)
				if err := b.LastError(); !errors.Is(err, core.ErrStorageUnavailable) || !strings.Contains(err.Error(), "remember") {
					t.Errorf("the last error is %v", err)
				}
				appendSteps(t, a, "x", 3, 1)
				time.Sleep(10 * time.Second) // a write that is stuck keeps the lock
				d.heal()
				time.Sleep(10 * time.Second)
				appendSteps(t, b, "z", 0, 1)
				for _, s := range []*Store{a, b} {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
				got := map[string]uint64{}
				for _, r := range d.remembered().heads {
					got[r.stream] = r.head
				}
				if want := map[string]uint64{"x": 4, "y": 6, "z": 1}; !maps.Equal(got, want) {
					t.Errorf("remembered is %v, want %v", got, want)
				}
			})
		})
	}
}

// Where nothing can be written outside the database any more, all works, and a
// reset is reported once.
func TestUnwritableMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s := startFake(t, d, 0)
		appendSteps(t, s, "s", 0, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		d.inject(fault{step: "remember", err: lostError, good: "remember"})
		for n := range 3 {
			d.empty()
			told := 0
			for life := range uint64(5) {
				s, err := start(context.Background(), &fakeEngine{d}, 0)
				if errors.Is(err, core.ErrStoreReset) {
					told++
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				appendSteps(t, s, "s", life-1, 1)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if told != 1 {
				t.Errorf("reset %d was reported %d times", n, told)
			}
		}
	})
}

// Each step of the open that reports a reset fails in each way, once and until
// the next open. None is silent about it, and no second one reports it, unless
// the first one cannot know what has become of its note.
func TestResetIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		emptied := func() *disk {
			d := newDisk()
			s := startFake(t, d, sweepTimeout)
			appendSteps(t, s, "s", 0, 1)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			d.empty()
			d.tracing = true
			return d
		}
		open := func(ctx context.Context, d *disk) error {
			s, err := start(ctx, &fakeEngine{d}, sweepTimeout)
			if err == nil {
				err = s.Close()
			}
			return err
		}
		calm := emptied()
		if err := open(context.Background(), calm); !errors.Is(err, core.ErrStoreReset) {
			t.Errorf("open: %v", err)
		}
		nth, pairs := map[string]int{}, 0
		for _, step := range calm.trace {
			for i := range ways {
				way := &ways[i]
				if !slices.Contains(strings.Fields(way.steps), step) || way.name == "emptied" { // which is another reset
					continue
				}
				for _, good := range []bool{false, true} {
					pairs++
					s := &strike{T: t, disk: emptied(), way: way, step: step, nth: nth[step], good: good}
					ctx, cancel := context.WithCancel(context.Background())
					s.cancel = cancel
					f := way.fault(s)
					f.step, f.skip = step, s.nth
					if good {
						f.good = way.steps
					}
					s.disk.inject(f)
					told := 0
					for range 4 {
						if s.err = open(ctx, s.disk); errors.Is(s.err, core.ErrStoreReset) {
							told++
						}
						time.Sleep(time.Minute)
						s.disk.heal()
						ctx = context.Background()
					}
					cancel()
					most := 1
					if slices.Contains(way.codes, core.ErrOutcomeUnknown) {
						most = 2
					}
					if s.err != nil || told < 1 || told > most {
						s.failf("the reset was reported %d times", told)
					}
				}
			}
			nth[step]++
		}
		t.Logf("%d pairs of a step and a fault", pairs)
	})
}
