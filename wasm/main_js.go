// Command wasm is Holdfast compiled to WebAssembly: a bridge from JavaScript to
// package core. It only translates, and its one client is the TypeScript
// package in ../web, which checks every argument before it calls.
//
// The host sets the global function holdfast before it runs the program. The
// program calls it with one function, the names of what that can do, separated
// by spaces, the address and length of the inbox, see record, and the address
// of the outbox. It returns the functions of the host.
//
// The one function takes the place of a name, then arguments; a function for
// each name would make the start slower. What works in the background takes the
// number of the call last, and calls settle of the host once with (call, error,
// value); error is undefined or a plain object, see failure.
package main

import (
	"strings"

	"github.com/hack-pad/safejs"
)

func main() {
	b := &program
	var names []string
	var functions []function
	for _, f := range []struct {
		name string
		fn   function
	}{
		{"open", b.background(b.open)},
		{"conversations", b.background(b.list)},
		{"summaries", b.background(b.summaries)},
		{"delete", b.background(b.delete)},
		{"verify", b.background(b.verify)},
		{"close", b.background(b.close)},
		{"recover", b.background(b.recover)},
		{"receive", b.of(b.receive)},
		{"rows", b.immediate(b.rows)},
		{"recordAll", b.of(b.recordAll)},
		{"refresh", b.of(b.refresh)},
		{"events", b.of(b.events)},
		{"note", b.of(b.note)},
		{"setMetadata", b.of(b.setMetadata)},
		{"send", b.of(b.send)},
		{"cancel", b.of(b.cancel)},
		{"retry", b.of(b.retry)},
		{"resolve", b.of(b.resolve)},
		{"answer", b.of(b.giveAnswer)},
		{"process", b.of(b.process)},
		{"processAll", b.background(b.processAll)},
		{"pass", b.immediate(b.pass)},
		{"runner", b.of(b.runner)},
		{"pending", b.immediate(b.pending)},
		{"step", func(safejs.Value, []safejs.Value) any { return b.step() }},
		{"wait", b.wait},
		{"emit", b.background(b.emit)},
		{"create", b.immediate(b.create)},
		{"clone", b.immediate(b.clone)},
		{"follow", b.immediate(b.follow)},
		{"unfollow", b.immediate(b.unfollow)},
		{"release", b.immediate(b.release)},
		{"watch", b.immediate(b.watch)},
		{"unwatch", b.immediate(b.unwatch)},
		{"health", b.immediate(b.health)},
		{"stop", b.immediate(b.stop)},
		{"handled", b.immediate(b.handled)},
		{"begins", b.immediate(b.begins)},
		{"reply", b.immediate(b.reply)},
	} {
		names, functions = append(names, f.name), append(functions, f.fn)
	}
	enter, err := safejs.FuncOf(func(this safejs.Value, args []safejs.Value) any {
		return functions[arguments(args).number(0)](this, args[1:])
	})
	if err != nil {
		return // the host sees the program end
	}
	host, err := safejs.Global().Get("holdfast")
	if err != nil {
		return
	}
	callbacks, err := host.Invoke(enter, strings.Join(names, " "), address(b.inbox), len(b.inbox), address(b.outbox.bytes[:]))
	if err != nil {
		return
	}
	for name, fn := range map[string]*safejs.Value{"settle": &b.settle, "changed": &b.changed, "call": &b.call, "abort": &b.abort} {
		if *fn, err = callbacks.Get(name); err != nil {
			return
		}
	}
	select {} // the host lets go of the program when it has closed the store
}
