//go:build !js

package idbstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/runner"
)

// Random lives of several tabs over one disk. `make model` is the long form.

// seeds returns the seeds of so many lives, one for each part of the operations
// of TestModel.
func seeds(t *testing.T, part int) (from, to uint64) {
	from = *modelSeed
	if from == 0 {
		from = rand.Uint64N(1 << 40)
	}
	n := uint64(max(*modelOps/part, 1))
	t.Logf("result: %d random lives, seed %d", n, from)
	return from, from + n
}

// Tabs append, delete, merge, verify, save snapshots, open and close. Nothing is
// lost, so nobody may say that something is, and what is acknowledged is there.
func TestRandomTabs(t *testing.T) {
	from, to := seeds(t, 2000)
	for seed := from; seed < to && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			l := &life{T: t, Rand: rand.New(rand.NewPCG(seed, 3)), disk: newDisk(), acked: map[string]map[core.EventID]bool{}}
			l.disk.atOnce = l.IntN(2) == 0
			l.play()
			if t.Failed() {
				t.Logf("-model.seed=%d", seed)
			}
		})
	}
}

// life is a random life of tabs.
type life struct {
	*testing.T
	*rand.Rand
	disk  *disk
	tabs  []*liveTab
	stops []func()
	acked map[string]map[core.EventID]bool // by conversation; of a deleted one they do not count
}

type liveTab struct {
	*Store
	open map[string]*core.Conversation
}

func (l *life) tab() *liveTab {
	s := startFake(l.T, l.disk, 0)
	s.compactor.due = 4
	return &liveTab{s, map[string]*core.Conversation{}}
}

// fine checks that a call has succeeded, or has lost a race.
func (l *life) fine(what string, err error) {
	l.Helper()
	if err != nil && !errors.Is(err, core.ErrSequenceConflict) {
		l.Errorf("%s: %v", what, err)
	}
}

func (l *life) play() {
	for range 3 {
		l.tabs = append(l.tabs, l.tab())
	}
	for n := 0; n < 250 && !l.Failed(); n++ {
		l.act(uint32(n))
		if l.IntN(3) == 0 {
			time.Sleep(time.Duration(l.IntN(1500)) * time.Millisecond)
		}
	}
	for _, stop := range l.stops {
		stop()
	}
	for _, tab := range l.tabs {
		l.fine("close", tab.Close())
	}
	time.Sleep(time.Minute)
	last := l.tab()
	for id, acked := range l.acked {
		c, err := core.Recover(context.Background(), id, last)
		l.fine("recover at the end", err)
		if err != nil {
			continue
		}
		events, err := c.Events(context.Background(), 0, 1e6)
		l.fine("events", err)
		for _, event := range events {
			delete(acked, event.Event.ID)
		}
		if len(acked) > 0 {
			l.Errorf("%s: %d acknowledged events are lost", id, len(acked))
		}
	}
	l.fine("close", last.Close())
	time.Sleep(time.Minute)
}

