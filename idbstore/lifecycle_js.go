package idbstore

import (
	"context"
	"syscall/js"

	"github.com/hack-pad/safejs"
)

// lifecycle follows whether the page is seen, and whether it is frozen or about
// to be (W3C, Page Lifecycle). Nothing runs in a frozen page, but what it holds
// stays held.
type lifecycle struct {
	scope    safejs.Value // the real global object of the page or worker
	handlers listeners    // of scope
	observer safejs.Value // of the document; undefined in a worker
	replaced listeners    // of observer
	hidden   bool
	frozen   bool
	changed  chan struct{} // closed when frozen is set next; nil until next is called
}

// listen begins to follow. missed is called when the page may have missed
// events, and hidden when it is not seen any more.
func (p *lifecycle) listen(missed, hidden func()) error {
	heard := map[string]func(safejs.Value){
		// A page that returns from the back/forward cache has heard nothing,
		// and its connection may have been closed without an event.
		"pageshow": func(event safejs.Value) {
			if persisted, err := event.Get("persisted"); err == nil && persisted.Equal(jsTrue) {
				p.set(false)
				missed()
			}
		},
		// A page that is left is frozen next, or ends (HTML, section 7.4.6).
		// The browser may still grant what the page asks for now; and a lock
		// that it holds in the back/forward cache costs it its place there.
		"pagehide": func(safejs.Value) { p.set(true) },
		// A page that is closed or left is hidden first (HTML, "unload a
		// document").
		"visibilitychange": func(safejs.Value) {
			if p.hidden = p.isHidden(); p.hidden {
				hidden()
			}
		},
		// A frozen page receives events, but its database does not answer: a
		// transaction that it begins keeps all other tabs from writing until it
		// thaws.
		"freeze": func(safejs.Value) { p.set(true) },
		"resume": func(safejs.Value) {
			p.set(false)
			missed()
		},
	}
	for event, handle := range heard {
		heard[event] = func(event safejs.Value) {
			if isOwn(event) {
				handle(event)
			}
		}
	}
	if err := p.handlers.make(heard); err != nil {
		return err
	}
	if err := p.hear(); err != nil {
		return err
	}
	return p.observe()
}

// hear adds the handlers that are not there.
func (p *lifecycle) hear() error {
	p.hidden = p.isHidden()
	for event, fn := range p.handlers {
		// Some are events of the document, and two of those do not bubble;
		// capturing gets them.
		if _, err := p.scope.Call("addEventListener", event, fn, true); err != nil {
			return failureOf(err)
		}
	}
	return nil
}

// observe has the handlers added again when document.open has removed them with
// all others of the window (HTML, "document open steps"). That replaces the
// children of the document, too.
func (p *lifecycle) observe() error {
	p.observer = safejs.Undefined()
	document, err := p.scope.Get("document")
	if err != nil || document.Type() != safejs.TypeObject {
		return failureOf(err)
	}
	if err := p.replaced.make(map[string]func(safejs.Value){"hear": func(safejs.Value) { _ = p.hear() }}); err != nil {
		return err
	}
	if p.observer, err = newInstance("MutationObserver", p.replaced.fn("hear")); err == nil {
		_, err = p.observer.Call("observe", document, map[string]any{"childList": true})
	}
	return failureOf(err)
}

func (p *lifecycle) close() {
	if p.observer.Type() == safejs.TypeObject {
		_, _ = p.observer.Call("disconnect")
	}
	p.replaced.release()
	for event, fn := range p.handlers {
		_, _ = p.scope.Call("removeEventListener", event, fn, true)
	}
	p.handlers.release()
}

// isOwn reports whether the browser has dispatched an event. What scripts call
// the same passes here as well, whatever element it is for: a table, say, that
// freezes a column.
func isOwn(event safejs.Value) bool {
	trusted, err := event.Get("isTrusted")
	return err == nil && trusted.Equal(jsTrue)
}

var jsTrue = safejs.Safe(js.ValueOf(true))

// isHidden reports whether the page is hidden; a worker cannot know.
func (p *lifecycle) isHidden() bool {
	document, err := p.scope.Get("document")
	if err != nil || document.IsUndefined() {
		return false
	}
	hidden, err := document.Get("hidden")
	return err == nil && hidden.Equal(jsTrue)
}

func (p *lifecycle) set(frozen bool) {
	p.frozen = frozen
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// next returns a channel that is closed with the next change.
func (p *lifecycle) next() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// thawed waits until the page is not frozen.
func (p *lifecycle) thawed(ctx context.Context) error {
	for p.frozen {
		select {
		case <-p.next():
		case <-ctx.Done():
			return cause(ctx)
		}
	}
	return nil
}
