// Command wasm is Holdfast compiled to WebAssembly: a bridge from JavaScript to
// package core. It only translates, and its one client is the TypeScript
// package in ../web, which checks every argument before it calls.
//
// The host sets the global function holdfast before it runs the program. The
// program calls it with an object of functions and with the address and the
// length of its inbox, see record, and gets the functions of the host. A function
// that works in the background takes as its last argument the number of the
// call, and calls settle of the host once with (call, error, value); error is
// undefined or a plain object, see failure.
package main

import (
	"context"

	"github.com/hack-pad/safejs"
)

// program is the bridge, where exported functions find it.
var program = bridge{
	inbox:         make([]byte, inboxBytes),
	conversations: map[int]*handle{},
	runners:       map[int]context.CancelCauseFunc{},
}

func main() {
	b := &program
	functions := map[string]any{}
	for name, fn := range map[string]function{
		"open":          b.background(b.open),
		"conversations": b.background(b.list),
		"delete":        b.background(b.delete),
		"verify":        b.background(b.verify),
		"close":         b.background(b.close),
		"recover":       b.background(b.recover),
		"receive":       b.background(b.receive),
		"record":        b.record,
		"rows":          b.immediate(b.rows),
		"recordAll":     b.background(b.recordAll),
		"refresh":       b.background(b.refresh),
		"events":        b.background(b.events),
		"send":          b.background(b.send),
		"cancel":        b.background(b.cancel),
		"retry":         b.background(b.retry),
		"resolve":       b.background(b.resolve),
		"process":       b.background(b.process),
		"step":          b.step,
		"emit":          b.background(b.emit),
		"create":        b.immediate(b.create),
		"clone":         b.immediate(b.clone),
		"follow":        b.immediate(b.follow),
		"unfollow":      b.immediate(b.unfollow),
		"release":       b.immediate(b.release),
		"health":        b.immediate(b.health),
		"stop":          b.immediate(b.stop),
		"handled":       b.immediate(b.handled),
		"reply":         b.immediate(b.reply),
	} {
		f, err := safejs.FuncOf(fn)
		if err != nil {
			return // the host sees the program end
		}
		functions[name] = f
	}
	host, err := safejs.Global().Get("holdfast")
	if err != nil {
		return
	}
	callbacks, err := host.Invoke(functions, address(b.inbox), len(b.inbox), address(b.outbox.bytes[:]))
	if err != nil {
		return
	}
	for name, fn := range map[string]*safejs.Value{"settle": &b.settle, "changed": &b.changed} {
		if *fn, err = callbacks.Get(name); err != nil {
			return
		}
	}
	select {} // the host lets go of the program when it has closed the store
}
