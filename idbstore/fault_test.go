package idbstore

import "strings"

// fault is what goes wrong with a step that the store makes, in one of the ways
// of a browser. The steps are: open, listen, recall, remember, lock, post, leave;
// begin, close, append; in, keys, values, last, get, add, put, remove, commit,
// abort; wait, for an answer or the end of a transaction.
type fault struct {
	step string // one of them, or several separated by spaces
	skip int    // how many of these steps are to pass before
	good string // the steps that go wrong from then on; if empty, it was once
	// err fails the step: a request, with its transaction, or else the call.
	err *engineError
	// thrown is for requests and commits: the call throws err, and what was
	// asked for before goes on.
	thrown bool
	// landed is for commits: the data is written although something else is said.
	landed bool
	// silent: no answer ever comes.
	silent bool
	// damage is for keys and values that are read: they come differently.
	damage func([][]byte) [][]byte
	// first happens before the step, which then goes on.
	first func()
	// then is for commits: it happens before the caller goes on.
	then func()
}

var abortedError = &engineError{abortError, "the transaction was aborted"}

func (f *fault) fails() bool { return f.err != nil || f.silent }

// meet notes a step, and returns what goes wrong with it.
func (d *disk) meet(step string) fault {
	d.mu.Lock()
	if d.tracing {
		d.trace = append(d.trace, step)
	}
	f := d.due(step)
	d.mu.Unlock()
	if f.first != nil {
		f.first()
	}
	return f
}

// due takes the next fault if it is about step.
func (d *disk) due(step string) fault {
	if len(d.faults) == 0 || !strings.Contains(" "+d.faults[0].step+" ", " "+step+" ") {
		return fault{}
	}
	next := &d.faults[0]
	switch {
	case next.skip > 0:
		next.skip--
		return fault{}
	case next.good != "":
		next.step = next.good
	default:
		defer func() { d.faults = d.faults[1:] }()
	}
	d.met++
	return *next
}

// inject sets the faults to come, also while the store is at work.
func (d *disk) inject(faults ...fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = faults
}

// unmet returns how many faults are still to come.
func (d *disk) unmet() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.faults)
}

// freeze is what the page is told of its own state.
func (d *disk) freeze(frozen bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = frozen
}

// disconnected closes all connections. What they had under way is undone. The
// caller holds mu.
func (d *disk) disconnected() {
	for db := range d.open {
		db.gone = true
		for _, t := range d.under(db) {
			t.finish(abortedError)
		}
	}
	clear(d.open)
}

// empty deletes everything, as a user does who clears the data of the site.
func (d *disk) empty() {
	d.do(func() {
		d.disconnected()
		d.stores = nil
	})
}
