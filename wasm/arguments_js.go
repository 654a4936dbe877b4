package main

import (
	"time"

	"github.com/hack-pad/safejs"

	"github.com/holdfast-dev/holdfast/core/runner"
)

// arguments are those of a call from JavaScript. The host has checked their
// types; one of another type reads as the zero value.
type arguments []safejs.Value

func (a arguments) value(i int) safejs.Value {
	if i < len(a) {
		return a[i]
	}
	return safejs.Undefined()
}

func (a arguments) text(i int) string {
	if v := a.value(i); v.Type() == safejs.TypeString {
		if s, err := v.String(); err == nil {
			return s
		}
	}
	return ""
}

// number reads an integer, which is exact up to 2^53.
func (a arguments) number(i int) int {
	if v := a.value(i); v.Type() == safejs.TypeNumber {
		if n, err := v.Float(); err == nil {
			return int(n)
		}
	}
	return 0
}

func (a arguments) flag(i int) bool {
	on, err := a.value(i).Bool()
	return err == nil && on
}

// bytes copies a Uint8Array; undefined reads as nil.
func (a arguments) bytes(i int) ([]byte, error) {
	v := a.value(i)
	if v.IsUndefined() {
		return nil, nil
	}
	n, err := v.Length()
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	_, err = safejs.CopyBytesToGo(data, v)
	return data, err
}

// list reads an array.
func (a arguments) list(i int) arguments {
	v := a.value(i)
	n, err := v.Length()
	if err != nil {
		return nil
	}
	items := make(arguments, n)
	for i := range items {
		if items[i], err = v.Index(i); err != nil {
			return nil
		}
	}
	return items
}

// retry reads four numbers: attempts, and three times in milliseconds.
func (a arguments) retry(i int) runner.Retry {
	milliseconds := func(i int) time.Duration { return time.Duration(a.number(i)) * time.Millisecond }
	return runner.Retry{MaxAttempts: a.number(i), Initial: milliseconds(i + 1), Max: milliseconds(i + 2), Timeout: milliseconds(i + 3)}
}
