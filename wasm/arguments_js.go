package main

import "github.com/hack-pad/safejs"

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
