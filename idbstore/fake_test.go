package idbstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-dev/holdfast/core"
)

// disk is the browser's storage, as far as the store can see it: a database
// with its object stores, and who has it open. What can be carried out is
// carried out before the call that asks for it returns.
type disk struct {
	mu     sync.Mutex
	epoch  int
	stores map[string]rows // nil while there is no database
	memory string          // what remember kept
	turn   chan struct{}   // rememberLock
	stuck  []func()        // keep what remember was given, and has not kept yet
	tabs   map[*fakePeers]struct{}
	open   map[*fakeDatabase]struct{}
	queue  []*fakeTransaction // those with something to do, oldest first
	told   []func()           // to be called without mu
	landed int                // commits that have changed something
	// How much the requests for values have returned.
	largest int // bytes of one value, at most
	read    int // bytes of one request besides its largest value, at most
	asked   int // requests that were not answered, at most

	atOnce  bool // connections can carry out an append in one step
	frozen  bool // whatever page has it open
	stalled bool

	faults  []fault
	met     int
	tracing bool
	trace   []string // the steps that were made
}

func newDisk() *disk {
	return &disk{tabs: map[*fakePeers]struct{}{}, open: map[*fakeDatabase]struct{}{}, turn: make(chan struct{}, 1)}
}

// do changes something, and carries out what can be carried out then.
func (d *disk) do(change func()) {
	d.mu.Lock()
	change()
	for _, t := range slices.Clone(d.queue) {
		if !d.stalled && !t.over && !t.waits() {
			t.run()
		}
	}
	told := d.told
	d.told = nil
	d.mu.Unlock()
	for _, tell := range told {
		tell()
	}
}

// under returns the transactions of a connection that have something to do.
func (d *disk) under(db *fakeDatabase) []*fakeTransaction {
	return slices.DeleteFunc(slices.Clone(d.queue), func(t *fakeTransaction) bool { return t.db != db })
}

// fakeEngine is one tab.
type fakeEngine struct{ disk *disk }

// lock implements engine. Outside of a browser there is only the lock of what is
// remembered.
func (e *fakeEngine) lock(ctx context.Context, name string, _ bool) (lock core.Lock, known bool, err error) {
	switch f := e.disk.meet("lock"); {
	case f.err != nil:
		return nil, true, f.err
	case f.silent:
		<-ctx.Done()
		return nil, true, cause(ctx)
	case name != rememberLock:
		return nil, false, nil
	}
	select {
	case e.disk.turn <- struct{}{}:
		return fakeLock{e.disk.turn}, true, nil
	case <-ctx.Done():
		return nil, true, cause(ctx)
	}
}

func (e *fakeEngine) locked(context.Context, string) (held, known bool, err error) {
	return false, false, e.disk.meet("lock").err
}

type fakeLock struct{ turn chan struct{} }

func (l fakeLock) Lost() <-chan struct{} { return nil }

func (l fakeLock) Held(context.Context) bool { return true }

func (l fakeLock) Release() { <-l.turn }

func (e *fakeEngine) frozen() bool {
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	return e.disk.frozen
}

