package runner

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// AllOptions of [All] and [RunAll]. The zero value means the defaults.
type AllOptions struct {
	// Prefix is what the ids of the conversations begin with.
	Prefix string
	// Concurrency is how many are worked on at the same time; default 8. Those that
	// wait do not count.
	Concurrency int
	// OnError is called with what goes wrong with a conversation. One with an error
	// that cannot pass, such as a damaged log or one that has lost its end, is left
	// alone until something is appended to it. The id is empty for an error of the
	// store.
	OnError func(id string, err error)
	// OnDue is called when it has changed whether there is something to do now, here
	// or elsewhere, and else when there is, in milliseconds since the Unix epoch, 0 for
	// never. It must be quick.
	OnDue func(now bool, due uint64)
}

// How long a conversation is left alone that another runner has, or that could not
// be worked on: at first, since a lock may be given up in the background, and at
// most. And how long one is worked on while others wait.
const (
	firstRest = 50 * time.Millisecond
	mostRest  = 2 * time.Second
	shareTime = time.Second
)

// RunAll processes all conversations of a store which have something to do, now
// and when they do, as [Run] does one: those that were interrupted, those whose
// wait is over, and those to which something is sent. It recovers no other. What
// was changed last comes first; conversations take turns, and those that others
// process are left to them. The conversation of a message is
// [Attempt.Conversation].
//
// It returns nil when ctx ends, an error of the store that cannot pass, and
// [core.ErrInvalidArgument] for options out of range, or if the store is no
// [core.Directory].
func RunAll(ctx context.Context, store core.DurableStore, handler Handler, o Options, all AllOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	return All(ctx, store, all, func(ctx context.Context, id string, yield func() bool) error {
		c, err := core.RecoverUnlessLost(ctx, id, store)
		if err != nil {
			return err
		}
		return Drain(ctx, c, handler, o, yield)
	})
}

// All is RunAll with another way to work on a conversation: it calls work, which
// recovers the conversation and calls [Drain].
func All(ctx context.Context, store core.DurableStore, o AllOptions, work func(ctx context.Context, id string, yield func() bool) error) error {
	const op = "process all"
	directory, ok := store.(core.Directory)
	switch {
	case !ok:
		return &core.Error{Code: core.ErrInvalidArgument, Op: op, Detail: "the store keeps no directory, see core.Directory"}
	case o.Concurrency < 0:
		return &core.Error{Code: core.ErrInvalidArgument, Op: op, Detail: "Concurrency must not be negative"}
	}
	if err := core.CheckPrefix(op, o.Prefix); err != nil {
		return err
	}
	o.Concurrency = cmp.Or(o.Concurrency, 8)
	if o.OnError == nil {
		o.OnError = func(string, error) {}
	}
	if o.OnDue == nil {
		o.OnDue = func(bool, uint64) {}
	}
	a := &all{store: store, directory: directory, options: o, work: work, looks: make(chan struct{}, 1),
		slots: map[string]*slot{}, resting: map[string]rest{}, turns: map[string]int{}}
	if watcher, ok := store.(core.Watcher); ok {
		defer watcher.Watch(a.moved)()
	}
	defer a.working.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return a.run(ctx)
}

type all struct {
	store     core.DurableStore
	directory core.Directory // the same
	options   AllOptions
	work      func(ctx context.Context, id string, yield func() bool) error
	looks     chan struct{} // holds a token when there is a reason to look for work
	working   sync.WaitGroup

	mu      sync.Mutex
	slots   map[string]*slot // those that are worked on, by id
	resting map[string]rest  // those that are left alone
	turns   map[string]int   // of those with work to do: when they were worked on last
	turn    int
	free    int  // how many more can be worked on
	crowded bool // some with work to do have no slot
	told    *told
}

// told is what OnDue was called with last.
type told struct {
	now bool
	due uint64
}

// rest is how long a conversation is left alone.
type rest struct {
	until  time.Time // zero for until something is appended
	length time.Duration
}

// slot is a conversation that is worked on.
type slot struct {
	since time.Time
	moved bool // its summary has changed since
}

