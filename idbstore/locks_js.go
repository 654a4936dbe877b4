package idbstore

import (
	"context"

	"github.com/hack-pad/safejs"

	"github.com/holdfast-dev/holdfast/core"
)

// lock implements engine with Web Locks (W3C,
// https://w3c.github.io/web-locks/).
func (e *jsEngine) lock(ctx context.Context, name string, waits bool) (lock core.Lock, known bool, err error) {
	manager, err := e.lockManager()
	if err != nil || manager.Type() != safejs.TypeObject {
		return nil, false, nil // not in this browser, or not for this origin
	}
	kept, err := safejs.Global().Get("holdfastHeld")
	if err != nil {
		return nil, true, failureOf(err)
	}
	l := &webLock{manager: manager, kept: kept, name: lockName(e.name, name), page: &e.page,
		held: make(chan struct{}), lost: make(chan struct{}), end: make(chan struct{})}
	for {
		if err := l.page.thawed(ctx); err != nil {
			return nil, true, err
		}
		held, err := l.request(ctx, !waits)
		switch {
		case err != nil:
			return nil, true, err
		case held:
			close(l.held)
			go l.keep()
			return l, true, nil
		case ctx.Err() != nil:
			return nil, true, cause(ctx)
		case !waits:
			return nil, true, nil
		}
		// The page was frozen while it waited.
	}
}

// locked implements engine. The browser lists the locks of the whole origin.
func (e *jsEngine) locked(ctx context.Context, name string) (held, known bool, err error) {
	manager, err := e.lockManager()
	if err != nil || manager.Type() != safejs.TypeObject {
		return false, false, nil
	}
	snapshot, err := await(ctx, manager, "query")
	if err != nil {
		return false, true, err
	}
	locks := at(snapshot, "held")
	count, err := locks.Length()
	if err != nil {
		return false, true, failureOf(err)
	}
	name = lockName(e.name, name)
	for i := range count {
		lock, err := locks.Index(i)
		if err != nil {
			return false, true, failureOf(err)
		}
		if other, err := at(lock, "name").String(); err == nil && other == name {
			return true, true, nil
		}
	}
	return false, true, nil
}

// lockName is the name of a Web Lock of a database. All databases of an origin
// share the names. A NUL is in no name of a database, so no two locks have one.
func lockName(database, name string) string { return "holdfast:" + database + "\x00" + name }

func (e *jsEngine) lockManager() (safejs.Value, error) {
	navigator, err := e.page.scope.Get("navigator")
	if err != nil {
		return safejs.Undefined(), err
	}
	return navigator.Get("locks")
}

// webLock is a Web Lock that is held, except while the page is frozen.
type webLock struct {
	manager safejs.Value
	// kept is the Set holdfastHeld, in which a page has what lets go of the locks,
	// for when this program has died. It is undefined where there is none.
	kept    safejs.Value
	name    string
	page    *lifecycle
	granted *lockRequest
	held    chan struct{} // closed while it is not given up
	lost    chan struct{}
	end     chan struct{} // closed by Release
	ended   bool
}

func (l *webLock) Lost() <-chan struct{} { return l.lost }

func (l *webLock) Held(ctx context.Context) bool {
	for {
		if l.page.thawed(ctx) != nil { // keep may not have noticed that it is frozen
			return false
		}
		select {
		case <-l.held:
		default:
			select {
			case <-l.held:
			case <-ctx.Done():
				return false
			}
		}
		if !l.page.frozen {
			return true
		}
	}
}

func (l *webLock) Release() {
	if !l.ended {
		l.ended = true
		close(l.end)
	}
}

// keep gives the lock up when it is released, and while the page is frozen, so
// that another page can go on. If none has taken it until the page thaws, it is
// held again, and was not lost.
func (l *webLock) keep() {
	for {
		select {
		case <-l.end:
			l.granted.letGo()
			return
		case <-l.granted.settled: // it was stolen
			close(l.lost)
			return
		case <-l.page.next():
		}
		if !l.page.frozen {
			continue
		}
		l.held = make(chan struct{})
		l.granted.letGo()
		_ = l.page.thawed(context.Background()) // which never ends
		if held, err := l.request(context.Background(), true); err != nil || !held {
			close(l.lost)
			return
		}
		close(l.held)
	}
}

// request asks for the lock, and reports whether it is held now. It is not when
// ctx ends or the page is frozen first, or if it is not free at once and
// ifAvailable is set.
func (l *webLock) request(ctx context.Context, ifAvailable bool) (bool, error) {
	controller, err := newInstance("AbortController")
	if err != nil {
		return false, failureOf(err)
	}
	options := map[string]any{"ifAvailable": true}
	if !ifAvailable { // the two options exclude each other
		signal, err := controller.Get("signal")
		if err != nil {
			return false, failureOf(err)
		}
		options = map[string]any{"signal": signal}
	}
	r := &lockRequest{kept: l.kept, answer: make(chan bool, 1), settled: make(chan struct{})}
	if err := r.begin(l.manager, l.name, options); err != nil {
		r.functions.release()
		return false, failureOf(err)
	}
	select {
	case held := <-r.answer:
		l.granted = r
		return held, r.err
	case <-l.page.next():
	case <-ctx.Done():
	}
	r.over = true
	_, _ = controller.Call("abort") // it does not throw
	if <-r.answer {
		r.letGo() // it was granted at the same time
	}
	return false, nil
}

// lockRequest is a request for a lock. Its fields change only in callbacks of
// the browser, which never run at the same time.
type lockRequest struct {
	kept      safejs.Value  // see webLock
	answer    chan bool     // whether it is granted
	settled   chan struct{} // closed when the lock is not held any more, or was never
	over      bool          // request gives up
	err       error
	resolve   safejs.Value // of the promise as long as which the browser holds the lock
	functions listeners
}

func (r *lockRequest) begin(manager safejs.Value, name string, options map[string]any) error {
	err := r.functions.make(map[string]func(safejs.Value){
		"hold":    r.hold,
		"settled": func(safejs.Value) { r.settle(nil) },
		"refused": func(reason safejs.Value) { r.settle(describe(reason)) },
	})
	if err != nil {
		return err
	}
	granted, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		if r.over || len(args) == 0 || args[0].IsNull() {
			return nil
		}
		promise, err := newInstance("Promise", r.functions.fn("hold"))
		if err != nil {
			r.err = failureOf(err)
			return nil
		}
		r.answer <- true
		return promise
	})
	if err != nil {
		return err
	}
	r.functions["granted"] = granted
	promise, err := manager.Call("request", name, options, granted)
	if err != nil {
		return err
	}
	_, err = promise.Call("then", r.functions.fn("settled"), r.functions.fn("refused"))
	return err
}

func (r *lockRequest) hold(resolve safejs.Value) {
	r.resolve = resolve
	if r.kept.Type() == safejs.TypeObject {
		_, _ = r.kept.Call("add", resolve) // it does not throw
	}
}

func (r *lockRequest) settle(err error) {
	if r.kept.Type() == safejs.TypeObject && r.resolve.Type() == safejs.TypeFunction {
		_, _ = r.kept.Call("delete", r.resolve)
	}
	if r.err == nil && !r.over {
		r.err = err
	}
	select {
	case r.answer <- false:
	default: // it was granted
	}
	close(r.settled)
	r.functions.release()
}

func (r *lockRequest) letGo() { _, _ = r.resolve.Invoke() } // it does not throw

func newInstance(class string, args ...any) (safejs.Value, error) {
	constructor, err := safejs.Global().Get(class)
	if err != nil {
		return safejs.Value{}, err
	}
	return constructor.New(args...)
}
