//go:build !js

package idbstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// A sweep makes each call fail at each of its steps in each way that a browser
// can fail there, once and for good, and looks at what has become of it: what
// the caller was told, what is stored, and whether all goes on when the fault
// is over. See sweep_store_test.go and sweep_conversation_test.go.

// sweepTimeout is that of the stores.
const sweepTimeout = 2 * time.Second

// settles is how long a call may take, whatever goes wrong.
const settles = 5 * time.Second

// The steps that a fault can meet, see [fault].
const (
	requestSteps = "keys values last get add put remove"
	writeSteps   = "add put remove"
	throwSteps   = "begin append in commit " + requestSteps
	allSteps     = "lock open listen recall remember post leave begin close append in commit abort wait " + requestSteps
)

// A way is one in which a step can fail.
type way struct {
	name  string
	steps string // where it can come from
	fault func(*strike) fault
	codes []core.Code // that it can lead to, besides what the call says without it
	// settled says that a conversation finds out what has become of a write.
	settled bool
	// passes says that no call fails for it if it happens once.
	passes bool
}

func failing(f fault) func(*strike) fault { return func(*strike) fault { return f } }

func first(what func(*strike)) func(*strike) fault {
	return func(s *strike) fault { return fault{first: func() { what(s) }} }
}

var (
	lostError    = &engineError{"UnknownError", "connection to the storage process lost"}
	closingError = &engineError{"InvalidStateError", "the connection is closing"}

	unavailable = []core.Code{core.ErrStorageUnavailable}
	unknown     = []core.Code{core.ErrOutcomeUnknown}
	either      = []core.Code{core.ErrStorageUnavailable, core.ErrOutcomeUnknown}
	late        = []core.Code{core.ErrBlocked, core.ErrOutcomeUnknown}
	stopped     = []core.Code{core.ErrCancelled, core.ErrOutcomeUnknown}
)

