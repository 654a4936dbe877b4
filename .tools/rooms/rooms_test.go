package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// graph makes a house of numbered files. Each pair is a reference.
func graph(files int, pairs ...reference) *house {
	h := &house{folder: "graph", names: map[reference][]string{}}
	for i := range files {
		h.files = append(h.files, fmt.Sprintf("%02d.go", i))
	}
	for _, pair := range pairs {
		h.names[pair] = []string{"name"}
	}
	return h
}

// complete has every file refer to every other.
func complete(files int) *house {
	h := graph(files)
	for a := range files {
		for b := range files {
			if a != b {
				h.names[reference{a, b}] = []string{"name"}
			}
		}
	}
	return h
}

// chain has every file refer to the next.
func chain(files int) *house {
	h := graph(files)
	for a := 1; a < files; a++ {
		h.names[reference{a - 1, a}] = []string{"name"}
	}
	return h
}

func ring(files int) *house {
	h := chain(files)
	h.names[reference{files - 1, 0}] = []string{"name"}
	return h
}

// count puts a house in order and returns how many references run upward.
func count(t *testing.T, h *house) int {
	t.Helper()
	order, err := h.order()
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.order()
	if err != nil || !slices.Equal(order, again) {
		t.Fatalf("ordered as %v, and then as %v, %v", order, again, err)
	}
	sorted := slices.Sorted(slices.Values(order))
	for i := range h.files {
		if len(sorted) != len(h.files) || sorted[i] != i {
			t.Fatalf("%d files are ordered as %v", len(h.files), order)
		}
	}
	floors := h.floors(order) // by which the files are printed
	up := h.upward(order)
	for r := range h.names {
		if floors[r.from] > floors[r.to] == slices.Contains(up, r) {
			t.Errorf("%v runs from floor %d to %d; upward are %v", r, floors[r.from], floors[r.to], up)
		}
	}
	return len(up)
}

// fewest tries every order.
func fewest(h *house) int {
	best := len(h.names)
	order := make([]int, len(h.files))
	var try func(placed int)
	try = func(placed int) {
		if placed == len(order) {
			best = min(best, len(h.upward(order)))
		}
		for file := range h.files {
			if !slices.Contains(order[:placed], file) {
				order[placed] = file
				try(placed + 1)
			}
		}
	}
	try(0)
	return best
}

func TestOrderOfKnownGraphs(t *testing.T) {
	tests := []struct {
		name  string
		house *house
		want  int
	}{
		{"nothing", graph(0), 0},
		{"one file", graph(1), 0},
		{"files apart", graph(4), 0},
		{"a chain", chain(6), 0},
		{"a chain of more files than a circle may have", chain(2 * largest), 0},
		{"two files that refer to each other", ring(2), 1},
		{"a ring", ring(6), 1},
		{"two rings that share a file", graph(5, reference{0, 1}, reference{1, 2}, reference{2, 0}, reference{2, 3}, reference{3, 4}, reference{4, 2}), 2},
		{"two rings that share a reference", graph(4, reference{0, 1}, reference{1, 2}, reference{2, 0}, reference{1, 3}, reference{3, 0}), 1},
		{"two rings, one above the other", graph(4, reference{0, 1}, reference{1, 0}, reference{0, 2}, reference{2, 3}, reference{3, 2}), 2},
		{"all to all of 5", complete(5), 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := count(t, tt.house); got != tt.want {
				t.Errorf("%d references run upward, want %d", got, tt.want)
			}
			if len(tt.house.files) <= 6 {
				if got := fewest(tt.house); got != tt.want {
					t.Errorf("the best of all orders has %d", got)
				}
			}
		})
	}
}

func TestOrderOfRandomGraphs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		h := graph(7)
		share := random.Float64()
		for a := range h.files {
			for b := range h.files {
				if a != b && random.Float64() < share {
					h.names[reference{a, b}] = []string{"name"}
				}
			}
		}
		if got, want := count(t, h), fewest(h); got != want {
			t.Errorf("%d references run upward, %d would do: %v", got, want, h.names)
		}
	}
}

func TestOrderRefusesATooLargeCircle(t *testing.T) {
	if order, err := ring(largest + 1).order(); err == nil {
		t.Errorf("ordered as %v", order)
	}
}

// TestReferences: methods, fields, constants, generic types and files for the
// browser count, tests and what a file declares itself do not.
func TestReferences(t *testing.T) {
	houses, err := load("testdata", []string{"house"})
	if err != nil {
		t.Fatal(err)
	}
	h := houses[0]
	if want := []string{"ground.go", "roof_js.go"}; !slices.Equal(h.files, want) {
		t.Fatalf("the files are %v, want %v", h.files, want)
	}
	if got, want := h.names[reference{1, 0}], []string{"door", "enter", "open", "opener", "room"}; !slices.Equal(got, want) {
		t.Errorf("the roof uses %v of the ground, want %v", got, want)
	}
	if got, want := h.names[reference{0, 1}], []string{"leave"}; !slices.Equal(got, want) {
		t.Errorf("the ground uses %v of the roof, want %v", got, want)
	}
}

func TestRun(t *testing.T) {
	const (
		whole = "  2  roof_js.go  ground\n  1  ground.go\n  up  ground.go -> roof_js.go: leave\n"
		line  = "house: 1 of 2 references run upward"
	)
	tests := []struct{ argument, want, refused string }{
		{"house", whole + line + "\n", ""},
		{"house=0", whole + line + ", limit 0\n", "house: 1 references run upward, more than 0"},
		{"house=1", line + ", limit 1\n", ""},
		{"house=2", line + ", limit 2\n", ""},
		{"house=few", "", "house=few: the limit is no number"},
		{"nothing=1", "", "nothing: no package is there"},
	}
	for _, tt := range tests {
		var out strings.Builder
		refused := ""
		if err := run(&out, "testdata", []string{tt.argument}); err != nil {
			refused = err.Error()
		}
		if out.String() != tt.want || refused != tt.refused {
			t.Errorf("%s printed\n%s, error %q; want\n%s, error %q", tt.argument, out.String(), refused, tt.want, tt.refused)
		}
	}
}
