// Command parts runs targets of the Makefile, one after the other, up to the
// first that fails. What they took, and the slowest specs and tests of the
// browser, it prints and writes to .build/times.json:
//
//	parts [-table file] [-beside target] name target...
//
// With -beside another target runs at the same time as all but the first, and
// what that prints comes at the end. With -table it goes on past a target that
// fails, and keeps the results that targets print, see table.go, in the file.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

func main() {
	table := flag.String("table", "", "the file that keeps the results")
	beside := flag.String("beside", "", "the target that runs at the same time")
	flag.Parse()
	if err := run(flag.Arg(0), flag.Args()[1:], *beside, *table); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name string, targets []string, beside, table string) error {
	if err := os.Chdir(".."); err != nil {
		return err
	}
	r := &runner{table: table, times: begin(name)}
	var printed bytes.Buffer
	var others sync.WaitGroup
	for i, target := range targets {
		if i == 1 && beside != "" {
			others.Go(func() { r.run(beside, &printed) })
		}
		if !r.run(target, os.Stdout) {
			break
		}
	}
	others.Wait()
	_, _ = printed.WriteTo(os.Stdout)
	if err := r.times.end(); err != nil {
		return err
	}
	return errors.Join(r.failed...)
}

type runner struct {
	table string

	mu     sync.Mutex // guards what follows
	times  *times
	failed []error
}

// run runs a target, and reports whether others are to follow.
func (r *runner) run(target string, out io.Writer) bool {
	fmt.Fprintf(out, "---- make %s\n", target)
	var results bytes.Buffer
	part := exec.Command("make", "--no-print-directory", target)
	part.Stdout = io.MultiWriter(out, &results)
	part.Stderr = part.Stdout
	since := time.Now()
	err := part.Run()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times.Parts = append(r.times.Parts, took{target, seconds(time.Since(since))})
	if err != nil {
		r.failed = append(r.failed, fmt.Errorf("failed: make %s", target))
	}
	if r.table == "" {
		return err == nil
	}
	if err := keep(r.table, target, r.times.Commit, results.String(), err); err != nil {
		r.failed = append(r.failed, err)
	}
	return true
}
