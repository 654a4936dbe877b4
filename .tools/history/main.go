// Command history checks histories of several tabs and workers at one store: is
// each of them linearizable, as package core promises? It reads operations as
// lines of JSON, those of one history together or not.
//
//	history FILE
//
// A history that is not, or of which that cannot be told in time, ends with exit
// status 1.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// patience is how long the search for an order may take for one stream. It takes
// milliseconds; an order that does not exist may take for ever.
const patience = time.Minute

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: history FILE")
		os.Exit(2)
	}
	file, err := os.Open(os.Args[1])
	if err == nil {
		err = run(file, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	operations, err := read(in)
	if err != nil {
		return err
	}
	if len(operations) == 0 {
		return errors.New("there is no operation")
	}
	type part struct {
		history int
		stream  string
	}
	parts := map[part][]operation{}
	var order []part
	histories := map[int]bool{} // which are linearizable
	appends, conflicts, open := 0, 0, 0
	for _, o := range operations {
		p := part{o.History, o.Stream}
		if parts[p] == nil {
			order = append(order, p)
		}
		parts[p] = append(parts[p], o)
		histories[o.History] = true
		if o.Return == nil {
			open++
		} else if o.Op == "append" {
			appends++
			if o.Conflict != nil {
				conflicts++
			}
		}
	}
	var faults []error
	for _, p := range order { // streams have nothing to do with each other
		if err := check(parts[p]); err != nil {
			histories[p.history] = false
			faults = append(faults, fmt.Errorf("history %d, stream %s: %w", p.history, p.stream, err))
		}
	}
	ok := 0
	for _, fine := range histories {
		if fine {
			ok++
		}
	}
	fmt.Fprintf(out, "%d histories, %d ok; %d operations, %d of %d appends in conflict, %d of unknown outcome\n",
		len(histories), ok, len(operations), conflicts, appends, open)
	if len(faults) > 0 {
		return faults[0] // the others may be long, and come of it
	}
	return nil
}

func read(in io.Reader) ([]operation, error) {
	var operations []operation
	d := json.NewDecoder(bufio.NewReader(in))
	d.DisallowUnknownFields()
	for {
		var o operation
		switch err := d.Decode(&o); err {
		case nil:
			operations = append(operations, o)
		case io.EOF:
			return operations, nil
		default:
			return nil, fmt.Errorf("operation %d: %w", len(operations), err)
		}
	}
}

// check returns an error if there is no order of the operations on a stream in
// which each happened at once, at some moment between call and return.
func check(operations []operation) error {
	history := make([]porcupine.Operation, len(operations))
	for i, o := range operations {
		end := int64(math.MaxInt64)
		if o.Return != nil {
			end = *o.Return
		}
		if end < o.Call {
			return fmt.Errorf("%v: returned before it was called", o)
		}
		history[i] = porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: end}
	}
	result, info := porcupine.CheckOperationsVerbose(model, history, patience)
	if result == porcupine.Ok {
		return nil
	}
	return fmt.Errorf("%s: this far it can be put in order, and no further\n%s", result, explain(history, info))
}

// explain shows the longest order that was found, and what was left over.
func explain(history []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, found := range info.PartialLinearizationsOperations()[0] {
		if len(found) > len(longest) {
			longest = found
		}
	}
	state, text := log{}, ""
	placed := map[string]bool{}
	for _, found := range longest {
		o := found.Input.(operation)
		_, state = o.step(state)
		placed[o.place()] = true
		text += o.line()
	}
	text += fmt.Sprintf("---- head %d, events %s; left over:\n", state.head, state.events)
	rest := slices.DeleteFunc(slices.Clone(history), func(o porcupine.Operation) bool { return placed[o.Input.(operation).place()] })
	slices.SortFunc(rest, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	for _, left := range rest[:min(len(rest), 20)] {
		text += left.Input.(operation).line()
	}
	return text
}

// place tells an operation from all others: a client does one thing after the other.
func (o operation) place() string { return fmt.Sprint(o.Client, o.Call) }

func (o operation) line() string {
	end := "?"
	if o.Return != nil {
		end = fmt.Sprint(*o.Return)
	}
	return fmt.Sprintf("%d-%s µs %v\n", o.Call, end, o)
}
