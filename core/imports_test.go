//go:build !js

package core_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/holdfast-dev/holdfast"

// source is one Go file of the module.
type source struct {
	path    string // slash-separated, from the root of the module
	imports []string
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// sources parses the imports of all Go files of the module. Folders that the
// go command ignores are left out.
func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	var all []source
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(relative)}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func within(imported, tree string) bool {
	return imported == tree || strings.HasPrefix(imported, tree+"/")
}

func isJavaScript(imported string) bool {
	return imported == "syscall/js" || within(imported, "github.com/hack-pad/safejs")
}

// refusedInCore tells why a file of package core or below must not import this;
// empty if it may.
func refusedInCore(s source, imported string) string {
	host, _, _ := strings.Cut(imported, "/")
	switch {
	case isJavaScript(imported):
		return "core knows no browser"
	case within(imported, module):
		if !within(imported, module+"/core") && !within(imported, module+"/internal") {
			return "dependencies point from the outside to core"
		}
	case within(imported, "github.com/vmihailenco/msgpack/v5"):
		if s.path != "core/runner/value.go" && !s.isTest() {
			return "of core only runner/value.go knows msgpack, for outputs; all else is for internal/wire"
		}
	case imported == "golang.org/x/crypto/blake2s":
		if !strings.HasPrefix(s.path, "core/runner/") {
			return "of core only the runner makes keys"
		}
	case strings.Contains(host, "."):
		if !s.isTest() {
			return "core needs std and msgpack only, and its runner a hash"
		}
	}
	return ""
}

// heavy packages of std make the WebAssembly too large.
var heavy = []string{"encoding/json", "net", "text/template", "html", "log", "crypto", "regexp", "testing", "go", "os"}

func TestCoreImports(t *testing.T) {
	seen := 0
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.path, "core/") {
			continue
		}
		seen++
		for _, imported := range s.imports {
			if why := refusedInCore(s, imported); why != "" {
				t.Errorf("%s imports %s: %s", s.path, imported, why)
			}
			// The suite of package storetest is test code in a file of its own.
			if s.isTest() || strings.HasPrefix(s.path, "core/storetest/") {
				continue
			}
			if slices.ContainsFunc(heavy, func(tree string) bool { return within(imported, tree) }) {
				t.Errorf("%s imports %s, which is too heavy for WebAssembly", s.path, imported)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d files of core were found", seen)
	}
}

// TestJavaScriptFilesAreNamed: the file name says where JavaScript is touched,
// and keeps the file out of native builds.
func TestJavaScriptFilesAreNamed(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_js.go") || strings.HasSuffix(s.path, "_js_test.go") {
			continue
		}
		for _, imported := range s.imports {
			if isJavaScript(imported) {
				t.Errorf("%s imports %s, so its name must end in _js.go or _js_test.go", s.path, imported)
			}
		}
	}
}

// TestRulesOfImports sees the rules refuse what they are for.
func TestRulesOfImports(t *testing.T) {
	tests := []struct {
		path, imported string
		refused        bool
	}{
		{"core/state.go", "sync", false},
		{"core/event_codec.go", module + "/internal/wire", false},
		{"core/event_codec.go", "github.com/vmihailenco/msgpack/v5", true},
		{"core/state.go", "github.com/vmihailenco/msgpack/v5", true},
		{"core/runner/value.go", "github.com/vmihailenco/msgpack/v5", false},
		{"core/runner/steps.go", "github.com/vmihailenco/msgpack/v5", true},
		{"core/runner/steps.go", "golang.org/x/crypto/blake2s", false},
		{"core/runner/steps.go", "golang.org/x/crypto/sha3", true},
		{"core/place.go", "golang.org/x/crypto/blake2s", true},
		{"core/event_codec.go", "github.com/vmihailenco/msgpack/v4", true},
		{"core/event_codec.go", "github.com/vmihailenco/tagparser/v2", true},
		{"core/memstore/memstore.go", module + "/core", false},
		{"core/memstore/memstore.go", module + "/idbstore", true},
		{"core/runner/runner.go", module + "/wasm", true},
		{"core/state_test.go", module + "/wasm", true},
		{"core/state.go", module + "/corex", true},
		{"core/state.go", "syscall/js", true},
		{"core/state_test.go", "syscall/js", true},
		{"core/state.go", "github.com/hack-pad/safejs", true},
		{"core/memstore/model_test.go", "pgregory.net/rapid", false},
		{"core/memstore/model.go", "pgregory.net/rapid", true},
	}
	for _, tt := range tests {
		if why := refusedInCore(source{path: tt.path}, tt.imported); (why != "") != tt.refused {
			t.Errorf("%s importing %s: refused for %q", tt.path, tt.imported, why)
		}
	}
}
