package core_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// gated is a store whose appends wait at a gate. It notes how many payloads,
// and how many bytes, each of them has.
type gated struct {
	core.DurableStore
	gate  chan error // what it yields is the answer; nil lets the append through
	sizes [][2]int
}

func newGated() *gated {
	return &gated{DurableStore: memstore.New(), gate: make(chan error)}
}

func (g *gated) Append(ctx context.Context, stream string, expectedSeq uint64, payloads ...[]byte) (uint64, error) {
	size := 0
	for _, payload := range payloads {
		size += len(payload)
	}
	g.sizes = append(g.sizes, [2]int{len(payloads), size})
	select {
	case err := <-g.gate:
		if err != nil {
			return 0, err
		}
	case <-ctx.Done():
		return 0, &core.Error{Code: core.ErrCancelled, Err: context.Cause(ctx)}
	}
	return g.DurableStore.Append(ctx, stream, expectedSeq, payloads...)
}

func (g *gated) groups() []int {
	var groups []int
	for _, size := range g.sizes {
		groups = append(groups, size[0])
	}
	return groups
}

// answer is what a call of Record has returned.
type answer struct {
	sequence uint64
	err      error
}

// begin records step number i of message m in the background, behind all that
// was begun before.
func begin(ctx context.Context, c *core.Conversation, i uint32, output []byte) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		sequence, err := c.RecordStepCompleted(ctx, "m", i, output)
		answers <- answer{sequence, err}
	}()
	synctest.Wait()
	return answers
}

// TestAppendsQueueAndGoTogether: while one append is under way, all that comes
// meanwhile goes as the next one, in the order of the calls.
func TestAppendsQueueAndGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		c := newConversation(t, "c", store)
		var told [][]string
		c.Subscribe(func(change core.Change) { told = append(told, change.Messages) })
		var calls []<-chan answer
		for i := range uint32(100) {
			calls = append(calls, begin(t.Context(), c, i, nil))
		}
		store.gate <- nil
		synctest.Wait()
		if n := c.ExpectedSeq(); n != 1 {
			t.Errorf("%d events are known while the second append is under way", n)
		}
		store.gate <- nil
		for i, call := range calls {
			if got := <-call; got.err != nil || got.sequence != uint64(i) {
				t.Errorf("call %d: sequence %d, %v", i, got.sequence, got.err)
			}
		}
		if groups := store.groups(); !slices.Equal(groups, []int{1, 99}) {
			t.Errorf("appended in groups of %v", groups)
		}
		if len(told) != 2 {
			t.Errorf("subscribers were told %d times", len(told))
		}
		for i, e := range log(t, store, "c") {
			if e.Step != uint32(i) {
				t.Fatalf("step %d stands at sequence %d", e.Step, i)
			}
		}
	})
}

// TestAGroupFailsAsAWhole: all callers learn of it, nothing changes, and what
// comes later goes on.
func TestAGroupFailsAsAWhole(t *testing.T) {
	for _, failure := range []error{
		&core.SequenceConflictError{Stream: "c", Expected: 1, Actual: 7},
		&core.Error{Code: core.ErrQuotaExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newGated()
			c := newConversation(t, "c", store)
			first := begin(t.Context(), c, 0, nil)
			group := []<-chan answer{begin(t.Context(), c, 1, nil), begin(t.Context(), c, 2, nil)}
			store.gate <- nil
			<-first
			store.gate <- failure
			for i, call := range group {
				if got := <-call; core.CodeOf(got.err) != core.CodeOf(failure) {
					t.Errorf("call %d: %v", i, got.err)
				}
			}
			if m, _ := c.State().Message("m"); len(m.Steps) != 1 || c.ExpectedSeq() != 1 {
				t.Errorf("%d steps are known, %d is expected", len(m.Steps), c.ExpectedSeq())
			}
			next := begin(t.Context(), c, 3, nil)
			store.gate <- nil
			if got := <-next; got.err != nil || got.sequence != 1 {
				t.Errorf("the next call: %d, %v", got.sequence, got.err)
			}
		})
	}
}

// TestCancelledWhileQueued: it is not written; the others in the queue are.
func TestCancelledWhileQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		c := newConversation(t, "c", store)
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(t.Context(), c, 0, nil)
		second := begin(ctx, c, 1, nil)
		third := begin(t.Context(), c, 2, nil)
		cancel()
		if got := <-second; !errors.Is(got.err, core.ErrCancelled) {
			t.Errorf("the cancelled call: %v", got.err)
		}
		store.gate <- nil
		store.gate <- nil
		<-first
		if got := <-third; got.err != nil || got.sequence != 1 {
			t.Errorf("the call behind it: %d, %v", got.sequence, got.err)
		}
	})
}

// TestCancelledInAGroup: the write is not only the caller's, so it goes on, and
// the caller gets its true outcome. Alone, it is stopped.
func TestCancelledInAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		c := newConversation(t, "c", store)
		ctx, cancel := context.WithCancel(t.Context())
		alone := begin(ctx, c, 0, nil)
		group := []<-chan answer{begin(t.Context(), c, 1, nil), begin(t.Context(), c, 2, nil)}
		cancel()
		if got := <-alone; !errors.Is(got.err, core.ErrCancelled) {
			t.Errorf("the call alone: %v", got.err)
		}
		synctest.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		group = append(group, begin(ctx, c, 3, nil), begin(t.Context(), c, 4, nil))
		store.gate <- nil // the group of two
		synctest.Wait()
		cancel()
		synctest.Wait()
		store.gate <- nil // the group with the cancelled one
		for i, call := range group {
			if got := <-call; got.err != nil || got.sequence != uint64(i) {
				t.Errorf("call %d: %d, %v", i, got.sequence, got.err)
			}
		}
	})
}

