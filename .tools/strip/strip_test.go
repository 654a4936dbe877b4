package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compile compiles testdata/program for the browser.
func compile(t *testing.T) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program.wasm")
	command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", name, "./testdata/program")
	command.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// run returns what a program prints.
func run(t *testing.T, program []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program.wasm")
	if err := os.WriteFile(name, program, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("node", filepath.Join(build.Default.GOROOT, "lib/wasm/wasm_exec_node.js"), name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// compressed tells what a program costs a visitor.
func compressed(t *testing.T, program []byte) int {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(program)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

// TestStrippedProgramDoesTheSame: it panics and recovers, collects garbage below
// deep stacks, and waits for goroutines and timers.
func TestStrippedProgramDoesTheSame(t *testing.T) {
	program := compile(t)
	stripped, err := strip(program, build.Default.GOROOT)
	if err != nil {
		t.Fatal(err)
	}
	if now, before := compressed(t, stripped), compressed(t, program); now > before*85/100 {
		t.Errorf("%d compressed bytes of %d are left", now, before)
	}
	if bytes.Contains(stripped, []byte("main.deep")) || !bytes.Contains(program, []byte("main.deep")) {
		t.Error("the names are still there")
	}
	want := run(t, program)
	if got := run(t, stripped); got != want || want == "" {
		t.Errorf("stripped it prints\n%s\nnot\n%s", got, want)
	}
	again, err := strip(stripped, build.Default.GOROOT)
	if err != nil || !bytes.Equal(again, stripped) {
		t.Errorf("stripping again changes it (%v)", err)
	}
}

// TestUnknownLayoutIsLeftAlone: of each place in the head, and of a function.
func TestUnknownLayoutIsLeftAlone(t *testing.T) {
	program := compile(t)
	m, err := parse(program)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := find(m.memory)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(m.memory, head)
	module := findModule(m.memory, tables)
	record := at + tables.byFunction + int(word(tables.bytes, tables.byFunction+8*10+4))
	for name, place := range map[string]int{
		"magic": at, "pointer size": at + 7, "number of functions": at + len(head) + 3, "where the names are": at + len(head) + 8*3 + 3,
		"where the functions are": at + len(head) + 8*7 + 2, "entry point": record + 1, "name": record + nameOffset + 3,
		"address of the data": module + dataAddress + 3, "end of the tables": module + endAddress + 3,
		"stack program": record + stackProgram + 3, "line program": record + lineProgram + 2, "number of programs": record + moreCount + 1,
	} {
		changed := bytes.Clone(m.memory)
		changed[place] ^= 0x55
		before := bytes.Clone(changed)
		if err := forget(changed); !errors.Is(err, errLayout) || !bytes.Equal(changed, before) {
			t.Errorf("another %s: %v, changed %v", name, err, !bytes.Equal(changed, before))
		}
	}
}

// TestUnknownToolchainIsLeftAlone: of another release, without its source, and one
// that numbers what belongs to a function otherwise.
func TestUnknownToolchainIsLeftAlone(t *testing.T) {
	program := compile(t)
	const table = "src/internal/abi/symtab.go"
	source, err := os.ReadFile(filepath.Join(build.Default.GOROOT, table))
	if err != nil {
		t.Fatal(err)
	}
	renumbered := strings.NewReplacer("FUNCDATA_StackObjects       = 2", "FUNCDATA_StackObjects       = 3",
		"FUNCDATA_InlTree            = 3", "FUNCDATA_InlTree            = 2").Replace(string(source))
	for _, tt := range []struct {
		name, version, source string
		known                 bool
	}{
		{"the same", "go1.26.8\ntime 2026-08-28T16:20:06Z\n", string(source), true},
		{"the first of the release", "go1.26\n", string(source), true},
		{"another release", "go1.27.1\n", string(source), false},
		{"a release of later years", "go1.260\n", string(source), false},
		{"no source", "go1.26.8\n", "", false},
		{"another numbering", "go1.26.8\n", renumbered, false},
	} {
		root := t.TempDir()
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(root, table)), 0o755),
			os.WriteFile(filepath.Join(root, "VERSION"), []byte(tt.version), 0o644),
			os.WriteFile(filepath.Join(root, table), []byte(tt.source), 0o644)); err != nil {
			t.Fatal(err)
		}
		stripped, err := strip(program, root)
		if errors.Is(err, errLayout) == tt.known || bytes.Contains(stripped, []byte("main.deep")) == tt.known {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	program := compile(t)
	for name, file := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "a cut program": program[:len(program)/2], "the next version": append([]byte("\x00asm\x02\x00\x00\x00"), program[8:]...),
	} {
		if _, err := strip(file, build.Default.GOROOT); !errors.Is(err, errModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
