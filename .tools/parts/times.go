package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	timesFile = ".build/times.json"
	// specsFile is what Playwright reports, see web/playwright.config.ts.
	specsFile = ".build/specs.json"
	// slowest is how many specs and tests are kept.
	slowest = 20
)

// took is how long something took.
type took struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }

// times is what is in .build/times.json.
type times struct {
	Name    string  `json:"name"`
	Commit  string  `json:"commit"`
	Cores   int     `json:"cores"`
	Begun   string  `json:"begun"`
	Seconds float64 `json:"seconds"`
	Parts   []took  `json:"parts"`
	Specs   []took  `json:"specs,omitempty"`
	Tests   []took  `json:"tests,omitempty"`
	start   time.Time
}

func begin(name string) *times {
	commit, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown") // an archive has no history
	}
	now := time.Now()
	return &times{Name: name, Commit: strings.TrimSpace(string(commit)), Cores: runtime.NumCPU(), Begun: now.UTC().Format(time.RFC3339), start: now}
}

// end writes the file and prints a summary.
func (t *times) end() error {
	t.Seconds = seconds(time.Since(t.start))
	if err := t.addSpecs(); err != nil {
		return err
	}
	fmt.Printf("---- make %s took %.0f s on %d cores, see %s\n", t.Name, t.Seconds, t.Cores, timesFile)
	for _, list := range [][]took{t.Parts, t.Specs, t.Tests} {
		for _, one := range list[:min(len(list), 10)] {
			fmt.Printf("%8.1f s  %s\n", one.Seconds, one.Name)
		}
	}
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(timesFile), 0o777); err != nil {
		return err
	}
	return os.WriteFile(timesFile, append(b, '\n'), 0o666)
}

// suite is one of Playwright's: a file, or a group of tests in it.
type suite struct {
	Suites []suite `json:"suites"`
	Specs  []struct {
		File  string `json:"file"`
		Title string `json:"title"`
		Tests []struct {
			Project string `json:"projectName"`
			Results []struct {
				Duration float64 `json:"duration"` // ms
			} `json:"results"`
		} `json:"tests"`
	} `json:"specs"`
}

// addSpecs adds what the browser tests took, if any have run.
func (t *times) addSpecs() error {
	info, err := os.Stat(specsFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.ModTime().Before(t.start) {
		return nil
	}
	b, err := os.ReadFile(specsFile)
	if err != nil {
		return err
	}
	var root suite
	if err := json.Unmarshal(b, &root); err != nil {
		return err
	}
	files := map[string]time.Duration{}
	t.addTests(root, files)
	for name, duration := range files {
		t.Specs = append(t.Specs, took{name, seconds(duration)})
	}
	for _, list := range []*[]took{&t.Specs, &t.Tests} {
		slices.SortFunc(*list, func(a, b took) int { return cmp.Compare(b.Seconds, a.Seconds) })
		*list = (*list)[:min(len(*list), slowest)]
	}
	return nil
}

func (t *times) addTests(s suite, files map[string]time.Duration) {
	for _, inner := range s.Suites {
		t.addTests(inner, files)
	}
	for _, spec := range s.Specs {
		for _, test := range spec.Tests {
			file := test.Project + " " + spec.File
			for _, result := range test.Results {
				duration := time.Duration(result.Duration) * time.Millisecond
				files[file] += duration
				t.Tests = append(t.Tests, took{file + ": " + spec.Title, seconds(duration)})
			}
		}
	}
}
