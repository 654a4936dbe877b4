package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// at makes o the call of a client between two moments; of 0, the second never came.
func at(client int, call, end int64, o operation) operation {
	o.Client, o.Call = client, call
	if end > 0 {
		o.Return = &end
	}
	return o
}

func adds(expected uint64, events ...string) operation {
	return operation{Op: "append", Expected: expected, Events: events}
}

func wins(expected uint64, events ...string) operation {
	o := adds(expected, events...)
	for i := range events {
		o.Sequences = append(o.Sequences, expected+uint64(i))
	}
	return o
}

func loses(expected, actual uint64) operation {
	o := adds(expected, "loser")
	o.Conflict = &conflict{expected, actual}
	return o
}

// events reads a log: ids at their places, of which a tombstone has none.
func events(first uint64, ids ...string) operation {
	o := operation{Op: "events"}
	for i, id := range ids {
		o.Log = append(o.Log, entry{first + uint64(i), id})
	}
	return o
}

func refresh(head uint64, ids ...string) operation {
	return operation{Op: "refresh", Head: head, State: ids}
}

func heads(head uint64) operation { return operation{Op: "heads", Head: head} }

var (
	deletes = operation{Op: "delete"}
	fails   = operation{Op: "events", Failure: "gap"}
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name    string
		history []operation
		broken  bool
	}{
		{name: "one after the other", history: []operation{
			at(0, 1, 2, wins(0, "a")), at(1, 3, 4, wins(1, "b", "c")), at(0, 5, 6, events(0, "a", "b", "c")), at(1, 7, 8, heads(3)), at(1, 9, 10, refresh(3, "a", "b", "c"))}},
		{name: "at once, one wins and one loses", history: []operation{
			at(0, 1, 4, wins(0, "a")), at(1, 2, 3, loses(0, 1)), at(0, 5, 6, events(0, "a"))}},
		{name: "a read meanwhile sees it before", history: []operation{at(0, 1, 4, wins(0, "a")), at(1, 2, 3, events(0))}},
		{name: "a read meanwhile sees it behind", history: []operation{at(0, 1, 4, wins(0, "a")), at(1, 2, 3, events(0, "a"))}},
		{name: "a conflict tells a head of later within the call", history: []operation{
			at(0, 1, 2, wins(0, "a")), at(1, 3, 8, loses(0, 2)), at(0, 4, 7, wins(1, "b"))}},
		{name: "deleted, and appended to behind the tombstone", history: []operation{
			at(0, 1, 2, wins(0, "a")), at(0, 3, 4, deletes), at(0, 5, 6, heads(0)), at(0, 7, 8, events(1, "")), at(1, 9, 10, loses(1, 2)),
			at(1, 11, 12, refresh(2)), at(1, 13, 14, wins(2, "b")), at(0, 15, 16, events(1, "", "b")), at(0, 17, 18, heads(3)), at(0, 19, 20, deletes),
			at(0, 21, 22, deletes), at(0, 23, 24, events(3, ""))}},
		{name: "nothing to delete", history: []operation{at(0, 1, 2, deletes), at(0, 3, 4, events(0)), at(0, 5, 6, wins(0, "a"))}},
		{name: "cut off, and it landed late", history: []operation{
			at(0, 1, 0, adds(0, "a")), at(1, 2, 3, events(0)), at(1, 4, 5, events(0, "a")), at(1, 6, 7, wins(1, "b"))}},
		{name: "cut off, and it never landed", history: []operation{
			at(0, 1, 0, adds(0, "a")), at(1, 2, 3, events(0)), at(1, 4, 5, wins(0, "b")), at(1, 6, 7, events(0, "b"))}},
		{name: "cut off, and deleted late", history: []operation{
			at(1, 1, 2, wins(0, "a")), at(0, 3, 0, deletes), at(1, 4, 5, events(0, "a")), at(1, 6, 7, events(1, ""))}},
		{name: "reads that were cut off", history: []operation{at(0, 1, 0, refresh(0)), at(1, 2, 0, events(0)), at(2, 3, 4, wins(0, "a"))}},

		{name: "two winners", broken: true, history: []operation{at(0, 1, 4, wins(0, "a")), at(1, 2, 3, wins(0, "b"))}},
		{name: "a lost append", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(1, 3, 4, wins(1, "b")), at(0, 5, 6, events(0, "a"))}},
		{name: "an append whose place another one takes", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(1, 3, 4, wins(0, "b")), at(0, 5, 6, events(0, "b"))}},
		{name: "a stale read", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(0, 3, 4, wins(1, "b")), at(1, 5, 6, events(0, "a"))}},
		{name: "a read that goes back", broken: true, history: []operation{
			at(0, 1, 9, wins(0, "a")), at(1, 2, 3, events(0, "a")), at(2, 4, 5, events(0))}},
		{name: "a stale refresh", broken: true, history: []operation{at(0, 1, 2, wins(0, "a")), at(1, 3, 4, refresh(0))}},
		{name: "a stale head", broken: true, history: []operation{at(0, 1, 2, wins(0, "a")), at(1, 3, 4, heads(0))}},
		{name: "the head of what was deleted", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(0, 3, 4, deletes), at(1, 5, 6, heads(2))}},
		{name: "a refresh with an event too few", broken: true, history: []operation{at(0, 1, 2, wins(0, "a", "b")), at(1, 3, 4, refresh(2, "a"))}},
		{name: "reordered events", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(1, 3, 4, wins(1, "b")), at(0, 5, 6, events(0, "b", "a"))}},
		{name: "reordered within a batch", broken: true, history: []operation{at(0, 1, 2, wins(0, "a", "b")), at(1, 3, 4, events(0, "b", "a"))}},
		{name: "half a batch", broken: true, history: []operation{at(0, 1, 4, wins(0, "a", "b")), at(1, 2, 3, events(0, "a"))}},
		{name: "half a batch of unknown outcome", broken: true, history: []operation{at(0, 1, 0, adds(0, "a", "b")), at(1, 2, 3, events(0, "a"))}},
		{name: "an event twice", broken: true, history: []operation{at(0, 1, 0, adds(0, "a")), at(1, 2, 3, events(0, "a", "a"))}},
		{name: "an event of nobody", broken: true, history: []operation{at(0, 1, 2, events(0, "a"))}},
		{name: "a hole", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a", "b")), at(1, 3, 4, operation{Op: "events", Log: []entry{{0, "a"}, {2, "b"}}})}},
		{name: "a log that begins late", broken: true, history: []operation{at(0, 1, 2, wins(0, "a", "b")), at(1, 3, 4, events(1, "b"))}},
		{name: "sequences that do not follow", broken: true, history: []operation{
			at(0, 1, 2, operation{Op: "append", Events: []string{"a", "b"}, Sequences: []uint64{0, 2}})}},
		{name: "a conflict with nobody", broken: true, history: []operation{at(0, 1, 2, wins(0, "a")), at(0, 3, 4, loses(1, 1))}},
		{name: "a conflict with a head that never was", broken: true, history: []operation{at(0, 1, 2, wins(0, "a")), at(1, 3, 4, loses(0, 2))}},
		{name: "a conflict with a head of before", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(0, 3, 4, wins(1, "b")), at(1, 5, 6, loses(0, 1))}},
		{name: "a conflict of another append", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a", "b")), at(1, 3, 4, operation{Op: "append", Expected: 0, Events: []string{"c"}, Conflict: &conflict{1, 2}})}},
		{name: "an append that conflicts and lands", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(1, 3, 4, loses(0, 1)), at(0, 5, 6, events(0, "a", "loser"))}},
		{name: "deleted and still there", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(0, 3, 4, deletes), at(1, 5, 6, events(0, "a"))}},
		{name: "a sequence used again after a deletion", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(0, 3, 4, deletes), at(1, 5, 6, wins(0, "b"))}},
		{name: "the tombstone takes no sequence", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(0, 3, 4, deletes), at(1, 5, 6, wins(1, "b"))}},
		{name: "a tombstone that goes unseen", broken: true, history: []operation{
			at(0, 1, 2, wins(0, "a")), at(0, 3, 4, deletes), at(0, 5, 6, wins(2, "b")), at(1, 7, 8, events(2, "b"))}},
		{name: "an error", broken: true, history: []operation{at(0, 1, 2, fails)}},
		{name: "an operation that nobody knows", broken: true, history: []operation{at(0, 1, 2, operation{Op: "drop"})}},
		{name: "time that runs backwards", broken: true, history: []operation{at(0, 2, 1, wins(0, "a"))}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := check(test.history); (err != nil) != test.broken {
				t.Errorf("broken %t: %v", test.broken, err)
			}
		})
	}
}