func (l *life) act(n uint32) {
	ctx := context.Background()
	i := l.IntN(len(l.tabs))
	tab := l.tabs[i]
	id := fmt.Sprint("c", l.IntN(5))
	c := tab.open[id]
	if c == nil {
		var err error
		if c, err = core.Recover(ctx, id, tab); err != nil {
			l.fine("recover", err)
			return
		}
		tab.open[id] = c
		c.Subscribe(func(change core.Change) { l.note(id, change) })
		if l.IntN(2) == 0 {
			ctx, stop := context.WithCancel(ctx)
			l.stops = append(l.stops, stop)
			go func() {
				if err := c.Follow(ctx); !errors.Is(err, core.ErrClosed) { // as when the tab is closed
					l.fine("follow", err)
				}
			}()
		}
	}
	event := core.Event{Kind: core.KindStepCompleted, MessageID: "m", Step: n, Output: make([]byte, l.IntN(1<<l.IntN(18)))}
	switch l.IntN(13) {
	case 0, 1, 2, 3:
		for range 1 + l.IntN(6) {
			_, err := c.RecordStepCompleted(ctx, "m", n, event.Output)
			l.fine("record", err)
		}
	case 4, 5:
		l.fine("update", c.Update(ctx, func(*core.State) ([]core.Event, error) { return []core.Event{event, event}, nil }))
	case 6:
		done := make(chan core.Recorded, 1)
		c.BeginRecord(event, func(r core.Recorded) { done <- r })
		l.fine("begin to record", (<-done).Err)
	case 7:
		l.fine("refresh", c.Refresh(ctx))
	case 8:
		if l.IntN(4) == 0 {
			l.fine("delete", tab.Delete(ctx, id))
			l.acked[id] = map[core.EventID]bool{}
		}
	case 9:
		l.fine("close", tab.Close())
		l.tabs[i] = l.tab()
	case 10:
		found, err := core.Verify(ctx, id, tab)
		l.fine("verify", err)
		if len(found.Damage) > 0 || found.Snapshot == core.SnapshotDamaged {
			l.Errorf("verify finds %+v", found)
		}
	case 11:
		l.fine("save snapshot", c.SaveSnapshot(ctx))
	case 12:
		entries, err := tab.ReadFrom(ctx, id, uint64(l.IntN(30)), l.IntN(20))
		l.fine("read", err)
		if !slices.IsSortedFunc(entries, func(a, b core.Entry) int { return int(a.Sequence) - int(b.Sequence) }) {
			l.Error("what is read is not in order")
		}
	}
}

// note notes what has been committed. Nothing else runs meanwhile but other
// goroutines of the test, which wait for the storage.
func (l *life) note(id string, change core.Change) {
	for _, event := range change.Events {
		if event.Timestamp > 0 {
			continue // it was read, and may be of before a deletion
		}
		if l.acked[id] == nil {
			l.acked[id] = map[core.EventID]bool{}
		}
		l.acked[id][event.Event.ID] = true
	}
}

// Two tabs process one conversation over a database that fails at random. When
// all is well again no message is stuck, no step has completed twice, and both
// tabs say what the log says.
func TestRandomFaultyRunners(t *testing.T) {
	from, to := seeds(t, 4000)
	for seed := from; seed < to && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			f := &faulty{T: t, random: rand.New(rand.NewPCG(seed, 5)), disk: newDisk()}
			f.disk.atOnce = f.IntN(2) == 0
			f.play()
			if t.Failed() {
				t.Logf("-model.seed=%d", seed)
			}
		})
	}
}

// faulty is a life of two runners with faults.
type faulty struct {
	*testing.T
	disk *disk
	tabs []*working

	mu     sync.Mutex
	random *rand.Rand
	acked  []string // messages
}

func (f *faulty) IntN(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.IntN(n)
}

type working struct {
	*Store
	c    *core.Conversation
	stop context.CancelFunc
	done chan error
}

func (f *faulty) handler(ctx context.Context, a *runner.Attempt) ([]byte, error) {
	for i := range 3 {
		policy := runner.Pure
		if i == 1 {
			policy = runner.Rerun
		}
		step, err := a.Begin(ctx, fmt.Sprint("s", i), runner.StepOptions{SideEffect: policy})
		if err != nil {
			return nil, err
		}
		_, err = step.Stream(func(_ context.Context, _ runner.Call, emit func([]byte) error) ([]byte, error) {
			for range f.IntN(4) {
				if err := emit([]byte("part")); err != nil {
					return nil, err
				}
				time.Sleep(time.Duration(f.IntN(200)) * time.Millisecond)
			}
			return []byte("out"), nil
		})
		if err != nil {
			return nil, err
		}
	}
	return []byte("done"), nil
}

func (f *faulty) run(w *working) {
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.done = stop, make(chan error, 1)
	go func() {
		w.done <- runner.Run(ctx, w.c, f.handler, runner.Options{MaxStarts: 1000, Retry: runner.Retry{Initial: 50 * time.Millisecond}})
	}()
}

// severe are the ways after which there is something else than before.
const severe = "emptied, the lock is not granted, a newer version, somebody else's database, damaged records, a record is left out, data refused"

func (f *faulty) way() *way {
	for {
		if w := &ways[f.IntN(len(ways))]; !strings.Contains(severe, w.name) && !strings.HasPrefix(w.name, "cancelled") {
			return w
		}
	}
}

