package main

import (
	"errors"

	"github.com/holdfast-dev/holdfast/core"
)

// failure describes err to JavaScript, which makes an Error object of it.
func failure(err error) map[string]any {
	code := core.CodeOf(err)
	f := map[string]any{
		"code":    string(code),
		"outcome": string(code.Outcome()),
		"message": err.Error(),
	}
	var typed *core.Error
	var conflict *core.SequenceConflictError
	switch {
	case errors.As(err, &conflict):
		f["operation"], f["stream"] = "append", conflict.Stream
		f["expected"], f["actual"] = conflict.Expected, conflict.Actual
	case errors.As(err, &typed):
		f["operation"], f["stream"] = typed.Op, typed.Stream
		if typed.Err != nil {
			f["cause"] = typed.Err.Error()
		}
	}
	return f
}