func (e *fakeEngine) open(ctx context.Context) (database, error) {
	d := e.disk
	f := d.meet("open")
	d.mu.Lock()
	stalled := d.stalled
	d.mu.Unlock()
	if f.silent || stalled {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return nil, cause(ctx)
	}
	if f.err != nil {
		return nil, f.err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stores == nil {
		d.epoch++
		d.stores = map[string]rows{}
		for _, name := range objectStores {
			d.stores[name] = nil
		}
	}
	db := &fakeDatabase{disk: d, epoch: d.epoch}
	d.open[db] = struct{}{}
	return db, nil
}

func (e *fakeEngine) listen(received func([]byte), missed, _ func()) (peers, error) {
	if f := e.disk.meet("listen"); f.err != nil {
		return nil, f.err
	}
	p := &fakePeers{e.disk, received, missed}
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	e.disk.tabs[p] = struct{}{}
	return p, nil
}

func (e *fakeEngine) recall(ctx context.Context) (string, error) {
	switch f := e.disk.meet("recall"); {
	case f.err != nil:
		return "", f.err
	case f.silent:
		<-ctx.Done()
		return "", context.Cause(ctx)
	}
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	return e.disk.memory, nil
}

// remember implements engine. What gets no answer is kept when the disk heals,
// also if ctx has ended, but not if its page has.
func (e *fakeEngine) remember(ctx context.Context, text string) error {
	d := e.disk
	f := d.meet("remember")
	if f.err != nil {
		return f.err
	}
	kept := make(chan struct{})
	keep := func() {
		d.memory = text
		close(kept)
	}
	d.mu.Lock()
	if f.silent {
		d.stuck = append(d.stuck, func() {
			if !errors.Is(context.Cause(ctx), errDead) {
				keep()
			}
		})
	} else {
		keep()
	}
	d.mu.Unlock()
	select {
	case <-kept:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errDead = errors.New("the page has ended")

// remembered is what is kept beside the database, nothing if that is damaged.
func (d *disk) remembered() memory {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, _ := decodeMemory(d.memory)
	return m
}

type fakePeers struct {
	disk     *disk
	received func([]byte)
	missed   func()
}

func (p *fakePeers) post(key []byte) {
	if f := p.disk.meet("post"); f.silent {
		return
	}
	p.disk.mu.Lock()
	others := slices.Collect(maps.Keys(p.disk.tabs))
	p.disk.mu.Unlock()
	for _, other := range others {
		if other != p {
			other.received(bytes.Clone(key))
		}
	}
}

func (p *fakePeers) slow() bool { return false }

func (p *fakePeers) close() {
	p.disk.meet("leave")
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	delete(p.disk.tabs, p)
}

// fakeDatabase is a connection.
type fakeDatabase struct {
	disk  *disk
	epoch int
	gone  bool // guarded by the disk's mu
}

func (d *fakeDatabase) identity() identity {
	return identity{format: formatVersion, epoch: fmt.Sprintf("epoch-%d", d.epoch)}
}

func (d *fakeDatabase) lost() bool {
	d.disk.mu.Lock()
	defer d.disk.mu.Unlock()
	return d.gone
}

// close lets what is under way come to its end.
func (d *fakeDatabase) close() {
	d.disk.meet("close")
	d.disk.mu.Lock()
	defer d.disk.mu.Unlock()
	d.gone = true
	delete(d.disk.open, d)
}

func (d *fakeDatabase) begin(m mode, stores string) (transaction, error) {
	if f := d.disk.meet("begin"); f.err != nil {
		return nil, f.err
	}
	return d.transaction(m, strings.Fields(stores)...)
}

func (d *fakeDatabase) transaction(m mode, scope ...string) (*fakeScope, error) {
	if d.lost() {
		return nil, &engineError{"InvalidStateError", "the connection is closing"}
	}
	for _, store := range scope {
		if !slices.Contains(objectStores, store) {
			return nil, &engineError{"NotFoundError", store}
		}
	}
	t := &fakeTransaction{disk: d.disk, db: d, mode: m, scope: scope, end: make(chan struct{})}
	t.disk.do(func() { t.disk.queue = append(t.disk.queue, t) })
	return &fakeScope{t, scope[0], ""}, nil
}

func (d *fakeDatabase) canAppend() bool { return d.disk.atOnce }

// appendRecord implements appender in the steps of web/src/bridge/appender.ts.
func (d *fakeDatabase) appendRecord(heads keyRange, first bool, key, value []byte, summary *listed) (appending, error) {
	if f := d.disk.meet("append"); f.err != nil {
		return nil, f.err
	}
	scope := []string{recordsStore}
	if summary != nil {
		scope = append(scope, directoryStore)
	}
	tx, err := d.transaction(readWrite, scope...)
	if err != nil {
		return nil, err
	}
	a := &fakeAppending{fakeScope: tx}
	// A browser reports the heads before the summary. Here they may be reported at
	// the same time.
	reported := 0
	report := func() {
		all := false
		d.disk.do(func() {
			reported++
			all = reported == 2 || summary == nil
			a.committing, a.held = all, all
		})
		if all {
			_ = a.commit()
		}
	}
	found := demand(tx, "keys", heads, func(found rows) [][]byte { return found.keys(2) }, func(keys [][]byte) {
		expected := uint64(1) // any but 0 will do
		if first {
			expected = 0
		}
		if !headIs(keys, heads.lower, expected) {
			d.disk.do(func() { a.moved = true })
			a.fakeScope.abort()
		} else {
			report()
		}
	})
	if err = found.thrown; err == nil {
		err = a.add(key, value)
	}
	if err == nil && summary != nil {
		name, _, _, _ := parseKey(key)
		err = (&fakeScope{tx.fakeTransaction, directoryStore, ""}).listThen(name, summary, report)
	}
	if err != nil {
		d.disk.do(func() { tx.finish(abortedError) })
		return nil, err
	}
	return a, nil
}

// fakeAppending is the transaction of an append that is carried out at once.
type fakeAppending struct {
	*fakeScope
	// Guarded by the disk's mu: the head has moved; the commit is asked for.
	moved, committing bool
}

func (a *fakeAppending) wait(ctx context.Context) error {
	err := a.fakeScope.wait(ctx)
	a.disk.mu.Lock()
	defer a.disk.mu.Unlock()
	if a.moved && a.over {
		return errHeadMoved
	}
	return err
}

func (a *fakeAppending) then(fn func(error)) {
	tell := func() { fn(a.wait(context.Background())) }
	a.disk.do(func() {
		a.held, a.after = false, tell
		select {
		case <-a.end:
			go tell()
		default:
		}
	})
}

func (a *fakeAppending) commitFailed() bool {
	a.disk.mu.Lock()
	defer a.disk.mu.Unlock()
	return a.committing
}

func (a *fakeAppending) abort() (committing bool) {
	if a.commitFailed() {
		return true
	}
	a.fakeScope.abort()
	return false
}
