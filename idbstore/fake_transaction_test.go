package idbstore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sort"
	"strings"
)

// rows are the content of an object store, in the order of the keys. They never
// change in place.
type rows []row

type row struct {
	key   string
	value []byte
	index map[string]string // the value's property of each index that it is in
	of    *string           // of a row of an index: the key of the value
}

// bytes returns a value as bytes; those of the directory are objects.
func (r row) bytes() []byte {
	if r.index != nil {
		return []byte{}
	}
	return bytes.Clone(r.value)
}

// by returns the rows of an index.
func (r rows) by(index string) rows {
	var indexed rows
	for _, one := range r {
		if key, in := one.index[index]; in {
			indexed = append(indexed, row{key: key, value: one.value, index: one.index, of: &one.key})
		}
	}
	slices.SortStableFunc(indexed, func(a, b row) int { return strings.Compare(a.key, b.key) })
	return indexed
}

// from returns where key is or would be.
func (r rows) from(key string) int {
	return sort.Search(len(r), func(i int) bool { return r[i].key >= key })
}

func (r rows) within(k keyRange) rows {
	return r[r.from(string(k.lower)):max(r.from(string(k.lower)), r.from(string(k.upper)+"\x00"))]
}

func (r rows) get(key string) []byte {
	if i := r.from(key); i < len(r) && r[i].key == key {
		return r[i].bytes()
	}
	return nil
}

func (r rows) put(one row) rows {
	i := r.from(one.key)
	next := i
	if i < len(r) && r[i].key == one.key {
		next++
	}
	one.value = append([]byte{}, one.value...)
	return slices.Concat(r[:i], rows{one}, r[next:])
}

func (r rows) remove(k keyRange) rows {
	i := r.from(string(k.lower))
	return slices.Concat(r[:i], r[i+len(r.within(k)):])
}

// first returns how many of the rows a request asks for; 0 asks for all.
func (r rows) first(limit int) int {
	if limit == 0 {
		return len(r)
	}
	return min(limit, len(r))
}

func (r rows) keys(limit int) [][]byte {
	keys := make([][]byte, r.first(limit))
	for i := range keys {
		key := &r[i].key
		if r[i].of != nil {
			key = r[i].of
		}
		keys[i] = []byte(*key)
	}
	return keys
}

func (r rows) values(limit int) [][]byte {
	values := make([][]byte, r.first(limit))
	for i := range values {
		values[i] = r[i].bytes()
	}
	return values
}

// fakeTransaction is a transaction. It works on a copy, which its commit puts
// in place. All that changes is guarded by the disk's mu.
type fakeTransaction struct {
	disk     *disk
	db       *fakeDatabase
	mode     mode
	scope    []string
	data     map[string]rows // of scope; nil before it has begun
	changed  bool
	requests []*fakeRequest // that have not been answered, oldest first
	commits  *fault         // what becomes of the commit, once it was asked for
	aborts   bool           // as soon as it can
	after    func()         // to be called then; nil if nobody wants it
	held     bool           // its user has the turn: nothing is carried out meanwhile
	left     bool           // it has nothing to do, and is not in the queue
	over     bool
	end      chan struct{}
	err      error
}

// fakeRequest is a request that has not been answered.
type fakeRequest struct {
	fault   fault
	run     func() error
	answer  func(error)
	awaited bool
	then    func() // called before the next request is carried out
}

// waits reports whether the transaction has to wait for others to end (Indexed
// Database API 3.0, section 2.7.2). Those that only read hold nobody up: each
// sees what was there when it began.
func (t *fakeTransaction) waits() bool {
	if t.data != nil || t.aborts {
		return false
	}
	for _, other := range t.disk.queue {
		if other == t {
			break
		}
		if other.mode != readOnly && slices.ContainsFunc(t.scope, func(store string) bool { return slices.Contains(other.scope, store) }) {
			return true
		}
	}
	return false
}

// run carries out what there is to do.
func (t *fakeTransaction) run() {
	switch {
	case t.aborts:
		t.finish(abortedError)
		return
	case t.held:
		return
	}
	if t.data == nil {
		t.data = map[string]rows{}
		for _, store := range t.scope {
			t.data[store] = t.disk.stores[store]
		}
	}
	for len(t.requests) > 0 {
		r := t.requests[0]
		if r.fault.silent {
			return
		}
		t.requests = t.requests[1:]
		err := r.run()
		if r.fault.err != nil {
			err = r.fault.err
		}
		r.answer(err)
		if err != nil {
			t.finish(err)
			return
		}
		if r.then != nil {
			t.disk.told = append(t.disk.told, r.then)
		}
		if r.then != nil || r.awaited {
			t.held = true
			break
		}
	}
	switch {
	case t.mode == readOnly && len(t.requests) == 0 && t.commits == nil:
		t.leave()
	case !t.held && t.commits != nil:
		t.complete(*t.commits)
	}
}

