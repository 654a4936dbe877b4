// Command ledger prints how many bytes of a program's code each part of it has:
// the packages of Holdfast, its modules, and the standard library, by the names of
// the functions. The program is a WebAssembly module of the Go compiler that was
// built with names, without -ldflags=-s:
//
//	ledger module.wasm
package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Sections of a module (WebAssembly 2.0, section 5.5.2).
const (
	customSection = 0
	importSection = 2
	codeSection   = 10
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	program, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parts, err := ledger(program)
	if err != nil {
		return err
	}
	total := 0
	for _, size := range parts {
		total += size
	}
	fmt.Printf("%-28s %12s\n", "code, raw", "bytes")
	byPart := slices.SortedFunc(maps.Keys(parts), func(a, b string) int { return cmp.Compare(parts[b], parts[a]) })
	for _, part := range byPart {
		fmt.Printf("%-28s %12d %5.1f %%\n", part, parts[part], 100*float64(parts[part])/float64(total))
	}
	return nil
}

var errNames = errors.New("this is no WebAssembly module with the names of its functions")

// ledger returns the size of the functions of each part.
func ledger(program []byte) (map[string]int, error) {
	var bodies []int
	names := map[uint64]string{}
	imported := uint64(0)
	r := &reader{program[min(8, len(program)):]}
	for len(r.rest) > 0 {
		id := r.bytes(1)[0]
		body := &reader{r.bytes(r.uint())}
		switch {
		case id == importSection:
			imported = body.uint() // Go imports functions alone
		case id == codeSection:
			for n := body.uint(); n > 0; n-- {
				bodies = append(bodies, len(body.bytes(body.uint())))
			}
		case id == customSection && string(body.bytes(body.uint())) == "name":
			for len(body.rest) > 0 {
				kind := body.bytes(1)[0]
				sub := &reader{body.bytes(body.uint())}
				if kind != 1 { // function names, section 7.4.1 of the appendix
					continue
				}
				for n := sub.uint(); n > 0; n-- {
					index := sub.uint()
					names[index] = string(sub.bytes(sub.uint()))
				}
			}
		}
	}
	if len(bodies) == 0 || len(names) == 0 {
		return nil, errNames
	}
	parts := map[string]int{}
	for i, size := range bodies {
		parts[partOf(names[imported+uint64(i)])] += size
	}
	return parts, nil
}

// partOf returns the part that a function belongs to, by its name, such as
// "github.com_holdfast_dev_holdfast_core_runner.Run": the linker writes what is no
// letter or digit of a path as _.
func partOf(name string) string {
	path, ofHost := strings.CutPrefix(name, "github.com_")
	path, _, _ = strings.Cut(path, ".")
	switch {
	case strings.HasPrefix(path, "holdfast_dev_holdfast_"):
		return "holdfast/" + strings.ReplaceAll(strings.TrimPrefix(path, "holdfast_dev_holdfast_"), "_", "/")
	case ofHost:
		return path
	case path == "main":
		return "holdfast/wasm"
	case strings.HasPrefix(path, "runtime"), strings.HasPrefix(path, "internal_runtime"):
		return "Go's runtime"
	default:
		return "Go's standard library"
	}
}

// reader reads a module. Beyond its end it finds zeros.
type reader struct{ rest []byte }

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.rest) // LEB128
	r.rest = r.rest[max(size, 0):]
	return n
}

func (r *reader) bytes(n uint64) []byte {
	n = min(n, uint64(len(r.rest)))
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
