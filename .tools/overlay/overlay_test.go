package main

import (
	"encoding/json"
	"errors"
	"go/build"
	"os"
	"path/filepath"
	"testing"
)

func replacedIn(t *testing.T, root string) map[string]string {
	t.Helper()
	directory := t.TempDir()
	if err := write(root, directory); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(directory, "overlay.json"))
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	if err := json.Unmarshal(file, &overlay); err != nil {
		t.Fatal(err)
	}
	return overlay.Replace
}

func TestThisRelease(t *testing.T) {
	replaced := replacedIn(t, build.Default.GOROOT)
	for _, name := range []string{"runtime/traceruntime.go", "internal/godebug/godebug.go"} {
		if replaced[filepath.Join(build.Default.GOROOT, "src", name)] == "" {
			t.Errorf("%s is not replaced: Holdfast is built with a Go release that overlay does not know", name)
		}
	}
}

// rootOf makes a toolchain of a version and two files.
func rootOf(t *testing.T, version, traceruntime, godebug string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"VERSION": version + "\n", "src/runtime/traceruntime.go": traceruntime, "src/internal/godebug/godebug.go": godebug} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// A library that is not the one that is known stays as it is, and so does that of
// another release that looks the same.
func TestAnotherRelease(t *testing.T) {
	read := func(name string) string {
		source, err := os.ReadFile(filepath.Join(build.Default.GOROOT, "src", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(source)
	}
	traceruntime, godebug := read("runtime/traceruntime.go"), read("internal/godebug/godebug.go")
	if replaced := replacedIn(t, rootOf(t, "go1.26.3", traceruntime, godebug)); len(replaced) != 2 {
		t.Errorf("of another patch of the release it replaced %v", replaced)
	}
	for name, root := range map[string]string{
		"another release": rootOf(t, "go1.27", traceruntime, godebug),
		"another library": rootOf(t, "go1.26.3", "func traceEnabled() bool {\n\treturn trace.enabled\n}\n"+
			"func traceAllocFreeEnabled() bool {\n\treturn trace.enabledWithAllocFree\n}\n"+
			"func traceShuttingDown() bool {\n\treturn trace.shutdown.Load() || trace.paused\n}\n",
			"package godebug\n\nfunc New(name string) *Setting {\n}\n\nfunc (s *Setting) Value() int {\n}\n"),
	} {
		if replaced := replacedIn(t, root); len(replaced) != 0 {
			t.Errorf("%s: replaced %v", name, replaced)
		}
	}
}