var ways = []way{
	{name: "throws", steps: throwSteps + " lock listen", fault: failing(fault{err: lostError, thrown: true}), codes: either, settled: true},
	{name: "throws, and commits by itself", steps: "commit", fault: failing(fault{err: closingError, thrown: true, landed: true})},
	{name: "connection closing", steps: "begin append", fault: failing(fault{err: closingError, thrown: true}), codes: unavailable, passes: true},
	{name: "data refused", steps: "append " + writeSteps, fault: failing(fault{err: &engineError{dataError, ""}, thrown: true}), codes: []core.Code{core.ErrInvalidArgument}},
	{name: "request fails", steps: "open " + requestSteps, fault: failing(fault{err: lostError}), codes: either, settled: true},
	{name: "no room for a request", steps: "open " + writeSteps, fault: failing(fault{err: &engineError{quotaExceeded, ""}}), codes: []core.Code{core.ErrQuotaExceeded}},
	{name: "aborts without error", steps: requestSteps, fault: failing(fault{err: abortedError}), codes: either, settled: true},
	{name: "no room at the commit", steps: "commit", fault: failing(fault{err: &engineError{quotaExceeded, ""}}), codes: []core.Code{core.ErrQuotaExceeded}},
	{name: "lost at the commit, not written", steps: "commit", fault: failing(fault{err: lostError}), codes: unknown, settled: true},
	{name: "lost at the commit, written", steps: "commit", fault: failing(fault{err: lostError, landed: true}), codes: unknown, settled: true},
	{name: "aborts at the commit", steps: "commit", fault: failing(fault{err: abortedError}), codes: unknown, settled: true},
	{name: "aborts at the commit, and is written", steps: "commit", fault: failing(fault{err: abortedError, landed: true}), codes: unknown, settled: true},
	{name: "the lock is not granted", steps: "lock", fault: failing(fault{silent: true}), codes: stopped},
	{name: "no answer", steps: "open " + requestSteps, fault: failing(fault{silent: true}), codes: late},
	{name: "no answer to the commit, not written", steps: "commit", fault: failing(fault{silent: true}), codes: unknown, settled: true},
	{name: "no answer to the commit, written", steps: "commit", fault: failing(fault{silent: true, landed: true}), codes: unknown, settled: true},
	{name: "no answer to the abort", steps: "abort", fault: failing(fault{silent: true}), codes: late},
	{name: "stalled until later", steps: allSteps, fault: first(func(s *strike) { s.disk.freeze(true); s.disk.stall(true) }),
		codes: []core.Code{core.ErrBlocked, core.ErrOutcomeUnknown, core.ErrCancelled}},
	{name: "connections closed", steps: allSteps, fault: first(func(s *strike) { s.disk.disconnect() }), codes: either, settled: true},
	{name: "emptied", steps: allSteps, fault: first((*strike).empty),
		codes: []core.Code{core.ErrStoreReset, core.ErrOutcomeUnknown, core.ErrStorageUnavailable}},
	{name: "cancelled", steps: allSteps, fault: first(func(s *strike) { s.cancel() }), codes: stopped},
	// Blocked is a group of events, which no single context ends.
	{name: "cancelled, no answer", steps: "open lock " + requestSteps, codes: slices.Concat(late, stopped),
		fault: func(s *strike) fault { return fault{silent: true, first: s.cancel} }},
	{name: "cancelled, no answer to the commit, not written", steps: "commit", codes: unknown,
		fault: func(s *strike) fault { return fault{silent: true, first: s.cancel} }},
	{name: "cancelled, no answer to the commit, written", steps: "commit", codes: unknown,
		fault: func(s *strike) fault { return fault{silent: true, landed: true, first: s.cancel} }},
	{name: "a newer version", steps: "open", fault: failing(fault{err: &engineError{versionError, ""}}), codes: []core.Code{core.ErrUnsupportedVersion}},
	{name: "somebody else's database", steps: "open", fault: failing(fault{err: &engineError{foreignDatabase, ""}}), codes: []core.Code{core.ErrInvalidArgument}},
	{name: "nothing is remembered beside", steps: "recall remember", fault: failing(fault{silent: true}), passes: true},
	{name: "what is beside is refused", steps: "recall remember", fault: failing(fault{err: lostError}), passes: true},
	{name: "other tabs do not hear", steps: "post", fault: failing(fault{silent: true}), passes: true},
	{name: "damaged records", steps: "values", fault: failing(fault{damage: func(values [][]byte) [][]byte {
		for _, value := range values {
			value[len(value)-1-crc32.Size] ^= 1 // the end of its last payload
		}
		return values
	}}), codes: []core.Code{core.ErrCorrupt}},
	{name: "a record is left out", steps: "values", fault: failing(fault{damage: func(values [][]byte) [][]byte {
		return values[min(1, max(0, len(values)-1)):]
	}}), codes: []core.Code{core.ErrCorrupt, core.ErrGap}},
}

// strike is one pair: a call, and a fault in it. Without a way nothing goes wrong.
type strike struct {
	*testing.T
	disk *disk
	way  *way
	step string // where it strikes
	nth  int    // how many such steps are before
	good bool   // and goes on striking
	many int    // calls that are made in a row, if not one

	cancel  func()
	began   int      // commits before the call
	emptied bool     // everything was deleted
	written int      // commits of the call before that
	trace   []string // the steps of the call
	err     error    // what the caller was told
}

func (s *strike) String() string {
	if s.way == nil {
		return "without a fault"
	}
	return fmt.Sprintf("%s at %s %d, for good %v", s.way.name, s.step, s.nth+1, s.good)
}

func (s *strike) failf(format string, args ...any) {
	s.Helper()
	s.Errorf("%v: told %v: %s", s, s.err, fmt.Sprintf(format, args...))
}

func (s *strike) empty() {
	s.disk.mu.Lock()
	if !s.emptied {
		s.emptied, s.written = true, s.disk.landed-s.began
	}
	s.disk.mu.Unlock()
	s.disk.empty()
}

