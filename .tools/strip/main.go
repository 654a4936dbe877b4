// Command strip takes out of a Go program in WebAssembly what only its stack
// traces need: the names of functions and files, and the line tables. For the
// browser they are a tenth of the download.
//
// The runtime itself goes by function ids, stack maps and stack sizes, which
// stay (runtime/symtab.go, runtime/traceback.go): an empty name and an unknown
// line are cases it knows, as in a program that was built by another compiler.
// Where the tables are not as Go 1.26 lays them out, the program stays as it
// is, and a line on standard error says so.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: strip program.wasm")
		os.Exit(2)
	}
	if err := stripFile(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "strip:", err)
		if !errors.Is(err, errLayout) {
			os.Exit(1)
		}
	}
}

// stripFile rewrites a file, all of it or nothing.
func stripFile(name string) error {
	program, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	stripped, err := strip(program)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	temporary := name + ".stripped"
	if err := os.WriteFile(temporary, stripped, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

func strip(program []byte) ([]byte, error) {
	m, err := parse(program)
	if err != nil {
		return nil, err
	}
	if err := forget(m.memory); err != nil {
		return nil, err
	}
	return m.encode(), nil
}
