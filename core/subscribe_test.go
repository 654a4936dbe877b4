package core_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// TestSubscribersAreToldEveryChange, with the state changed already, and before
// the call returns.
func TestSubscribersAreToldEveryChange(t *testing.T) {
	store := memstore.New()
	c, other := newConversation(t, "c", store), newConversation(t, "c", store)
	var changes []core.Change
	var events []core.LoggedEvent
	unsubscribe := c.Subscribe(func(change core.Change) {
		if c.ExpectedSeq() == 0 || !c.State().IsReceived("m") || c.Clone().ExpectedSeq() != c.ExpectedSeq() {
			t.Error("the state does not have the change yet")
		}
		events = append(events, change.Events...)
		change.Events = nil
		changes = append(changes, change)
	})
	told := func(want ...core.Change) {
		t.Helper()
		if !reflect.DeepEqual(changes, want) {
			t.Errorf("told %+v, want %+v", changes, want)
		}
		changes = nil
	}

	if _, err := c.ReceiveMessage(t.Context(), "m", 1, nil); err != nil {
		t.Fatal(err)
	}
	told(core.Change{Messages: []string{"m"}})
	if _, err := c.ReceiveMessage(t.Context(), "m", 1, nil); err != nil {
		t.Fatal(err)
	}
	told() // nothing was appended
	record(t, c, started("m"), completed("n", 0, "x"))
	told(core.Change{Messages: []string{"m"}}, core.Change{Messages: []string{"n"}})

	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(t, other, started("z"), started("a"), started("z"), finished("m"), started("a"))
	told()
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	told(core.Change{Messages: []string{"z", "a", "m"}})
	logged, err := c.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range logged {
		logged[i].Timestamp = 0
	}
	for i, e := range events {
		events[i] = core.LoggedEvent{Sequence: e.Sequence, Event: e.Event}
	}
	if !reflect.DeepEqual(events, logged) {
		t.Errorf("told of the events %+v, and in the log are %+v", events, logged)
	}
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	told() // nothing is new

	unsubscribe()
	unsubscribe()
	record(t, c, finished("n"))
	told()
}

// TestSubscribersComeAndGo, also while they are told.
func TestSubscribersComeAndGo(t *testing.T) {
	c := newConversation(t, "c", memstore.New())
	var calls []string
	var removeB func()
	removeA := c.Subscribe(func(core.Change) {
		calls = append(calls, "a")
		removeB()
		c.Subscribe(func(core.Change) { calls = append(calls, "new") })
	})
	removeB = c.Subscribe(func(core.Change) { calls = append(calls, "b") })
	c.Subscribe(func(core.Change) { calls = append(calls, "c") })

	record(t, c, started("m"))
	if want := []string{"a", "c"}; !slices.Equal(calls, want) {
		t.Errorf("called %v, want %v: b was removed, new came too late", calls, want)
	}
	calls = nil
	removeA()
	record(t, c, started("m"))
	if want := []string{"c", "new"}; !slices.Equal(calls, want) {
		t.Errorf("called %v, want %v", calls, want)
	}
}

// TestASubscriberRemovesItself, and the ones behind it are still told.
func TestASubscriberRemovesItself(t *testing.T) {
	c := newConversation(t, "c", memstore.New())
	var calls []string
	var remove func()
	remove = c.Subscribe(func(core.Change) {
		calls = append(calls, "once")
		remove()
	})
	c.Subscribe(func(core.Change) { calls = append(calls, "b") })
	c.Subscribe(func(core.Change) { calls = append(calls, "c") })
	record(t, c, started("m"), started("m"))
	if want := []string{"once", "b", "c", "b", "c"}; !slices.Equal(calls, want) {
		t.Errorf("called %v, want %v", calls, want)
	}
}

