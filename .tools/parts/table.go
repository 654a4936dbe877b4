package main

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What is between the markers of a file is the table.
const (
	above = "<!-- Written by `make proof`. -->\n"
	head  = "| command | seed | result | commit | date |\n|---|---|---|---|---|\n"
	below = "<!-- End of what `make proof` writes. -->\n"
)

var (
	// resultLine is how the long tests report.
	resultLine = regexp.MustCompile(`(?m)\bresult: (.+?)(?:[,;] seed (\d+))?\s*$`)
	rowTarget  = regexp.MustCompile("^\\| `make ([a-z-]+)")
)

// keep puts a row for each result of a target into the table, in place of those
// from the time before.
func keep(file, target, commit, printed string, failure error) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), above+head)
	table, after, ok2 := strings.Cut(rest, below)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the results", file)
	}
	rows := slices.DeleteFunc(strings.SplitAfter(table, "\n"), func(row string) bool {
		of := rowTarget.FindStringSubmatch(row)
		return of == nil || of[1] == target
	})
	results := resultLine.FindAllStringSubmatch(printed, -1)
	switch {
	case failure != nil:
		results = append(results, []string{"", "**failed**: " + failure.Error(), ""})
	case len(results) == 0:
		results = append(results, []string{"", "passed", ""})
	}
	command := strings.TrimSpace("make " + target + " " + variables())
	for _, result := range results {
		text := strings.ReplaceAll(result[1], "|", `\|`)
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", command, result[2], text, commit, time.Now().UTC().Format(time.DateOnly)))
	}
	slices.SortStableFunc(rows, func(a, b string) int { return cmp.Compare(rowTarget.FindString(a), rowTarget.FindString(b)) })
	return os.WriteFile(file, []byte(before+above+head+strings.Join(rows, "")+below+after), 0o666)
}

// variables are those that make was given for the parts. It escapes spaces within
// them.
func variables() string {
	const space = "\\ "
	_, all, _ := strings.Cut(os.Getenv("MAKEFLAGS"), "-- ")
	each := strings.Fields(strings.ReplaceAll(all, space, "\x00"))
	each = slices.DeleteFunc(each, func(v string) bool { return strings.HasPrefix(v, "PROOF=") })
	return strings.ReplaceAll(strings.Join(each, " "), "\x00", space)
}
