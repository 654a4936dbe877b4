package idbstore

import (
	"context"
	"errors"
	"strings"

	"github.com/hack-pad/safejs"
)

// jsTransaction is a transaction, and after that another one, with the same
// handlers: making a function that JavaScript can call costs more than a
// request.
type jsTransaction struct {
	db       *jsDatabase
	handlers listeners // of this struct, not of one transaction

	tx      safejs.Value
	waiting []settler // requests that have not been answered, oldest first
	end     *transactionEnd
	refusal error // of the first request that failed
	writing bool  // it is among jsEngine.writing
	writes  int
}

// transactionEnd outlives the reuse of its jsTransaction.
type transactionEnd struct {
	done chan struct{}
	err  error
}

// settler is an answer that is due.
type settler interface {
	succeed()
	fail(error)
}

var modeNames = [4]string{readOnly: "readonly", readWrite: "readwrite", readWriteStrict: "readwrite", readWriteIdle: "readwrite"}

func (d *jsDatabase) begin(m mode, stores string) (transaction, error) {
	store, _, several := strings.Cut(stores, " ")
	var scope any = store
	if several {
		var names []any
		for name := range strings.SplitSeq(stores, " ") {
			names = append(names, name)
		}
		scope = names
	}
	tx, err := d.db.Call("transaction", scope, modeNames[m], d.engine.options[m])
	if err != nil {
		return nil, failureOf(err)
	}
	objectStore, err := tx.Call("objectStore", store)
	if err != nil {
		return nil, failureOf(err)
	}
	t, err := d.transaction()
	if err != nil {
		return nil, err
	}
	t.tx, t.end, t.writing = tx, &transactionEnd{done: make(chan struct{})}, m != readOnly && !d.engine.writing.IsUndefined()
	for _, property := range []string{"oncomplete", "onabort", "onerror"} {
		if err := tx.Set(property, t.handlers.fn(property)); err != nil {
			return nil, failureOf(err)
		}
	}
	if t.writing {
		if _, err := d.engine.writing.Call("add", tx); err != nil {
			return nil, failureOf(err)
		}
	}
	return &jsTransactionRef{t, t.end, objectStore}, nil
}

// transaction returns an idle jsTransaction, or a new one.
func (d *jsDatabase) transaction() (*jsTransaction, error) {
	if n := len(d.idle); n > 0 {
		t := d.idle[n-1]
		d.idle = d.idle[:n-1]
		return t, nil
	}
	t := &jsTransaction{db: d}
	err := t.handlers.make(map[string]func(safejs.Value){
		// In Firefox also if a request has failed after the call of commit().
		"oncomplete": func(safejs.Value) { t.finish(t.refusal) },
		// A request that fails makes the transaction abort with its error.
		// WebKit leaves the error of the transaction null if that happens after
		// the call of commit().
		"onerror": func(event safejs.Value) {
			request, err := event.Get("target")
			if err != nil || t.refusal != nil {
				return
			}
			var refusal *engineError
			if err := errorProperty(request); errors.As(err, &refusal) && refusal.name != abortError { // else the transaction knows why
				t.refusal = err
			}
		},
		"onabort": func(safejs.Value) {
			if t.refusal != nil {
				t.finish(t.refusal)
			} else {
				t.finish(errorProperty(t.tx))
			}
		},
		// Requests of a transaction are answered in the order they were made
		// (Indexed Database API 3.0, section 5.6).
		"onsuccess": func(safejs.Value) {
			if len(t.waiting) > 0 {
				due := t.waiting[0]
				t.waiting[0] = nil // its answer may be large
				t.waiting = t.waiting[1:]
				due.succeed()
			}
		},
	})
	return t, err
}

// finish is called by the last event of a transaction.
func (t *jsTransaction) finish(err error) {
	for _, due := range t.waiting {
		if err == nil {
			err = &engineError{unexpectedFailure, "the transaction ended before its requests were answered"}
		}
		due.fail(err)
	}
	if t.writing {
		_, _ = t.db.engine.writing.Call("delete", t.tx)
	}
	t.end.err = err
	close(t.end.done)
	t.tx, t.end, t.refusal, t.writes = safejs.Undefined(), nil, nil, 0
	clear(t.waiting)
	t.waiting = t.waiting[:0]
	if t.db.gone {
		t.handlers.release()
	} else {
		t.db.idle = append(t.db.idle, t)
	}
}

// jsTransactionRef is what the user of one transaction has. When that has
// ended, it no longer touches the jsTransaction, which may serve another one.
type jsTransactionRef struct {
	t     *jsTransaction
	end   *transactionEnd
	store safejs.Value
}

func (r *jsTransactionRef) in(store string) (transaction, error) {
	if r.over() {
		return nil, errOver
	}
	objectStore, err := r.t.tx.Call("objectStore", store)
	if err != nil {
		return nil, failureOf(err)
	}
	return &jsTransactionRef{r.t, r.end, objectStore}, nil
}

func (r *jsTransactionRef) by(index string) (transaction, error) {
	if r.over() {
		return nil, errOver
	}
	of, err := r.store.Call("index", index)
	if err != nil {
		return nil, failureOf(err)
	}
	return &jsTransactionRef{r.t, r.end, of}, nil
}

