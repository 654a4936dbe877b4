package main

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// largest is how many files that all reach each other can be put in order: the
// search takes two bytes for each of their sets.
const largest = 24

// order returns the files from bottom to top so that the fewest references run
// upward (a minimum feedback arc set). Of several such orders it is always the
// same one.
func (h *house) order() ([]int, error) {
	var order []int
	for _, c := range h.circles() {
		if len(c) > largest {
			return nil, fmt.Errorf("%d files all reach each other, more than the %d that can be put in order", len(c), largest)
		}
		order = append(order, h.orderOf(c)...)
	}
	return order, nil
}

// circles returns the strongly connected components, each after those that it
// refers to. Between them no reference has to run upward.
func (h *house) circles() [][]int {
	n := len(h.files)
	reaches := make([][]bool, n)
	for a := range n {
		reaches[a] = make([]bool, n)
		for b := range n {
			reaches[a][b] = a == b || h.refers(a, b)
		}
	}
	for via := range n {
		for a := range n {
			for b := range n {
				reaches[a][b] = reaches[a][b] || reaches[a][via] && reaches[via][b]
			}
		}
	}
	var all [][]int
	count := make([]int, n) // of the files within reach
	for a := range n {
		var c []int
		for b := range n {
			if reaches[a][b] {
				count[a]++
				if reaches[b][a] {
					c = append(c, b)
				}
			}
		}
		if c[0] == a {
			all = append(all, c)
		}
	}
	// A component reaches more than any that it refers to.
	slices.SortStableFunc(all, func(c, d []int) int { return cmp.Compare(count[c[0]], count[d[0]]) })
	return all
}

// orderOf puts the files of one component in order. Whatever the order within a
// set of files that stand at the bottom, the references from them to the next
// file are the same ones: so the fewest for a set follow from the fewest for the
// sets with one file less.
func (h *house) orderOf(files []int) []int {
	users := make([]uint, len(files)) // of each file: the set of the files that refer to it
	for i, to := range files {
		for j, from := range files {
			if h.refers(from, to) {
				users[i] |= 1 << j
			}
		}
	}
	all := uint(1)<<len(files) - 1
	fewest := make([]uint16, all+1) // by the set of the files at the bottom
	with := func(below uint, top int) uint16 {
		return fewest[below] + uint16(bits.OnesCount(users[top]&below))
	}
	for set := uint(1); set <= all; set++ {
		fewest[set] = math.MaxUint16
		for rest := set; rest != 0; rest &= rest - 1 {
			top := bits.TrailingZeros(rest)
			fewest[set] = min(fewest[set], with(set&^(1<<top), top))
		}
	}
	order := make([]int, len(files))
	for set, i := all, len(files)-1; i >= 0; i-- {
		// Of several files that may be the top one: the one of which those below use
		// the fewest names.
		best, names := 0, math.MaxInt
		for rest := set; rest != 0; rest &= rest - 1 {
			top := bits.TrailingZeros(rest)
			below := set &^ (1 << top)
			if with(below, top) != fewest[set] {
				continue
			}
			used := 0
			for j, from := range files {
				if below>>j&1 == 1 {
					used += len(h.names[reference{from, files[top]}])
				}
			}
			if used < names {
				best, names = top, used
			}
		}
		order[i] = files[best]
		set &^= 1 << best
	}
	return order
}
