package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestKeep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.md")
	if err := os.WriteFile(file, []byte("before\n"+above+head+below+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MAKEFLAGS", " --no-print-directory -- PROOF=crash\\ history CRASH_ROUNDS=2")
	for _, run := range []struct {
		target, printed string
		failure         error
	}{
		{"model", "    model_test.go:62: result: 7 operations, seed 1\n", nil},
		{"crash", "result: lost | found; leveldb, seed 5\n", nil},
		{"crash", "noise\nresult: 0 lost; leveldb, seed 6\nresult: 0 lost; sqlite, seed 7\n", nil},
		{"bugs", "result: 33 planted, 32 caught\n", errors.New("exit status 2")},
		{"test-go", "ok\n", nil},
	} {
		if err := keep(file, run.target, "abc", run.printed, run.failure); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "before\n" + above + head +
		"| `make bugs CRASH_ROUNDS=2` |  | 33 planted, 32 caught | abc | DATE |\n" +
		"| `make bugs CRASH_ROUNDS=2` |  | **failed**: exit status 2 | abc | DATE |\n" +
		"| `make crash CRASH_ROUNDS=2` | 6 | 0 lost; leveldb | abc | DATE |\n" +
		"| `make crash CRASH_ROUNDS=2` | 7 | 0 lost; sqlite | abc | DATE |\n" +
		"| `make model CRASH_ROUNDS=2` | 1 | 7 operations | abc | DATE |\n" +
		"| `make test-go CRASH_ROUNDS=2` |  | passed | abc | DATE |\n" +
		below + "after\n"
	if got := regexp.MustCompile(`\d{4}-\d\d-\d\d`).ReplaceAllString(string(got), "DATE"); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}
