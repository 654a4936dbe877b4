// Command strip takes out of a Go program in WebAssembly what only its stack
// traces need: the names of functions and files, and the line tables. It also
// writes the initial memory in few segments. Both together are a quarter of the
// download.
//
// The runtime itself goes by function ids, stack maps and stack sizes, which
// stay (runtime/symtab.go, runtime/traceback.go): an empty name and an unknown
// line are cases it knows, as in a program that was built by another compiler.
// Where the tables are not as Go 1.26 lays them out, or the toolchain numbers them
// otherwise, they stay as they are, and a line on standard error says so. The
// program must be built with the toolchain that runs this command.
package main

import (
	"errors"
	"fmt"
	"go/build"
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

// stripFile rewrites a file, all of it or nothing. With errLayout the tables are
// still in it.
func stripFile(name string) error {
	program, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	stripped, err := strip(program, build.Default.GOROOT)
	if stripped != nil {
		temporary := name + ".stripped"
		if err := os.WriteFile(temporary, stripped, 0o644); err != nil {
			return err
		}
		if err := os.Rename(temporary, name); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func strip(program []byte, root string) ([]byte, error) {
	m, err := parse(program)
	if err != nil {
		return nil, err
	}
	if err = checkToolchain(root); err == nil {
		err = forget(m.memory)
	}
	return m.encode(), err
}
