// Command bugs plants bugs in Holdfast, one after the other, and sees whether
// the test that is named for each catches it. The sources stay as they are: the
// Go compiler is given the changed file in place of the real one, and the
// browser a changed copy of web/dist.
//
//	bugs [-run part of a name] [-changed [-seed N]]
//
// With -changed these are the bugs in files that differ from the main branch; a
// tenth of all, drawn by the seed, where there are none.
//
// A bug whose place is no longer there, a test that passes, and a failure of
// anything but the named test end with exit status 1.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	part := flag.String("run", "", "plant only bugs whose name contains this")
	changed := flag.Bool("changed", false, "plant only bugs in files that differ from the main branch, or a tenth of all")
	seed := flag.Uint64("seed", 0, "draws the tenth; 0 for a random one")
	flag.Parse()
	root, err := filepath.Abs("..")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	chosen := slices.DeleteFunc(bugs, func(b bug) bool { return !strings.Contains(b.name, *part) })
	if *changed {
		chosen = inChanged(root, chosen, *seed)
	}
	missed := 0
	for _, b := range chosen {
		start := time.Now()
		if err := b.plant(root); err != nil {
			missed++
			fmt.Printf("MISSED  %s: %v\n", b.name, err)
			continue
		}
		fmt.Printf("caught  %-66s by %s, %.0f s\n", b.name, b.test, time.Since(start).Seconds())
	}
	fmt.Printf("result: %d bugs planted, %d caught\n", len(chosen), len(chosen)-missed)
	if missed > 0 || len(chosen) == 0 {
		os.Exit(1)
	}
}

// inChanged returns the bugs in files that differ from origin/main, or from main
// in a clone without it. Where there are none it returns a tenth of all.
func inChanged(root string, all []bug, seed uint64) []bug {
	files := map[string]bool{}
	for _, main := range []string{"origin/main", "main"} {
		diff := exec.Command("git", "diff", "--name-only", "--merge-base", main)
		diff.Dir = root
		if out, err := diff.Output(); err == nil {
			for _, file := range strings.Fields(string(out)) {
				files[file] = true
			}
			break
		}
	}
	if found := slices.DeleteFunc(slices.Clone(all), func(b bug) bool { return !files[b.source()] }); len(found) > 0 {
		return found
	}
	if seed == 0 {
		seed = rand.Uint64N(1_000_000) + 1
	}
	fmt.Printf("no file with bugs was changed: a tenth of all, BUGS_SEED=%d\n", seed)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:(len(all)+9)/10]
}

// bug is a change of a file, and the test that must notice.
type bug struct {
	name     string
	file     string // from the top of the project; one of web/dist is what the browser gets
	old, new string // old is in the file once
	in, test string // the package of a Go test and its name, or the file of a browser test and its title
}

// source is the file that is written, of which web/dist is made.
func (b bug) source() string {
	if name, ok := strings.CutPrefix(b.file, "web/dist/"); ok {
		return "web/src/" + strings.TrimSuffix(name, ".js") + ".ts"
	}
	return b.file
}

func (b bug) plant(root string) error {
	source, err := os.ReadFile(filepath.Join(root, b.file))
	if err != nil {
		return err
	}
	if n := strings.Count(string(source), b.old); n != 1 {
		return fmt.Errorf("the place of the bug is in %s %d times", b.file, n)
	}
	dir, err := os.MkdirTemp("", "bugs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	changed := []byte(strings.Replace(string(source), b.old, b.new, 1))
	if !strings.HasSuffix(b.file, ".go") {
		return b.plantInDist(root, dir, b.file, changed)
	}
	file, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, b.file): file}})
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(file, changed, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return err
	}
	if !strings.HasPrefix(b.in, "./") {
		return b.plantInWasm(root, dir, overlay)
	}
	test := exec.Command("go", "test", "-vet=off", "-count=1", "-timeout=2m", "-overlay="+overlay, "-run=^"+b.test+"$", b.in)
	test.Dir = root
	return b.caughtBy(test, "--- FAIL: "+b.test)
}

// plantInWasm plants a bug of a Go file for a browser test.
func (b bug) plantInWasm(root, dir, overlay string) error {
	program := filepath.Join(dir, "holdfast.wasm")
	build := exec.Command("go", "build", "-overlay="+overlay, "-o", program, "./wasm")
	build.Dir = root
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	stamp := exec.Command("node", "web/scripts/stamp.mjs", program) // else the JavaScript refuses it
	stamp.Dir = root
	for _, command := range []*exec.Cmd{build, stamp} {
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%w:\n%s", err, out)
		}
	}
	built, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return b.plantInDist(root, dir, "web/dist/holdfast.wasm", built)
}

func (b bug) plantInDist(root, dir, name string, changed []byte) error {
	dist := filepath.Join(dir, "web/dist")
	if err := os.CopyFS(dist, os.DirFS(filepath.Join(root, "web/dist"))); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(root, "web/node_modules"), filepath.Join(dir, "web/node_modules")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name), changed, 0o600); err != nil {
		return err
	}
	test := exec.Command("npx", "playwright", "test", b.in, "--project=leveldb", "--workers=1", "--reporter=list", "--output="+filepath.Join(dir, "results"), "--timeout=60000", "-g", b.test)
	test.Dir = filepath.Join(root, "web")
	test.Env = append(os.Environ(), "HOLDFAST_DIST="+dist, "HISTORY_COUNT=6") // a few tell
	return b.caughtBy(test, "1) [leveldb]")
}

// caughtBy runs a test, which must fail and print the sign that it was the right one.
func (b bug) caughtBy(test *exec.Cmd, sign string) error {
	out, err := test.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("%s passes", b.test)
	case !errors.As(err, &exit):
		return err
	case !strings.Contains(string(out), sign):
		return fmt.Errorf("something else fails than %s:\n%s", b.test, out)
	}
	return nil
}
