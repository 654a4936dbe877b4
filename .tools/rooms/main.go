// Command rooms looks at the files of a package as at the rooms of a house: a
// file stands above those that it refers to. It puts them in the order with the
// fewest references that run upward, and prints those.
//
//	rooms PACKAGE[=LIMIT]...
//
// A package is a folder of the module above, such as core/runner. With a limit
// it is one line, unless more references run upward: then it is printed whole,
// as without a limit, and the exit status is 1.
//
// Circles of imports need no look. The Go compiler refuses those of packages,
// and oxlint those of TypeScript files (import/no-cycle).
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: rooms PACKAGE[=LIMIT]...")
		os.Exit(2)
	}
	if err := run(os.Stdout, "..", os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rooms:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, root string, arguments []string) error {
	var folders []string
	limits := map[string]int{}
	for _, argument := range arguments {
		folder, limit, limited := strings.Cut(argument, "=")
		folders = append(folders, folder)
		if limited {
			n, err := strconv.Atoi(limit)
			if err != nil {
				return fmt.Errorf("%s: the limit is no number", argument)
			}
			limits[folder] = n
		}
	}
	houses, err := load(root, folders)
	if err != nil {
		return err
	}
	var faults []error
	for _, h := range houses {
		order, err := h.order()
		if err != nil {
			return fmt.Errorf("%s: %w", h.folder, err)
		}
		upward := h.upward(order)
		limit, limited := limits[h.folder]
		if !limited || len(upward) > limit {
			h.print(out, order, upward)
		}
		fmt.Fprintf(out, "%s: %d of %d references run upward", h.folder, len(upward), len(h.names))
		if limited {
			fmt.Fprintf(out, ", limit %d", limit)
			if len(upward) > limit {
				faults = append(faults, fmt.Errorf("%s: %d references run upward, more than %d", h.folder, len(upward), limit))
			}
		}
		fmt.Fprintln(out)
	}
	return errors.Join(faults...)
}

// print writes a line for each file, from the top floor down: its floor and the
// files that it refers to below. Then follow the references that run upward, with
// what they use.
func (h *house) print(out io.Writer, order []int, upward []reference) {
	floors := h.floors(order)
	order = slices.SortedFunc(slices.Values(order), func(a, b int) int {
		return cmp.Or(cmp.Compare(floors[a], floors[b]), cmp.Compare(b, a))
	})
	width := 0
	for _, file := range h.files {
		width = max(width, len(file))
	}
	for i := len(order) - 1; i >= 0; i-- {
		var below []string
		for j := i - 1; j >= 0; j-- {
			if h.refers(order[i], order[j]) {
				below = append(below, strings.TrimSuffix(h.files[order[j]], ".go"))
			}
		}
		line := fmt.Sprintf("%3d  %-*s  %s", floors[order[i]], width, h.files[order[i]], strings.Join(below, " "))
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	for _, r := range upward {
		fmt.Fprintf(out, "  up  %s -> %s: %s\n", h.files[r.from], h.files[r.to], strings.Join(h.names[r], ", "))
	}
}