// TestGroupsAreBounded: a burst of large events is cut into several appends.
func TestGroupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		c := newConversation(t, "c", store)
		var calls []<-chan answer
		for i := range uint32(8) {
			calls = append(calls, begin(t.Context(), c, i, make([]byte, core.GroupBytes/3)))
		}
		calls = append(calls, begin(t.Context(), c, 8, make([]byte, 2*core.GroupBytes))) // fits into no group
		for range 6 {
			store.gate <- nil
			synctest.Wait()
		}
		for i, call := range calls {
			if got := <-call; got.err != nil || got.sequence != uint64(i) {
				t.Errorf("call %d: %d, %v", i, got.sequence, got.err)
			}
		}
		if groups := store.groups(); !slices.Equal(groups, []int{1, 2, 2, 2, 1, 1}) {
			t.Errorf("appended in groups of %v", groups)
		}
	})
}

// TestADeliverySeesWhatWasRecordedBefore: events that still queue count.
func TestADeliverySeesWhatWasRecordedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		c := newConversation(t, "c", store)
		first := begin(t.Context(), c, 0, nil)
		go func() { _, _ = c.RecordProcessingFinished(t.Context(), "m") }()
		synctest.Wait()
		decision := make(chan core.Decision)
		go func() {
			d, err := c.ReceiveMessage(t.Context(), "m", 1, nil)
			if err != nil {
				t.Error(err)
			}
			decision <- d
		}()
		synctest.Wait()
		store.gate <- nil
		store.gate <- nil
		<-first
		if d := <-decision; d.Kind != core.Skip {
			t.Errorf("decided %v, though the message had finished before", d)
		}
	})
}

// TestRecordAll: events that are given together go together, as far as they fit
// into a group, behind what was called before; one that can never be stored
// fails for itself.
func TestRecordAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		c := newConversation(t, "c", store)
		before := begin(t.Context(), c, 0, nil)
		recorded := make(chan []core.Recorded, 1)
		go func() {
			recorded <- c.RecordAll(t.Context(), []core.Event{
				received("m", 1, "body"),
				received("", 1, "of nobody"),
				completed("m", 1, "output"),
				{Kind: core.KindStepCompleted, MessageID: "m", Step: 2, Output: make([]byte, 300<<10)},
				failed("m", "text"),
			})
		}()
		synctest.Wait()
		after := begin(t.Context(), c, 3, nil)
		for range 3 {
			store.gate <- nil
			synctest.Wait()
		}
		store.gate <- core.ErrQuotaExceeded
		got := <-recorded
		for i, want := range []uint64{1, 0, 2, 3} {
			if i == 1 {
				if !errors.Is(got[i].Err, core.ErrInvalidArgument) {
					t.Errorf("of nobody: %v", got[i].Err)
				}
			} else if got[i] != (core.Recorded{Sequence: want}) {
				t.Errorf("event %d: %v, want sequence %d", i, got[i], want)
			}
		}
		var failure *core.Error
		if !errors.As(got[4].Err, &failure) || failure.Code != core.ErrQuotaExceeded || failure.Op != "record error" {
			t.Errorf("the last: %v", got[4].Err)
		}
		if one := <-before; one != (answer{sequence: 0}) {
			t.Errorf("before: %v", one)
		}
		if one := <-after; !errors.Is(one.err, core.ErrQuotaExceeded) {
			t.Errorf("after: %v", one)
		}
		if groups := store.groups(); !slices.Equal(groups, []int{1, 2, 1, 2}) {
			t.Errorf("groups of %v", groups)
		}
		if all := c.RecordAll(t.Context(), nil); len(all) != 0 {
			t.Errorf("of nothing: %v", all)
		}
	})
}

// careless is a store that keeps nothing.
type careless struct{ core.DurableStore }

func (careless) Append(_ context.Context, _ string, expectedSeq uint64, _ ...[]byte) (uint64, error) {
	return expectedSeq, nil
}

// TestABurstIsLetGo: what was appended is not kept by the queue it has been in.
func TestABurstIsLetGo(t *testing.T) {
	const calls, bytes = 2000, 8 << 10
	store := &gated{DurableStore: careless{memstore.New()}, gate: make(chan error)}
	synctest.Test(t, func(t *testing.T) {
		store.gate = make(chan error)
		c := newConversation(t, "c", store)
		before := heap()
		var burst sync.WaitGroup
		for range calls { // of one step, so the state keeps one output
			burst.Go(func() {
				if _, err := c.RecordStepCompleted(t.Context(), "m", 0, make([]byte, bytes)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if grown := heap() - before; grown < calls*bytes {
			t.Errorf("a burst of %d bytes takes %d", calls*bytes, grown)
		}
		close(store.gate)
		burst.Wait()
		if grown := heap() - before; grown > calls*bytes/4 {
			t.Errorf("a burst of %d bytes has left %d behind", calls*bytes, grown)
		}
		runtime.KeepAlive(c)
	})
}

func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