func (t *fakeTransaction) complete(f fault) {
	if f.landed || !f.fails() {
		maps.Copy(t.disk.stores, t.data)
		if t.changed {
			t.disk.landed++
		}
	}
	switch {
	case f.silent:
		t.over = true
		t.leave() // the browser has done with it; only the event is missing
	case f.err != nil && !(f.thrown && f.landed):
		t.finish(f.err)
	default:
		t.finish(nil)
	}
}

// finish is the last event of the transaction.
func (t *fakeTransaction) finish(err error) {
	if t.over {
		return
	}
	t.over, t.err = true, err
	for _, r := range t.requests {
		r.answer(err)
	}
	t.requests = nil
	close(t.end)
	if t.after != nil {
		go t.after()
	}
	t.leave()
}

func (t *fakeTransaction) leave() {
	t.left = true
	t.disk.queue = slices.DeleteFunc(t.disk.queue, func(other *fakeTransaction) bool { return other == t })
}

// fakeScope is a transaction, with the store that requests go to.
type fakeScope struct {
	*fakeTransaction
	store string
	index string // that reads go by; empty for none
}

func (t *fakeScope) by(index string) (transaction, error) {
	if f := t.disk.meet("by"); f.err != nil {
		return nil, f.err
	}
	t.disk.mu.Lock()
	defer t.disk.mu.Unlock()
	if t.over || t.aborts {
		return nil, errEnded
	}
	if t.store != directoryStore || index != recentIndex && index != dueIndex {
		return nil, &engineError{notFound, index}
	}
	return &fakeScope{t.fakeTransaction, t.store, index}, nil
}

// rows are those that reads see.
func (t *fakeScope) rows() rows {
	if t.index == "" {
		return t.data[t.store]
	}
	return t.data[t.store].by(t.index)
}

func (t *fakeScope) in(store string) (transaction, error) {
	if f := t.disk.meet("in"); f.err != nil {
		return nil, f.err
	}
	t.disk.mu.Lock()
	defer t.disk.mu.Unlock()
	switch {
	case t.over, t.aborts:
		return nil, errEnded
	case !slices.Contains(t.scope, store):
		return nil, &engineError{"NotFoundError", store}
	}
	return &fakeScope{t.fakeTransaction, store, ""}, nil
}

var errEnded = &engineError{"TransactionInactiveError", "the transaction is over"}

// request makes a request. An error is thrown at the call.
func (t *fakeScope) request(step string, r *fakeRequest) (thrown error) {
	r.fault = t.disk.meet(step)
	if r.fault.thrown {
		return r.fault.err
	}
	t.disk.mu.Lock()
	defer t.disk.mu.Unlock()
	switch {
	case t.over, t.aborts:
		return errEnded
	case t.left:
		t.left = false
		t.disk.queue = append(t.disk.queue, t.fakeTransaction)
	}
	t.requests, t.held = append(t.requests, r), true
	t.disk.asked = max(t.disk.asked, len(t.requests))
	return nil
}

// fakeAnswer is the answer to a request.
type fakeAnswer[T any] struct {
	tx      *fakeTransaction
	request *fakeRequest
	done    chan struct{}
	value   T
	err     error
	thrown  error
}

func (a *fakeAnswer[T]) wait(ctx context.Context) (T, error) {
	a.tx.disk.meet("wait")
	a.tx.disk.do(func() {
		a.request.awaited = true
		a.tx.held = a.isDone()
	})
	var none T
	if ctx.Err() != nil {
		return none, cause(ctx)
	}
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		return none, cause(ctx)
	}
}

func (a *fakeAnswer[T]) isDone() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// demand makes a request for what read finds within a range of the store. Before
// the next one is carried out, then gets the answer.
func demand[T any](t *fakeScope, step string, within keyRange, read func(rows) T, then func(T)) *fakeAnswer[T] {
	a := &fakeAnswer[T]{tx: t.fakeTransaction, done: make(chan struct{})}
	a.request = &fakeRequest{
		run: func() error {
			a.value = read(t.rows().within(within))
			if list, ok := any(&a.value).(*[][]byte); ok && a.request.fault.damage != nil {
				*list = a.request.fault.damage(*list)
			}
			return nil
		},
		answer: func(err error) {
			a.err = err
			close(a.done)
		},
	}
	if then != nil {
		a.request.then = func() { then(a.value) }
	}
	if a.thrown = within.refused(); a.thrown == nil {
		a.thrown = t.request(step, a.request)
	}
	if a.thrown != nil {
		a.request.answer(a.thrown)
	}
	return a
}

// refused is what IDBKeyRange.bound throws.
func (r keyRange) refused() error {
	if bytes.Compare(r.lower, r.upper) > 0 {
		return &engineError{dataError, "the lower key is greater than the upper key"}
	}
	return nil
}

