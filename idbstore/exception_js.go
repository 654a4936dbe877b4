package idbstore

import (
	"errors"
	"syscall/js"

	"github.com/hack-pad/safejs"
)

// failureOf turns an exception into an engineError. Nil stays nil.
func failureOf(err error) error {
	if err == nil {
		return nil
	}
	var thrown js.Error
	if errors.As(err, &thrown) {
		return describe(safejs.Safe(thrown.Value))
	}
	return &engineError{unexpectedFailure, err.Error()}
}

// errorProperty describes the property `error` of a request or a transaction,
// which is null after an explicit abort().
func errorProperty(v safejs.Value) error {
	failure, err := v.Get("error")
	if err != nil {
		return failureOf(err)
	}
	if failure.IsNull() || failure.IsUndefined() {
		return &engineError{abortError, "the transaction was aborted"}
	}
	return describe(failure)
}

// describe makes an error of an exception, or of anything else that was thrown.
func describe(exception safejs.Value) error {
	text := func(property string) string {
		v, err := exception.Get(property)
		if err != nil || v.Type() != safejs.TypeString {
			return ""
		}
		s, err := v.String()
		if err != nil {
			return ""
		}
		return s
	}
	e := &engineError{text("name"), text("message")}
	if e.name == "" {
		e.name = unexpectedFailure
	}
	return e
}
