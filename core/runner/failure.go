package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/core"
)

// TerminalError is an error after which a step is not tried again. Of a step with
// side effects it says that certainly nothing was done.
type TerminalError struct{ Err error }

// Error implements error.
func (e *TerminalError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *TerminalError) Unwrap() error { return e.Err }

// StepError is what a step fails with: what is stored of its last error.
type StepError struct {
	Index    uint32
	Step     string // the step's name
	Attempts int    // calls of its function
	Failure  core.Failure
}

// Error implements error.
func (e *StepError) Error() string { return e.Failure.Error() }

// unstorable is the error of a function that has succeeded with an output which
// cannot be stored: what was to be done is done, so it is not called again.
func unstorable(err error) error { return &StepError{Failure: failureOf(err)} }

// timedOut is the failure of a step whose time is over.
func timedOut(text string) core.Failure { return core.Failure{{Name: "TimeoutError", Message: text}} }

func errLost(detail string) error {
	return &core.Error{Code: core.ErrLostOwnership, Op: "process", Detail: detail + "; another runner goes on with it"}
}

// maxErrorText bounds what of an error is stored, in bytes.
const maxErrorText = 16 << 10

// textOf returns the text of an error as it can be stored.
func textOf(err error) string {
	text := strings.ToValidUTF8(err.Error(), string(utf8.RuneError))
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}

// tooOften is why a message fails that was started without end.
func tooOften(n int) string {
	return fmt.Sprintf("given up: processing has started %d times and ended without completing a step", n)
}

// stepsOf returns the indexes of the failed steps that an error is made of.
func stepsOf(err error) []uint32 {
	var indexes []uint32
	var look func(error)
	look = func(err error) {
		switch e := err.(type) {
		case *StepError:
			indexes = append(indexes, e.Index)
		case interface{ FailedSteps() []uint32 }: // it knows itself
			indexes = append(indexes, e.FailedSteps()...)
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				look(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				look(inner)
			}
		}
	}
	look(err)
	sort.Slice(indexes, func(i, j int) bool { return indexes[i] < indexes[j] })
	return slices.Compact(indexes)
}

// failureOf returns what is stored of an error: of a [core.Failure] all of it, of
// others the text of the chain.
func failureOf(err error) core.Failure {
	if terminal, ok := err.(*TerminalError); ok {
		err = terminal.Err
	}
	switch e := err.(type) {
	case core.Failure:
		return e
	case *StepError:
		return e.Failure
	}
	name := ""
	if errors.Is(err, context.DeadlineExceeded) {
		name = "TimeoutError"
	}
	return core.Failure{{Name: name, Message: textOf(err)}}
}
