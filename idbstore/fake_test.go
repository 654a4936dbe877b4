package idbstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-dev/holdfast/core"
)

// disk is the browser's storage, as far as the store can see it: databases by
// name, each with its object stores. Transactions that write run one at a time.
type disk struct {
	writing sync.Mutex // held by a transaction that writes

	mu     sync.Mutex
	epoch  int
	stores map[string]map[string][]byte // nil while there is no database
	kept   string                       // what keepEpoch kept
	tabs   map[*fakePeers]struct{}
	faults []fault
	frozen bool // whatever page has it open
}

// fault makes the next step of a name fail, in one of the ways of a browser.
type fault struct {
	step string // "open", "begin", "keys", "add", "commit", …
	skip int    // how many of these steps are to pass before
	err  *engineError
	// landed is for commits: the data is written although the error says so.
	landed bool
	// silent is for commits: nothing is ever heard of it.
	silent bool
	// then is for commits that succeed: it happens before the caller goes on.
	then func()
}

func newDisk() *disk { return &disk{tabs: map[*fakePeers]struct{}{}} }

// fail takes the next fault if it is about step.
func (d *disk) fail(step string) (fault, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.faults) == 0 || d.faults[0].step != step {
		return fault{}, false
	}
	next := d.faults[0]
	if next.skip > 0 {
		d.faults[0].skip--
		return fault{}, false
	}
	d.faults = d.faults[1:]
	return next, true
}

// inject sets the faults to come, also while the store is at work.
func (d *disk) inject(faults ...fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = faults
}

// unmet returns how many faults are still to come.
func (d *disk) unmet() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.faults)
}

func (d *disk) freeze(frozen bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = frozen
}

func (d *disk) empty() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stores = nil
}

// fakeEngine is one tab.
type fakeEngine struct{ disk *disk }

// lock implements engine. There are no locks outside of a browser.
func (e *fakeEngine) lock(context.Context, string) (core.Lock, error) { return nil, nil }

func (e *fakeEngine) frozen() bool {
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	return e.disk.frozen
}

func (e *fakeEngine) open(context.Context) (database, error) {
	if f, ok := e.disk.fail("open"); ok {
		return nil, f.err
	}
	d := e.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stores == nil {
		d.epoch++
		d.stores = map[string]map[string][]byte{recordsStore: {}, valuesStore: {}, snapshotsStore: {}, metaStore: {}}
	}
	return &fakeDatabase{disk: d, epoch: d.epoch}, nil
}

func (e *fakeEngine) listen(received func([]byte), missed func()) (peers, error) {
	p := &fakePeers{e.disk, received, missed}
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	e.disk.tabs[p] = struct{}{}
	return p, nil
}

func (e *fakeEngine) recallEpoch() string {
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	return e.disk.kept
}

func (e *fakeEngine) keepEpoch(epoch string) {
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	e.disk.kept = epoch
}

type fakePeers struct {
	disk     *disk
	received func([]byte)
	missed   func()
}

func (p *fakePeers) post(key []byte) {
	p.disk.mu.Lock()
	others := slices.Collect(maps.Keys(p.disk.tabs))
	p.disk.mu.Unlock()
	for _, other := range others {
		if other != p {
			other.received(bytes.Clone(key))
		}
	}
}

func (p *fakePeers) close() {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	delete(p.disk.tabs, p)
}

type fakeDatabase struct {
	disk  *disk
	epoch int

	mu   sync.Mutex
	gone bool
}

func (d *fakeDatabase) identity() identity {
	return identity{format: formatVersion, epoch: fmt.Sprintf("epoch-%d", d.epoch)}
}

func (d *fakeDatabase) lost() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.disk.mu.Lock()
	defer d.disk.mu.Unlock()
	return d.gone || d.disk.stores == nil || d.disk.epoch != d.epoch
}

func (d *fakeDatabase) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
}

func (d *fakeDatabase) begin(m mode, stores string) (transaction, error) {
	if f, ok := d.disk.fail("begin"); ok {
		return nil, f.err
	}
	if d.lost() {
		return nil, &engineError{"InvalidStateError", "the connection is closing"}
	}
	t := &fakeTransaction{fakeOutcome: &fakeOutcome{disk: d.disk, stores: map[string]map[string][]byte{}, end: make(chan struct{})}}
	if m != readOnly {
		d.disk.writing.Lock()
		t.release = d.disk.writing.Unlock
	}
	d.disk.mu.Lock()
	defer d.disk.mu.Unlock()
	for _, name := range strings.Fields(stores) {
		t.stores[name] = maps.Clone(d.disk.stores[name])
	}
	return t.in(strings.Fields(stores)[0])
}