func (a *all) run(ctx context.Context) error {
	for failures := 0; ; {
		next, err := a.look(ctx)
		wait := min(time.Until(next), lookInterval)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
		case passes(err):
			a.options.OnError("", err)
			failures++
			wait = standard.wait(failures)
		default:
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-a.looks:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// look gives the free slots to conversations with work to do, and returns when to
// look again at the latest.
func (a *all) look(ctx context.Context) (next time.Time, err error) {
	due, first, err := a.directory.Due(ctx, a.options.Prefix, millis(time.Now()))
	if err != nil {
		return next, err
	}
	next = time.Now().Add(lookInterval)
	if first > 0 {
		next = earlier(next, at(first))
	}
	for _, id := range a.candidates(due, &next) {
		held, err := owned(ctx, a.store, id)
		switch {
		case err != nil:
			return next, err
		case held:
			next = earlier(next, a.rest(id))
		case !a.begin(ctx, id):
			a.tell(due, first)
			return next, nil
		}
	}
	a.tell(due, first)
	return next, nil
}

// tell calls OnDue if what it says has changed.
func (a *all) tell(due []string, first uint64) {
	a.mu.Lock()
	now := len(a.slots) > 0 || slices.ContainsFunc(due, func(id string) bool {
		r, rests := a.resting[id]
		return !(rests && r.until.IsZero())
	})
	news := told{now, first}
	if now {
		news.due = 0
	}
	changed := a.told == nil || *a.told != news
	a.told = &news
	a.mu.Unlock()
	if changed {
		a.options.OnDue(news.now, news.due)
	}
}

// candidates returns those of the due conversations that can be worked on, first
// those that were not for the longest time, and of equal ones the one that was
// changed last. It makes next the time when another of them can be.
func (a *all) candidates(due []string, next *time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	turns, resting := map[string]int{}, map[string]rest{} // of what is due no longer they keep nothing
	var ids []string
	a.free = a.options.Concurrency - len(a.slots)
	if len(due) < core.MaxDue {
		for id := range a.slots {
			if !slices.Contains(due, id) {
				a.free++ // it only holds on to what waits
			}
		}
	}
	for _, id := range due {
		turns[id] = a.turns[id]
		r, rests := a.resting[id]
		if rests {
			resting[id] = r
		}
		switch {
		case a.slots[id] != nil:
		case rests && r.until.IsZero():
		case rests && time.Now().Before(r.until):
			*next = earlier(*next, r.until)
		default:
			ids = append(ids, id)
		}
	}
	a.turns, a.resting, a.crowded = turns, resting, false
	sort.SliceStable(ids, func(i, j int) bool { return turns[ids[i]] < turns[ids[j]] })
	return ids
}

// rest leaves a conversation alone, each time twice as long, and returns until when.
func (a *all) rest(id string) (until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	length := min(max(2*a.resting[id].length, firstRest), mostRest)
	until = time.Now().Add(length)
	a.resting[id] = rest{until, length}
	return until
}

// begin gives a conversation a slot, and reports whether there is a free one.
func (a *all) begin(ctx context.Context, id string) bool {
	s := &slot{since: time.Now()}
	a.mu.Lock()
	if a.crowded = a.free <= 0; a.crowded {
		a.mu.Unlock()
		return false
	}
	a.free--
	a.turn++
	a.slots[id], a.turns[id] = s, a.turn
	a.mu.Unlock()
	yielded := false
	yield := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		yielded = a.crowded && time.Since(s.since) >= shareTime
		return yielded
	}
	a.working.Go(func() {
		err := a.work(ctx, id, yield)
		switch {
		case err != nil && passes(err), err == nil && !yielded && !a.hasMoved(s):
			a.rest(id) // it may be due all the same, as when another was faster
		case err != nil:
			a.leave(id)
		}
		a.mu.Lock()
		delete(a.slots, id)
		a.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			a.options.OnError(id, err)
		}
		token(a.looks)
	})
	return true
}

// leave leaves a conversation alone until something is appended to it.
func (a *all) leave(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resting[id] = rest{}
}

func (a *all) hasMoved(s *slot) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return s.moved
}

// moved hears of every head.
func (a *all) moved(to core.StreamInfo) {
	if !to.Summary && to.Name != "" {
		return
	}
	a.mu.Lock()
	if to.Name == "" {
		clear(a.resting)
	} else {
		delete(a.resting, to.Name)
	}
	if s := a.slots[to.Name]; s != nil {
		s.moved = true
	}
	a.mu.Unlock()
	token(a.looks)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
