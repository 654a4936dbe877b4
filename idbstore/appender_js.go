package idbstore

import (
	"context"
	"math"
	"runtime"
	"slices"
	"unsafe"

	"github.com/hack-pad/safejs"
)

// jsAppender carries out the transaction of an append in JavaScript. A page
// offers that as the global object holdfastAppender, as the package of this
// repository does (web/src/bridge/appender.ts).
//
// The transaction and its checks are those that [Store.Append] makes step by
// step elsewhere; a few calls cross into JavaScript in place of dozens.
type jsAppender struct {
	append, abort safejs.Value // functions
	ended         safejs.Func
	appending     map[int]*jsAppending
	closed        bool
}

// lastAppending is the id of the last append of any appender.
var lastAppending int

// What the appender reports of an append that has ended.
const (
	appendCommitted = iota
	appendHeadMoved
	appendFailed
	appendCommitFailed // after the call of commit
)

// newJSAppender returns nil where there is no appender.
func newJSAppender() (*jsAppender, error) {
	offered, err := safejs.Global().Get("holdfastAppender")
	if err != nil || offered.IsUndefined() {
		return nil, err
	}
	a := &jsAppender{appending: map[int]*jsAppending{}}
	for name, fn := range map[string]*safejs.Value{"append": &a.append, "abort": &a.abort} {
		if *fn, err = offered.Get(name); err != nil {
			return nil, err
		}
	}
	a.ended, err = safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		a.end(args)
		return nil
	})
	return a, err
}

func (a *jsAppender) end(args []safejs.Value) {
	id, err := args[0].Int()
	one := a.appending[id]
	if err != nil || one == nil {
		return
	}
	state, err := args[1].Int()
	switch {
	case err != nil:
		one.err = failureOf(err)
	case state == appendHeadMoved:
		one.err = errHeadMoved
	case state != appendCommitted:
		one.committing = state == appendCommitFailed
		one.err = exceptionOf(args[2:])
	}
	one.finish()
}

// begun are the appends that no goroutine waits for, by id; see then.
var begun = map[int]*jsAppending{}

// committed is called by the appender of the page when an append has committed that
// no goroutine waits for, in place of the function that it was given for that. No
// goroutine runs within the call: those that it wakes go on when the program is
// entered the next time.
//
//lint:ignore U1000 the page calls it
//go:wasmexport holdfastCommitted
func committed(id int32) {
	if one := begun[int(id)]; one != nil {
		one.finish()
	}
}

// close releases the function that JavaScript calls, once nothing is under way.
func (a *jsAppender) close() {
	a.closed = true
	if len(a.appending) == 0 {
		a.ended.Release()
	}
}

// exceptionOf makes an error of the name and the message of an exception. If
// there are none, the transaction was aborted.
func exceptionOf(args []safejs.Value) error {
	e := &engineError{abortError, "the transaction was aborted"}
	for i, to := range []*string{&e.name, &e.message} {
		if i < len(args) && args[i].Type() == safejs.TypeString {
			if text, err := args[i].String(); err == nil {
				*to = text
			}
		}
	}
	return e
}

// appendRecord implements appender.
func (d *jsDatabase) appendRecord(heads keyRange, first bool, key, value []byte, summary *listed) (appending, error) {
	a := d.engine.appender
	lastAppending = lastAppending%math.MaxInt32 + 1
	one := &jsAppending{appender: a, id: lastAppending, done: make(chan struct{})}
	keys := slices.Concat(heads.lower, heads.upper, key)
	lower, upper := len(heads.lower), len(heads.lower)+len(heads.upper)
	a.appending[one.id] = one
	args := []any{one.id, d.db, d.engine.recordsName, d.engine.options[readWrite], first,
		address(keys), lower, upper, len(keys), address(value), len(value), a.ended}
	var parts []byte
	if summary != nil {
		parts = slices.Concat(summary.recent, summary.due, summary.summary)
		args = append(args, d.engine.directoryName, address(parts), len(summary.recent), len(summary.recent)+len(summary.due), len(parts))
	}
	_, err := a.append.Invoke(args...)
	runtime.KeepAlive(keys)
	runtime.KeepAlive(value)
	runtime.KeepAlive(parts)
	if err != nil {
		delete(a.appending, one.id)
		return nil, failureOf(err)
	}
	return one, nil
}

// address is where bytes are in the memory of the program, from which the appender
// copies them within the call. They stay there: the heap does not move.
func address(b []byte) int { return int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// jsAppending is an append under way.
type jsAppending struct {
	appender   *jsAppender
	id         int
	done       chan struct{}
	after      func(error) // nil unless then was called
	err        error
	committing bool // it failed after the call of commit
}

func (o *jsAppending) then(fn func(error)) {
	o.after = fn
	begun[o.id] = o
}

func (o *jsAppending) finish() {
	close(o.done)
	delete(o.appender.appending, o.id)
	if o.appender.closed {
		o.appender.close()
	}
	if o.after != nil {
		delete(begun, o.id)
		o.after(o.err)
	}
}

func (o *jsAppending) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return cause(ctx)
	}
}

func (o *jsAppending) commitFailed() bool { return o.committing }

func (o *jsAppending) abort() (committing bool) {
	answer, err := o.appender.abort.Invoke(o.id)
	if err != nil {
		return true // it is not known
	}
	committing, err = answer.Bool()
	return committing || err != nil
}