// fakeTransaction works on a copy, which its commit puts in place.
type fakeTransaction struct {
	*fakeOutcome
	data map[string][]byte // of the store that requests go to
}

// fakeOutcome is what requests to all stores of a transaction share.
type fakeOutcome struct {
	disk    *disk
	stores  map[string]map[string][]byte
	release func()
	once    sync.Once
	end     chan struct{}
	err     error
	failed  error // a request has failed, and the transaction will abort
}

func (t *fakeTransaction) in(store string) (transaction, error) {
	data, ok := t.stores[store]
	if !ok {
		return nil, &engineError{"NotFoundError", store}
	}
	return &fakeTransaction{t.fakeOutcome, data}, nil
}

func (t *fakeTransaction) finish(err error) {
	t.once.Do(func() {
		t.err = err
		if t.release != nil {
			t.release()
		}
		close(t.end)
	})
}

func (t *fakeTransaction) request(step string) error {
	if f, ok := t.disk.fail(step); ok {
		t.failed = f.err
	}
	return t.failed
}

func (t *fakeTransaction) within(r keyRange) []string {
	var keys []string
	for key := range t.data {
		if key >= string(r.lower) && key <= string(r.upper) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// fakeAnswer is an answer that is there.
type fakeAnswer[T any] struct {
	value T
	err   error
}

func (a fakeAnswer[T]) wait(ctx context.Context) (T, error) {
	if ctx.Err() != nil {
		return a.value, context.Cause(ctx)
	}
	return a.value, a.err
}

func (t *fakeTransaction) keys(r keyRange, limit int) answer[[][]byte] {
	var keys [][]byte
	for _, key := range t.within(r) {
		if len(keys) < limit {
			keys = append(keys, []byte(key))
		}
	}
	return fakeAnswer[[][]byte]{keys, t.request("keys")}
}

func (t *fakeTransaction) values(r keyRange, limit int) answer[[][]byte] {
	var values [][]byte
	for _, key := range t.within(r) {
		if len(values) < limit {
			values = append(values, bytes.Clone(t.data[key]))
		}
	}
	return fakeAnswer[[][]byte]{values, t.request("values")}
}

func (t *fakeTransaction) last(r keyRange) answer[[]byte] {
	err := t.request("last")
	if keys := t.within(r); len(keys) > 0 {
		return fakeAnswer[[]byte]{[]byte(keys[len(keys)-1]), err}
	}
	return fakeAnswer[[]byte]{nil, err}
}

func (t *fakeTransaction) get(key []byte) answer[[]byte] {
	return fakeAnswer[[]byte]{bytes.Clone(t.data[string(key)]), t.request("get")}
}

func (t *fakeTransaction) add(key, value []byte) error {
	if _, taken := t.data[string(key)]; taken {
		t.failed = cmp.Or[error](t.failed, &engineError{constraintError, "the key is taken"})
		return nil
	}
	return t.put(key, value)
}

func (t *fakeTransaction) put(key, value []byte) error {
	if f, ok := t.disk.fail("write"); ok {
		return f.err // thrown at the call
	}
	t.data[string(key)] = bytes.Clone(value)
	return nil
}

func (t *fakeTransaction) remove(r keyRange) error {
	if f, ok := t.disk.fail("remove"); ok {
		return f.err // thrown at the call
	}
	for _, key := range t.within(r) {
		delete(t.data, key)
	}
	return nil
}

func (t *fakeTransaction) commit() error {
	f, failing := t.disk.fail("commit")
	if f.then != nil {
		failing = false
		defer f.then()
	}
	switch {
	case t.failed != nil:
		t.finish(t.failed)
		return nil
	case !failing || f.landed:
		t.disk.mu.Lock()
		if t.disk.stores != nil {
			maps.Copy(t.disk.stores, t.stores)
		}
		t.disk.mu.Unlock()
	}
	switch {
	case f.silent:
		t.release() // the browser has done with it; only the event is missing
		t.release = nil
	case failing:
		t.finish(f.err)
	default:
		t.finish(nil)
	}
	return nil
}

func (t *fakeTransaction) abort() { t.finish(&engineError{"AbortError", "aborted"}) }

func (t *fakeTransaction) wait(ctx context.Context) error {
	select {
	case <-t.end:
		return t.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
