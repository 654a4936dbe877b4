package runner

import (
	"context"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
)

// Step runs fn as the next step of a, with an output of type T, which is stored as
// msgpack: what JavaScript stores and reads, too. See [Place.Run]; an output
// which cannot be encoded, or is stored and cannot be decoded as T, is
// [core.ErrInvalidArgument].
func Step[T any](a *Attempt, name string, fn func(ctx context.Context, call Call) (T, error), o StepOptions) (T, error) {
	var value T
	stored, err := a.Begin(name, o).Run(func(ctx context.Context, call Call) ([]byte, error) {
		output, err := fn(ctx, call)
		if err != nil {
			return nil, err
		}
		encoded, err := msgpack.Marshal(output)
		if err != nil {
			return nil, &TerminalError{errValue("encoded", name, err)}
		}
		return encoded, nil
	})
	if err != nil || len(stored) == 0 { // a skipped step has no output
		return value, err
	}
	if err := msgpack.Unmarshal(stored, &value); err != nil {
		return value, errValue("decoded", name, err)
	}
	return value, nil
}

func errValue(how, name string, err error) error {
	return &core.Error{Code: core.ErrInvalidArgument, Op: "step", Detail: "the output of " + name + " cannot be " + how, Err: err}
}
