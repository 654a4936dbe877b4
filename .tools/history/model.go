package main

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// operation is a call of one tab or worker, and what came of it.
type operation struct {
	History int    `json:"history"`
	Client  int    `json:"client"`
	Stream  string `json:"stream"`
	Op      string `json:"op"`

	// In microseconds on one clock. The call happened between the two; without
	// Return, nobody knows when it happens, or whether it does.
	Call   int64  `json:"call"`
	Return *int64 `json:"return"`

	// Of an append: the head that it expects, and the ids of its events.
	Expected uint64   `json:"expected"`
	Events   []string `json:"events"`

	// What it answered; which of these depends on Op.
	Sequences []uint64  `json:"sequences"`
	Conflict  *conflict `json:"conflict"`
	Log       []entry   `json:"log"`
	State     []string  `json:"state"`
	Head      uint64    `json:"head"`
	Failure   string    `json:"failure"` // an error that the store must not have answered here
}

type conflict struct {
	Expected uint64 `json:"expected"`
	Actual   uint64 `json:"actual"`
}

// entry of a log; without an id it is a tombstone.
type entry struct {
	Sequence uint64 `json:"sequence"`
	ID       string `json:"id"`
}

// log is the state of a stream: its head, and what was appended since it was
// deleted last. It is compared with ==.
type log struct {
	head   uint64
	buried bool   // a tombstone is in front of the events
	events string // their ids, each with a blank behind it
}

func (l log) append(ids ...string) log {
	return log{l.head + uint64(len(ids)), l.buried, l.events + joined(ids)}
}

func (l log) delete() log {
	if l.events == "" {
		return l // absent or deleted before: it stays as it is
	}
	return log{head: l.head + 1, buried: true}
}

func joined(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return strings.Join(ids, " ") + " "
}

// step says whether o can have happened to l all at once, and what l is then:
// the contract of core.DurableStore and of core.Conversation for one stream.
//
// An operation of unknown outcome has its effect if it can have one. That it had
// none is no other case: it then happens behind all others.
func (o operation) step(l log) (bool, log) {
	open := o.Return == nil
	switch {
	case o.Failure != "":
		return false, l
	case o.Op == "append" && open:
		if o.Expected == l.head {
			return true, l.append(o.Events...)
		}
		return true, l
	case o.Op == "append" && o.Conflict != nil:
		return *o.Conflict == conflict{o.Expected, l.head} && o.Expected != l.head, l
	case o.Op == "append":
		return o.Expected == l.head && ascending(o.Sequences, o.Expected, len(o.Events)), l.append(o.Events...)
	case o.Op == "delete":
		return true, l.delete()
	case open: // and reads
		return true, l
	case o.Op == "events":
		return l.reads(o.Log), l
	case o.Op == "refresh", o.Op == "recover":
		return o.Head == l.head && joined(o.State) == l.events, l
	case o.Op == "heads": // which knows nothing of what was deleted
		return o.Head == l.head && l.events != "" || o.Head == 0 && l.events == "", l
	default:
		return false, l
	}
}

func ascending(sequences []uint64, first uint64, n int) bool {
	for i, sequence := range sequences {
		if sequence != first+uint64(i) {
			return false
		}
	}
	return len(sequences) == n
}

// reads reports whether the entries are all of l.
func (l log) reads(entries []entry) bool {
	first := l.head - uint64(len(entries))
	var ids []string
	for i, e := range entries {
		if e.Sequence != first+uint64(i) || (e.ID == "") != (l.buried && i == 0) {
			return false
		}
		if e.ID != "" {
			ids = append(ids, e.ID)
		}
	}
	return joined(ids) == l.events && (l.buried == (len(entries) > len(ids))) && (l.buried || first == 0)
}

func (o operation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "client %d: %s", o.Client, o.Op)
	if o.Op == "append" {
		fmt.Fprintf(&b, " at %d %v", o.Expected, o.Events)
	}
	switch {
	case o.Failure != "":
		fmt.Fprintf(&b, " -> %s", o.Failure)
	case o.Return == nil:
		b.WriteString(" -> ?")
	case o.Conflict != nil:
		fmt.Fprintf(&b, " -> conflict %+v", *o.Conflict)
	case o.Op == "append":
		fmt.Fprintf(&b, " -> %v", o.Sequences)
	case o.Op == "events":
		fmt.Fprintf(&b, " -> %v", o.Log)
	case o.Op != "delete":
		fmt.Fprintf(&b, " -> head %d %v", o.Head, o.State)
	}
	return b.String()
}

var model = porcupine.Model{
	Init: func() any { return log{} },
	Step: func(state, input, _ any) (bool, any) { return input.(operation).step(state.(log)) },
}