func (f *faulty) play() {
	ctx := context.Background()
	for range 2 {
		s := startFake(f, f.disk, sweepTimeout)
		s.compactor.due = 8
		w := &working{Store: s, c: recovered(f, s, "chat")}
		f.run(w)
		f.tabs = append(f.tabs, w)
	}
	for n := range 25 {
		w, older := f.tabs[f.IntN(2)], fmt.Sprint("m", f.IntN(n+1))
		switch f.IntN(6) {
		case 0, 1, 2:
			id := fmt.Sprint("m", n)
			go func() {
				if sent, err := w.c.Send(ctx, id, 1, nil); err == nil && sent {
					f.mu.Lock()
					defer f.mu.Unlock()
					f.acked = append(f.acked, id)
				}
			}()
		case 3:
			go func() { _, _ = w.c.Cancel(ctx, older) }()
		case 4:
			go func() { _, _ = w.c.Retry(ctx, older) }()
		}
		way := f.way()
		fault := way.fault(&strike{T: f.T, disk: f.disk, way: way})
		fault.step, fault.skip = way.steps, f.IntN(12)
		if f.IntN(4) == 0 {
			fault.good = way.steps
		}
		f.disk.inject(fault)
		time.Sleep(time.Duration(f.IntN(4000)) * time.Millisecond)
		if f.IntN(2) == 0 {
			f.disk.heal()
		}
	}
	f.disk.heal()
	for range 2 { // a runner may have met an error that cannot pass
		time.Sleep(8 * time.Minute)
		for _, w := range f.tabs {
			select {
			case <-w.done:
				f.run(w)
			default:
			}
		}
	}
	time.Sleep(8 * time.Minute)
	f.check()
	for _, w := range f.tabs {
		w.stop()
		<-w.done
		if err := w.Close(); err != nil {
			f.Error(err)
		}
	}
	time.Sleep(time.Hour)
}

func (f *faulty) check() {
	full, err := core.New("chat", f.tabs[0])
	if err == nil {
		err = full.Refresh(context.Background())
	}
	if err != nil {
		f.Fatal(err)
	}
	for m := range full.State().Messages() {
		if m.Pending() {
			f.Errorf("%s is stuck: %+v", m.ID, m)
		}
		if m.Finished && (len(m.Steps) != 3 || string(m.Result) != "done") {
			f.Errorf("%s: %+v", m.ID, m)
		}
		for _, step := range m.Steps {
			if string(step.Output) != "out" {
				f.Errorf("%s: step %d has %q", m.ID, step.Index, step.Output)
			}
		}
	}
	for _, id := range f.acked {
		if !full.State().IsReceived(id) {
			f.Errorf("%s was acknowledged and is lost", id)
		}
	}
	for i, w := range f.tabs {
		if err := w.c.Refresh(context.Background()); err != nil || w.c.ExpectedSeq() != full.ExpectedSeq() {
			f.Errorf("tab %d is at %d of %d, %v", i, w.c.ExpectedSeq(), full.ExpectedSeq(), err)
		}
		for m := range full.State().Messages() {
			if other, _ := w.c.State().Message(m.ID); fmt.Sprintf("%+v", other) != fmt.Sprintf("%+v", m) {
				f.Errorf("tab %d: %+v\nlog: %+v", i, other, m)
			}
		}
	}
	if found, err := core.Verify(context.Background(), "chat", f.tabs[1]); err != nil || len(found.Damage) > 0 {
		f.Errorf("verify finds %+v, %v", found, err)
	}
	f.checkTwice(full)
}

// checkTwice checks that nothing has ended twice.
func (f *faulty) checkTwice(c *core.Conversation) {
	events, err := c.Events(context.Background(), 0, 1e6)
	if err != nil {
		f.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range events {
		switch e.Event.Kind {
		case core.KindStepCompleted, core.KindMessageReceived, core.KindProcessingFinished:
			key := fmt.Sprint(e.Event.Kind, e.Event.MessageID, e.Event.Step)
			if seen[key] {
				f.Errorf("%s twice", key)
			}
			seen[key] = true
		}
	}
}
