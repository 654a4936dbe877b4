// Command overlay writes a file for the -overlay flag of the go command, which
// leaves out of a program in WebAssembly what it cannot use: the execution tracer
// (package runtime/trace), which nobody starts, and the settings of GODEBUG, an
// environment variable that a page does not have.
//
// Where the standard library is not as in Go 1.26 the file replaces nothing, and a
// line on standard error says so: then the program is larger, and works as well.
package main

import (
	"encoding/json"
	"fmt"
	"go/build"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/tools/toolchain"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: overlay directory")
		os.Exit(2)
	}
	if err := write(build.Default.GOROOT, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "overlay:", err)
		os.Exit(1)
	}
}

// write writes overlay.json into a directory, and the files that it names.
func write(root, directory string) error {
	replaced := map[string]string{}
	known := toolchain.IsKnown(root)
	for name, change := range map[string]func(string) (string, bool){
		"runtime/traceruntime.go":     untraced,
		"internal/godebug/godebug.go": unset,
	} {
		file := filepath.Join(root, "src", name)
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		changed, ok := change(string(source))
		if !known || !ok {
			fmt.Fprintln(os.Stderr, "overlay:", file, "is not as in Go 1.26, and stays as it is")
			continue
		}
		replaced[file] = filepath.Join(directory, filepath.Base(name))
		if err := os.WriteFile(replaced[file], []byte(changed), 0o644); err != nil {
			return err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, "overlay.json"), overlay, 0o644)
}

// untraced answers the three questions that all of the tracer hangs on.
func untraced(source string) (string, bool) {
	for _, answer := range []string{"trace.enabled", "trace.enabledWithAllocFree", "trace.shutdown.Load()"} {
		question := "() bool {\n\treturn " + answer + "\n}"
		if strings.Count(source, question) != 1 {
			return "", false
		}
		source = strings.Replace(source, question, "() bool {\n\treturn false\n}", 1)
	}
	return source, true
}

// unset returns settings that are as they are where GODEBUG says nothing.
func unset(source string) (string, bool) {
	const settings = `package godebug

type Setting struct{ name string }

func New(name string) *Setting        { return &Setting{name} }
func (s *Setting) Name() string       { return s.name }
func (s *Setting) Undocumented() bool { return false }
func (s *Setting) String() string     { return s.name + "=" }
func (s *Setting) IncNonDefault()     {}
func (s *Setting) Value() string      { return "" }
`
	return settings, slices.Equal(exported(source), exported(settings))
}

// exported returns the heads of the exported functions and of the methods of
// Setting, in order.
func exported(source string) []string {
	heads := map[string]bool{}
	for _, head := range regexp.MustCompile(`(?m)^func (?:\(s \*Setting\) )?[A-Z]\w*\(.*?\) ?[\w*]*`).FindAllString(source, -1) {
		heads[strings.TrimSpace(head)] = true
	}
	return slices.Sorted(maps.Keys(heads))
}