func (t *fakeScope) keys(r keyRange, limit int) answer[[][]byte] {
	return demand(t, "keys", r, func(found rows) [][]byte { return found.keys(limit) }, nil)
}

func (t *fakeScope) values(r keyRange, limit int) answer[[][]byte] {
	return demand(t, "values", r, func(found rows) [][]byte {
		values := found.values(limit)
		sizes := make([]int, len(values))
		for i, value := range values {
			sizes[i] = len(value)
		}
		t.disk.reads(sizes)
		return values
	}, nil)
}

// reads notes how large the values are that one request has read.
func (d *disk) reads(sizes []int) {
	all, largest := 0, 0
	for _, size := range sizes {
		all += size
		largest = max(largest, size)
	}
	d.largest, d.read = max(d.largest, largest), max(d.read, all-largest)
}

func (t *fakeScope) last(r keyRange) answer[[]byte] {
	return demand(t, "last", r, func(found rows) []byte {
		if len(found) > 0 {
			return []byte(found[len(found)-1].key)
		}
		return nil
	}, nil)
}

func (t *fakeScope) get(key []byte) answer[[]byte] {
	return demand(t, "get", keyRange{key, key}, func(found rows) []byte { return bytes.Clone(found.get(string(key))) }, nil)
}

func (t *fakeScope) add(key, value []byte) error {
	return t.write("add", func(all rows) (rows, error) {
		if all.get(string(key)) != nil {
			return nil, &engineError{constraintError, "the key is taken"}
		}
		return all.put(row{key: string(key), value: value}), nil
	})
}

func (t *fakeScope) put(key, value []byte) error {
	return t.write("put", func(all rows) (rows, error) { return all.put(row{key: string(key), value: value}), nil })
}

func (t *fakeScope) remove(r keyRange) error {
	if err := r.refused(); err != nil {
		return err
	}
	return t.write("remove", func(all rows) (rows, error) { return all.remove(r), nil })
}

func (t *fakeScope) listed(r keyRange, limit int) answer[[]listed] {
	return demand(t, "listed", r, func(found rows) []listed {
		list := make([]listed, found.first(limit))
		for i := range list {
			if found[i].index != nil {
				list[i] = listed{recent: []byte(found[i].index[recentIndex]), due: []byte(found[i].index[dueIndex]), summary: bytes.Clone(found[i].value)}
			}
		}
		sizes := make([]int, len(list))
		for i, l := range list {
			sizes[i] = len(l.recent) + len(l.due) + len(l.summary)
		}
		t.disk.reads(sizes)
		return list
	}, nil)
}

func (t *fakeScope) list(name string, l *listed) error { return t.listThen(name, l, nil) }

// listThen is list, and calls then once that is done.
func (t *fakeScope) listThen(name string, l *listed, then func()) error {
	one := row{key: name, value: l.summary, index: map[string]string{recentIndex: string(l.recent)}}
	if l.due != nil {
		one.index[dueIndex] = string(l.due)
	}
	return t.writeThen("list", func(all rows) (rows, error) { return all.put(one), nil }, then)
}

func (t *fakeScope) write(step string, change func(rows) (rows, error)) error {
	return t.writeThen(step, change, nil)
}

func (t *fakeScope) writeThen(step string, change func(rows) (rows, error), then func()) error {
	if t.mode == readOnly {
		return &engineError{"ReadOnlyError", "the transaction is read-only"}
	}
	return t.request(step, &fakeRequest{
		run: func() (err error) {
			t.changed = true
			t.data[t.store], err = change(t.data[t.store])
			return err
		},
		answer: func(error) {},
		then:   then,
	})
}

func (t *fakeScope) commit() error {
	f := t.disk.meet("commit")
	var thrown error
	if f.thrown {
		thrown = f.err
	}
	t.disk.do(func() {
		switch {
		case t.over, t.aborts:
			thrown = errEnded
		case f.thrown && !f.landed:
			t.finish(abortedError)
		default:
			t.commits = &f
		}
		t.held = false
	})
	if f.then != nil {
		f.then()
	}
	return thrown
}

func (t *fakeScope) abort() {
	f := t.disk.meet("abort")
	t.disk.do(func() {
		switch {
		case t.over, t.commits != nil: // too late
		case f.silent:
			t.over = true
			t.leave()
		default:
			t.aborts = true
			if t.left { // it has begun, and read only
				t.finish(abortedError)
			}
		}
	})
}

func (t *fakeScope) wait(ctx context.Context) error {
	t.disk.meet("wait")
	t.disk.do(func() { t.held = false })
	select {
	case <-t.end:
		return t.err
	default:
	}
	select {
	case <-t.end:
		return t.err
	case <-ctx.Done():
		return cause(ctx)
	}
}