// TestChangesComeInTheOrderOfTheLog, whoever appends at the same time.
func TestChangesComeInTheOrderOfTheLog(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	var told []string
	c.Subscribe(func(change core.Change) { told = append(told, change.Messages...) }) // unguarded: calls never overlap
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := range 20 {
				if _, err := c.RecordProcessingStarted(t.Context(), strconv.Itoa(w*100+i)); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			unsubscribe := c.Subscribe(func(core.Change) {})
			unsubscribe()
		})
	}
	group.Wait()
	var want []string
	for _, e := range log(t, store, "c") {
		want = append(want, e.MessageID)
	}
	if !slices.Equal(told, want) {
		t.Error("the order differs from that of the log")
	}
}

// watched is a scripted store that can be watched.
type watched struct {
	*scripted
	core.Watcher
}

func newWatched() watched {
	memory := memstore.New()
	return watched{&scripted{DurableStore: memory}, memory}
}

// follow lets c follow until stop.
func follow(t *testing.T, c *core.Conversation) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Follow(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Follow: %v", err)
		}
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newWatched()
		other := newConversation(t, "c", store.DurableStore)
		record(t, other, received("m", 1, "x"))
		c := recovered(t, "c", store)
		record(t, other, started("m")) // between recovery and following
		store.calls = nil

		stop := follow(t, c)
		synctest.Wait()
		if c.ExpectedSeq() != 2 {
			t.Errorf("at %d: what came before Follow is missing", c.ExpectedSeq())
		}
		var changes []core.Change
		c.Subscribe(func(change core.Change) { changes = append(changes, change) })
		for i := range uint32(3) {
			record(t, other, completed("m", i, "x"))
			synctest.Wait()
			if c.ExpectedSeq() != other.ExpectedSeq() {
				t.Errorf("at %d, the other at %d", c.ExpectedSeq(), other.ExpectedSeq())
			}
		}
		if len(changes) != 3 {
			t.Errorf("told %+v", changes)
		}
		reads := slices.Repeat([]string{"read"}, 4)
		if !slices.Equal(store.calls, reads) {
			t.Errorf("calls: %v", store.calls)
		}

		// Of other conversations, and of itself, it knows without reading.
		record(t, newConversation(t, "other", store.DurableStore), received("m", 1, "x"), started("m"), finished("m"))
		record(t, c, started("m"), started("m"))
		synctest.Wait()
		if want := slices.Concat(reads, []string{"append", "append"}); !slices.Equal(store.calls, want) {
			t.Errorf("calls: %v, want %v", store.calls, want)
		}

		// A deletion counts as a move of the head.
		if err := store.Delete(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, known := c.State().Message("m"); known || c.ExpectedSeq() != 8 {
			t.Errorf("after the deletion at %d", c.ExpectedSeq())
		}

		stop()
		store.calls = nil
		record(t, recovered(t, "c", store.DurableStore), received("m", 1, "x"))
		synctest.Wait()
		if store.calls != nil || c.ExpectedSeq() != 8 {
			t.Errorf("after stop: calls %v, at %d", store.calls, c.ExpectedSeq())
		}
	})
}

// manual is a store whose announcements are made by the test.
type manual struct {
	*scripted
	announce func(core.StreamInfo) // nil while nobody watches
}

func (m *manual) Watch(fn func(core.StreamInfo)) func() {
	m.announce = fn
	return func() { m.announce = nil }
}

// TestFollowReadsWhenItIsBehind, and only then.
func TestFollowReadsWhenItIsBehind(t *testing.T) {
	tests := []struct {
		name  string
		moved core.StreamInfo
		reads int
	}{
		{"ahead", core.StreamInfo{Name: "c", Head: 3}, 1},
		{"where it is", core.StreamInfo{Name: "c", Head: 2}, 0},
		{"late", core.StreamInfo{Name: "c", Head: 1}, 0},
		{"of another", core.StreamInfo{Name: "cc", Head: 9}, 0},
		{"any", core.StreamInfo{}, 1},
		{"any, with a late head", core.StreamInfo{Head: 1}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &manual{scripted: &scripted{DurableStore: memstore.New()}}
				c := newConversation(t, "c", store)
				record(t, c, started("m"), started("m"))
				stop := follow(t, c)
				synctest.Wait()
				store.calls = nil
				store.announce(tt.moved)
				synctest.Wait()
				if len(store.calls) != tt.reads {
					t.Errorf("calls: %v, want %d reads", store.calls, tt.reads)
				}
				stop()
				if store.announce != nil {
					t.Error("the store is still watched after stop")
				}
			})
		})
	}
}

