// Package toolchain knows of which release of Go the insides are known here.
package toolchain

import (
	"os"
	"path/filepath"
	"regexp"
)

var known = regexp.MustCompile(`^go1\.26(\.\d+)?\s`)

// IsKnown reports whether the toolchain at root is of that release.
func IsKnown(root string) bool {
	version, err := os.ReadFile(filepath.Join(root, "VERSION"))
	return err == nil && known.Match(version)
}