// call makes the call with the fault in it, and what the call has begun besides.
// Then the fault is over. It checks what is true of every call; want is the code
// of what it says when nothing goes wrong.
func (s *strike) call(want core.Code, fn func(ctx context.Context) error) {
	s.Helper()
	d := s.disk
	ctx, cancel := context.WithCancel(s.Context())
	s.cancel = cancel
	defer cancel()
	s.began, d.met, d.tracing = d.landed, 0, true
	if s.way != nil {
		f := s.way.fault(s)
		f.step, f.skip = s.step, s.nth
		if s.good {
			f.good = s.way.steps
		}
		d.inject(f)
	}
	at := time.Now()
	s.err = fn(ctx)
	if took := time.Since(at); took > settles*time.Duration(max(s.many, 1)) {
		s.failf("it took %v", took)
	}
	time.Sleep(time.Minute)
	d.heal()
	time.Sleep(time.Minute)
	d.mu.Lock() // what has ended may still be told
	d.tracing, s.trace = false, d.trace
	d.mu.Unlock()
	if s.way != nil && d.met == 0 {
		s.failf("the fault was not met")
	}
	s.checkCode(want)
}

func (s *strike) checkCode(want core.Code) {
	s.Helper()
	code := core.CodeOf(s.err)
	if s.err != nil && (!errors.Is(s.err, code) || !slices.Contains(core.Codes(), code)) {
		s.failf("the error has no code")
	}
	switch {
	case code == want:
	case s.way == nil, s.way.passes && !s.good, !slices.Contains(s.way.codes, code):
		s.failf("want code %q", want)
	}
}

// swept counts what was swept.
type swept struct {
	pairs int
	told  map[core.Code]int
	met   map[string]bool // steps
}

func newSwept() *swept {
	return &swept{told: map[core.Code]int{}, met: map[string]bool{}}
}

// sweep plays a story once without a fault, which shows its steps, and then with
// each fault at each of them.
func (w *swept) sweep(t *testing.T, fresh func() *disk, play func(*strike)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		calm := &strike{T: t, disk: fresh()}
		play(calm)
		if len(calm.trace) == 0 {
			t.Error("nothing was swept: the call has no steps")
		}
		nth := map[string]int{}
		for _, step := range calm.trace {
			w.met[step] = true
			for i := range ways {
				if !slices.Contains(strings.Fields(ways[i].steps), step) {
					continue
				}
				for _, good := range []bool{false, true} {
					s := &strike{T: t, disk: fresh(), way: &ways[i], step: step, nth: nth[step], good: good}
					play(s)
					w.pairs++
					w.told[core.CodeOf(s.err)]++
					if t.Failed() {
						return // one is enough
					}
				}
			}
			nth[step]++
		}
	})
}

// report fails if one of steps was never swept, and prints what was.
func (w *swept) report(t *testing.T, steps string) {
	t.Helper()
	for _, step := range strings.Fields(steps) {
		if !w.met[step] {
			t.Errorf("no call has the step %q", step)
		}
	}
	told := fmt.Sprintf("%d acknowledged", w.told[""])
	for _, code := range slices.Sorted(maps.Keys(w.told)) {
		if code != "" {
			told += fmt.Sprintf(", %d %s", w.told[code], code)
		}
	}
	t.Logf("result: sweep: %s: %d pairs of a step and a fault: %s", t.Name(), w.pairs, told)
}

// open opens a store on a disk that nothing is wrong with.
func (s *strike) open() *Store {
	s.Helper()
	store, err := start(context.Background(), &fakeEngine{s.disk}, sweepTimeout)
	if err != nil && s.emptied && errors.Is(err, core.ErrStoreReset) {
		store, err = start(context.Background(), &fakeEngine{s.disk}, sweepTimeout) // who opens again has been told
	}
	if err != nil {
		s.failf("then it cannot be opened: %v", err)
		s.FailNow()
	}
	return store
}

// clone returns another disk with the same content, which nobody has open.
func (d *disk) clone() *disk {
	c := newDisk()
	c.epoch, c.stores, c.memory, c.atOnce = d.epoch, maps.Clone(d.stores), d.memory, d.atOnce
	return c
}

// stall keeps everything from being carried out until it is over.
func (d *disk) stall(stalled bool) { d.do(func() { d.stalled = stalled }) }

// heal ends all faults. What was not answered is answered now, unless it was
// aborted.
func (d *disk) heal() {
	d.inject()
	d.freeze(false)
	d.do(func() {
		for _, keep := range d.stuck {
			keep()
		}
		d.stuck = nil
		for _, t := range d.queue {
			for _, r := range t.requests {
				r.fault.silent = false
			}
		}
	})
	d.stall(false)
}

// disconnect closes all connections. What they had under way is undone.
func (d *disk) disconnect() { d.do(d.disconnected) }
