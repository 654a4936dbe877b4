package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-dev/holdfast/tools/toolchain"
)

// numbers are what a function's further programs and data are known by here
// (internal/abi/symtab.go). A program does not say how they were numbered when it
// was built.
var numbers = []string{
	"PCDATA_UnsafePoint = 0", "PCDATA_InlTreeIndex = 2", "PCDATA_ArgLiveIndex = 3",
	"FUNCDATA_InlTree = 3", "FUNCDATA_ArgInfo = 5", "FUNCDATA_ArgLiveInfo = 6",
}

// checkToolchain returns errLayout unless the toolchain at root is of Go 1.26, and
// its source numbers programs and data in the same way. It must be the one that
// has built the program.
func checkToolchain(root string) error {
	if !toolchain.IsKnown(root) {
		return errLayout
	}
	source, err := os.ReadFile(filepath.Join(root, "src", "internal", "abi", "symtab.go"))
	if err != nil {
		return errLayout
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(source)) {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, number := range numbers {
		if !lines[number] {
			return errLayout
		}
	}
	return nil
}
