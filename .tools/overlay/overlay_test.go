package main

import (
	"encoding/json"
	"go/build"
	"os"
	"path/filepath"
	"testing"
)

func replacedIn(t *testing.T, library string) map[string]string {
	t.Helper()
	directory := t.TempDir()
	if err := write(library, directory); err != nil {
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
	library := filepath.Join(build.Default.GOROOT, "src")
	replaced := replacedIn(t, library)
	for _, name := range []string{"runtime/traceruntime.go", "internal/godebug/godebug.go"} {
		if replaced[filepath.Join(library, name)] == "" {
			t.Errorf("%s is not replaced: Holdfast is built with a Go release that overlay does not know", name)
		}
	}
}

// A library that is not the one that is known stays as it is.
func TestAnotherRelease(t *testing.T) {
	library := t.TempDir()
	for name, source := range map[string]string{
		"runtime/traceruntime.go": "func traceEnabled() bool {\n\treturn trace.enabled\n}\n" +
			"func traceAllocFreeEnabled() bool {\n\treturn trace.enabledWithAllocFree\n}\n" +
			"func traceShuttingDown() bool {\n\treturn trace.shutdown.Load() || trace.paused\n}\n",
		"internal/godebug/godebug.go": "package godebug\n\nfunc New(name string) *Setting {\n}\n\nfunc (s *Setting) Value() int {\n}\n",
	} {
		file := filepath.Join(library, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if replaced := replacedIn(t, library); len(replaced) != 0 {
		t.Errorf("replaced %v", replaced)
	}
}
