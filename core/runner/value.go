package runner

import (
	"context"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
)

// Step runs fn as a step, see [Steps.Begin] and [Called.Run], with an output of type T, which is
// stored as msgpack: what JavaScript stores and reads, too. With one that cannot
// be encoded the step fails; one that is stored and cannot be decoded as T is
// [core.ErrInvalidArgument].
func Step[T any](ctx context.Context, c Caller, name string, fn func(ctx context.Context, call Call) (T, error), o StepOptions) (value T, err error) {
	called, err := c.steps().Begin(ctx, name, o)
	if err != nil {
		return value, err
	}
	stored, err := called.Run(func(ctx context.Context, call Call) ([]byte, error) {
		output, err := fn(ctx, call)
		if err != nil {
			return nil, err
		}
		encoded, err := msgpack.Marshal(output)
		if err != nil {
			return nil, &unstorableError{errValue("encoded", name, err)}
		}
		return encoded, nil
	})
	return decoded[T](name, stored, err)
}

// Wait waits for an answer of type T, see [Called.Wait] and
// [core.Conversation.Answer], whose answers are msgpack.
func Wait[T any](ctx context.Context, c Caller, name string, o WaitOptions) (value T, err error) {
	called, err := c.steps().Begin(ctx, name, StepOptions{Key: o.Key})
	if err != nil {
		return value, err
	}
	stored, err := called.Wait(o)
	return decoded[T](name, stored, err)
}

// Sleep waits until a time, also over the end of the program.
func Sleep(ctx context.Context, c Caller, name string, until time.Time) error {
	_, err := Wait[any](ctx, c, name, WaitOptions{Until: until, Sleep: true})
	return err
}

// decoded decodes what is stored. A step that was skipped, or has slept, has no
// output.
func decoded[T any](name string, stored []byte, err error) (value T, _ error) {
	if err != nil || len(stored) == 0 {
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
