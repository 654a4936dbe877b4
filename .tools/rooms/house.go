package main

import (
	"errors"
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/tools/go/packages"
)

// house is a package: its files and what they use of each other.
type house struct {
	folder string
	files  []string               // sorted
	names  map[reference][]string // what is used, sorted
}

// reference is one file's use of another, by their places in house.files.
type reference struct{ from, to int }

// load type-checks the packages in folders of a module, as they are in a browser,
// without tests.
func load(root string, folders []string) ([]*house, error) {
	patterns := make([]string, len(folders))
	for i, folder := range folders {
		patterns[i] = "./" + folder
	}
	const mode = packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo
	loaded, err := packages.Load(&packages.Config{
		Mode: mode,
		Dir:  root,
		Env:  append(os.Environ(), "GOOS=js", "GOARCH=wasm"),
	}, patterns...)
	if err != nil {
		return nil, err
	}
	var houses []*house
	for _, folder := range folders {
		dir, err := filepath.Abs(filepath.Join(root, folder))
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(loaded, func(p *packages.Package) bool { return p.Dir == dir })
		if i < 0 || len(loaded[i].Syntax) == 0 {
			return nil, fmt.Errorf("%s: no package is there", folder)
		}
		if err := faults(loaded[i]); err != nil {
			return nil, err
		}
		houses = append(houses, newHouse(folder, loaded[i]))
	}
	return houses, nil
}

func faults(p *packages.Package) error {
	var all []error
	for _, fault := range p.Errors {
		all = append(all, fault)
	}
	return errors.Join(all...)
}

// newHouse collects the references. A method and a field count like an
// identifier of the package: each is declared in one file.
func newHouse(folder string, p *packages.Package) *house {
	h := &house{folder: folder, names: map[reference][]string{}}
	for _, file := range p.GoFiles {
		h.files = append(h.files, filepath.Base(file))
	}
	slices.Sort(h.files)
	place := func(at token.Pos) int {
		return slices.Index(h.files, filepath.Base(p.Fset.Position(at).Filename))
	}
	for use, object := range p.TypesInfo.Uses {
		if object.Pkg() != p.Types {
			continue
		}
		if r := (reference{place(use.Pos()), place(object.Pos())}); r.from != r.to {
			h.names[r] = append(h.names[r], object.Name())
		}
	}
	for r, names := range h.names {
		slices.Sort(names)
		h.names[r] = slices.Compact(names)
	}
	return h
}

func (h *house) refers(from, to int) bool { return h.names[reference{from, to}] != nil }

// upward returns the references from a file to one above it, those of the
// highest file first.
func (h *house) upward(order []int) []reference {
	var up []reference
	for i := len(order) - 1; i >= 0; i-- {
		for j := len(order) - 1; j > i; j-- {
			if h.refers(order[i], order[j]) {
				up = append(up, reference{order[i], order[j]})
			}
		}
	}
	return up
}

// floors returns each file's floor. A file stands one above the highest of the
// files that it refers to below itself, so several may share one.
func (h *house) floors(order []int) []int {
	floors := make([]int, len(order))
	for i, file := range order {
		floors[file] = 1
		for _, below := range order[:i] {
			if h.refers(file, below) {
				floors[file] = max(floors[file], floors[below]+1)
			}
		}
	}
	return floors
}
