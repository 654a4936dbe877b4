// Command parts runs targets of the Makefile, one after the other, up to the
// first that fails. What they took, and the slowest specs and tests of the
// browser, it prints and writes to .build/times.json:
//
//	parts [-table file] name target...
//
// With -table it goes on past a target that fails, and keeps the results that
// targets print, see table.go, in the file.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	table := flag.String("table", "", "the file that keeps the results")
	flag.Parse()
	if err := run(flag.Arg(0), flag.Args()[1:], *table); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name string, targets []string, table string) error {
	if err := os.Chdir(".."); err != nil {
		return err
	}
	t := begin(name)
	var failed []string
	for _, target := range targets {
		fmt.Printf("---- make %s\n", target)
		var printed bytes.Buffer
		part := exec.Command("make", "--no-print-directory", target)
		part.Stdout, part.Stderr = io.MultiWriter(os.Stdout, &printed), os.Stderr
		since := time.Now()
		err := part.Run()
		t.Parts = append(t.Parts, took{target, seconds(time.Since(since))})
		if err != nil {
			failed = append(failed, target)
		}
		if table != "" {
			if err := keep(table, target, t.Commit, printed.String(), err); err != nil {
				return err
			}
		} else if err != nil {
			break
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return errors.New("failed: make " + strings.Join(failed, " "))
	}
	return nil
}