// No history of a correct store is refused, and each in which one loser is told
// that it has won.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(200) {
		history, falsify := simulate(rand.New(rand.NewPCG(seed, 0)))
		if err := check(history); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		falsify()
		if check(history) == nil {
			t.Fatalf("seed %d: two winners go unnoticed", seed)
		}
	}
}

// simulate lets six clients call at random, each happening at a random moment
// of its call. The function turns the answer of one append that lost into a lie.
func simulate(r *rand.Rand) (history []operation, falsify func()) {
	type client struct {
		expected uint64
		pending  *operation
		done     bool
	}
	clients := make([]client, 6)
	var store log
	won, lost := map[uint64]bool{}, -1
	for now := int64(1); now < 600; now++ {
		i := r.IntN(len(clients))
		c := &clients[i]
		switch {
		case c.pending == nil:
			o := adds(c.expected, fmt.Sprintf("%d#%d", i, now))
			switch n := r.IntN(10); {
			case n < 3:
				o = operation{Op: "refresh"}
			case n == 3:
				o = deletes
			}
			o = at(i, now, 0, o)
			c.pending, c.done = &o, false
		case !c.done:
			o := c.pending
			switch {
			case o.Op == "refresh":
				o.Head, o.State, c.expected = store.head, strings.Fields(store.events), store.head
			case o.Op == "delete":
				store = store.delete()
			case o.Expected == store.head:
				o.Sequences = []uint64{store.head}
				store = store.append(o.Events...)
				c.expected = store.head
			default:
				o.Conflict = &conflict{o.Expected, store.head}
			}
			c.done = true
		default:
			if end := now; r.IntN(100) > 0 { // the rest are cut off
				c.pending.Return = &end
			}
			switch o := c.pending; {
			case o.Return == nil:
			case o.Sequences != nil:
				won[o.Expected] = true
			case o.Conflict != nil && won[o.Expected]:
				lost = len(history)
			}
			history = append(history, *c.pending)
			c.pending = nil
		}
	}
	for _, c := range clients {
		if c.pending != nil { // cut off too
			history = append(history, *c.pending)
		}
	}
	history = append(history, at(len(clients), 600, 601, refresh(store.head, strings.Fields(store.events)...)))
	return history, func() {
		history[lost].Sequences, history[lost].Conflict = []uint64{history[lost].Expected}, nil
	}
}

