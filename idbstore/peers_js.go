package idbstore

import "github.com/hack-pad/safejs"

// jsPeers talk over a BroadcastChannel named after the database (HTML, section
// 9.6). A channel does not hear itself.
type jsPeers struct {
	engine   *jsEngine
	channel  safejs.Value // undefined where the browser has none
	handlers listeners    // of the channel
	page     listeners    // of the page
	hidden   bool         // the page is
}

func (e *jsEngine) listen(received func([]byte), missed, hidden func()) (peers, error) {
	p := &jsPeers{engine: e, channel: safejs.Undefined()}
	class, err := safejs.Global().Get("BroadcastChannel")
	if err == nil && class.Type() == safejs.TypeFunction {
		if p.channel, err = class.New("holdfast:" + e.name); err != nil {
			return nil, failureOf(err)
		}
		err := p.handlers.listen(p.channel, map[string]func(safejs.Value){
			"onmessage": func(event safejs.Value) {
				data, err := event.Get("data")
				if err != nil || e.page.frozen {
					return
				}
				if key, err := e.binary.value(data); err == nil {
					received(key)
				}
			},
		})
		if err != nil {
			return nil, err
		}
	}
	// A page that returns from the back/forward cache has heard nothing, and
	// its connection may have been closed without an event.
	err = p.page.make(map[string]func(safejs.Value){
		"pageshow": func(event safejs.Value) {
			if persisted, err := event.Get("persisted"); err == nil && persisted.Equal(jsTrue) {
				e.page.set(false)
				missed()
			}
		},
		// A page that is left is frozen next, or ends (HTML, section 7.4.6). The
		// browser may grant it meanwhile what it asks for now; and a lock that it
		// holds in the back/forward cache costs it its place there.
		"pagehide": func(safejs.Value) { e.page.set(true) },
		// A page that is closed or left is hidden first (HTML, "unload a document").
		"visibilitychange": func(safejs.Value) {
			if p.hidden = e.isHidden(); p.hidden {
				hidden()
			}
		},
		// A frozen page hears, but its database does not answer: a transaction
		// that it begins keeps all other tabs from writing until it thaws.
		"freeze": func(safejs.Value) { e.page.set(true) },
		"resume": func(safejs.Value) {
			e.page.set(false)
			missed()
		},
	})
	if err != nil {
		return nil, err
	}
	p.hidden = e.isHidden()
	for event, fn := range p.page {
		// Some are the document's, and two of them do not bubble; capturing gets them.
		if _, err := e.scope.Call("addEventListener", event, fn, true); err != nil {
			return nil, failureOf(err)
		}
	}
	return p, nil
}

func (p *jsPeers) post(key []byte) {
	if p.channel.IsUndefined() {
		return
	}
	if data, err := p.engine.binary.toJS(key); err == nil {
		_, _ = p.channel.Call("postMessage", data) // best effort
	}
}

func (p *jsPeers) slow() bool { return p.hidden }

// isHidden reports whether the page is; a worker cannot tell.
func (e *jsEngine) isHidden() bool {
	document, err := e.scope.Get("document")
	if err != nil || document.IsUndefined() {
		return false
	}
	hidden, err := document.Get("hidden")
	return err == nil && hidden.Equal(jsTrue)
}

func (p *jsPeers) close() {
	if !p.channel.IsUndefined() {
		_, _ = p.channel.Call("close")
	}
	for event, fn := range p.page {
		_, _ = p.engine.scope.Call("removeEventListener", event, fn, true)
	}
	p.handlers.release()
	p.page.release()
	if p.engine.appender != nil {
		p.engine.appender.close()
	}
}
