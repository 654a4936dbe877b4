package idbstore

import "github.com/hack-pad/safejs"

// jsPeers talk over a BroadcastChannel named after the database (HTML, section
// 9.6). A channel does not hear itself.
type jsPeers struct {
	engine   *jsEngine
	channel  safejs.Value // undefined where the browser has none
	handlers listeners    // of the channel
}

func (e *jsEngine) listen(received func([]byte), missed, hidden func()) (peers, error) {
	e.missed = missed
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
				if message, err := e.binary.value(data); err == nil {
					received(message)
				}
			},
		})
		if err != nil {
			return nil, err
		}
	}
	return p, e.page.listen(missed, hidden)
}

func (p *jsPeers) post(message []byte) {
	if p.channel.IsUndefined() {
		return
	}
	if data, err := p.engine.binary.toJS(message); err == nil {
		_, _ = p.channel.Call("postMessage", data) // best effort
	}
}

func (p *jsPeers) slow() bool { return p.engine.page.hidden }

func (p *jsPeers) close() {
	if !p.channel.IsUndefined() {
		_, _ = p.channel.Call("close")
	}
	p.engine.page.close()
	p.handlers.release()
	if p.engine.appender != nil {
		p.engine.appender.close()
	}
}