func (r *jsTransactionRef) over() bool { return r.t.end != r.end }

var errOver = &engineError{unexpectedFailure, "the transaction is over"}

// call makes a request on the object store. due gets the answer, unless it is
// nil.
func (r *jsTransactionRef) call(due settler, method string, args ...any) (safejs.Value, error) {
	if r.over() {
		return safejs.Value{}, errOver
	}
	request, err := r.store.Call(method, args...)
	if err != nil {
		return safejs.Value{}, failureOf(err)
	}
	if due != nil {
		if err := request.Set("onsuccess", r.t.handlers.fn("onsuccess")); err != nil {
			return safejs.Value{}, failureOf(err)
		}
		r.t.waiting = append(r.t.waiting, due)
	}
	return request, nil
}

func (r *jsTransactionRef) keyRange(k keyRange) (safejs.Value, error) {
	e := r.t.db.engine
	lower, err := e.binary.toJS(k.lower)
	if err != nil {
		return safejs.Value{}, err
	}
	upper, err := e.binary.toJS(k.upper)
	if err != nil {
		return safejs.Value{}, err
	}
	bound, err := e.ranges.Call("bound", lower, upper)
	if err != nil {
		return safejs.Value{}, failureOf(err)
	}
	return bound, nil
}

func (r *jsTransactionRef) write(method string, key, value []byte) error {
	e := r.t.db.engine
	jsKey, err := e.binary.toJS(key)
	if err != nil {
		return err
	}
	jsValue, err := e.binary.toJS(value)
	if err != nil {
		return err
	}
	r.t.writes++
	_, err = r.call(nil, method, jsValue, jsKey)
	return err
}

func (r *jsTransactionRef) add(key, value []byte) error { return r.write("add", key, value) }
func (r *jsTransactionRef) put(key, value []byte) error { return r.write("put", key, value) }

func (r *jsTransactionRef) remove(k keyRange) error {
	bound, err := r.keyRange(k)
	if err != nil {
		return err
	}
	r.t.writes++
	_, err = r.call(nil, "delete", bound)
	return err
}

func (r *jsTransactionRef) keys(k keyRange, limit int) answer[[][]byte] {
	return ask(r, r.t.db.engine.binary.listOfKeys, "getAllKeys", k, limit)
}

func (r *jsTransactionRef) values(k keyRange, limit int) answer[[][]byte] {
	return ask(r, r.t.db.engine.binary.listOfValues, "getAll", k, limit)
}

func (r *jsTransactionRef) listed(k keyRange, limit int) answer[[]listed] {
	return ask(r, r.t.db.engine.binary.listed, "getAll", k, limit)
}

func (r *jsTransactionRef) list(name string, l *listed) error {
	e := r.t.db.engine
	key, err := e.binary.toJS([]byte(name))
	if err != nil {
		return err
	}
	value, err := e.binary.object(l)
	if err != nil {
		return err
	}
	r.t.writes++
	_, err = r.call(nil, "put", value, key)
	return err
}

func (r *jsTransactionRef) last(k keyRange) answer[[]byte] {
	return ask(r, r.t.db.engine.binary.cursorKey, "openKeyCursor", k, "prev")
}

func (r *jsTransactionRef) get(key []byte) answer[[]byte] {
	return ask(r, r.t.db.engine.binary.optionalValue, "get", keyRange{key, key})
}

// ask makes a request about a range whose result is read by read.
func ask[T any](r *jsTransactionRef, read func(safejs.Value) (T, error), method string, k keyRange, args ...any) answer[T] {
	a := &jsAnswer[T]{read: read, done: make(chan struct{})}
	bound, err := r.keyRange(k)
	if err == nil {
		a.request, err = r.call(a, method, append([]any{bound}, args...)...)
	}
	if err != nil {
		a.fail(err)
	}
	return a
}

// jsAnswer is the answer to one request.
type jsAnswer[T any] struct {
	request safejs.Value
	read    func(safejs.Value) (T, error)
	done    chan struct{}
	value   T
	err     error
}

func (a *jsAnswer[T]) succeed() {
	result, err := a.request.Get("result")
	if err != nil {
		a.fail(failureOf(err))
		return
	}
	a.value, a.err = a.read(result)
	close(a.done)
}

func (a *jsAnswer[T]) fail(err error) {
	a.err = err
	close(a.done)
}

func (a *jsAnswer[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, cause(ctx)
	}
}

// commit leaves a transaction of several changes to the browser, which commits
// it after the last answer. If one of them fails after the call of commit(),
// Firefox keeps the others (seen with 153), such as the removal of records
// whose successor found no room.
func (r *jsTransactionRef) commit() error {
	if r.over() {
		return errOver
	}
	if r.t.writes > 1 {
		return nil
	}
	_, err := r.t.tx.Call("commit")
	return failureOf(err)
}

func (r *jsTransactionRef) abort() {
	if !r.over() {
		_, _ = r.t.tx.Call("abort") // fails only if the end is near anyway
	}
}

func (r *jsTransactionRef) wait(ctx context.Context) error {
	select {
	case <-r.end.done:
		return r.end.err
	case <-ctx.Done():
		return cause(ctx)
	}
}