func TestRun(t *testing.T) {
	const fine = `{"history":1,"client":0,"stream":"a","op":"append","call":1,"return":4,"expected":0,"events":["x"],"sequences":[0]}
{"history":1,"client":1,"stream":"a","op":"append","call":2,"return":3,"expected":0,"events":["y"],"conflict":{"expected":0,"actual":1}}
{"history":1,"client":1,"stream":"b","op":"append","call":5,"expected":0,"events":["z"]}
{"history":2,"client":0,"stream":"a","op":"heads","call":1,"return":2,"head":0}
`
	const stale = `{"history":1,"client":1,"stream":"a","op":"events","call":6,"return":7,"log":[]}`
	tests := []struct{ name, lines, out, fault string }{
		{name: "fine", lines: fine, out: "2 histories, 2 ok; 4 operations, 1 of 2 appends in conflict, 1 of unknown outcome\n"},
		{name: "stale", lines: fine + stale, out: "2 histories, 1 ok; 5 operations", fault: "history 1, stream a: Illegal"},
		{name: "empty", fault: "no operation"},
		{name: "cut", lines: fine + `{"history":`, fault: "operation 4"},
		{name: "unknown", lines: `{"clock":1}`, fault: "clock"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := run(strings.NewReader(test.lines), &out)
			if !strings.HasPrefix(out.String(), test.out) || fmt.Sprint(err) != "<nil>" && test.fault == "" || !strings.Contains(fmt.Sprint(err), test.fault) {
				t.Errorf("%q, %v", out.String(), err)
			}
		})
	}
}