// TestFollowSurvivesErrors: a refresh that fails is made again, after a while or
// with the next announcement.
func TestFollowSurvivesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newWatched()
		store.reads = []look{readable, unreadable, unreadable}
		c, other := newConversation(t, "c", store), newConversation(t, "c", store.DurableStore)
		defer follow(t, c)()
		synctest.Wait()
		record(t, other, started("m"))
		synctest.Wait()
		if c.ExpectedSeq() != 0 {
			t.Error("the script was not followed")
		}
		time.Sleep(time.Minute)
		if c.ExpectedSeq() != 1 {
			t.Errorf("at %d", c.ExpectedSeq())
		}
		record(t, other, started("m"))
		synctest.Wait()
		if c.ExpectedSeq() != 2 {
			t.Errorf("at %d", c.ExpectedSeq())
		}
	})
}

// TestFollowEnds with what says that no refresh can succeed any more, and without
// an error when it is to end.
func TestFollowEnds(t *testing.T) {
	fails := func(err error) look {
		return func(func() ([]core.Entry, error)) ([]core.Entry, error) { return nil, err }
	}
	for name, tt := range map[string]struct {
		next string // of the log, in hex
		read look
		want core.Code
	}{
		"the next event is damaged":            {"93c0", readable, core.ErrCorrupt},
		"the next event is of a later release": {"937f ID a16d", readable, core.ErrUnsupportedVersion},
		"the store was emptied":                {"93c0", fails(core.ErrStoreReset), core.ErrStoreReset},
		"the end of the log is lost":           {"93c0", fails(core.ErrGap), core.ErrGap},
		"the store is closed":                  {"93c0", fails(core.ErrClosed), core.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newWatched()
				c := newConversation(t, "c", store)
				record(t, c, started("m"))
				ended := make(chan error, 1)
				go func() { ended <- c.Follow(t.Context()) }()
				synctest.Wait()
				store.reads = []look{tt.read}
				if _, err := store.DurableStore.Append(t.Context(), "c", 1, unhex(t, tt.next)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if len(ended) == 0 {
					t.Fatal("it goes on following")
				}
				var typed *core.Error
				if err := <-ended; !errors.Is(err, tt.want) || !errors.As(err, &typed) || typed.Op != "follow" || typed.Stream != "c" {
					t.Errorf("Follow returned %v", err)
				}
			})
		})
	}
}

// TestStopWhileARefreshWaits: it never begins, although it was announced.
func TestStopWhileARefreshWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newWatched()
		c := newConversation(t, "c", store)
		stop := follow(t, c)
		synctest.Wait()
		free := make(chan struct{})
		store.appends = []step{func(append func() (uint64, error)) (uint64, error) {
			sequence, err := append()
			<-free
			return sequence, err
		}}
		store.calls = nil
		done := make(chan error)
		go func() {
			_, err := c.RecordProcessingStarted(t.Context(), "m")
			done <- err
		}()
		synctest.Wait()
		record(t, recovered(t, "c", store.DurableStore), started("m"))
		synctest.Wait() // the follower waits for its turn
		stop()
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if want := []string{"append"}; !slices.Equal(store.calls, want) {
			t.Errorf("calls: %v, want %v", store.calls, want)
		}
	})
}

// TestFollowWithoutAWatcher does nothing.
func TestFollowWithoutAWatcher(t *testing.T) {
	store := &scripted{DurableStore: memstore.New()}
	if _, ok := any(store).(core.Watcher); ok {
		t.Fatal("the store is a watcher")
	}
	if err := newConversation(t, "c", store).Follow(t.Context()); err != nil || store.calls != nil {
		t.Errorf("%v, calls: %v", err, store.calls)
	}
}
